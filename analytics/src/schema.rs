//! The tables that SQL sees: every column with its type, its unit, where it comes from and what it means.
//!
//! The same declarations give the Arrow schemas, the Parquet files, and the table `catalogue` that SQL itself can read.
//! Types are portable: text, 64-bit integers and floats, booleans, instants in UTC with microseconds, lists of text. Ids are
//! text. A column may be added; none is renamed, retyped or given another meaning, so older files stay readable.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A 64-bit integer.
    Int,
    /// A 64-bit float.
    Float,
    /// True or false.
    Bool,
    /// An instant, UTC, microseconds.
    Instant,
    /// A list of texts.
    TextList,
}

impl Kind {
    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::TextList => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        }
    }

    /// The name in the catalogue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int64",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Instant => "timestamp_us_utc",
            Self::TextList => "list<text>",
        }
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in SQL.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What its values count or are: `seconds`, `messages`, `id`, …
    pub unit: &'static str,
    /// Where its values come from.
    pub source: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name in SQL, in folders, in the manifest.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

impl Table {
    /// Its Arrow schema. Every column is nullable, so that a file written before a column was added reads as null there.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            self.columns.iter().map(|column| Field::new(column.name, column.kind.arrow(), true)).collect::<Vec<_>>(),
        ))
    }
}

/// The table with this name among those that are kept in files.
pub fn by_name(name: &str) -> Option<&'static Table> {
    STORED.iter().copied().find(|table| table.name == name)
}

macro_rules! columns {
    ($($name:literal $kind:ident $unit:literal from $source:literal: $meaning:literal;)*) => {
        &[$(Column { name: $name, kind: Kind::$kind, unit: $unit, source: $source, meaning: $meaning }),*]
    };
}

/// Messages and notes.
pub const MESSAGES: &Table = &Table {
    name: "messages",
    about: "One row for each message and private note, as it was when it was added.",
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "message_id" Text "id" from "message_added.message.id": "The message.";
        "conversation_id" Text "id" from "message_added.message.conversation_id": "The conversation that it belongs to.";
        "seq" Int "number" from "message_added.message.seq": "Its number in the conversation: 1, 2, 3, … without holes; notes count too.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel on which the conversation is held.";
        "contact_id" Text "id" from "conversation.contact_id": "The customer.";
        "assignee_id" Text "id" from "conversation.assignee": "Who handled the conversation when the message was added; null if nobody did.";
        "direction" Text "inbound, outbound, note" from "message_added.message.direction": "Which way it went.";
        "author_type" Text "contact, agent, bot" from "message_added.message.author": "Who wrote it.";
        "agent_id" Text "id" from "message_added.message.author.user_id": "The person of the workspace who wrote it; null otherwise.";
        "bot_name" Text "name" from "message_added.message.author.name": "The program that wrote it; null otherwise.";
        "text" Text "text" from "message_added.message.body.text": "What it says.";
        "text_chars" Int "characters" from "message_added.message.body.text": "How many characters the text has.";
        "attachments" Int "files" from "message_added.message.body.attachments": "How many files came with it.";
        "has_location" Bool "true or false" from "message_added.message.body.location": "Whether it shares a place.";
        "labels" TextList "names" from "conversation.labels": "The conversation's labels when the message was added, sorted.";
        "created_at" Instant "UTC" from "message_added.message.created_at": "When the hub made it durable.";
    },
};

/// Delivery statuses.
pub const MESSAGE_STATUSES: &Table = &Table {
    name: "message_statuses",
    about: "One row for each change of an outbound message's delivery status.",
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "event_id" Text "id" from "message_status_changed": "The event that changed it.";
        "message_id" Text "id" from "message_status_changed.message_id": "The message.";
        "conversation_id" Text "id" from "conversation.id": "The conversation that it belongs to.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "seq" Int "number" from "message_status_changed.seq": "The message's number in the conversation.";
        "from_status" Text "queued, sent, delivered, read, failed" from "message_status_changed.from": "What the status was.";
        "status" Text "queued, sent, delivered, read, failed" from "message_status_changed.to": "What the status became. It never goes back.";
        "error_code" Text "code" from "message_status_changed.error.code": "Why it failed: the provider's code or one of the hub's; null if it did not.";
        "changed_at" Instant "UTC" from "event.at": "When the hub learned it.";
    },
};

/// Conversations.
pub const CONVERSATIONS: &Table = &Table {
    name: "conversations",
    about: "One row for each conversation, as it is now.",
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "conversation_id" Text "id" from "conversation.id": "The conversation.";
        "version" Int "offset" from "event": "The offset of the event after which it is so; grows with every change.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel on which it is held.";
        "contact_id" Text "id" from "conversation.contact_id": "The customer.";
        "contact_name" Text "name" from "conversation.contact_name": "The customer's name or address.";
        "contact_address" Text "address" from "conversation.contact_address": "The customer's address on the channel.";
        "status" Text "open, pending, snoozed, resolved" from "conversation.status": "Where it stands.";
        "assignee_id" Text "id" from "conversation.assignee": "Who handles it; null if nobody does.";
        "priority" Text "low, normal, high, urgent" from "conversation.priority": "How soon it wants an answer.";
        "labels" TextList "names" from "conversation.labels": "Its labels, sorted.";
        "created_at" Instant "UTC" from "conversation.created_at": "When it began.";
        "opened_at" Instant "UTC" from "conversation.opened_at": "When it last became open: its beginning, or the last reopening.";
        "resolved_at" Instant "UTC" from "conversation.resolved_at": "When it was last resolved; null while it is not.";
        "snoozed_until" Instant "UTC" from "conversation.snoozed_until": "When it comes back by itself; null if it does not.";
        "last_activity_at" Instant "UTC" from "conversation.last_activity_at": "When its last message or note came.";
        "waiting_since" Instant "UTC" from "conversation.waiting_since": "When the customer wrote the oldest message that nobody has answered; null if none waits.";
        "first_reply_at" Instant "UTC" from "conversation.first_reply_at": "When a person first answered; null if nobody has.";
        "messages" Int "messages" from "conversation.last_seq": "How many messages and notes it has.";
        "messages_in" Int "messages" from "conversation.inbound_count": "How many messages the customer sent.";
        "updated_at" Instant "UTC" from "event.at": "When it last changed.";
    },
};

/// Facts.
pub const CONVERSATION_FACTS: &Table = &Table {
    name: "conversation_facts",
    about: "One row for each duration or decision that is over. Rows never change; agent and labels are those of that moment.",
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "fact_id" Text "id" from "event": "The fact; derived from its event, so that a rebuild gives the same.";
        "kind" Text "first_response, reply_time, abandoned_wait, resolution, reopen, assignment" from "fold": "What it states. first_response: a person first answered a customer who wrote first (at most once a conversation; bots do not stop the clock). reply_time: a wait ended in a person's answer. abandoned_wait: a wait ended by resolving without an answer. resolution: opened until resolved. reopen: resolved until opened again. assignment: the assignee changed.";
        "conversation_id" Text "id" from "conversation.id": "The conversation.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "contact_id" Text "id" from "conversation.contact_id": "The customer.";
        "agent_id" Text "id" from "fold": "To whom it is credited: who answered (first_response, reply_time), the assignee or else who resolved it (resolution), the assignee (abandoned_wait, reopen), the new assignee (assignment); null if nobody.";
        "labels" TextList "names" from "conversation.labels": "The conversation's labels at its end, sorted.";
        "start_at" Instant "UTC" from "fold": "When it began; null if that is no longer known.";
        "end_at" Instant "UTC" from "event.at": "When it ended; live boards count by it.";
        "seconds" Float "seconds" from "fold": "How long it took; null if its beginning is not known.";
    },
};

/// Cells.
pub const KPI_MINUTE: &Table = &Table {
    name: "kpi_minute",
    about: "What happened in a minute, by channel and agent. A minute may have several rows: sum counts, hist_merge histograms.",
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "minute" Instant "UTC" from "event.at": "The beginning of the minute.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "agent_id" Text "id" from "fold": "Who did it, or, for what a customer did, who was assigned; null if nobody.";
        "messages_in" Int "messages" from "fold": "Messages that customers sent.";
        "messages_out_human" Int "messages" from "fold": "Messages that people of the workspace sent.";
        "messages_out_bot" Int "messages" from "fold": "Messages that programs sent.";
        "notes" Int "notes" from "fold": "Private notes.";
        "opened" Int "conversations" from "fold": "Conversations that began.";
        "resolved" Int "times" from "fold": "How often a conversation was resolved.";
        "reopened" Int "times" from "fold": "How often a resolved conversation was opened again.";
        "first_responses" Int "times" from "fold": "How many first responses first_response_hist holds.";
        "first_response_hist" Text "histogram of durations" from "fold": "First responses as bin:count pairs; read it with hist_quantile(hist_merge(first_response_hist), 0.5), which gives seconds within 1 %.";
        "replies" Int "times" from "fold": "How many answered waits reply_time_hist holds.";
        "reply_time_hist" Text "histogram of durations" from "fold": "Answered waits as bin:count pairs; read it like first_response_hist.";
    },
};

/// The catalogue itself.
pub const CATALOGUE: &Table = &Table {
    name: "catalogue",
    about: "One row for each column of each table.",
    columns: columns! {
        "table_name" Text "name" from "catalogue": "The table.";
        "column_name" Text "name" from "catalogue": "The column.";
        "type" Text "type" from "catalogue": "Its type.";
        "unit" Text "unit" from "catalogue": "What its values count or are.";
        "source" Text "path" from "catalogue": "The field of an event from which it comes; fold: computed from several events.";
        "meaning" Text "sentence" from "catalogue": "What it means.";
    },
};

/// KPI definitions.
pub const KPI_DEFINITIONS: &Table = &Table {
    name: "kpi_definitions",
    about: "One row for each KPI of the live board.",
    columns: columns! {
        "name" Text "name" from "definition": "The KPI's name.";
        "title" Text "name" from "definition": "Its name for people.";
        "unit" Text "unit" from "definition": "What its number counts.";
        "definition" Text "sentence" from "definition": "What it means.";
        "sql" Text "SQL" from "definition": "The SQL by which the board computes it, over the sums of the last 24 hours and the present counts.";
    },
};

/// The tables that are kept in files, in the order of the catalogue.
pub const STORED: [&Table; 5] = [MESSAGES, MESSAGE_STATUSES, CONVERSATIONS, CONVERSATION_FACTS, KPI_MINUTE];

/// All tables that SQL sees.
pub const ALL: [&Table; 7] =
    [MESSAGES, MESSAGE_STATUSES, CONVERSATIONS, CONVERSATION_FACTS, KPI_MINUTE, CATALOGUE, KPI_DEFINITIONS];
