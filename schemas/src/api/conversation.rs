//! Conversations, messages and notes.

use serde::{Deserialize, Serialize};

use crate::conversation::{Conversation, Priority, Status};
use crate::message::{Attachment, Body, Message};
use crate::{ChannelId, Timestamp, UserId};

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
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "all" => Ok(Self::All),
            "none" => Ok(Self::Nobody),
            "me" => Ok(Self::Me),
            id => id.parse().map(Self::User).map_err(|_not_an_id| {
                serde::de::Error::custom(format!("assignee is {id:?}: write all, none, me or the id of a person"))
            }),
        }
    }
}

/// Which conversations, and which page of them. Latest activity first.
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

/// Changes of a conversation, made in the order of the fields; what is absent stays.
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
    /// Another priority.
    #[serde(default)]
    pub priority: Option<Priority>,
}

/// Labels to put on and take off.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
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
