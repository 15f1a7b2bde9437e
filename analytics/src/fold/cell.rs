//! Cells: what happened in one minute, by channel and agent. They are counts and histograms, so they add up.

use std::collections::BTreeMap;

use schemas::message::DeliveryStatus;
use schemas::sla::{SlaStep, SlaTarget};
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

/// What a cell counts. A sum of several cells is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Messages that contacts sent.
    MessagesIn,
    /// Messages that people of the workspace sent.
    MessagesOutHuman,
    /// Messages that programs sent.
    MessagesOutBot,
    /// Private notes.
    Notes,
    /// Conversations that began.
    Opened,
    /// Conversations that were resolved.
    Resolved,
    /// Conversations that were opened again after they were resolved.
    Reopened,
    /// Conversations that went from one person to another.
    Transferred,
    /// Pending conversations that were handed to people.
    HandedOff,
    /// Messages of this minute that the provider has and that have not arrived.
    Sent,
    /// Messages of this minute that have arrived and were not seen.
    Delivered,
    /// Messages of this minute that were seen.
    Read,
    /// Messages of this minute that will not arrive.
    Failed,
    /// Messages of contacts that sound negative.
    Negative,
    /// Messages of contacts that sound neither way.
    Neutral,
    /// Messages of contacts that sound positive.
    Positive,
    /// First responses that were promised.
    SlaFirstResponseApplied,
    /// Those of them that came in time.
    SlaFirstResponseMet,
    /// Those of them that did not.
    SlaFirstResponseMissed,
    /// Next responses that were promised.
    SlaNextResponseApplied,
    /// Those of them that came in time.
    SlaNextResponseMet,
    /// Those of them that did not.
    SlaNextResponseMissed,
    /// Resolutions that were promised.
    SlaResolutionApplied,
    /// Those of them that came in time.
    SlaResolutionMet,
    /// Those of them that did not.
    SlaResolutionMissed,
}

impl Count {
    /// Every count, in the order of a cell.
    pub const ALL: [Self; 25] = [
        Self::MessagesIn,
        Self::MessagesOutHuman,
        Self::MessagesOutBot,
        Self::Notes,
        Self::Opened,
        Self::Resolved,
        Self::Reopened,
        Self::Transferred,
        Self::HandedOff,
        Self::Sent,
        Self::Delivered,
        Self::Read,
        Self::Failed,
        Self::Negative,
        Self::Neutral,
        Self::Positive,
        Self::SlaFirstResponseApplied,
        Self::SlaFirstResponseMet,
        Self::SlaFirstResponseMissed,
        Self::SlaNextResponseApplied,
        Self::SlaNextResponseMet,
        Self::SlaNextResponseMissed,
        Self::SlaResolutionApplied,
        Self::SlaResolutionMet,
        Self::SlaResolutionMissed,
    ];

    /// The count in which a message of this status stands; one that waits to be sent stands in none.
    pub const fn of_delivery(status: DeliveryStatus) -> Option<Self> {
        match status {
            DeliveryStatus::Queued => None,
            DeliveryStatus::Sent => Some(Self::Sent),
            DeliveryStatus::Delivered => Some(Self::Delivered),
            DeliveryStatus::Read => Some(Self::Read),
            DeliveryStatus::Failed => Some(Self::Failed),
        }
    }

    /// What a step of a promise counts as, if as anything.
    pub const fn of_promise(target: SlaTarget, step: SlaStep) -> Option<Self> {
        Some(match (target, step) {
            (SlaTarget::FirstResponse, SlaStep::Started) => Self::SlaFirstResponseApplied,
            (SlaTarget::FirstResponse, SlaStep::Met) => Self::SlaFirstResponseMet,
            (SlaTarget::FirstResponse, SlaStep::Breached) => Self::SlaFirstResponseMissed,
            (SlaTarget::NextResponse, SlaStep::Started) => Self::SlaNextResponseApplied,
            (SlaTarget::NextResponse, SlaStep::Met) => Self::SlaNextResponseMet,
            (SlaTarget::NextResponse, SlaStep::Breached) => Self::SlaNextResponseMissed,
            (SlaTarget::Resolution, SlaStep::Started) => Self::SlaResolutionApplied,
            (SlaTarget::Resolution, SlaStep::Met) => Self::SlaResolutionMet,
            (SlaTarget::Resolution, SlaStep::Breached) => Self::SlaResolutionMissed,
            _ => return None,
        })
    }

    /// Its column.
    pub const fn column(self) -> &'static str {
        match self {
            Self::MessagesIn => "messages_in",
            Self::MessagesOutHuman => "messages_out_human",
            Self::MessagesOutBot => "messages_out_bot",
            Self::Notes => "notes",
            Self::Opened => "opened",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Transferred => "transferred",
            Self::HandedOff => "handed_off",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Negative => "negative",
            Self::Neutral => "neutral",
            Self::Positive => "positive",
            Self::SlaFirstResponseApplied => "sla_first_response_applied",
            Self::SlaFirstResponseMet => "sla_first_response_met",
            Self::SlaFirstResponseMissed => "sla_first_response_missed",
            Self::SlaNextResponseApplied => "sla_next_response_applied",
            Self::SlaNextResponseMet => "sla_next_response_met",
            Self::SlaNextResponseMissed => "sla_next_response_missed",
            Self::SlaResolutionApplied => "sla_resolution_applied",
            Self::SlaResolutionMet => "sla_resolution_met",
            Self::SlaResolutionMissed => "sla_resolution_missed",
        }
    }
}

/// A kind of durations that a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasting {
    /// First responses.
    FirstResponse,
    /// Waits that ended in an answer.
    ReplyTime,
    /// Waits that ended without one.
    AbandonedWait,
    /// From opening to resolving.
    ResolutionTime,
    /// How long an agent had a conversation before it was resolved.
    HandleTime,
    /// First responses in business time.
    FirstResponseBusiness,
    /// Waits that ended in an answer, in business time.
    ReplyTimeBusiness,
    /// Waits that ended without one, in business time.
    AbandonedWaitBusiness,
    /// From opening to resolving, in business time.
    ResolutionTimeBusiness,
    /// How long an agent had a conversation before it was resolved, in business time.
    HandleTimeBusiness,
}

impl Lasting {
    /// Every kind, in the order of a cell.
    pub const ALL: [Self; 10] = [
        Self::FirstResponse,
        Self::ReplyTime,
        Self::AbandonedWait,
        Self::ResolutionTime,
        Self::HandleTime,
        Self::FirstResponseBusiness,
        Self::ReplyTimeBusiness,
        Self::AbandonedWaitBusiness,
        Self::ResolutionTimeBusiness,
        Self::HandleTimeBusiness,
    ];

    /// The same in business time.
    #[must_use]
    pub const fn in_business_time(self) -> Self {
        match self {
            Self::FirstResponse | Self::FirstResponseBusiness => Self::FirstResponseBusiness,
            Self::ReplyTime | Self::ReplyTimeBusiness => Self::ReplyTimeBusiness,
            Self::AbandonedWait | Self::AbandonedWaitBusiness => Self::AbandonedWaitBusiness,
            Self::ResolutionTime | Self::ResolutionTimeBusiness => Self::ResolutionTimeBusiness,
            Self::HandleTime | Self::HandleTimeBusiness => Self::HandleTimeBusiness,
        }
    }

    /// Its columns: how many, their sum in microseconds, their histogram.
    pub const fn columns(self) -> [&'static str; 3] {
        match self {
            Self::FirstResponse => ["first_responses", "first_response_micros", "first_response_hist"],
            Self::ReplyTime => ["replies", "reply_time_micros", "reply_time_hist"],
            Self::AbandonedWait => ["abandoned_waits", "abandoned_wait_micros", "abandoned_wait_hist"],
            Self::ResolutionTime => ["resolutions", "resolution_time_micros", "resolution_time_hist"],
            Self::HandleTime => ["handlings", "handle_time_micros", "handle_time_hist"],
            Self::FirstResponseBusiness => {
                ["business_first_responses", "business_first_response_micros", "business_first_response_hist"]
            }
            Self::ReplyTimeBusiness => ["business_replies", "business_reply_time_micros", "business_reply_time_hist"],
            Self::AbandonedWaitBusiness => {
                ["business_abandoned_waits", "business_abandoned_wait_micros", "business_abandoned_wait_hist"]
            }
            Self::ResolutionTimeBusiness => {
                ["business_resolutions", "business_resolution_time_micros", "business_resolution_time_hist"]
            }
            Self::HandleTimeBusiness => {
                ["business_handlings", "business_handle_time_micros", "business_handle_time_hist"]
            }
        }
    }
}

/// Durations: how they are spread and what they add up to. How many they are, the histogram knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// How they are spread.
    pub histogram: Histogram,
    /// Their sum in microseconds.
    pub micros: i64,
}

impl Durations {
    /// Adds one, in microseconds.
    pub fn record(&mut self, micros: i64) {
        self.histogram.record(micros);
        self.micros = self.micros.saturating_add(micros);
    }

    fn merge(&mut self, other: &Self) {
        self.histogram.merge(&other.histogram);
        self.micros = self.micros.saturating_add(other.micros);
    }

    fn subtract(&mut self, other: &Self) {
        self.histogram.subtract(&other.histogram);
        self.micros = self.micros.saturating_sub(other.micros);
    }

    fn is_empty(&self) -> bool {
        self.histogram.is_empty() && self.micros == 0
    }
}

/// No durations.
static NO_DURATIONS: Durations = Durations { histogram: Histogram::new(), micros: 0 };

/// What happened. Most cells count few things, so only what is not zero is there.
///
/// How messages are delivered counts in the minute in which they were written: a change of status takes one from what the
/// message was and adds one to what it is, so that such a count may fall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<Count, i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    durations: BTreeMap<Lasting, Durations>,
}

impl Cell {
    /// Adds to a count.
    pub fn add(&mut self, count: Count, amount: i64) {
        let mine = self.counts.entry(count).or_insert(0);
        *mine = mine.saturating_add(amount);
        if *mine == 0 {
            self.counts.remove(&count);
        }
    }

    /// Adds a duration, in microseconds.
    pub fn record(&mut self, lasting: Lasting, micros: i64) {
        self.durations.entry(lasting).or_default().record(micros);
    }

    /// A count.
    pub fn count(&self, count: Count) -> i64 {
        self.counts.get(&count).copied().unwrap_or(0)
    }

    /// The durations of a kind.
    pub fn durations(&self, lasting: Lasting) -> &Durations {
        self.durations.get(&lasting).unwrap_or(&NO_DURATIONS)
    }

    /// Adds what `other` counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, amount) in &other.counts {
            self.add(*count, *amount);
        }
        for (lasting, durations) in &other.durations {
            self.durations.entry(*lasting).or_default().merge(durations);
        }
    }

    /// Takes away what `other` counts, which must have been added before.
    pub fn subtract(&mut self, other: &Self) {
        for (count, amount) in &other.counts {
            self.add(*count, amount.saturating_neg());
        }
        for (lasting, durations) in &other.durations {
            let mine = self.durations.entry(*lasting).or_default();
            mine.subtract(durations);
            if mine.is_empty() {
                self.durations.remove(lasting);
            }
        }
    }

    /// Whether it counts nothing.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.durations.is_empty()
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
        change_in(&mut self.totals, key, |total| total.merge(delta));
    }

    /// Forgets the minutes before `first`.
    pub fn forget_before(&mut self, first: i64) {
        let kept = self.minutes.split_off(&first);
        for cells in std::mem::replace(&mut self.minutes, kept).into_values() {
            for (key, cell) in cells {
                change_in(&mut self.totals, key, |total| total.subtract(&cell));
            }
        }
    }

    /// The sums of the minutes from `first` on.
    pub fn totals_since(&self, first: i64) -> BTreeMap<CellKey, Cell> {
        let mut totals = self.totals.clone();
        for cells in self.minutes.range(..first).map(|(_, cells)| cells) {
            for (key, cell) in cells {
                change_in(&mut totals, *key, |total| total.subtract(cell));
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

/// Changes a sum; one that shows nothing is absent.
fn change_in(totals: &mut BTreeMap<CellKey, Cell>, key: CellKey, change: impl FnOnce(&mut Cell)) {
    let total = totals.entry(key).or_default();
    change(total);
    if total.is_empty() {
        totals.remove(&key);
    }
}
