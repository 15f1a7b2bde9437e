//! Tells the conversation engine what it needs to know of channels and members: no secrets, always as commands.
//!
//! A change is stored first and appended then. A crash between the two is healed at the next start: [`reconcile`] appends
//! again whatever the engine's own rows do not show. An old change never overwrites a newer one, since channels carry a
//! version and members are told whole.

use ingest::commands::Commands;
use schemas::WorkspaceId;
use schemas::channel::Channel;
use schemas::command::{Actor, Command, CommandRecord};
use schemas::tables::{AGENTS, ENGINE_CHANNELS};
use schemas::workspace::Agent;
use storage::log::LogError;
use storage::tables::TablesError;

use super::Directory;

/// Why the engine could not be told.
#[derive(Debug, thiserror::Error)]
pub enum PropagateError {
    /// The log does not take it now.
    #[error("the change is stored, but the conversation engine cannot be told of it yet")]
    Log(#[from] LogError),
    /// The tables do not answer.
    #[error("what the conversation engine knows cannot be read")]
    Tables(#[from] TablesError),
}

/// The command that tells of a channel.
pub fn configure_channel(commands: &Commands, actor: Actor, channel: &Channel) -> CommandRecord {
    commands.record(channel.workspace_id, actor, Command::ConfigureChannel { channel: channel.clone() })
}

/// The command that tells of a member.
pub fn configure_agent(commands: &Commands, workspace_id: WorkspaceId, actor: Actor, agent: Agent) -> CommandRecord {
    commands.record(workspace_id, actor, Command::ConfigureAgent { agent })
}

/// Appends for every workspace what the engine's rows do not show of channels and members. Returns how many commands.
///
/// # Errors
/// See [`PropagateError`].
pub async fn reconcile(directory: &Directory, commands: &Commands) -> Result<usize, PropagateError> {
    let mut appended = 0;
    for workspace_id in directory.all_workspace_ids().await? {
        let mut missing = Vec::new();
        let known: Vec<Channel> = directory.entities(ENGINE_CHANNELS, vec![workspace_id.into()]).await?;
        for record in directory.channels(workspace_id).await? {
            let channel = &record.channel;
            if !known.iter().any(|other| other.id == channel.id && other.version >= channel.version) {
                missing.push(configure_channel(commands, Actor::System, channel));
            }
        }
        let known: Vec<Agent> = directory.entities(AGENTS, vec![workspace_id.into()]).await?;
        for membership in directory.memberships(workspace_id).await? {
            let agent = membership.agent();
            if !known.iter().any(|other| says_the_same(other, &agent)) {
                missing.push(configure_agent(commands, workspace_id, Actor::System, agent));
            }
        }
        if !missing.is_empty() {
            commands.append_all(&missing).await?;
            appended += missing.len();
        }
    }
    Ok(appended)
}

fn says_the_same(known: &Agent, agent: &Agent) -> bool {
    (known.user_id, &known.name, known.role, known.active, known.capacity)
        == (agent.user_id, &agent.name, agent.role, agent.active, agent.capacity)
}
