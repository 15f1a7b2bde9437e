//! Gauges: how many conversations stand where, now, by channel and assignee. Each change costs the logarithm of how many wait.

use std::collections::{BTreeMap, BTreeSet};

use schemas::conversation::Status;
use schemas::sla::SlaState;
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
    /// How many are open and unattended: the contact has written, and nobody has ever answered or they wait again.
    pub unattended: u64,
    /// How many have a promise of service levels of which a warning was given, and none that is broken.
    pub sla_at_risk: u64,
    /// How many have a promise of service levels that is broken and has not ended.
    pub sla_breached: u64,
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

    fn change(&mut self, state: &ConversationState, combine: fn(u64, u64) -> u64) {
        match state.status {
            Status::Open => self.open = combine(self.open, 1),
            Status::Pending => self.pending = combine(self.pending, 1),
            Status::Snoozed => self.snoozed = combine(self.snoozed, 1),
            Status::Resolved => {}
        }
        if state.is_unattended() {
            self.unattended = combine(self.unattended, 1);
        }
        match state.sla {
            Some(SlaState::AtRisk) => self.sla_at_risk = combine(self.sla_at_risk, 1),
            Some(SlaState::Breached) => self.sla_breached = combine(self.sla_breached, 1),
            Some(SlaState::OnTrack) | None => {}
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
        gauge.change(state, u64::saturating_add);
        if let Some(since) = state.waiting_since {
            gauge.waiting.insert((since, id));
        }
    }

    /// Counts it out again, by the same state with which it was counted in.
    pub fn leave(&mut self, id: ConversationId, state: &ConversationState) {
        let key = state.key();
        let Some(gauge) = self.0.get_mut(&key) else { return };
        if state.status != Status::Resolved {
            gauge.change(state, u64::saturating_sub);
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
