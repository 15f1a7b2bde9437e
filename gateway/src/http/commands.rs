//! Appends commands on behalf of a caller and waits for what the engine decides.

use futures::future::join_all;
use schemas::api::problem::ErrorCode;
use schemas::command::{Actor, Command};
use schemas::desk::SettingChange;
use schemas::event::Outcome;
use schemas::{ConversationId, MessageId, UserId};

use super::error::ApiError;
use super::state::AppState;
use crate::auth::principal::Principal;
use crate::realtime::Settled;

/// What a command made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// `true` if its key had been used before for the same wish.
    pub repeated: bool,
    /// The conversation that it was about.
    pub conversation_id: Option<ConversationId>,
    /// The message or note that it made.
    pub message_id: Option<MessageId>,
    /// That message's number.
    pub seq: Option<u64>,
}

/// The caller as the cause of a command.
pub const fn actor(caller: &Principal) -> Actor {
    Actor::User { user_id: caller.user_id }
}

/// Appends a command durably and waits for its outcome; what it changed can be read from the tables then.
///
/// # Errors
/// What the engine refused; [`ErrorCode::Unavailable`] if it could not be appended; [`ErrorCode::OutcomeUnknown`] if the
/// outcome did not come in time.
pub async fn execute(
    state: &AppState,
    caller: &Principal,
    key: Option<String>,
    command: Command,
) -> Result<Done, ApiError> {
    let mut done = execute_each(state, caller, key, vec![command]).await?;
    done.pop().unwrap_or_else(|| Err(unknown()))
}

/// Appends commands together, in order, and waits for the outcome of each.
///
/// # Errors
/// [`ErrorCode::Unavailable`] if they could not be appended; what came of each stands in the list.
pub async fn execute_each(
    state: &AppState,
    caller: &Principal,
    key: Option<String>,
    commands: Vec<Command>,
) -> Result<Vec<Result<Done, ApiError>>, ApiError> {
    let mut records = Vec::with_capacity(commands.len());
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        let mut record = state.commands.record(caller.workspace_id, actor(caller), command);
        record.key.clone_from(&key);
        record.wants_outcome = true;
        outcomes.push(state.outcomes.register(record.id));
        records.push(record);
    }
    if records.is_empty() {
        return Ok(Vec::new());
    }
    state.commands.append_all(&records).await?;
    let timeout = state.command_timeout();
    Ok(join_all(outcomes.into_iter().map(|outcome| outcome.within(timeout))).await.into_iter().map(done).collect())
}

fn done(settled: Option<Settled>) -> Result<Done, ApiError> {
    let settled = settled.ok_or_else(unknown)?;
    let repeated = match settled.outcome {
        Outcome::Applied => false,
        Outcome::Repeated { .. } => true,
        Outcome::Rejected { code, reason } => return Err(ApiError::rejected(code, reason)),
    };
    let Settled { conversation_id, message_id, seq, .. } = settled;
    Ok(Done { repeated, conversation_id, message_id, seq })
}

/// Lets whoever shows a setting hear that it was changed; only `user_id`, if it is theirs alone.
///
/// The setting is stored already, so a caller is not told of a failure: repeating the change would not mend it. Whoever
/// misses the announcement has the setting when they load it anew.
pub async fn announce(state: &AppState, caller: &Principal, user_id: Option<UserId>, change: SettingChange) {
    let command = Command::AnnounceSetting { user_id, change: Box::new(change) };
    let record = state.commands.record(caller.workspace_id, actor(caller), command);
    if let Err(error) = state.commands.append(&record).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            workspace.id = %caller.workspace_id,
            "a changed setting could not be announced: consoles show it when they load it anew"
        );
    }
}

fn unknown() -> ApiError {
    let detail = "the command is kept, but its outcome did not come in time: it may still take effect; repeat with the same \
                  Idempotency-Key to learn it";
    ApiError::new(ErrorCode::OutcomeUnknown, detail).retry_after(2)
}
