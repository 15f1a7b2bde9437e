//! Errors of the API: RFC 9457, `application/problem+json`.

use serde::{Deserialize, Serialize};

/// What kind of error it is, for programs. Closed: a client can have a sentence for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be read: not JSON, a parameter that cannot be parsed.
    MalformedRequest,
    /// A field is missing, unknown, or has a value that cannot be.
    InvalidValue,
    /// No credential, or one that is not believed.
    Unauthenticated,
    /// The role does not allow it.
    Forbidden,
    /// There is no such thing, or not for you.
    NotFound,
    /// The path does not know this method.
    MethodNotAllowed,
    /// It is there already.
    AlreadyExists,
    /// The present state does not allow it.
    InvalidTransition,
    /// The medium's reply window is over: only a template may be sent.
    ReplyWindowClosed,
    /// The contact has asked for no more messages, or is blocked.
    ContactOptedOut,
    /// The channel is switched off.
    ChannelInactive,
    /// The idempotency key was used before for something else.
    KeyReused,
    /// The header `Idempotency-Key` is missing or cannot be.
    IdempotencyKeyRequired,
    /// The body is larger than allowed.
    TooLarge,
    /// Too many attempts: wait as `Retry-After` says.
    RateLimited,
    /// The provider's signature is missing or wrong.
    SignatureRefused,
    /// A limit of a SQL query was reached, or the query is not allowed; `detail` says which.
    QueryRefused,
    /// The outcome is not known in time. It may still take effect: repeat with the same key.
    OutcomeUnknown,
    /// The hub cannot take it now: wait as `Retry-After` says.
    Unavailable,
    /// A fault of ours; `request_id` finds it in the logs.
    Internal,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where it stands in the body, such as `body.text` or `labels[2]`; or the name of a parameter or header.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// The kind as an address: `urn:saler:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// The kind for programs.
    pub code: ErrorCode,
    /// Which fields are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Finds the request in the hub's logs.
    pub request_id: String,
}
