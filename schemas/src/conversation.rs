//! Conversations: their state, and which change of status is allowed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::message::{Author, Direction, SentimentLabel};
use crate::sla::ConversationSla;
use crate::workspace::Role;
use crate::{ChannelId, ContactId, ConversationId, TeamId, Timestamp, UserId};

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Needs people.
    Open,
    /// Waits for something other than an agent: a bot, a third party.
    Pending,
    /// Out of sight until a moment, or until the contact writes.
    Snoozed,
    /// Done; a new message of the contact reopens it.
    Resolved,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Open, Self::Pending, Self::Snoozed, Self::Resolved];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending => "pending",
            Self::Snoozed => "snoozed",
            Self::Resolved => "resolved",
        }
    }

    /// Whether somebody may ask for this change. Snoozed to snoozed is allowed: it sets another moment.
    pub const fn may_become(self, next: Self) -> bool {
        use Status::{Open, Pending, Resolved, Snoozed};
        matches!(
            (self, next),
            (Open, Pending | Snoozed | Resolved)
                | (Pending, Open | Snoozed | Resolved)
                | (Snoozed, Open | Pending | Snoozed | Resolved)
                | (Resolved, Open)
        )
    }
}

/// How soon a conversation wants an answer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Whenever.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// At once.
    Urgent,
}

/// The most characters of a message that [`LastMessage`] shows.
pub const PREVIEW_CHARS: usize = 120;

/// The last message of a conversation, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LastMessage {
    /// Its number.
    pub seq: u64,
    /// Which way it went.
    pub direction: Direction,
    /// Who wrote it.
    pub author: Author,
    /// The beginning of its text, at most 120 characters; empty if it has none.
    pub preview: String,
    /// When it came.
    pub at: Timestamp,
}

/// A conversation, as tables, API and socket show it. Every event of a conversation carries it as it is after the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The channel on which it is held.
    pub channel_id: ChannelId,
    /// With whom.
    pub contact_id: ContactId,
    /// The contact's name or address, for lists.
    pub contact_name: String,
    /// The contact's address on the channel.
    pub contact_address: String,
    /// Where it stands.
    pub status: Status,
    /// When it comes back by itself, if snoozed until a moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<Timestamp>,
    /// Who handles it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<UserId>,
    /// The team that it was given to. A team that has since been removed stays named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// How soon it wants an answer.
    #[serde(default)]
    pub priority: Priority,
    /// Labels, sorted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// People who were mentioned in it and so may see it, whoever handles it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub participants: BTreeSet<UserId>,
    /// How the contact's last message with a text sounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<SentimentLabel>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last became open: its beginning, or the last reopening.
    pub opened_at: Timestamp,
    /// When it was last resolved; `None` while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// When the last message or note came; lists sort by it.
    pub last_activity_at: Timestamp,
    /// The number of the last message or note.
    pub last_seq: u64,
    /// The last message or note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<LastMessage>,
    /// When the contact wrote the oldest message that nobody has answered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
    /// When a human first answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_reply_at: Option<Timestamp>,
    /// Until when free text may be sent; `None` where the medium has no window or the contact has not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_window_until: Option<Timestamp>,
    /// The promises of service levels that hold for it, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla: Option<ConversationSla>,
    /// How many messages the contact has sent.
    #[serde(default)]
    pub inbound_count: u64,
    /// How many of them each person has seen. Unread for somebody = `inbound_count` − theirs, or all if they are absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<UserId, u64>,
}

/// Labels to put on and take off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LabelChanges {
    /// Put on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Taken off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

impl LabelChanges {
    /// Whether nothing is to be changed.
    pub const fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

/// Changes of a conversation that are decided as one: all of them take effect, or none. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConversationChanges {
    /// Another status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// With status `snoozed`: when it comes back. Absent: when the contact writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<Timestamp>,
    /// Another assignee; `null` gives it back.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::api::present")]
    #[schema(value_type = Option<UserId>)]
    pub assignee: Option<Option<UserId>>,
    /// Another team; `null` takes it from its team.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::api::present")]
    #[schema(value_type = Option<TeamId>)]
    pub team: Option<Option<TeamId>>,
    /// Another priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Labels to put on and take off.
    #[serde(default, skip_serializing_if = "LabelChanges::is_empty")]
    pub labels: LabelChanges,
}

impl ConversationChanges {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Conversation {
    /// How many messages of the contact this person has not seen.
    pub fn unread_for(&self, user_id: UserId) -> u64 {
        self.inbound_count.saturating_sub(self.reads.get(&user_id).copied().unwrap_or(0))
    }

    /// Whether somebody of this role may see the conversation: managers and above all of them; agents their own, the
    /// unassigned ones and those in which they were mentioned; analysts none.
    pub fn visible_to(&self, user_id: UserId, role: Role) -> bool {
        visible(self.assignee, &self.participants, user_id, role)
    }

    /// Whether its next free text to the contact would still be within the reply window at `now`.
    pub fn reply_window_is_open(&self, window_hours: Option<u32>, now: Timestamp) -> bool {
        window_hours.is_none() || self.reply_window_until.is_some_and(|until| now < until)
    }
}

/// [`Conversation::visible_to`] for whoever has read only who handles the conversation and who was mentioned in it.
pub fn visible(assignee: Option<UserId>, participants: &BTreeSet<UserId>, user_id: UserId, role: Role) -> bool {
    role.sees_all_conversations()
        || (role == Role::Agent
            && (assignee.is_none_or(|assignee| assignee == user_id) || participants.contains(&user_id)))
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn only_a_snooze_may_be_set_again_and_only_open_follows_resolved() {
        for status in Status::ALL {
            assert_eq!(status.may_become(status), status == Status::Snoozed);
            assert_eq!(Status::Resolved.may_become(status), status == Status::Open);
        }
    }
}
