//! Frames of the sockets `/api/v1/socket` and `/api/v1/visitor`: protocol `saler.v1`.
//!
//! A frame is a JSON object with its name in `op`, sent as a WebSocket text message. With the capability
//! [`Capability::Batch`] the hub may put several objects into one message, separated by `\n` (U+000A, which JSON never
//! holds unescaped). Readers ignore fields and `op`s that they do not know. `docs/socket.md` tells the whole story.
//!
//! An event's frame, [`ServerFrame::Ev`], is written once for all its readers, so nothing in it belongs to one
//! connection. What is lost on the way is found by counting: [`ServerFrame::Hb`] says how many counted frames were sent.

mod visitor;

pub use visitor::*;

use serde::{Deserialize, Serialize};

use crate::api::problem::ErrorCode;
use crate::channel::Secret;
use crate::conversation::{ConversationChanges, Priority, Status};
use crate::event::EventRecord;
use crate::kpi::KpiBoard;
use crate::message::Body;
use crate::workspace::Availability;
use crate::{ConversationId, MessageId, Timestamp, UserId};

/// The name of the protocol in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "saler.v1";

/// The number of the protocol in [`ServerFrame::Hello`].
pub const PROTOCOL_VERSION: u16 = 1;

/// The largest message that a client may send, in bytes.
pub const MAX_CLIENT_MESSAGE_BYTES: usize = 64 * 1024;

/// The most characters of an idempotency key.
pub const MAX_KEY_CHARS: usize = 128;

/// What a client can do beyond the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// It splits messages at `\n`: several frames may come in one.
    Batch,
    /// It sends [`ClientFrame::Ack`] at least every 64 counted frames or every second while some are not acknowledged;
    /// in return the hub finds a stalled reader within seconds, whatever the buffers on the way hold.
    Ack,
    /// Any other word; without effect.
    #[serde(other)]
    Unknown,
}

/// Where to go on after a lost connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Resume {
    /// The last cursor that the hub gave (in `ready`, `ok` of a `sub`, or `hb`), as it is.
    pub cur: String,
    /// `p` of the last event seen, if one was seen after that cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<(u32, u64)>,
}

/// The first frame of a client; sent again later, it renews the access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Auth {
    /// Comes back in the answer.
    #[serde(default)]
    pub id: u64,
    /// An access token or an API token.
    #[schema(value_type = String)]
    pub token: Secret,
    /// Names the tab or device: a newer connection of the same person and device replaces an older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Topics to subscribe to at once; a resume replays exactly these. See [`ClientFrame::Sub`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subs: Vec<String>,
    /// Where to go on, after a lost connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// What the client can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<Capability>,
}

/// A wish, with its name in `k` and its values in `d`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "k", content = "d")]
pub enum ClientCommand {
    /// Write to the contact.
    #[serde(rename = "message.send")]
    MessageSend {
        /// Where.
        conversation_id: ConversationId,
        /// What.
        body: Body,
    },
    /// Send a failed message again.
    #[serde(rename = "message.retry")]
    MessageRetry {
        /// Where.
        conversation_id: ConversationId,
        /// The message's number.
        seq: u64,
    },
    /// Add a private note.
    #[serde(rename = "note.add")]
    NoteAdd {
        /// Where.
        conversation_id: ConversationId,
        /// What.
        text: String,
        /// Whom it mentions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<UserId>,
    },
    /// Change the status.
    #[serde(rename = "conversation.set_status")]
    ConversationSetStatus {
        /// Where.
        conversation_id: ConversationId,
        /// To which.
        status: Status,
    },
    /// Snooze, until a moment or until the contact writes.
    #[serde(rename = "conversation.snooze")]
    ConversationSnooze {
        /// Where.
        conversation_id: ConversationId,
        /// Until when; without it, until the contact writes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Give the conversation to somebody, or back to all.
    #[serde(rename = "conversation.assign")]
    ConversationAssign {
        /// Where.
        conversation_id: ConversationId,
        /// To whom; `null` gives it back.
        #[serde(default)]
        assignee: Option<UserId>,
    },
    /// Change the priority.
    #[serde(rename = "conversation.set_priority")]
    ConversationSetPriority {
        /// Where.
        conversation_id: ConversationId,
        /// To which.
        priority: Priority,
    },
    /// Put labels on and take others off.
    #[serde(rename = "conversation.labels")]
    ConversationLabels {
        /// Where.
        conversation_id: ConversationId,
        /// Put on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        add: Vec<String>,
        /// Taken off.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<String>,
    },
    /// Several changes at once: all of them or none.
    #[serde(rename = "conversation.change")]
    ConversationChange {
        /// Where.
        conversation_id: ConversationId,
        /// What is to be different.
        change: ConversationChanges,
    },
    /// The person has read notifications.
    #[serde(rename = "notifications.read")]
    NotificationsRead {
        /// All up to this number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up_to: Option<u64>,
        /// And these; at most 1,000.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        numbers: Vec<u64>,
    },
    /// The person has seen the conversation up to a message.
    #[serde(rename = "conversation.read")]
    ConversationRead {
        /// Where.
        conversation_id: ConversationId,
        /// Up to which number.
        seq: u64,
    },
    /// The person says how available they are.
    #[serde(rename = "presence.set")]
    PresenceSet {
        /// How.
        availability: Availability,
    },
    /// The person is typing. Ephemeral: no key, no trace in the log. Send at most one in three seconds.
    #[serde(rename = "typing")]
    Typing {
        /// Where.
        conversation_id: ConversationId,
    },
    /// The person looks at the conversation. Ephemeral, as typing.
    #[serde(rename = "viewing")]
    Viewing {
        /// Where.
        conversation_id: ConversationId,
    },
}

impl ClientCommand {
    /// The conversation that it names, if it names one.
    pub const fn conversation_id(&self) -> Option<ConversationId> {
        match self {
            Self::MessageSend { conversation_id, .. }
            | Self::MessageRetry { conversation_id, .. }
            | Self::NoteAdd { conversation_id, .. }
            | Self::ConversationSetStatus { conversation_id, .. }
            | Self::ConversationSnooze { conversation_id, .. }
            | Self::ConversationAssign { conversation_id, .. }
            | Self::ConversationSetPriority { conversation_id, .. }
            | Self::ConversationLabels { conversation_id, .. }
            | Self::ConversationChange { conversation_id, .. }
            | Self::ConversationRead { conversation_id, .. }
            | Self::Typing { conversation_id }
            | Self::Viewing { conversation_id } => Some(*conversation_id),
            Self::NotificationsRead { .. } | Self::PresenceSet { .. } => None,
        }
    }
}

/// A wish with its number and key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommandFrame {
    /// Comes back in the answer.
    pub id: u64,
    /// The idempotency key: repeated with the same key within 24 hours, a wish has one effect. Needed for
    /// `message.send`, `message.retry` and `note.add`; 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The wish itself.
    #[serde(flatten)]
    pub command: ClientCommand,
}

/// What a client sends to `/api/v1/socket`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Signs in; again, to renew the access token.
    Auth(Auth),
    /// Subscribes to a topic: `inbox` (all events that the person may see), `conversation:<id>` (those of one),
    /// `desk` (counts of views, notifications, changed settings), `presence` (of colleagues), `kpis` (the live board).
    Sub {
        /// Comes back in the answer.
        id: u64,
        /// Which.
        topic: String,
    },
    /// Takes a subscription back.
    Unsub {
        /// Comes back in the answer.
        id: u64,
        /// Which.
        topic: String,
    },
    /// A wish.
    Cmd(CommandFrame),
    /// So many counted frames have come, in all, on this connection.
    Ack {
        /// How many.
        n: u64,
    },
    /// The answer to a heartbeat; also acknowledges, if `n` is given.
    Hb {
        /// How many counted frames have come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n: Option<u64>,
    },
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The cursor is not one of this workspace.
    Cursor,
    /// The cursor is of another history of the log.
    Epoch,
    /// The events between are not kept any more.
    Retention,
    /// There are too many events between.
    TooFar,
    /// The log could not be read now.
    Unavailable,
}

/// What somebody does at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EphemeralKind {
    /// Writes.
    Typing,
    /// Looks at the conversation.
    Viewing,
}

impl EphemeralKind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Typing => "typing",
            Self::Viewing => "viewing",
        }
    }
}

/// A colleague's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Presence {
    /// Whose.
    pub user_id: UserId,
    /// What they say of themselves.
    pub availability: Availability,
    /// Whether they are connected.
    pub connected: bool,
}

/// What the hub sends on `/api/v1/socket`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The first frame.
    Hello {
        /// [`PROTOCOL_VERSION`].
        v: u16,
        /// Names the connection in the hub's logs.
        conn: String,
        /// How often the hub sends `hb`, in milliseconds. Nothing for one and a half times as long: reconnect.
        hb: u64,
        /// The largest message that the client may send, in bytes.
        max_in: usize,
        /// How soon `auth` must come, in milliseconds.
        auth_in: u64,
    },
    /// Signed in, and (unless this renews a token) live from here on.
    Ready {
        /// Of the `auth`.
        id: u64,
        /// Who this is.
        user_id: UserId,
        /// Where this connection's events begin, the replay included: the cursor to resume from until a newer one comes.
        cur: String,
        /// `true`: what was missed follows, then `resumed`. `false`: load the state anew.
        resumed: bool,
        /// How many counted frames are replayed.
        replay: u64,
        /// Why there is no resume, if one was wished for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gap: Option<GapReason>,
        /// When the access token ends: send `auth` with a new one before.
        expires_at: Timestamp,
    },
    /// Something happened. Counted.
    Ev {
        /// Partition and offset: never twice with the same pair; grows within the partition.
        p: (u32, u64),
        /// What.
        d: Box<EventRecord>,
    },
    /// A conversation that the person could see is out of their sight: somebody else took it. Counted.
    Gone {
        /// As in `ev`.
        p: (u32, u64),
        /// Which.
        conversation_id: ConversationId,
    },
    /// The replay is over; what follows is new.
    Resumed {
        /// How many counted frames were sent so far.
        n: u64,
        /// The cursor here.
        cur: String,
    },
    /// Somebody types or looks. Forget it after `ttl`.
    Eph {
        /// What.
        k: EphemeralKind,
        /// Where.
        conversation_id: ConversationId,
        /// Which colleague; the contact, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
        /// Milliseconds.
        ttl: u32,
    },
    /// Everybody's presence, after a subscription to `presence`; changes follow as events.
    Presence {
        /// One for each member.
        d: Vec<Presence>,
    },
    /// The live board, whole, after a subscription to `kpis` and after each change.
    Kpi {
        /// Its numbers.
        d: Box<KpiBoard>,
    },
    /// A wish was fulfilled.
    Ok {
        /// Of the wish.
        id: u64,
        /// Where it stands: events at or before this are its effect or older.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        p: Option<(u32, u64)>,
        /// The conversation that it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<ConversationId>,
        /// The message or note that it made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
        /// That message's number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// `true` if the key had been used before: the first effect stands.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        repeated: bool,
        /// For `sub`: from where on the topic's events come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cur: Option<String>,
    },
    /// A wish was refused, or its end is not known.
    Err {
        /// Of the wish.
        id: u64,
        /// The kind for programs, as in the API's problems.
        code: ErrorCode,
        /// A sentence for people.
        reason: String,
        /// `true`: the same frame may succeed later. With its key it is safe to repeat.
        temp: bool,
        /// How soon, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// A heartbeat: answer with `hb`.
    Hb {
        /// How many counted frames were sent before this one, in all, on this connection.
        n: u64,
        /// The cursor here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cur: Option<String>,
    },
    /// The access token ends soon: send `auth` with a new one.
    Expiring {
        /// In so many milliseconds.
        in_ms: u64,
    },
    /// The hub goes down: reconnect and resume after this many milliseconds; the connection closes by itself.
    Drain {
        /// Milliseconds, another number for each connection.
        after: u64,
    },
    /// Events are missing from here on: load the state anew. The connection stays live.
    Gap {
        /// Why.
        why: GapReason,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_flat_object() {
        let text = r#"{"op":"cmd","id":7,"key":"k1","k":"message.send","d":{"conversation_id":"019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d","body":{"text":"hi"}}}"#;
        let frame: ClientFrame = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&frame).unwrap(), text);
        let ClientFrame::Cmd(CommandFrame { command, .. }) = frame else { panic!("not a command") };
        assert!(command.conversation_id().is_some());
    }

    #[test]
    fn a_token_is_not_shown_and_an_unknown_capability_is_no_error() {
        let frame: ClientFrame =
            serde_json::from_str(r#"{"op":"auth","token":"secret","caps":["batch","telepathy"],"new_field":1}"#)
                .unwrap();
        assert!(!format!("{frame:?}").contains("secret"));
        let ClientFrame::Auth(auth) = frame else { panic!("not an auth") };
        assert_eq!(auth.caps, [Capability::Batch, Capability::Unknown]);
    }

    #[test]
    fn an_ok_says_only_what_there_is_to_say() {
        let ok = ServerFrame::Ok {
            id: 7,
            p: None,
            conversation_id: None,
            message_id: None,
            seq: None,
            repeated: false,
            cur: None,
        };
        assert_eq!(serde_json::to_string(&ok).unwrap(), r#"{"op":"ok","id":7}"#);
    }
}
