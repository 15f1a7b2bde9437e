//! Tells the conversation engine what it needs to know of channels, members and the service: no secrets, always as commands.
//!
//! A change is stored first and appended then. A crash between the two is healed at the next start: [`reconcile`] appends
//! again whatever the engine's own rows do not show. An old change never overwrites a newer one, since channels and
//! settings of the service carry a version and members are told whole.

use ingest::commands::Commands;
use schemas::WorkspaceId;
use schemas::channel::Channel;
use schemas::command::{Actor, Command, CommandRecord};
use schemas::service::{ServiceSetting, VersionedSetting};
use schemas::tables::{AGENTS, ENGINE_CHANNELS, ENGINE_SERVICE};
use schemas::workspace::{Agent, Workspace};
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

/// The command that tells when a workspace is at work.
pub fn configure_hours(commands: &Commands, actor: Actor, workspace: &Workspace) -> CommandRecord {
    configure_service(commands, workspace.id, actor, hours_of(workspace))
}

/// The command that tells of a setting of the service.
pub fn configure_service(
    commands: &Commands,
    workspace_id: WorkspaceId,
    actor: Actor,
    setting: VersionedSetting,
) -> CommandRecord {
    let VersionedSetting { setting, version } = setting;
    commands.record(workspace_id, actor, Command::ConfigureService { setting: Box::new(setting), version })
}

fn hours_of(workspace: &Workspace) -> VersionedSetting {
    let (time_zone, hours) = (workspace.time_zone.clone(), workspace.business_hours.clone());
    VersionedSetting { version: workspace.version, setting: ServiceSetting::Hours { time_zone, hours } }
}

/// Appends for every workspace what the engine's rows do not show of channels, members and the service. Returns how many
/// commands.
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
        missing.extend(missing_settings(directory, commands, workspace_id).await?);
        if !missing.is_empty() {
            commands.append_all(&missing).await?;
            appended += missing.len();
        }
    }
    Ok(appended)
}

async fn missing_settings(
    directory: &Directory,
    commands: &Commands,
    workspace_id: WorkspaceId,
) -> Result<Vec<CommandRecord>, PropagateError> {
    let known: Vec<VersionedSetting> = directory.entities(ENGINE_SERVICE, vec![workspace_id.into()]).await?;
    let is_known = |wanted: &VersionedSetting| {
        known.iter().any(|known| known.setting.kind() == wanted.setting.kind() && known.version >= wanted.version)
    };
    let mut missing = Vec::new();
    // A workspace whose row is gone has nothing to tell.
    let workspace = match directory.workspace(workspace_id).await {
        Ok(workspace) => workspace,
        Err(super::DirectoryError::Tables(error)) => return Err(error.into()),
        Err(_absent) => return Ok(missing),
    };
    if workspace.business_hours.is_some() || workspace.version > 0 {
        let hours = hours_of(&workspace);
        if !is_known(&hours) {
            missing.push(configure_hours(commands, Actor::System, &workspace));
        }
    }
    for setting in directory.service_settings(workspace_id).await? {
        if !is_known(&setting) {
            missing.push(configure_service(commands, workspace_id, Actor::System, setting));
        }
    }
    Ok(missing)
}

fn says_the_same(known: &Agent, agent: &Agent) -> bool {
    (known.user_id, &known.name, known.role, known.active, known.capacity)
        == (agent.user_id, &agent.name, agent.role, agent.active, agent.capacity)
}
