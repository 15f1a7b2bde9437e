//! Authentic webhooks that could not be read.

use serde::{Deserialize, Serialize};

use crate::channel::Provider;
use crate::{ChannelId, DeadLetterId, Timestamp};

/// A webhook that its provider signed and that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeadLetter {
    /// Which.
    pub id: DeadLetterId,
    /// On which channel it came.
    pub channel_id: ChannelId,
    /// From whom.
    pub provider: Provider,
    /// When.
    pub received_at: Timestamp,
    /// Why it could not be read.
    pub reason: String,
    /// Its content type.
    pub content_type: String,
    /// How long its body was, in bytes.
    pub size_bytes: u64,
    /// `true` if the body was longer than what is kept, and so cannot be replayed.
    pub truncated: bool,
    /// When it was last replayed with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<Timestamp>,
}

/// A dead letter with its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeadLetterDetail {
    /// The rest of it.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// Its body in base64.
    pub body_base64: String,
}

/// What a replay brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Replayed {
    /// How many messages and reports it held; those that were known already have no second effect.
    pub entries: u64,
}
