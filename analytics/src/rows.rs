//! Rows as the fold makes them, before they become Arrow: the rows of one workspace that no file holds yet.

use std::collections::BTreeMap;

use schemas::contact::Contact;
use schemas::conversation::{Conversation, Priority};
use schemas::message::{DeliveryStatus, Message};
use schemas::sla::SlaClock;
use schemas::{ChannelId, ContactId, ConversationId, EventId, MessageId, Timestamp, UserId};
use sentiment::Sentiment;

use crate::fold::cell::{Cell, CellKey};
use crate::fold::fact::Fact;

/// What a row weighs beside its texts, in bytes, by rule of thumb: it bounds memory, it bills nobody.
const ROW_BYTES: usize = 400;

/// A message with what the conversation was when it was added.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRow {
    /// On which channel.
    pub channel_id: ChannelId,
    /// With whom.
    pub contact_id: ContactId,
    /// Who handled the conversation.
    pub assignee: Option<UserId>,
    /// The conversation's labels, sorted.
    pub labels: Vec<String>,
    /// When the hub recorded it.
    pub recorded_at: Timestamp,
    /// How it sounds, if a customer said something.
    pub sentiment: Option<Sentiment>,
    /// The message.
    pub message: Message,
}

/// A step of an outbound message's delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The event.
    pub id: EventId,
    /// Of which message.
    pub message_id: MessageId,
    /// In which conversation.
    pub conversation_id: ConversationId,
    /// On which channel.
    pub channel_id: ChannelId,
    /// To whom.
    pub contact_id: ContactId,
    /// The message's number.
    pub seq: u64,
    /// What its status was; `None` when it was written.
    pub from: Option<DeliveryStatus>,
    /// What it is.
    pub to: DeliveryStatus,
    /// Why it failed.
    pub error_code: Option<String>,
    /// When the message was written, to the millisecond.
    pub written_at: Timestamp,
    /// When the step was made.
    pub at: Timestamp,
}

/// A change of a conversation's assignee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentRow {
    /// The event.
    pub id: EventId,
    /// Of which conversation.
    pub conversation_id: ConversationId,
    /// On which channel.
    pub channel_id: ChannelId,
    /// With whom.
    pub contact_id: ContactId,
    /// Who had it.
    pub from: Option<UserId>,
    /// Who has it.
    pub to: Option<UserId>,
    /// Why.
    pub reason: &'static str,
    /// The person who did it, if a person did.
    pub actor_id: Option<UserId>,
    /// The conversation's labels, sorted.
    pub labels: Vec<String>,
    /// How long it had been as it was, in microseconds, if that is known.
    pub held_micros: Option<i64>,
    /// When.
    pub at: Timestamp,
}

/// A contact as they were after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRow {
    /// The offset of the event: of two rows of a contact, the one with the larger version counts.
    pub version: u64,
    /// When the event happened.
    pub updated_at: Timestamp,
    /// As they were.
    pub contact: Contact,
}

/// A conversation as it was after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationRow {
    /// The offset of the event: of two rows of a conversation, the one with the larger version counts.
    pub version: u64,
    /// When the event happened.
    pub updated_at: Timestamp,
    /// As it was.
    pub conversation: Conversation,
}

/// A promise of service levels as it stood after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlaRow {
    /// Derived from the conversation, what was promised and from when on.
    pub id: EventId,
    /// The offset of the event: of two rows of a promise, the one with the larger version counts.
    pub version: u64,
    /// In which conversation.
    pub conversation_id: ConversationId,
    /// On which channel.
    pub channel_id: ChannelId,
    /// To whom.
    pub contact_id: ContactId,
    /// To whom it is credited.
    pub agent_id: Option<UserId>,
    /// The conversation's labels, sorted.
    pub labels: Vec<String>,
    /// The conversation's priority.
    pub priority: Priority,
    /// How it stands.
    pub state: &'static str,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// What was promised, from when on, and when it is due.
    pub clock: SlaClock,
    /// When the event happened.
    pub updated_at: Timestamp,
}

/// By what the cells of a minute are told apart in tables: also by the labels of the conversation at that moment, sorted.
pub type RowKey = (i64, CellKey, Vec<String>);

/// Rows of one workspace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkspaceRows {
    messages: Vec<MessageRow>,
    deliveries: Vec<DeliveryRow>,
    assignments: Vec<AssignmentRow>,
    conversations: BTreeMap<ConversationId, ConversationRow>,
    contacts: BTreeMap<ContactId, ContactRow>,
    facts: Vec<Fact>,
    promises: BTreeMap<EventId, SlaRow>,
    cells: BTreeMap<RowKey, Cell>,
    bytes: usize,
    revision: u64,
}

impl WorkspaceRows {
    /// Adds a message.
    pub fn push_message(&mut self, row: MessageRow) {
        let body = &row.message.body;
        let attachments: usize = body.attachments.iter().map(|file| file.url.len() + 64).sum();
        self.grow(body.text.len() + attachments);
        self.messages.push(row);
    }

    /// Adds a step of a delivery.
    pub fn push_delivery(&mut self, row: DeliveryRow) {
        self.grow(0);
        self.deliveries.push(row);
    }

    /// Adds a change of an assignee.
    pub fn push_assignment(&mut self, row: AssignmentRow) {
        self.grow(0);
        self.assignments.push(row);
    }

    /// Sets what a contact is now.
    pub fn put_contact(&mut self, contact: Contact, version: u64, updated_at: Timestamp) {
        let id = contact.id;
        if self.contacts.insert(id, ContactRow { version, updated_at, contact }).is_none() {
            self.grow(0);
        } else {
            self.grow_by_nothing();
        }
    }

    /// Adds a fact.
    pub fn push_fact(&mut self, fact: Fact) {
        self.grow(0);
        self.facts.push(fact);
    }

    /// Sets what a conversation is now.
    pub fn put_conversation(&mut self, conversation: Conversation, version: u64, updated_at: Timestamp) {
        let id = conversation.id;
        let row = ConversationRow { version, updated_at, conversation };
        if self.conversations.insert(id, row).is_none() {
            self.grow(ROW_BYTES);
        } else {
            self.grow_by_nothing();
        }
    }

    /// Sets how a promise stands now.
    pub fn put_promise(&mut self, row: SlaRow) {
        if self.promises.insert(row.id, row).is_none() {
            self.grow(0);
        } else {
            self.grow_by_nothing();
        }
    }

    /// Adds to a cell.
    pub fn add_cell(&mut self, minute: i64, key: CellKey, labels: Vec<String>, delta: &Cell) {
        let before = self.cells.len();
        self.cells.entry((minute, key, labels)).or_default().merge(delta);
        if self.cells.len() > before {
            self.grow(0);
        } else {
            self.grow_by_nothing();
        }
    }

    /// Messages, in the order of their events.
    pub fn messages(&self) -> &[MessageRow] {
        &self.messages
    }

    /// Steps of deliveries, in the order of their events.
    pub fn deliveries(&self) -> &[DeliveryRow] {
        &self.deliveries
    }

    /// Changes of assignees, in the order of their events.
    pub fn assignments(&self) -> &[AssignmentRow] {
        &self.assignments
    }

    /// The last state of each contact that changed, by id.
    pub fn contacts(&self) -> impl ExactSizeIterator<Item = &ContactRow> {
        self.contacts.values()
    }

    /// The last state of each conversation that changed, by id.
    pub fn conversations(&self) -> impl ExactSizeIterator<Item = &ConversationRow> {
        self.conversations.values()
    }

    /// The last state of each promise that changed, by id.
    pub fn promises(&self) -> impl ExactSizeIterator<Item = &SlaRow> {
        self.promises.values()
    }

    /// Facts, in the order of their events.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// What cells have changed by, by minute, key and labels.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = (&RowKey, &Cell)> {
        self.cells.iter()
    }

    /// How many rows these are.
    pub fn len(&self) -> usize {
        self.messages.len()
            + self.deliveries.len()
            + self.assignments.len()
            + self.conversations.len()
            + self.contacts.len()
            + self.facts.len()
            + self.promises.len()
            + self.cells.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how much memory they take.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows with every change.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Removes all rows. The revision goes on.
    pub fn clear(&mut self) {
        *self = Self { revision: self.revision + 1, ..Self::default() };
    }

    const fn grow(&mut self, bytes: usize) {
        self.bytes += bytes + ROW_BYTES;
        self.revision += 1;
    }

    const fn grow_by_nothing(&mut self) {
        self.revision += 1;
    }
}
