//! Messages and private notes, and how a message's delivery status may move.

use serde::{Deserialize, Serialize};

use crate::{ContactId, ConversationId, MessageId, Timestamp, UserId};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the contact.
    Inbound,
    /// To the contact.
    Outbound,
    /// To nobody outside: a private note of an agent.
    Note,
}

impl Direction {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Note => "note",
        }
    }
}

/// Who wrote a message. Only [`Author::Agent`] counts as a human answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Author {
    /// The customer.
    Contact {
        /// Which contact.
        contact_id: ContactId,
    },
    /// A person of the workspace.
    Agent {
        /// Which person.
        user_id: UserId,
    },
    /// A program that acts for the workspace.
    Bot {
        /// Its name.
        name: String,
    },
}

impl Author {
    /// Whether a person of the workspace wrote it.
    pub const fn is_human_agent(&self) -> bool {
        matches!(self, Self::Agent { .. })
    }
}

/// A file that came with a message or goes out with one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attachment {
    /// Where the bytes are. A provider's address may need the channel's credentials.
    pub url: String,
    /// The media type, such as `image/jpeg`, as the provider states it.
    pub content_type: String,
    /// The file's name, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A place that the contact shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Location {
    /// Degrees north, −90 to 90.
    pub latitude: f64,
    /// Degrees east, −180 to 180.
    pub longitude: f64,
    /// The place's name, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The place's postal address, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Body {
    /// The text; may be empty when there is something else. Never holds U+0000.
    #[serde(default)]
    pub text: String,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// A place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// A structured answer (a WhatsApp Flow, a pressed button) as the provider's JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interactive: Option<String>,
    /// The provider's id of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
}

impl Body {
    /// A body of text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.attachments.is_empty() && self.location.is_none() && self.interactive.is_none()
    }
}

/// How far an outbound message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// In the log; not yet taken by the provider.
    Queued,
    /// Taken by the provider or the carrier.
    Sent,
    /// On the contact's device.
    Delivered,
    /// Seen by the contact.
    Read,
    /// Will not arrive; the message says why.
    Failed,
}

impl DeliveryStatus {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }

    /// Whether `next`, heard now, changes this status.
    ///
    /// A report never takes a status back: queued → sent → delivered → read. `failed` ends what is not yet delivered, and yields
    /// only to evidence that the message did arrive, since carriers do report `undelivered` and then `delivered`.
    pub fn may_become(self, next: Self) -> bool {
        use DeliveryStatus::{Delivered, Failed, Queued, Read, Sent};
        match (self, next) {
            (Failed, Delivered | Read) | (Queued | Sent, Failed) => true,
            (Failed, _) | (_, Failed) => false,
            (from, to) => from.rank() < to.rank(),
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Delivered => 2,
            Self::Read => 3,
            Self::Failed => 4,
        }
    }
}

/// What a contact's message is, on the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SentimentLabel {
    /// It complains, reports what went wrong, or is angry.
    Negative,
    /// It asks, informs, or says nothing of how its author feels.
    Neutral,
    /// It thanks, praises, or is glad.
    Positive,
}

/// How a contact's message sounds, by the built-in model of the hub that took it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MessageSentiment {
    /// On the whole.
    pub label: SentimentLabel,
    /// How likely it is positive less how likely it is negative: from -1 to 1, in steps of 0.001.
    pub score: f32,
}

/// Why a message failed or waits, for the agent to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliveryError {
    /// The provider's code (`30007`) or one of ours (`connect_failed`, `timed_out`).
    pub code: String,
    /// A sentence in English.
    pub reason: String,
}

/// A message or note of a conversation, as tables, API and socket show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The conversation that it belongs to.
    pub conversation_id: ConversationId,
    /// Its number in the conversation: 1, 2, 3, … without holes. Notes count too.
    pub seq: u64,
    /// Which way it goes.
    pub direction: Direction,
    /// Who wrote it.
    pub author: Author,
    /// What it says.
    pub body: Body,
    /// When the hub made it durable.
    pub created_at: Timestamp,
    /// How far it has come; `None` for inbound messages and notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DeliveryStatus>,
    /// Why it failed, or why it still waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<DeliveryError>,
    /// How it sounds; `None` for what no contact wrote, for what has no text, and for messages of before there was a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<MessageSentiment>,
    /// The provider's id, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The client's own key of a send, so that the client finds its optimistic copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// How many calls to the provider were begun.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// How often it was sent again because the provider took it and then failed for a while; 0 once it has arrived, or
    /// once somebody asked by hand for another sending.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resends: u32,
    /// Whom a note mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::DeliveryStatus::{self, Delivered, Failed, Queued, Read, Sent};

    const ALL: [DeliveryStatus; 5] = [Queued, Sent, Delivered, Read, Failed];

    proptest! {
        /// Whatever the order and the repeats in which reports arrive, the same set of reports ends in one status,
        /// with `failed` yielding to proof of arrival.
        #[test]
        fn any_order_of_reports_ends_in_the_same_status(reports in prop::collection::vec(0..5_usize, 0..12), seed: u64) {
            let end = |order: &[usize]| order.iter().fold(Queued, |status, &i| {
                if status.may_become(ALL[i]) { ALL[i] } else { status }
            });
            let mut shuffled = reports.clone();
            let mut state = seed | 1;
            for i in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
            }
            prop_assert_eq!(end(&reports), end(&shuffled));
        }
    }

    #[test]
    fn a_status_never_goes_back() {
        assert!(!Read.may_become(Sent) && !Delivered.may_become(Failed) && !Sent.may_become(Queued));
        assert!(Failed.may_become(Delivered) && !Failed.may_become(Sent) && Queued.may_become(Read));
    }
}
