//! Gauges: how many conversations stand where, now, by channel and assignee. Each change costs the logarithm of how many wait.

use std::collections::{BTreeMap, BTreeSet};

use schemas::conversation::Status;
use schemas::{ConversationId, Timestamp};

use super::cell::CellKey;
use super::state::ConversationState;

/// The conversations of one channel and one assignee (or none).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// How many are open.
    pub open: u64,
    /// How many are pending.
    pub pending: u64,
    /// How many are snoozed.
    pub snoozed: u64,
    /// Those whose contact waits for an answer, by since when.
    waiting: BTreeSet<(Timestamp, ConversationId)>,
}

impl Gauge {
    /// How many contacts wait.
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }

    /// Since when the one waits who has waited longest.
    pub fn oldest_waiting_since(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(since, _)| *since)
    }

    const fn of_status(&mut self, status: Status) -> Option<&mut u64> {
        match status {
            Status::Open => Some(&mut self.open),
            Status::Pending => Some(&mut self.pending),
            Status::Snoozed => Some(&mut self.snoozed),
            Status::Resolved => None,
        }
    }
}

/// The gauges of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges(BTreeMap<CellKey, Gauge>);

impl Gauges {
    /// Counts a conversation in.
    pub fn enter(&mut self, id: ConversationId, state: &ConversationState) {
        if state.status == Status::Resolved {
            return;
        }
        let gauge = self.0.entry(state.key()).or_default();
        if let Some(count) = gauge.of_status(state.status) {
            *count += 1;
        }
        if let Some(since) = state.waiting_since {
            gauge.waiting.insert((since, id));
        }
    }

    /// Counts it out again, by the same state with which it was counted in.
    pub fn leave(&mut self, id: ConversationId, state: &ConversationState) {
        let key = state.key();
        let Some(gauge) = self.0.get_mut(&key) else { return };
        if let Some(count) = gauge.of_status(state.status) {
            *count = count.saturating_sub(1);
        }
        if let Some(since) = state.waiting_since {
            gauge.waiting.remove(&(since, id));
        }
        if *gauge == Gauge::default() {
            self.0.remove(&key);
        }
    }

    /// The gauges by channel and assignee; those that would show nothing are absent.
    pub fn iter(&self) -> impl Iterator<Item = (CellKey, &Gauge)> {
        self.0.iter().map(|(key, gauge)| (*key, gauge))
    }
}
