//! Cells: what happened in one minute, by channel and agent. They are counts and histograms, so they add up.

use std::collections::BTreeMap;

use schemas::{ChannelId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// How many minutes the rolling window of a board spans: the present one and those before it, 24 hours.
pub const WINDOW_MINUTES: i64 = 24 * 60;

/// The number of the minute, counted from 1970, in which an instant lies.
pub const fn minute_of(at: Timestamp) -> i64 {
    at.unix_seconds().div_euclid(60)
}

/// By what cells are told apart within a minute. `agent_id` is who did it, or, for what a contact did, who was assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellKey {
    /// The channel.
    pub channel_id: ChannelId,
    /// The agent; `None` if it was nobody.
    pub agent_id: Option<UserId>,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cell {
    /// Messages that contacts sent.
    pub messages_in: u64,
    /// Messages that people of the workspace sent.
    pub messages_out_human: u64,
    /// Messages that programs sent.
    pub messages_out_bot: u64,
    /// Private notes.
    pub notes: u64,
    /// Conversations that began.
    pub opened: u64,
    /// Conversations that were resolved.
    pub resolved: u64,
    /// Conversations that were opened again after they were resolved.
    pub reopened: u64,
    /// Durations of first responses.
    pub first_response: Histogram,
    /// Durations of waits that ended in an answer.
    pub reply_time: Histogram,
}

impl Cell {
    /// Adds what `other` counts.
    pub fn merge(&mut self, other: &Self) {
        self.change(other, u64::saturating_add);
        self.first_response.merge(&other.first_response);
        self.reply_time.merge(&other.reply_time);
    }

    /// Takes away what `other` counts, which must have been added before.
    pub fn subtract(&mut self, other: &Self) {
        self.change(other, u64::saturating_sub);
        self.first_response.subtract(&other.first_response);
        self.reply_time.subtract(&other.reply_time);
    }

    fn change(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        self.messages_in = combine(self.messages_in, other.messages_in);
        self.messages_out_human = combine(self.messages_out_human, other.messages_out_human);
        self.messages_out_bot = combine(self.messages_out_bot, other.messages_out_bot);
        self.notes = combine(self.notes, other.notes);
        self.opened = combine(self.opened, other.opened);
        self.resolved = combine(self.resolved, other.resolved);
        self.reopened = combine(self.reopened, other.reopened);
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The cells of a workspace's last 24 hours, and their sums.
///
/// The sums are kept up to date with each cell, so that reading them costs by the number of channels and agents and not
/// by how much happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    minutes: BTreeMap<i64, BTreeMap<CellKey, Cell>>,
    totals: BTreeMap<CellKey, Cell>,
}

impl Window {
    /// Adds to a cell.
    pub fn add(&mut self, minute: i64, key: CellKey, delta: &Cell) {
        self.minutes.entry(minute).or_default().entry(key).or_default().merge(delta);
        self.totals.entry(key).or_default().merge(delta);
    }

    /// Forgets the minutes before `first`.
    pub fn forget_before(&mut self, first: i64) {
        let kept = self.minutes.split_off(&first);
        for cells in std::mem::replace(&mut self.minutes, kept).into_values() {
            for (key, cell) in cells {
                take_from(&mut self.totals, key, &cell);
            }
        }
    }

    /// The sums of the minutes from `first` on.
    pub fn totals_since(&self, first: i64) -> BTreeMap<CellKey, Cell> {
        let mut totals = self.totals.clone();
        for cells in self.minutes.range(..first).map(|(_, cells)| cells) {
            for (key, cell) in cells {
                take_from(&mut totals, *key, cell);
            }
        }
        totals
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    /// Its cells, by minute and key, for a snapshot.
    pub fn cells(&self) -> impl Iterator<Item = (i64, CellKey, &Cell)> {
        self.minutes.iter().flat_map(|(minute, cells)| cells.iter().map(|(key, cell)| (*minute, *key, cell)))
    }
}

fn take_from(totals: &mut BTreeMap<CellKey, Cell>, key: CellKey, cell: &Cell) {
    if let Some(total) = totals.get_mut(&key) {
        total.subtract(cell);
        if total.is_empty() {
            totals.remove(&key);
        }
    }
}
