//! Timers: durable in their table, fired to the second as commands.
//!
//! A timer that fires is a command like any other, so a replay knows when it fired. A timer may fire twice (a crash between
//! the append and the deletion of its row); the engine ignores one whose moment the conversation no longer waits for.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use schemas::command::{Actor, Command, TimerKind};
use schemas::tables::{self as t, Value};
use schemas::{ConversationId, Timestamp, WorkspaceId};
use storage::tables::{Tables, TablesError};
use tokio::sync::Notify;

use super::changes::Changes;
use super::load::scan_all;
use super::run::EngineDeps;

/// How long the loop sleeps at most: bounds the error if the machine's clock is set forward.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How long to wait after an append failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How many due timers are fired together.
const FIRED_TOGETHER: usize = 256;

/// The timers that are set in a partition.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: Mutex<BTreeSet<(Timestamp, ConversationId, TimerKind, WorkspaceId)>>,
    changed: Notify,
}

impl Timers {
    /// Reads the timers of a partition from its table.
    pub(super) async fn load(tables: &dyn Tables, partition: u32) -> Result<Self, TablesError> {
        let mut set = BTreeSet::new();
        for row in scan_all(tables, t::TIMERS, vec![partition.into()]).await? {
            if let [Value::Timestamp(due), Value::Uuid(id), Value::Text(timer)] = row.key.clustering.as_slice()
                && let Some(kind) = TimerKind::ALL.into_iter().find(|kind| kind.as_str() == timer)
                && let Some(workspace_id) = row.workspace_id()
            {
                set.insert((*due, ConversationId::from_bytes(*id), kind, workspace_id));
            }
        }
        Ok(Self { set: Mutex::new(set), changed: Notify::new() })
    }

    /// Follows a batch that has been written.
    pub(super) fn follow(&self, changes: &Changes) {
        if changes.timers.is_empty() {
            return;
        }
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        for ((workspace_id, (due, conversation_id, kind)), is_set) in &changes.timers {
            let timer = (*due, *conversation_id, *kind, *workspace_id);
            if *is_set {
                set.insert(timer);
            } else {
                set.remove(&timer);
            }
        }
        drop(set);
        self.changed.notify_one();
    }

    fn due(&self, now: Timestamp) -> Vec<(Timestamp, ConversationId, TimerKind, WorkspaceId)> {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        set.iter().take_while(|(due, ..)| *due <= now).take(FIRED_TOGETHER).copied().collect()
    }

    fn forget(&self, timer: &(Timestamp, ConversationId, TimerKind, WorkspaceId)) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).remove(timer);
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).first().map(|(due, ..)| *due)
    }

    /// Fires what is due, for ever. Cancel-safe: what was not appended stays set.
    pub(super) async fn fire(&self, deps: &EngineDeps) {
        loop {
            for timer in self.due(deps.clock.now()) {
                let (due, conversation_id, kind, workspace_id) = timer;
                let command = Command::FireTimer { conversation_id, timer: kind, due };
                let record = deps.commands.record(workspace_id, Actor::System, command);
                match deps.commands.append(&record).await {
                    Ok(_) => self.forget(&timer),
                    Err(error) => {
                        tracing::warn!(%error, "a timer could not be fired yet");
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                }
            }
            match self.next_due() {
                None => self.changed.notified().await,
                Some(due) => {
                    let sleep = tokio::time::sleep(due.since(deps.clock.now()).min(LONGEST_SLEEP));
                    tokio::select! {
                        () = sleep => {}
                        () = self.changed.notified() => {}
                    }
                }
            }
        }
    }
}
