//! Canned replies, teams, saved views, notifications, search.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::conversation::ConversationView;
use crate::contact::Contact;
use crate::conversation::{Priority, Status};
use crate::desk::{Notification, ViewFilters};
use crate::message::Message;
use crate::{ChannelId, UserId};

/// A canned reply's settings.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CannedReplyChange {
    /// What it says, 1 to 5,000 characters. Variables stand in double braces: `{{contact.name}}`, `{{contact.first_name}}`,
    /// `{{contact.phone}}`, `{{contact.email}}`, `{{agent.name}}`, `{{agent.first_name}}`, `{{channel.name}}`,
    /// `{{workspace.name}}`; with a word for where nothing is known: `{{contact.first_name|there}}`.
    pub text: String,
    /// What people call it, at most 100 characters.
    #[serde(default)]
    pub title: Option<String>,
    /// In which language it is written, such as `ar` or `en-GB`.
    #[serde(default)]
    pub language: Option<String>,
}

/// A canned reply with its variables filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RenderedReply {
    /// The text. A variable of which nothing is known stays as it was written, unless it says what to write then.
    pub text: String,
    /// The variables that stayed.
    pub missing: Vec<String>,
}

/// A team to make.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTeam {
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// Who belongs to it, at most 200.
    #[serde(default)]
    pub members: BTreeSet<UserId>,
}

/// Changes of a team; what is absent stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamChange {
    /// Another name.
    #[serde(default)]
    pub name: Option<String>,
    /// Who belongs to it from now on: the whole list.
    #[serde(default)]
    pub members: Option<BTreeSet<UserId>>,
}

/// Filters of the list of conversations, as the parameters of `GET /conversations` take them.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewViewFilters {
    /// In which status.
    #[serde(default)]
    pub status: Option<Status>,
    /// Whose: `all`, `none`, `me` or the id of a person.
    #[serde(default)]
    pub assignee: Option<String>,
    /// Those in which the caller was mentioned; goes without `assignee`.
    #[serde(default)]
    pub mentioned: Option<bool>,
    /// Given to which team: its id, or `none`.
    #[serde(default)]
    pub team: Option<String>,
    /// On which channel.
    #[serde(default)]
    pub channel: Option<ChannelId>,
    /// With which label.
    #[serde(default)]
    pub label: Option<String>,
    /// Of which priority.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Those with messages that the caller has not seen.
    #[serde(default)]
    pub unread: Option<bool>,
}

impl From<NewViewFilters> for ViewFilters {
    fn from(new: NewViewFilters) -> Self {
        let NewViewFilters { status, assignee, mentioned, team, channel, label, priority, unread } = new;
        Self { status, assignee, mentioned, team, channel, label, priority, unread }
    }
}

/// Filters to keep under a name.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSavedView {
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// Whether everybody who sees conversations sees it; needs the right to share views.
    #[serde(default)]
    pub shared: bool,
    /// What it shows.
    pub filters: NewViewFilters,
}

/// Changes of a saved view; what is absent stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedViewChange {
    /// Another name.
    #[serde(default)]
    pub name: Option<String>,
    /// Shared or not.
    #[serde(default)]
    pub shared: Option<bool>,
    /// Other filters: all of them.
    #[serde(default)]
    pub filters: Option<NewViewFilters>,
}

/// Which notifications, and which page of them. Newest first.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NotificationQuery {
    /// `true` for those that the caller has not read.
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

/// A notification with whether the caller has read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NotificationView {
    /// The notification.
    #[serde(flatten)]
    pub notification: Notification,
    /// Whether the caller has read it.
    pub read: bool,
}

/// Which notifications the caller has read.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadNotifications {
    /// All up to this number.
    #[serde(default)]
    pub up_to: Option<u64>,
    /// And these, at most 1,000.
    #[serde(default)]
    pub numbers: Vec<u64>,
}

/// How many notifications the caller has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnreadNotifications {
    /// How many.
    pub unread: u64,
}

/// What to look for.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Words, 2 to 100 characters in all; whatever is found holds all of them, be it as parts of other words.
    pub q: String,
    /// How many contacts and how many messages at most, 1 to 100; 50 if absent.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundMessage {
    /// The conversation that it stands in.
    pub conversation: ConversationView,
    /// The message or note.
    pub message: Message,
}

/// What was found, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Found {
    /// Contacts.
    pub contacts: Vec<Contact>,
    /// Messages and notes of conversations that the caller may see.
    pub messages: Vec<FoundMessage>,
    /// `false` if there is more than was looked at, or more was found than is shown.
    pub complete: bool,
}
