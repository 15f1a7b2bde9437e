//! The tables, column by column.

use super::{Column, Kind, Table};

macro_rules! columns {
    ($($name:literal $kind:ident $unit:literal from $source:literal: $meaning:literal;)*) => {
        &[$(Column { name: $name, kind: Kind::$kind, unit: $unit, source: $source, meaning: $meaning }),*]
    };
}

/// Messages and notes.
pub const MESSAGES: &Table = &Table {
    name: "messages",
    about: "One row for each message and private note, as it was when it was added.",
    newest_of: None,
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
        "recorded_at" Instant "UTC" from "event.at": "When the hub recorded it in its log.";
    },
};

/// How messages sound.
pub const SENTIMENT: &Table = &Table {
    name: "sentiment",
    about: "One row for each message of a customer that has a text: how it sounds, judged by a model that is built in.",
    newest_of: None,
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "message_id" Text "id" from "message_added.message.id": "The message.";
        "conversation_id" Text "id" from "message_added.message.conversation_id": "The conversation that it belongs to.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "contact_id" Text "id" from "conversation.contact_id": "The customer.";
        "assignee_id" Text "id" from "conversation.assignee": "Who handled the conversation when the message came; null if nobody did.";
        "labels" TextList "names" from "conversation.labels": "The conversation's labels when the message came, sorted.";
        "sentiment" Text "negative, neutral, positive" from "model": "How it sounds: negative if it complains or reports what went wrong, positive if it thanks or praises, neutral if it asks or informs.";
        "score" Float "-1 to 1" from "model": "How likely it is positive less how likely it is negative.";
        "model" Text "version" from "model": "Which model judged it: scores of different models are not to be compared to the last digit.";
        "created_at" Instant "UTC" from "message_added.message.created_at": "When the hub made the message durable.";
        "recorded_at" Instant "UTC" from "event.at": "When the hub recorded the message in its log.";
    },
};

/// Steps of deliveries.
pub const DELIVERIES: &Table = &Table {
    name: "deliveries",
    about: "One row for each step of an outbound message's delivery: when it was written, and each change of its status.",
    newest_of: None,
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "event_id" Text "id" from "event.id": "The event that made the step.";
        "message_id" Text "id" from "message_status_changed.message_id": "The message.";
        "conversation_id" Text "id" from "conversation.id": "The conversation that it belongs to.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "contact_id" Text "id" from "conversation.contact_id": "The customer.";
        "seq" Int "number" from "message_status_changed.seq": "The message's number in the conversation.";
        "from_status" Text "queued, sent, delivered, read, failed" from "message_status_changed.from": "What the status was; null for the first step.";
        "status" Text "queued, sent, delivered, read, failed" from "message_status_changed.to": "What the status became.";
        "error_code" Text "code" from "message_status_changed.error.code": "Why it failed or is sent again: the provider's code or one of the hub's; null otherwise.";
        "written_at" Instant "UTC" from "message.id": "When the message was written, to the millisecond. Rates count by it.";
        "changed_at" Instant "UTC" from "event.at": "When the hub learned of the step.";
        "recorded_at" Instant "UTC" from "event.at": "When the hub recorded it in its log.";
    },
};

/// Delivery statuses.
pub const MESSAGE_STATUSES: &Table = &Table {
    name: "message_statuses",
    about: "One row for each change of an outbound message's delivery status: the rows of deliveries without the first steps.",
    newest_of: None,
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
    newest_of: Some("conversation_id"),
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
        "team_id" Text "id" from "conversation.team": "The team that it was given to; null if to none.";
        "sla_state" Text "on_track, at_risk, breached" from "conversation.sla.state": "How the worst of its promises of service levels stands; null if none holds.";
        "sla_next_due_at" Instant "UTC" from "conversation.sla.next_due_at": "When the next of its promises is due; null if none is.";
    },
};

/// Facts.
pub const CONVERSATION_FACTS: &Table = &Table {
    name: "conversation_facts",
    about: "One row for each duration or decision that is over. Rows never change; agent and labels are those of that moment.",
    newest_of: None,
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "fact_id" Text "id" from "event": "The fact; derived from its event, so that a rebuild gives the same.";
        "kind" Text "opening, first_response, reply_time, abandoned_wait, resolution, handling, reopen, assignment, transfer, handoff" from "fold": "What it states. opening: a conversation began. first_response: a person first answered a customer who wrote first (at most once a conversation; bots do not stop the clock). reply_time: a wait ended in a person's answer. abandoned_wait: a wait ended by resolving without an answer. resolution: opened until resolved. handling: how long a person had a conversation, open and theirs, until it was resolved. reopen: resolved until opened again. assignment: the assignee changed. transfer: it went from one person to another. handoff: a pending conversation was opened.";
        "conversation_id" Text "id" from "conversation.id": "The conversation.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "contact_id" Text "id" from "conversation.contact_id": "The customer.";
        "agent_id" Text "id" from "fold": "To whom it is credited: who answered (first_response, reply_time), the assignee or else who resolved it (resolution), who had it (handling, transfer), the assignee (opening, abandoned_wait, reopen, handoff), the new assignee (assignment); null if nobody.";
        "labels" TextList "names" from "conversation.labels": "The conversation's labels at its end, sorted.";
        "start_at" Instant "UTC" from "fold": "When it began; null if that is no longer known.";
        "end_at" Instant "UTC" from "event.at": "When it ended; KPIs count by it.";
        "seconds" Float "seconds" from "fold": "How long it took; null if its beginning is not known. For handling, the sum of what may have been several stretches.";
        "to_agent_id" Text "id" from "conversation_assigned.to": "For a transfer, to whom it went; null otherwise.";
        "actor_id" Text "id" from "event.actor": "The person who caused it; null if it was a customer, a program of the hub or a timer.";
        "recorded_at" Instant "UTC" from "event.at": "When the hub recorded it in its log.";
        "business_seconds" Float "seconds" from "fold": "How much of that was business time, by the hours that were set at its end; null if none were, never 0 for that.";
    },
};

/// Changes of assignees.
pub const ASSIGNMENTS: &Table = &Table {
    name: "assignments",
    about: "One row for each time that a conversation was given to somebody, or taken from them.",
    newest_of: None,
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "event_id" Text "id" from "event.id": "The event that changed it.";
        "conversation_id" Text "id" from "conversation.id": "The conversation.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "contact_id" Text "id" from "conversation.contact_id": "The customer.";
        "from_agent_id" Text "id" from "conversation_assigned.from": "Who had it; null if nobody did.";
        "agent_id" Text "id" from "conversation_assigned.to": "Who has it since; null if nobody.";
        "reason" Text "asked, automatic, agent_left, created" from "conversation_assigned.reason": "Why: somebody asked for it, the channel's assignment, the assignee left, or whoever began the conversation took it.";
        "actor_id" Text "id" from "event.actor": "The person who did it; null if the hub did.";
        "labels" TextList "names" from "conversation.labels": "The conversation's labels then, sorted.";
        "held_seconds" Float "seconds" from "fold": "How long it had been as it was before; null if that is not known.";
        "assigned_at" Instant "UTC" from "event.at": "When it changed.";
        "recorded_at" Instant "UTC" from "event.at": "When the hub recorded it in its log.";
    },
};

/// Promises of service levels.
pub const SLA: &Table = &Table {
    name: "sla",
    about: "One row for each promise of a service level that was made to a customer, as it stands now.",
    newest_of: Some("sla_id"),
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "sla_id" Text "id" from "fold": "The promise; derived from the conversation, the target and the start, so that a rebuild gives the same.";
        "version" Int "offset" from "event": "The offset of the event after which it is so; grows with every change.";
        "conversation_id" Text "id" from "conversation.id": "The conversation.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "contact_id" Text "id" from "conversation.contact_id": "The customer.";
        "agent_id" Text "id" from "fold": "To whom it is credited: kept, who answered, or for a resolution the assignee or else who resolved it; broken, the assignee when it was due; otherwise the assignee at its last change; null if nobody.";
        "labels" TextList "names" from "conversation.labels": "The conversation's labels at its last change, sorted.";
        "priority" Text "low, normal, high, urgent" from "conversation.priority": "The conversation's priority at its last change.";
        "policy_id" Text "id" from "sla.clock.policy_id": "The policy that makes it.";
        "target" Text "first_response, next_response, resolution" from "sla.clock.target": "What is promised.";
        "state" Text "running, at_risk, paused, met, missed, dropped" from "fold": "How it stands. at_risk: a warning was given. missed: it was due, whether it came later or not. dropped: it ended neither kept nor broken, such as a next response when the conversation was resolved without one.";
        "goal_seconds" Int "seconds" from "sla.clock.goal_seconds": "How soon it is promised.";
        "business_time" Bool "true or false" from "sla.clock.business_time": "Whether only business time counts.";
        "started_at" Instant "UTC" from "sla.clock.started_at": "From when on it counts.";
        "due_at" Instant "UTC" from "sla.clock.due_at": "When it is or was due, pauses included; null while it is paused.";
        "warned" Bool "true or false" from "sla.clock.warned": "Whether a warning was given.";
        "breached_at" Instant "UTC" from "sla.clock.due_at": "When it was broken: when it was due; null if it was not.";
        "ended_at" Instant "UTC" from "event.at": "When it was kept, or came too late, or was dropped; null if none of it has happened yet.";
        "updated_at" Instant "UTC" from "event.at": "When it last changed.";
    },
};

/// Contacts.
pub const CONTACTS: &Table = &Table {
    name: "contacts",
    about: "One row for each customer, as they are now.",
    newest_of: Some("contact_id"),
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "contact_id" Text "id" from "contact_created.contact.id": "The customer.";
        "version" Int "offset" from "event": "The offset of the event after which it is so; grows with every change.";
        "name" Text "name" from "contact_updated.contact.name": "Their name; null if none is known.";
        "phone" Text "E.164" from "contact_updated.contact.phone": "Their phone number; null if none is known.";
        "email" Text "address" from "contact_updated.contact.email": "Their e-mail address; null if none is known.";
        "addresses" TextList "addresses" from "contact_updated.contact.identities": "By which addresses channels know them, as channel id, a colon, address.";
        "opted_out" TextList "ids" from "contact_updated.contact.opted_out": "The channels on which they asked for no more messages.";
        "blocked" Bool "true or false" from "contact_updated.contact.blocked": "Whether what they write reaches nobody.";
        "created_at" Instant "UTC" from "contact_created.contact.created_at": "When they first wrote or were first written to.";
        "updated_at" Instant "UTC" from "event.at": "When something of this last changed.";
    },
};

/// Cells.
pub const KPI_MINUTE: &Table = &Table {
    name: "kpi_minute",
    about: "What happened in a minute, by channel, agent and labels. A minute may have several rows: sum counts, hist_merge histograms.",
    newest_of: None,
    columns: columns! {
        "workspace_id" Text "id" from "event": "The workspace; the same in every row that you can see.";
        "minute" Instant "UTC" from "event.at": "The beginning of the minute.";
        "channel_id" Text "id" from "conversation.channel_id": "The channel.";
        "agent_id" Text "id" from "fold": "Who did it, or, for what a customer did, who was assigned; null if nobody.";
        "labels" TextList "names" from "conversation.labels": "The conversations' labels at that moment, sorted; empty for how messages are delivered.";
        "messages_in" Int "messages" from "fold": "Messages that customers sent.";
        "messages_out_human" Int "messages" from "fold": "Messages that people of the workspace sent.";
        "messages_out_bot" Int "messages" from "fold": "Messages that programs sent.";
        "notes" Int "notes" from "fold": "Private notes.";
        "opened" Int "conversations" from "fold": "Conversations that began.";
        "resolved" Int "times" from "fold": "How often a conversation was resolved.";
        "reopened" Int "times" from "fold": "How often a resolved conversation was opened again.";
        "transferred" Int "times" from "fold": "How often a conversation went from one person to another; counts for the one who had it.";
        "handed_off" Int "times" from "fold": "How often a pending conversation, with a bot or a third party, was opened for people.";
        "sent" Int "messages" from "fold": "Of the messages written in this minute, how many the provider has and has not brought yet. A row may be negative: only sums count.";
        "delivered" Int "messages" from "fold": "Of the messages written in this minute, how many have arrived and were not seen. A row may be negative: only sums count.";
        "read" Int "messages" from "fold": "Of the messages written in this minute, how many were seen. A row may be negative: only sums count.";
        "failed" Int "messages" from "fold": "Of the messages written in this minute, how many will not arrive. A row may be negative: only sums count.";
        "negative" Int "messages" from "fold": "Messages of customers that sound negative.";
        "neutral" Int "messages" from "fold": "Messages of customers with a text that sounds neither way.";
        "positive" Int "messages" from "fold": "Messages of customers that sound positive.";
        "sla_first_response_applied" Int "times" from "fold": "How many first responses were promised.";
        "sla_first_response_met" Int "times" from "fold": "How many promised first responses came in time, by when they came.";
        "sla_first_response_missed" Int "times" from "fold": "How many promised first responses did not come in time, by when they were due.";
        "sla_next_response_applied" Int "times" from "fold": "How many next responses were promised.";
        "sla_next_response_met" Int "times" from "fold": "How many promised next responses came in time, by when they came.";
        "sla_next_response_missed" Int "times" from "fold": "How many promised next responses did not come in time, by when they were due.";
        "sla_resolution_applied" Int "times" from "fold": "How many resolutions were promised.";
        "sla_resolution_met" Int "times" from "fold": "How many promised resolutions came in time, by when they came.";
        "sla_resolution_missed" Int "times" from "fold": "How many promised resolutions did not come in time, by when they were due.";
        "first_responses" Int "times" from "fold": "How many first responses.";
        "first_response_micros" Int "microseconds" from "fold": "How long these first responses took together.";
        "first_response_hist" Text "histogram of durations" from "fold": "First responses as bin:count pairs; read it with hist_quantile(hist_merge(first_response_hist), 0.5), which gives seconds within 1 %.";
        "replies" Int "times" from "fold": "How many answered waits.";
        "reply_time_micros" Int "microseconds" from "fold": "How long these answered waits took together.";
        "reply_time_hist" Text "histogram of durations" from "fold": "Answered waits as bin:count pairs; read it with hist_quantile(hist_merge(reply_time_hist), 0.5), which gives seconds within 1 %.";
        "abandoned_waits" Int "times" from "fold": "How many waits that ended by resolving.";
        "abandoned_wait_micros" Int "microseconds" from "fold": "How long these abandoned waits took together.";
        "abandoned_wait_hist" Text "histogram of durations" from "fold": "Abandoned waits as bin:count pairs; read it with hist_quantile(hist_merge(abandoned_wait_hist), 0.5), which gives seconds within 1 %.";
        "resolutions" Int "times" from "fold": "How many resolutions, from the opening on.";
        "resolution_time_micros" Int "microseconds" from "fold": "How long these resolutions took together.";
        "resolution_time_hist" Text "histogram of durations" from "fold": "Resolutions as bin:count pairs; read it with hist_quantile(hist_merge(resolution_time_hist), 0.5), which gives seconds within 1 %.";
        "handlings" Int "times" from "fold": "How many handlings: how long a person had a conversation that was resolved.";
        "handle_time_micros" Int "microseconds" from "fold": "How long these handlings took together.";
        "handle_time_hist" Text "histogram of durations" from "fold": "Handlings as bin:count pairs; read it with hist_quantile(hist_merge(handle_time_hist), 0.5), which gives seconds within 1 %.";
        "business_first_responses" Int "times" from "fold": "How many first responses while business hours were set.";
        "business_first_response_micros" Int "microseconds" from "fold": "How long these first responses took together, in business time.";
        "business_first_response_hist" Text "histogram of durations" from "fold": "First responses in business time as bin:count pairs; read it with hist_quantile(hist_merge(business_first_response_hist), 0.5), which gives seconds within 1 %.";
        "business_replies" Int "times" from "fold": "How many answered waits while business hours were set.";
        "business_reply_time_micros" Int "microseconds" from "fold": "How long these answered waits took together, in business time.";
        "business_reply_time_hist" Text "histogram of durations" from "fold": "Answered waits in business time as bin:count pairs; read it with hist_quantile(hist_merge(business_reply_time_hist), 0.5), which gives seconds within 1 %.";
        "business_abandoned_waits" Int "times" from "fold": "How many abandoned waits while business hours were set.";
        "business_abandoned_wait_micros" Int "microseconds" from "fold": "How long these abandoned waits took together, in business time.";
        "business_abandoned_wait_hist" Text "histogram of durations" from "fold": "Abandoned waits in business time as bin:count pairs; read it with hist_quantile(hist_merge(business_abandoned_wait_hist), 0.5), which gives seconds within 1 %.";
        "business_resolutions" Int "times" from "fold": "How many resolutions while business hours were set.";
        "business_resolution_time_micros" Int "microseconds" from "fold": "How long these resolutions took together, in business time.";
        "business_resolution_time_hist" Text "histogram of durations" from "fold": "Resolutions in business time as bin:count pairs; read it with hist_quantile(hist_merge(business_resolution_time_hist), 0.5), which gives seconds within 1 %.";
        "business_handlings" Int "times" from "fold": "How many handlings while business hours were set.";
        "business_handle_time_micros" Int "microseconds" from "fold": "How long these handlings took together, in business time.";
        "business_handle_time_hist" Text "histogram of durations" from "fold": "Handlings in business time as bin:count pairs; read it with hist_quantile(hist_merge(business_handle_time_hist), 0.5), which gives seconds within 1 %.";
    },
};

/// The catalogue itself.
pub const CATALOGUE: &Table = &Table {
    name: "catalogue",
    about: "One row for each column of each table.",
    newest_of: None,
    columns: columns! {
        "table_name" Text "name" from "catalogue": "The table.";
        "column_name" Text "name" from "catalogue": "The column.";
        "type" Text "type" from "catalogue": "The column's type.";
        "unit" Text "unit" from "catalogue": "What its values count or are.";
        "source" Text "path" from "catalogue": "The field of an event from which it comes; fold: computed from several events.";
        "meaning" Text "sentence" from "catalogue": "What it means.";
    },
};

/// The tables of the catalogue.
pub const CATALOGUE_TABLES: &Table = &Table {
    name: "catalogue_tables",
    about: "One row for each table.",
    newest_of: None,
    columns: columns! {
        "table_name" Text "name" from "catalogue": "The table.";
        "about" Text "sentence" from "catalogue": "What one of its rows is.";
        "columns" Int "columns" from "catalogue": "How many columns it has.";
    },
};

/// KPI definitions.
pub const KPI_DEFINITIONS: &Table = &Table {
    name: "kpi_definitions",
    about: "One row for each KPI.",
    newest_of: None,
    columns: columns! {
        "name" Text "name" from "definition": "The KPI's name.";
        "title" Text "name" from "definition": "Its name for people.";
        "unit" Text "unit" from "definition": "What its number counts.";
        "definition" Text "sentence" from "definition": "What it means.";
        "sql" Text "SQL" from "definition": "The SQL that computes it, over cells (rows of kpi_minute with bucket, dimension and key) or gauges (present counts).";
        "kind" Text "count, duration, ratio, gauge" from "definition": "How it is measured.";
        "better" Text "higher, lower, neutral" from "definition": "Which way it should go.";
        "dimensions" TextList "channel, agent, label" from "definition": "By what it can be told apart.";
        "live" Bool "true or false" from "definition": "Whether the live board shows it.";
    },
};
