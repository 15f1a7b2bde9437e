//! The rows of [`PENDING_SENDS`]: what is still to be sent, as the engine writes it and the sender reads it.
//!
//! The engine writes a row when a message is queued, keeps it up to date with every attempt, and removes it once the
//! message's status leaves `queued`. The sender only reads.

use schemas::message::Body;
use schemas::tables::{PENDING_SENDS, Value};
use schemas::{ChannelId, ConversationId, MessageId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};
use storage::tables::{Key, Row, TablesError};

/// An outbound message that no provider has taken yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingSend {
    /// Whose it is.
    pub workspace_id: WorkspaceId,
    /// The conversation that it belongs to.
    pub conversation_id: ConversationId,
    /// The channel that carries it.
    pub channel_id: ChannelId,
    /// Which message.
    pub message_id: MessageId,
    /// Its number in the conversation: messages of one conversation are sent in this order.
    pub seq: u64,
    /// The contact's address on the channel.
    pub to: String,
    /// What it says.
    pub body: Body,
    /// When it was queued, the last time.
    pub queued_at: Timestamp,
    /// How many calls to the provider were begun.
    #[serde(default)]
    pub attempt: u32,
    /// `true` from the beginning of a call until its verdict: if a crash fell between, the call may have been made.
    #[serde(default)]
    pub in_flight: bool,
    /// `true` if the last call ended without saying whether the provider took the message.
    #[serde(default)]
    pub ambiguous: bool,
    /// When the next attempt is due; `None` for at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

impl PendingSend {
    /// The partition of the table that holds the messages of a partition of the topic `commands`.
    pub fn partition_key(partition: u32) -> Vec<Value> {
        vec![Value::from(partition)]
    }

    /// Where the row of a message stands.
    pub fn key(partition: u32, message_id: MessageId) -> Key {
        Key::of(Self::partition_key(partition)).at([Value::from(message_id)])
    }

    /// The row to write.
    ///
    /// # Errors
    /// [`TablesError::Invalid`] if it has no JSON form, which only a location that is not a number brings about.
    pub fn to_row(&self, partition: u32) -> Result<Row, TablesError> {
        Row::new(Self::key(partition, self.message_id)).with_body(self)
    }

    /// What a row says.
    ///
    /// # Errors
    /// [`TablesError::Corrupt`] if the row is not one that [`PendingSend::to_row`] made.
    pub fn from_row(row: &Row) -> Result<Self, TablesError> {
        row.body(PENDING_SENDS)
    }
}
