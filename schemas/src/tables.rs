//! Every table, declared once: partition key, clustering key, typed columns.
//!
//! The keys of the embedded store and the CQL of a cluster both follow from these declarations. A partition is the unit
//! of reading: a scan stays within one. So no partition may grow without bound: messages are bucketed by
//! [`MESSAGES_PER_BUCKET`], contacts and dead letters by month.
//!
//! Entities that are read and written as a whole stand in one `body` column as JSON, under the wire rules of this crate.
//! A column of its own is for what is part of a key, or compared by an update-if.

use crate::{Timestamp, WorkspaceId};

/// How many messages of a conversation share a partition.
pub const MESSAGES_PER_BUCKET: u64 = 500;

/// The bucket of [`MESSAGES`] that holds the message with this number (1, 2, 3, …).
pub const fn message_bucket(seq: u64) -> i64 {
    (seq.saturating_sub(1) / MESSAGES_PER_BUCKET).cast_signed()
}

/// The month of an instant as `year * 12 + month0`, for tables that are bucketed by month.
pub fn month_bucket(at: Timestamp) -> i64 {
    use chrono::Datelike;
    let day = chrono::DateTime::from_timestamp_micros(at.unix_micros()).unwrap_or_default();
    i64::from(day.year()) * 12 + i64::from(day.month0())
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// The id of a workspace, sixteen bytes, ordered bytewise. A type of its own: no other id can stand in its place.
    Workspace,
    /// Sixteen bytes, ordered bytewise.
    Uuid,
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Int,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// Bytes.
    Blob,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, the same in every engine.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
}

/// In which order the rows of a partition stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, the same in every engine.
    pub name: &'static str,
    /// What it holds, in one sentence.
    pub about: &'static str,
    /// Which rows stand together. At least one column.
    pub partition_key: &'static [Column],
    /// Which row of the partition, and in which order. Empty for tables of one row a partition.
    pub clustering_key: &'static [Column],
    /// The order of the rows of a partition, by the whole clustering key.
    pub order: Order,
    /// The rest.
    pub columns: &'static [Column],
}

/// A typed value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// [`ColumnType::Workspace`].
    Workspace(WorkspaceId),
    /// [`ColumnType::Uuid`].
    Uuid([u8; 16]),
    /// [`ColumnType::Text`].
    Text(String),
    /// [`ColumnType::Int`].
    Int(i64),
    /// [`ColumnType::Timestamp`].
    Timestamp(Timestamp),
    /// [`ColumnType::Blob`].
    Blob(Vec<u8>),
}

impl Value {
    /// Its type.
    pub const fn kind(&self) -> ColumnType {
        match self {
            Self::Workspace(_) => ColumnType::Workspace,
            Self::Uuid(_) => ColumnType::Uuid,
            Self::Text(_) => ColumnType::Text,
            Self::Int(_) => ColumnType::Int,
            Self::Timestamp(_) => ColumnType::Timestamp,
            Self::Blob(_) => ColumnType::Blob,
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$x:ident| $to:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($x: $from) -> Self {
                $to
            }
        })*
    };
}

value_from! {
    WorkspaceId => |id| Self::Workspace(id),
    crate::UserId => |id| Self::Uuid(*id.as_bytes()),
    crate::ChannelId => |id| Self::Uuid(*id.as_bytes()),
    crate::ContactId => |id| Self::Uuid(*id.as_bytes()),
    crate::ConversationId => |id| Self::Uuid(*id.as_bytes()),
    crate::MessageId => |id| Self::Uuid(*id.as_bytes()),
    crate::TokenId => |id| Self::Uuid(*id.as_bytes()),
    crate::SessionId => |id| Self::Uuid(*id.as_bytes()),
    crate::DeadLetterId => |id| Self::Uuid(*id.as_bytes()),
    crate::TeamId => |id| Self::Uuid(*id.as_bytes()),
    crate::SavedViewId => |id| Self::Uuid(*id.as_bytes()),
    &str => |text| Self::Text(text.to_owned()),
    String => |text| Self::Text(text),
    i64 => |n| Self::Int(n),
    u32 => |n| Self::Int(i64::from(n)),
    Timestamp => |at| Self::Timestamp(at),
    Vec<u8> => |bytes| Self::Blob(bytes),
}

const fn column(name: &'static str, kind: ColumnType) -> Column {
    Column { name, kind }
}

const fn uuid(name: &'static str) -> Column {
    column(name, ColumnType::Uuid)
}

const fn text(name: &'static str) -> Column {
    column(name, ColumnType::Text)
}

const fn int(name: &'static str) -> Column {
    column(name, ColumnType::Int)
}

const fn timestamp(name: &'static str) -> Column {
    column(name, ColumnType::Timestamp)
}

const BODY: Column = column("body", ColumnType::Blob);
const WORKSPACE: Column = column("workspace_id", ColumnType::Workspace);

macro_rules! tables {
    ($($(#[doc = $about:literal])+ $const:ident = $name:literal ($($pk:expr),+) ($($ck:expr),*) $order:ident ($($col:expr),*);)*) => {
        $($(#[doc = $about])+
        pub const $const: &Table = &Table {
            name: $name,
            about: concat!($($about),+),
            partition_key: &[$($pk),+],
            clustering_key: &[$($ck),*],
            order: Order::$order,
            columns: &[$($col),*],
        };)*
        /// Every table, in the order of this file. An engine gives each a number by its place here: only append.
        pub const ALL: &[&Table] = &[$($const),*];
    };
}

tables! {
    // What people and programs set up: written by the gateway, durable when written.

    /// Workspaces.
    WORKSPACES = "workspaces" (WORKSPACE) () Ascending (BODY);
    /// The ids of all workspaces, in one small partition (`all` = "all"), for whoever must visit each.
    WORKSPACE_IDS = "workspace_ids" (text("all")) (WORKSPACE) Ascending ();
    /// People.
    USERS = "users" (uuid("user_id")) () Ascending (BODY);
    /// Which person an e-mail address signs in; the address in lower case.
    USER_EMAILS = "user_emails" (text("email")) () Ascending (uuid("user_id"));
    /// Who belongs to a workspace, and as what.
    MEMBERSHIPS = "memberships" (WORKSPACE) (uuid("user_id")) Ascending (BODY);
    /// The workspaces of a person.
    USER_WORKSPACES = "user_workspaces" (uuid("user_id")) (WORKSPACE) Ascending ();
    /// Channels with their secrets.
    CHANNELS = "channels" (WORKSPACE) (uuid("channel_id")) Ascending (BODY);
    /// The workspace of a channel, for webhooks that name only the channel.
    CHANNEL_WORKSPACES = "channel_workspaces" (uuid("channel_id")) () Ascending (WORKSPACE);
    /// Labels that a workspace offers.
    LABELS = "labels" (WORKSPACE) (text("name")) Ascending (BODY);
    /// API tokens: the hash of the secret, never the secret.
    API_TOKENS = "api_tokens" (uuid("token_id")) () Ascending (BODY);
    /// The API tokens of a workspace.
    WORKSPACE_TOKENS = "workspace_tokens" (WORKSPACE) (uuid("token_id")) Ascending ();
    /// Sign-ins: each a family of refresh tokens. `version` is compared by every rotation.
    SESSIONS = "sessions" (uuid("session_id")) () Ascending (int("version"), BODY);
    /// The sign-ins of a person.
    USER_SESSIONS = "user_sessions" (uuid("user_id")) (uuid("session_id")) Ascending ();
    /// Settings of the installation, such as the keys that sign tokens.
    INSTALLATION = "installation" (text("name")) () Ascending (BODY);
    /// Authentic webhooks that could not be read, by month.
    DEAD_LETTERS = "dead_letters" (WORKSPACE, int("month")) (uuid("dead_letter_id")) Descending (BODY);

    // What the conversation engine derives from the log: written in its batches, never fsynced by itself.

    /// How far the engine has come with a partition of the topic `commands`: the next offset to apply.
    ENGINE_POSITIONS = "engine_positions" (int("partition")) () Ascending (int("next_offset"));
    /// Events that are derived but perhaps not yet published, by the offset of the last command of their batch.
    OUTBOX = "outbox" (int("partition")) (int("last_offset")) Ascending (BODY);
    /// Conversations; `engine` holds what only the engine needs of them.
    CONVERSATIONS = "conversations" (WORKSPACE, uuid("conversation_id")) () Ascending (BODY, column("engine", ColumnType::Blob));
    /// Lists of conversations: `view` is a status and whose, such as `open/all`, `open/none`, `open/<user>`, `open/team:<team>`.
    CONVERSATION_VIEWS = "conversation_views" (WORKSPACE, text("view")) (timestamp("last_activity_at"), uuid("conversation_id")) Descending ();
    /// The conversations of a contact.
    CONTACT_CONVERSATIONS = "contact_conversations" (WORKSPACE, uuid("contact_id")) (uuid("conversation_id")) Descending (uuid("channel_id"));
    /// Messages and notes.
    MESSAGES = "messages" (WORKSPACE, uuid("conversation_id"), int("bucket")) (int("seq")) Ascending (BODY);
    /// The message that a provider's id stands for: the one place where a duplicate is found.
    EXTERNAL_MESSAGES = "external_messages" (WORKSPACE, uuid("channel_id"), text("external_id")) () Ascending (uuid("conversation_id"), int("seq"));
    /// Delivery reports that came before their message.
    PARKED_REPORTS = "parked_reports" (WORKSPACE, uuid("channel_id"), text("external_id")) () Ascending (BODY);
    /// Contacts.
    CONTACTS = "contacts" (WORKSPACE, uuid("contact_id")) () Ascending (BODY);
    /// The contacts of a workspace, by month of their making.
    CONTACT_LIST = "contact_list" (WORKSPACE, int("month")) (uuid("contact_id")) Descending ();
    /// The contact that an address on a channel stands for.
    IDENTITIES = "identities" (WORKSPACE, uuid("channel_id"), text("address")) () Ascending (uuid("contact_id"));
    /// The outcome of commands that came with an idempotency key (`key` holds the actor and the key).
    COMMAND_KEYS = "command_keys" (WORKSPACE, text("key")) () Ascending (BODY);
    /// The members of a workspace as the engine knows them, with presence and counts.
    AGENTS = "agents" (WORKSPACE) (uuid("user_id")) Ascending (BODY);
    /// The channels of a workspace as the engine knows them, without secrets.
    ENGINE_CHANNELS = "engine_channels" (WORKSPACE) (uuid("channel_id")) Ascending (BODY);
    /// Open conversations that wait for automatic assignment, longest waiting first.
    ASSIGNMENT_QUEUE = "assignment_queue" (WORKSPACE) (timestamp("queued_at"), uuid("conversation_id")) Ascending ();
    /// Timers that are set, by partition of the topic `commands`.
    TIMERS = "timers" (int("partition")) (timestamp("due"), uuid("conversation_id"), text("timer")) Ascending (WORKSPACE);
    /// Outbound messages that no provider has taken yet, by partition of the topic `commands`.
    PENDING_SENDS = "pending_sends" (int("partition")) (uuid("message_id")) Ascending (BODY);
    /// The rows of `command_keys` by the hour (since the Unix epoch) of their command, so that old ones can be removed.
    COMMAND_KEY_HOURS = "command_key_hours" (int("partition"), int("hour")) (WORKSPACE, text("key")) Ascending ();
    /// Up to which hour the engine of a partition has removed old keys.
    COMMAND_KEYS_SWEPT = "command_keys_swept" (int("partition")) () Ascending (int("hour"));
    /// The first row of a partition's outbox that may still be there, so that a start need not walk over deleted ones.
    OUTBOX_START = "outbox_start" (int("partition")) () Ascending (int("last_offset"));

    // What processes tell each other.

    /// Which turn of sending the messages of a partition is on: taken by compare-and-set.
    SENDER_TURNS = "sender_turns" (int("partition")) () Ascending (int("turn"));
    /// The gateways that run (`kind` = "gateway"): each writes another `beat` again and again.
    NODES = "nodes" (text("kind")) (text("name")) Ascending (int("beat"));

    // What people work with at the desk: the first three are written by the gateway, the others by the engine.

    /// Texts that agents answer with.
    CANNED_REPLIES = "canned_replies" (WORKSPACE) (text("shortcut")) Ascending (BODY);
    /// Teams with their members.
    TEAMS = "teams" (WORKSPACE) (uuid("team_id")) Ascending (BODY);
    /// Filters of the list of conversations, under names.
    SAVED_VIEWS = "saved_views" (WORKSPACE) (uuid("saved_view_id")) Ascending (BODY);
    /// How many conversations stand in a view such as `open/all`; a view without any has no row.
    VIEW_COUNTS = "view_counts" (WORKSPACE) (text("view")) Ascending (int("count"));
    /// What people were told of, newest first; the oldest are removed.
    NOTIFICATIONS = "notifications" (WORKSPACE, uuid("user_id")) (int("number")) Descending (BODY);
    /// How many notifications people have had, and which of them they have read.
    NOTIFICATION_MARKS = "notification_marks" (WORKSPACE) (uuid("user_id")) Ascending (BODY);

    // How a workspace serves its customers.

    /// Settings of the service, by kind, with a version that every change compares: written by the gateway.
    SERVICE_SETTINGS = "service_settings" (WORKSPACE) (text("kind")) Ascending (int("version"), BODY);
    /// Settings of the service as the engine knows them, by kind: written by the engine.
    ENGINE_SERVICE = "engine_service" (WORKSPACE) (text("kind")) Ascending (BODY);
}

impl Table {
    /// Whether its rows belong to a workspace: then the first column of its key is that workspace.
    pub fn is_of_a_workspace(&self) -> bool {
        self.partition_key.first() == Some(&WORKSPACE)
    }

    /// Its number among [`ALL`], by which engines may abbreviate its name.
    pub fn number(&self) -> Option<u16> {
        ALL.iter()
            .position(|table| std::ptr::eq(*table, self) || table.name == self.name)
            .and_then(|n| u16::try_from(n).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What belongs to the installation, to a person, or to a partition of the log: to no one workspace.
    const OF_NO_WORKSPACE: &[&str] = &[
        "workspace_ids",
        "users",
        "user_emails",
        "user_workspaces",
        "sessions",
        "user_sessions",
        "installation",
        "engine_positions",
        "outbox",
        "outbox_start",
        "command_keys_swept",
        "sender_turns",
        "nodes",
    ];

    /// What is found by a key without a workspace; the row or the rest of the key says which workspace it is of.
    const LEADS_TO_A_WORKSPACE: &[&str] =
        &["channel_workspaces", "api_tokens", "timers", "pending_sends", "command_key_hours"];

    #[test]
    fn names_are_unique_and_every_table_begins_with_the_workspace_but_for_those_named_here() {
        let names: BTreeSet<_> = ALL.iter().map(|table| table.name).collect();
        assert_eq!(names.len(), ALL.len());
        for table in ALL {
            let is_exception = OF_NO_WORKSPACE.contains(&table.name) || LEADS_TO_A_WORKSPACE.contains(&table.name);
            assert_eq!(table.is_of_a_workspace(), !is_exception, "{}", table.name);
            assert!(table.partition_key.iter().skip(1).all(|column| *column != WORKSPACE), "{}", table.name);
        }
    }

    #[test]
    fn buckets_begin_at_the_first_message() {
        assert_eq!(message_bucket(1), 0);
        assert_eq!(message_bucket(MESSAGES_PER_BUCKET), 0);
        assert_eq!(message_bucket(MESSAGES_PER_BUCKET + 1), 1);
        assert_eq!(month_bucket("2026-11-22T00:00:00Z".parse().unwrap()), 2026 * 12 + 10);
    }
}
