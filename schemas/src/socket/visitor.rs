//! Frames of `/api/v1/visitor`: what visitors of a web page send and get.

use serde::{Deserialize, Serialize};

use crate::api::problem::ErrorCode;
use crate::channel::Secret;
use crate::message::{Body, DeliveryStatus};
use crate::{ConversationId, MessageId, Timestamp};

/// How a visitor of a web page says who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VisitorAuth {
    /// Comes back in the answer.
    #[serde(default)]
    pub id: u64,
    /// A visitor's token that the hub gave before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub token: Option<Secret>,
    /// A JWT (HS256, the channel's identity secret) of the customer's own server: `sub`, `iat`, `exp` at most five
    /// minutes after `iat`, and optionally `name`, `email` and `phone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub identity: Option<Secret>,
    /// `true`: a visitor who was never here. One of `token`, `identity` and `new` must be given.
    #[serde(default)]
    pub new: bool,
    /// The name of a new visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The e-mail address of a new visitor, for agents to see. Left out if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The phone number of a new visitor in E.164, for agents to see. Left out if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The conversation and the last number that the client has: only what came after is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<VisitorPosition>,
}

/// How much of a conversation a visitor's client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VisitorPosition {
    /// Which conversation.
    pub conversation_id: ConversationId,
    /// The last number.
    pub seq: u64,
}

/// What a visitor sends to `/api/v1/visitor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum VisitorClientFrame {
    /// The first frame.
    Auth(VisitorAuth),
    /// Writes.
    Send {
        /// Comes back in the answer.
        id: u64,
        /// Chosen by the client, 1 to 64 characters: repeated with the same key, a message has one effect.
        key: String,
        /// What; 1 to 10,000 characters, or none if there are files.
        text: String,
        /// The addresses that uploads were answered with, at most 10.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<String>,
    },
    /// Asks where a file can be uploaded. Counts as a message.
    Upload {
        /// Comes back in the answer.
        id: u64,
    },
    /// The messages up to this number have come, or were seen.
    Ack {
        /// The number.
        seq: u64,
        /// `true`: seen by the visitor.
        #[serde(default)]
        read: bool,
    },
    /// Asks for what was said before.
    History {
        /// Comes back in the answer.
        id: u64,
        /// The number before which.
        before: u64,
    },
    /// The visitor is typing.
    Typing,
    /// The answer to a heartbeat.
    Hb,
}

/// Who wrote a message, as a visitor may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VisitorAuthor {
    /// The visitor.
    Visitor,
    /// Somebody of the workspace.
    Agent,
    /// A program of the workspace.
    Bot,
}

/// A message, as a visitor may know it. Never a private note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VisitorMessage {
    /// Its id.
    pub id: MessageId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Its number. Grows, with holes.
    pub seq: u64,
    /// Who wrote it.
    pub from: VisitorAuthor,
    /// What it says.
    pub body: Body,
    /// When.
    pub at: Timestamp,
    /// The key with which the visitor sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How far it has come, if an agent or a bot wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DeliveryStatus>,
}

/// What the hub sends on `/api/v1/visitor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum VisitorServerFrame {
    /// The first frame; as on the agents' socket.
    Hello {
        /// [`PROTOCOL_VERSION`](super::PROTOCOL_VERSION).
        v: u16,
        /// Names the connection in the hub's logs.
        conn: String,
        /// How often the hub sends `hb`, in milliseconds.
        hb: u64,
        /// The largest message that the client may send, in bytes.
        max_in: usize,
        /// How soon `auth` must come, in milliseconds.
        auth_in: u64,
    },
    /// Known; what follows is new.
    Ready {
        /// Of the `auth`.
        id: u64,
        /// Keep it and sign in with it next time, within 24 hours.
        token: String,
        /// The present conversation, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<ConversationId>,
        /// Its last messages, oldest first; or those after the client's position.
        history: Vec<VisitorMessage>,
    },
    /// Earlier messages of the present conversation, oldest first.
    History {
        /// Of the frame.
        id: u64,
        /// At most 50. None: there is nothing before.
        messages: Vec<VisitorMessage>,
    },
    /// Where one file can be uploaded: `POST` its bytes there, with `?name=`, within ten minutes.
    Upload {
        /// Of the frame.
        id: u64,
        /// The address.
        url: String,
        /// The largest file, in bytes.
        max_bytes: u64,
    },
    /// A message.
    Msg(VisitorMessage),
    /// Somebody of the workspace is typing. Forget it after `ttl`.
    Typing {
        /// Milliseconds.
        ttl: u32,
    },
    /// The message is durable. It comes back as `msg`, with its number.
    Ok {
        /// Of the `send`.
        id: u64,
    },
    /// Refused.
    Err {
        /// Of the frame.
        id: u64,
        /// The kind for programs, as in the API's problems.
        code: ErrorCode,
        /// A sentence for people.
        reason: String,
        /// `true`: the same frame may succeed later.
        temp: bool,
        /// How soon, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// A heartbeat: answer with `hb`.
    Hb,
    /// The hub goes down: reconnect after this many milliseconds.
    Drain {
        /// Milliseconds.
        after: u64,
    },
}
