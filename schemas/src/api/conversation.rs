//! Conversations, messages and notes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::problem::ErrorCode;
use crate::conversation::{Conversation, ConversationChanges, LabelChanges, Priority, Status};
use crate::message::{Attachment, Body, Message};
use crate::{ChannelId, ConversationId, TeamId, Timestamp, UserId};

/// The most conversations that one bulk change names.
pub const BULK_MAX: usize = 100;

/// Whose conversations a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssigneeFilter {
    /// All that the caller may see.
    All,
    /// Those that nobody holds.
    Nobody,
    /// The caller's own.
    Me,
    /// Those of a person.
    User(UserId),
}

impl<'de> Deserialize<'de> for AssigneeFilter {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for AssigneeFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::Nobody),
            "me" => Ok(Self::Me),
            id => id
                .parse()
                .map(Self::User)
                .map_err(|_not_an_id| format!("assignee is {id:?}: write all, none, me or the id of a person")),
        }
    }
}

/// Which team's conversations a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamFilter {
    /// Those that no team has.
    None,
    /// Those of a team.
    Team(TeamId),
}

impl std::str::FromStr for TeamFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            id => id
                .parse()
                .map(Self::Team)
                .map_err(|_not_an_id| format!("team is {id:?}: write none or the id of a team")),
        }
    }
}

impl<'de> Deserialize<'de> for TeamFilter {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which conversations, and which page of them. Latest activity first. A conversation is shown if all filters hold for it.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConversationQuery {
    /// In which status; `open` if absent.
    #[serde(default)]
    pub status: Option<Status>,
    /// Whose: `all`, `none`, `me` or the id of a person. If absent, `all` for whoever sees all, else `me`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    pub assignee: Option<AssigneeFilter>,
    /// `true` for those in which the caller was mentioned, whoever holds them; goes without `assignee`.
    #[serde(default)]
    pub mentioned: Option<bool>,
    /// Given to which team: its id, or `none`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    pub team: Option<TeamFilter>,
    /// On which channel.
    #[serde(default)]
    pub channel: Option<ChannelId>,
    /// With which label.
    #[serde(default)]
    pub label: Option<String>,
    /// Of which priority.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// `true` for those with messages of the contact that the caller has not seen, `false` for the others.
    #[serde(default)]
    pub unread: Option<bool>,
    /// `next_cursor` of the page before; absent for the first.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many items at most, 1 to 100; 50 if absent.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// A conversation with what it means to the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConversationView {
    /// The conversation.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// How many messages of the contact the caller has not seen.
    pub unread: u64,
}

/// What an outbound message says: text, files, or both.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBody {
    /// The text; may be empty when there are files.
    #[serde(default)]
    pub text: String,
    /// Files, at most ten.
    #[serde(default)]
    pub attachments: Vec<NewAttachment>,
    /// The provider's id of the message that this one answers.
    #[serde(default)]
    pub in_reply_to: Option<String>,
}

/// A file to send.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAttachment {
    /// Where the provider can fetch it, with https.
    pub url: String,
    /// Its media type, such as `image/jpeg`.
    pub content_type: String,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
}

impl From<NewBody> for Body {
    fn from(new: NewBody) -> Self {
        Self {
            text: new.text,
            attachments: new
                .attachments
                .into_iter()
                .map(|file| Attachment { url: file.url, content_type: file.content_type, name: file.name })
                .collect(),
            in_reply_to: new.in_reply_to,
            ..Self::default()
        }
    }
}

/// A conversation to begin, or to find, by writing first.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConversation {
    /// On which channel.
    pub channel_id: ChannelId,
    /// To which address there, such as a phone number in E.164.
    pub address: String,
    /// What to say.
    pub body: NewBody,
}

/// Changes of a conversation, decided as one: all of them take effect, or none. What is absent stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationChange {
    /// Another status.
    #[serde(default)]
    pub status: Option<Status>,
    /// With status `snoozed`: when it comes back. Absent: when the contact writes.
    #[serde(default)]
    pub snoozed_until: Option<Timestamp>,
    /// Another assignee; `null` gives it back.
    #[serde(default, deserialize_with = "super::present")]
    #[schema(value_type = Option<UserId>)]
    pub assignee: Option<Option<UserId>>,
    /// Another team; `null` takes it from its team.
    #[serde(default, deserialize_with = "super::present")]
    #[schema(value_type = Option<TeamId>)]
    pub team: Option<Option<TeamId>>,
    /// Another priority.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Labels to put on and take off.
    #[serde(default)]
    pub labels: Option<LabelsChange>,
}

impl From<ConversationChange> for ConversationChanges {
    fn from(change: ConversationChange) -> Self {
        let ConversationChange { status, snoozed_until, assignee, team, priority, labels } = change;
        let LabelsChange { add, remove } = labels.unwrap_or_default();
        Self { status, snoozed_until, assignee, team, priority, labels: LabelChanges { add, remove } }
    }
}

/// The same changes of several conversations. Each conversation is decided by itself.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkChange {
    /// Which, 1 to 100.
    pub conversation_ids: Vec<ConversationId>,
    /// What is to be different in each.
    pub change: ConversationChange,
}

/// Why a change of one conversation of several was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BulkError {
    /// The kind for programs, as in problems.
    pub code: ErrorCode,
    /// What happened and what to do.
    pub detail: String,
}

/// What came of one conversation of several: either it or an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BulkItem {
    /// Which.
    pub conversation_id: ConversationId,
    /// As it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationView>,
    /// Why nothing of it was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<BulkError>,
}

/// What came of a bulk change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BulkOutcome {
    /// One for each conversation, in the order in which they were named.
    pub items: Vec<BulkItem>,
}

/// How many conversations stand in the views of the inbox. What changes afterwards comes over the socket: `counts_changed`
/// on the topic `desk` gives new numbers of the views that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Counts {
    /// Open and the caller's: the view `open/<their id>`.
    pub mine: u64,
    /// Open and nobody's: `open/none`.
    pub unassigned: u64,
    /// Open: `open/all`.
    pub all: u64,
    /// Open, and the caller was mentioned: `open/mentioned:<their id>`.
    pub mentions: u64,
    /// Snoozed: `snoozed/all` for whoever sees all, else `snoozed/<their id>`.
    pub snoozed: u64,
    /// Notifications that the caller has not read.
    pub notifications: u64,
    /// The number by view. A view is a status and `all`, `none`, the id of a person, `mentioned:<person>`, `team:<team>`,
    /// `channel:<channel>` or `label:<label>`; resolved conversations are counted by the first three only. An empty view is
    /// absent.
    pub views: BTreeMap<String, u64>,
}

/// Labels to put on and take off.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelsChange {
    /// Put on.
    #[serde(default)]
    pub add: Vec<String>,
    /// Taken off.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// How far the caller has read.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadMark {
    /// Up to and with the message of this number.
    pub seq: u64,
}

/// Which messages. Newest first by `cursor`, or oldest first after a number with `after_seq`.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Only messages after this number, oldest first: what a client missed.
    #[serde(default)]
    pub after_seq: Option<u64>,
    /// `next_cursor` of the page before; absent for the first.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many items at most, 1 to 100; 50 if absent.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// A message to send to the contact.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// What to say.
    pub body: NewBody,
}

/// A private note to add.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// What it says.
    pub text: String,
    /// Whom it mentions; they may see the conversation from then on.
    #[serde(default)]
    pub mentions: Vec<UserId>,
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sent {
    /// The message as it stands.
    pub message: Message,
    /// `true` if the key was used before for the same message, which is the one shown.
    pub repeated: bool,
}
