//! Appends commands on behalf of a caller and waits for what the engine decides.

use schemas::api::problem::ErrorCode;
use schemas::command::{Actor, Command};
use schemas::event::Outcome;
use schemas::{ConversationId, MessageId};

use super::error::ApiError;
use super::state::AppState;
use crate::auth::principal::Principal;

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
    let mut done = execute_all(state, caller, key, vec![command]).await?;
    done.pop().ok_or_else(unknown)
}

/// Appends commands together, in order, and waits for all; the first refusal is returned, though others may have applied.
///
/// # Errors
/// As [`execute`].
pub async fn execute_all(
    state: &AppState,
    caller: &Principal,
    key: Option<String>,
    commands: Vec<Command>,
) -> Result<Vec<Done>, ApiError> {
    let mut records = Vec::with_capacity(commands.len());
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        let mut record = state.commands.record(caller.workspace_id, actor(caller), command);
        record.key.clone_from(&key);
        record.wants_outcome = true;
        outcomes.push(state.outcomes.register(record.id));
        records.push(record);
    }
    state.commands.append_all(&records).await?;
    let timeout = state.command_timeout();
    let mut done = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        let settled = outcome.within(timeout).await.ok_or_else(unknown)?;
        let repeated = match settled.outcome {
            Outcome::Applied => false,
            Outcome::Repeated { .. } => true,
            Outcome::Rejected { code, reason } => return Err(ApiError::rejected(code, reason)),
        };
        done.push(Done {
            repeated,
            conversation_id: settled.conversation_id,
            message_id: settled.message_id,
            seq: settled.seq,
        });
    }
    Ok(done)
}

fn unknown() -> ApiError {
    let detail = "the command is kept, but its outcome did not come in time: it may still take effect; repeat with the same \
                  Idempotency-Key to learn it";
    ApiError::new(ErrorCode::OutcomeUnknown, detail).retry_after(2)
}
