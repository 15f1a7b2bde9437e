//! What people work with at the desk beside conversations: canned replies, saved views, notifications.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::api::workspace::Label;
use crate::conversation::{Priority, Status};
use crate::workspace::Team;
use crate::{ChannelId, ConversationId, SavedViewId, TeamId, Timestamp, UserId};

/// The most canned replies of a workspace.
pub const CANNED_REPLIES_PER_WORKSPACE: usize = 1_000;

/// The most characters of a canned reply's text.
pub const CANNED_REPLY_CHARS: usize = 5_000;

/// The most saved views of one person.
pub const SAVED_VIEWS_PER_PERSON: usize = 200;

/// How many of a person's notifications are kept; older ones count as read.
pub const NOTIFICATIONS_KEPT: u64 = 1_000;

/// A text that agents answer with. It may hold variables: see [`crate::template`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CannedReply {
    /// What agents type to find it, 1 to 50 characters without blanks; also its id.
    pub shortcut: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it says.
    pub text: String,
    /// In which language it is written, as a tag of BCP 47 such as `ar` or `en-GB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<UserId>,
}

/// Filters of the list of conversations, as the parameters of `GET /conversations` take them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ViewFilters {
    /// In which status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Whose: `all`, `none`, `me` or the id of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Those in which the caller was mentioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentioned: Option<bool>,
    /// Given to which team: its id, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// On which channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// With which label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Of which priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Those with messages that the caller has not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<bool>,
}

/// Filters of the list of conversations that somebody keeps under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SavedView {
    /// Which.
    pub id: SavedViewId,
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// Whose it is.
    pub owner: UserId,
    /// Whether everybody who sees conversations sees it.
    pub shared: bool,
    /// What it shows.
    pub filters: ViewFilters,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A setting that was changed, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SettingChange {
    /// A canned reply was made or changed.
    CannedReply {
        /// As it is now.
        canned_reply: CannedReply,
    },
    /// A canned reply was removed.
    CannedReplyRemoved {
        /// Which.
        shortcut: String,
    },
    /// A team was made or changed.
    Team {
        /// As it is now.
        team: Team,
    },
    /// A team was removed.
    TeamRemoved {
        /// Which.
        team_id: TeamId,
    },
    /// A label was made or changed.
    Label {
        /// As it is now.
        label: Label,
    },
    /// A label is not offered any more.
    LabelRemoved {
        /// Which.
        name: String,
    },
    /// A saved view was made or changed.
    SavedView {
        /// As it is now.
        saved_view: SavedView,
    },
    /// A saved view was removed, or is not shared any more.
    SavedViewRemoved {
        /// Which.
        saved_view_id: SavedViewId,
    },
}

/// Of what somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// A conversation was given to them, by somebody else or automatically.
    Assigned,
    /// Somebody mentioned them in a note.
    Mentioned,
}

/// Something that somebody is told of: what others did that concerns them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Notification {
    /// 1, 2, 3, … for each person in a workspace; also its id.
    pub number: u64,
    /// Of what.
    pub kind: NotificationKind,
    /// In which conversation.
    pub conversation_id: ConversationId,
    /// The number of the note, for a mention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The name of the conversation's contact.
    pub contact_name: String,
    /// The beginning of the note or of the conversation's last message, at most 120 characters.
    pub preview: String,
    /// Who did it; absent for the hub itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// When.
    pub at: Timestamp,
}

/// How many notifications somebody has had, and which they have read. The state behind the count of unread ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationMarks {
    /// The number of the last one.
    #[serde(default)]
    pub last: u64,
    /// All up to this number are read.
    #[serde(default)]
    pub read_up_to: u64,
    /// Those after it that are read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub read: BTreeSet<u64>,
}

impl NotificationMarks {
    /// Whether the one with this number is read.
    pub fn is_read(&self, number: u64) -> bool {
        number <= self.read_up_to || self.read.contains(&number)
    }

    /// How many are not read.
    pub fn unread(&self) -> u64 {
        self.last.saturating_sub(self.read_up_to).saturating_sub(self.read.len() as u64)
    }

    /// Counts one more; what is no longer kept counts as read.
    pub fn add(&mut self) {
        self.last += 1;
        self.mark(Some(self.last.saturating_sub(NOTIFICATIONS_KEPT)), &[]);
    }

    /// Marks all up to a number, and single ones, as read.
    pub fn mark(&mut self, up_to: Option<u64>, numbers: &[u64]) {
        self.read_up_to = self.read_up_to.max(up_to.unwrap_or(0).min(self.last));
        self.read.extend(numbers.iter().filter(|number| **number <= self.last));
        while self.read.contains(&(self.read_up_to + 1)) {
            self.read_up_to += 1;
        }
        self.read = self.read.split_off(&(self.read_up_to + 1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is marked in whatever order, the count of unread ones is that of the numbers that are not read.
        #[test]
        fn unread_is_what_is_not_read(steps in prop::collection::vec((0..12_u64, prop::collection::vec(0..12_u64, 0..4)), 0..20)) {
            let mut marks = NotificationMarks::default();
            let mut read = BTreeSet::new();
            for (up_to, numbers) in steps {
                marks.add();
                marks.mark(Some(up_to), &numbers);
                read.extend((1..=marks.last).filter(|n| *n <= up_to || numbers.contains(n)));
                let unread = (1..=marks.last).filter(|n| !read.contains(n)).count() as u64;
                prop_assert_eq!(marks.unread(), unread);
                prop_assert!((1..=marks.last).all(|n| marks.is_read(n) == read.contains(&n)));
            }
        }
    }

    #[test]
    fn what_is_no_longer_kept_counts_as_read() {
        let mut marks = NotificationMarks::default();
        for _ in 0..NOTIFICATIONS_KEPT + 5 {
            marks.add();
        }
        assert_eq!((marks.unread(), marks.read_up_to), (NOTIFICATIONS_KEPT, 5));
    }
}
