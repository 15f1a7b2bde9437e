//! Commands whose outcome somebody waits for.
//!
//! Register before the command is appended; the tail of the topic `events` resolves it by the command's id.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use schemas::event::Outcome;
use schemas::{CommandId, ConversationId, MessageId};
use tokio::sync::oneshot;

/// The most commands whose outcome is waited for at once; further ones are not waited for.
const MAX_WAITING: usize = 65_536;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The event's partition and offset: events at or before it are the command's effect or older.
    pub position: (u32, u64),
    /// Applied, repeated or rejected.
    pub outcome: Outcome,
    /// The conversation that it was about.
    pub conversation_id: Option<ConversationId>,
    /// The message or note that it made.
    pub message_id: Option<MessageId>,
    /// That message's number.
    pub seq: Option<u64>,
}

type Waiters = Mutex<HashMap<CommandId, oneshot::Sender<Settled>>>;

/// The registry of awaited commands. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(Arc<Waiters>);

fn locked(waiters: &Waiters) -> MutexGuard<'_, HashMap<CommandId, oneshot::Sender<Settled>>> {
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outcomes {
    /// Waits for the outcome of a command that is not appended yet.
    ///
    /// The future gives `None` if too many are waited for, or if the hub goes down. It has no timeout of its own: see
    /// [`Outcome::within`](AwaitedOutcome::within). Dropping it forgets the command.
    pub fn register(&self, command_id: CommandId) -> AwaitedOutcome {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = locked(&self.0);
        if waiters.len() < MAX_WAITING {
            waiters.insert(command_id, sender);
        }
        drop(waiters);
        AwaitedOutcome { command_id, receiver, waiters: Arc::clone(&self.0) }
    }

    /// Whether somebody waits for this command.
    pub(crate) fn awaits(&self, command_id: CommandId) -> bool {
        locked(&self.0).contains_key(&command_id)
    }

    /// Tells whoever waits for it how the command ended.
    pub(crate) fn settle(&self, command_id: CommandId, settled: Settled) {
        if let Some(sender) = locked(&self.0).remove(&command_id) {
            // The other side may have stopped waiting just now.
            drop(sender.send(settled));
        }
    }

    /// How many are waited for.
    pub fn waiting(&self) -> usize {
        locked(&self.0).len()
    }
}

/// The outcome of one command, some time.
#[derive(Debug)]
pub struct AwaitedOutcome {
    command_id: CommandId,
    receiver: oneshot::Receiver<Settled>,
    waiters: Arc<Waiters>,
}

impl AwaitedOutcome {
    /// The outcome, if it comes within this time.
    pub async fn within(self, timeout: Duration) -> Option<Settled> {
        tokio::time::timeout(timeout, self).await.ok().flatten()
    }
}

impl Future for AwaitedOutcome {
    type Output = Option<Settled>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(Result::ok)
    }
}

impl Drop for AwaitedOutcome {
    fn drop(&mut self) {
        locked(&self.waiters).remove(&self.command_id);
    }
}

#[cfg(test)]
mod tests {
    use schemas::Timestamp;

    use super::*;

    #[tokio::test]
    async fn an_outcome_reaches_its_waiter_and_nothing_is_kept_after() {
        let outcomes = Outcomes::default();
        let id = CommandId::new(Timestamp::from_unix_millis(1), &[1; 10]);
        let awaited = outcomes.register(id);
        assert!(outcomes.awaits(id));
        let settled =
            Settled { position: (0, 7), outcome: Outcome::Applied, conversation_id: None, message_id: None, seq: None };
        outcomes.settle(id, settled.clone());
        assert_eq!(awaited.within(Duration::from_secs(1)).await, Some(settled));
        drop(outcomes.register(id));
        assert_eq!(outcomes.waiting(), 0);
    }
}
