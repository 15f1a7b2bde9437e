//! Service levels: what a workspace promises its customers, and how each promise stands.
//!
//! A policy says how soon a conversation is to have its first response, each next response, and its resolution. For each
//! promise that holds a conversation has a *clock* ([`SlaClock`]); it stands in the conversation while it runs, is paused, or is
//! broken and not yet ended. What an event did to clocks stands with the event ([`SlaChange`]).
//!
//! A promise is broken at the instant when its clock is due; who answers before that instant has kept it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::conversation::{Conversation, Priority, Status};
use crate::{ChannelId, SlaPolicyId, Timestamp};

/// The most policies of a workspace.
pub const SLA_POLICIES_PER_WORKSPACE: usize = 50;

/// The longest promise, in seconds: a year.
pub const SLA_MAX_SECONDS: u32 = 366 * 86_400;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlaTarget {
    /// A person's first answer to a customer who wrote first: from the opening.
    FirstResponse,
    /// A person's answer to what the customer wrote after that: from their oldest unanswered message.
    NextResponse,
    /// That the conversation is resolved: from its last opening.
    Resolution,
}

impl SlaTarget {
    /// Every target.
    pub const ALL: [Self; 3] = [Self::FirstResponse, Self::NextResponse, Self::Resolution];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstResponse => "first_response",
            Self::NextResponse => "next_response",
            Self::Resolution => "resolution",
        }
    }
}

/// A policy: for which conversations, and what is promised. The first policy of a workspace's list that matches a conversation holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SlaPolicy {
    /// Its id.
    pub id: SlaPolicyId,
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// Only for these priorities; for all, if there is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub priorities: BTreeSet<Priority>,
    /// Only on these channels; on all, if there is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub channels: BTreeSet<ChannelId>,
    /// Only with one of these labels; with any or none, if there is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// How soon a first response is promised, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_response_seconds: Option<u32>,
    /// How soon each next response is promised, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_response_seconds: Option<u32>,
    /// How soon the resolution is promised, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution_seconds: Option<u32>,
    /// Whether only time within the workspace's business hours counts.
    #[serde(default)]
    pub business_time: bool,
    /// In which statuses clocks are paused: `pending`, `snoozed`, both or none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pauses: BTreeSet<Status>,
    /// A warning is given once this part of the time is used up, in percent, 1 to 99; none is given, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_percent: Option<u8>,
}

impl SlaPolicy {
    /// Whether it is for a conversation as it is now.
    pub fn matches(&self, conversation: &Conversation) -> bool {
        (self.priorities.is_empty() || self.priorities.contains(&conversation.priority))
            && (self.channels.is_empty() || self.channels.contains(&conversation.channel_id))
            && (self.labels.is_empty() || !self.labels.is_disjoint(&conversation.labels))
    }

    /// How soon something is promised, in seconds; `None` if it is not.
    pub const fn seconds(&self, target: SlaTarget) -> Option<u32> {
        match target {
            SlaTarget::FirstResponse => self.first_response_seconds,
            SlaTarget::NextResponse => self.next_response_seconds,
            SlaTarget::Resolution => self.resolution_seconds,
        }
    }
}

/// A promise that holds for a conversation. It carries what it needs of its policy, so that changing or removing the policy leaves
/// what was promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SlaClock {
    /// What is promised.
    pub target: SlaTarget,
    /// By which policy.
    pub policy_id: SlaPolicyId,
    /// From when on it counts.
    pub started_at: Timestamp,
    /// How soon, in seconds.
    pub goal_seconds: u32,
    /// Whether only business time counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub business_time: bool,
    /// In which statuses it is paused.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pauses: BTreeSet<Status>,
    /// After which part of the time a warning is given, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_percent: Option<u8>,
    /// When it is due, or was, if it is broken; absent while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// When a warning is to be given; absent if none is, any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<Timestamp>,
    /// While it is paused: how much of the time is left, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_micros: Option<i64>,
    /// Whether the warning was given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub warned: bool,
    /// Whether it is broken: it was due.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub breached: bool,
}

impl SlaClock {
    /// The next instant at which something is to be recorded of it.
    pub fn next_instant(&self) -> Option<Timestamp> {
        if self.breached {
            return None;
        }
        self.warn_at.into_iter().chain(self.due_at).min()
    }
}

/// How a conversation's promises stand, the worst of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlaState {
    /// None is broken, and no warning was given.
    OnTrack,
    /// A warning was given.
    AtRisk,
    /// One is broken and has not ended.
    Breached,
}

/// The promises that hold for a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConversationSla {
    /// The worst of them.
    pub state: SlaState,
    /// When the next one is due; absent if none is, because all are paused or broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due_at: Option<Timestamp>,
    /// At most one for each target.
    pub clocks: Vec<SlaClock>,
}

impl ConversationSla {
    /// What these clocks come to; `None` without any.
    pub fn of(clocks: Vec<SlaClock>) -> Option<Self> {
        let state_of = |clock: &SlaClock| match clock {
            SlaClock { breached: true, .. } => SlaState::Breached,
            SlaClock { warned: true, .. } => SlaState::AtRisk,
            _ => SlaState::OnTrack,
        };
        let state = clocks.iter().map(state_of).max()?;
        let running = clocks.iter().filter(|clock| !clock.breached);
        let next_due_at = running.filter_map(|clock| clock.due_at).min();
        Some(Self { state, next_due_at, clocks })
    }
}

/// What became of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlaStep {
    /// It holds from now on.
    Started,
    /// Another policy holds for it: due anew, with what was used up before.
    Retargeted,
    /// Time stands still.
    Paused,
    /// Time goes on.
    Resumed,
    /// A warning was given.
    Warned,
    /// It was due, and is broken.
    Breached,
    /// It was kept.
    Met,
    /// What was promised came after it was broken, or will not come.
    Ended,
    /// It does not hold any more, neither kept nor broken.
    Dropped,
}

impl SlaStep {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Retargeted => "retargeted",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Warned => "warned",
            Self::Breached => "breached",
            Self::Met => "met",
            Self::Ended => "ended",
            Self::Dropped => "dropped",
        }
    }
}

/// What an event did to a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SlaChange {
    /// What.
    pub step: SlaStep,
    /// As it is after that, or was last.
    pub clock: SlaClock,
}
