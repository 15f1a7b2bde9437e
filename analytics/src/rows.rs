//! Rows as the fold makes them, before they become Arrow: the rows of one workspace that no file holds yet.

use std::collections::BTreeMap;

use schemas::conversation::Conversation;
use schemas::message::{DeliveryStatus, Message};
use schemas::{ChannelId, ContactId, ConversationId, EventId, MessageId, Timestamp, UserId};

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
    /// The message.
    pub message: Message,
}

/// A change of an outbound message's delivery status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// The event.
    pub id: EventId,
    /// Of which message.
    pub message_id: MessageId,
    /// In which conversation.
    pub conversation_id: ConversationId,
    /// On which channel.
    pub channel_id: ChannelId,
    /// The message's number.
    pub seq: u64,
    /// What it was.
    pub from: DeliveryStatus,
    /// What it is.
    pub to: DeliveryStatus,
    /// Why it failed.
    pub error_code: Option<String>,
    /// When.
    pub at: Timestamp,
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

/// Rows of one workspace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkspaceRows {
    messages: Vec<MessageRow>,
    statuses: Vec<StatusRow>,
    conversations: BTreeMap<ConversationId, ConversationRow>,
    facts: Vec<Fact>,
    cells: BTreeMap<(i64, CellKey), Cell>,
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

    /// Adds a change of delivery status.
    pub fn push_status(&mut self, row: StatusRow) {
        self.grow(0);
        self.statuses.push(row);
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

    /// Adds to a cell.
    pub fn add_cell(&mut self, minute: i64, key: CellKey, delta: &Cell) {
        let before = self.cells.len();
        self.cells.entry((minute, key)).or_default().merge(delta);
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

    /// Changes of delivery status, in the order of their events.
    pub fn statuses(&self) -> &[StatusRow] {
        &self.statuses
    }

    /// The last state of each conversation that changed, by id.
    pub fn conversations(&self) -> impl ExactSizeIterator<Item = &ConversationRow> {
        self.conversations.values()
    }

    /// Facts, in the order of their events.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// What cells have grown by, by minute and key.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = (i64, CellKey, &Cell)> {
        self.cells.iter().map(|((minute, key), cell)| (*minute, *key, cell))
    }

    /// How many rows these are.
    pub fn len(&self) -> usize {
        self.messages.len() + self.statuses.len() + self.conversations.len() + self.facts.len() + self.cells.len()
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
