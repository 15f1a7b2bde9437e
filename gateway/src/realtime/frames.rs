//! Small frames, made for one connection.

use bytes::Bytes;
use schemas::api::problem::ErrorCode;
use schemas::socket::ServerFrame;
use serde::Serialize;

/// The JSON of a frame.
pub(crate) fn encode(frame: &impl Serialize) -> Bytes {
    // The frames of `schemas::socket` have text keys only, so writing them cannot fail.
    serde_json::to_vec(frame).map(Bytes::from).unwrap_or_default()
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) reason: String,
    /// `Some` if the same frame may succeed after so many milliseconds.
    pub(crate) after_ms: Option<u64>,
}

impl Refusal {
    /// For good.
    pub(crate) fn new(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), after_ms: None }
    }

    /// For now.
    pub(crate) fn temporary(code: ErrorCode, reason: impl Into<String>, after_ms: u64) -> Self {
        Self { code, reason: reason.into(), after_ms: Some(after_ms) }
    }

    /// There is no such conversation, or it is not theirs to see: the same answer for both.
    pub(crate) fn no_conversation() -> Self {
        Self::new(ErrorCode::NotFound, "there is no such conversation, or you may not see it")
    }

    /// The tables or the log cannot be used now.
    pub(crate) fn unavailable() -> Self {
        Self::temporary(ErrorCode::Unavailable, "the hub cannot do this now: try again", 1_000)
    }

    /// The frame of an agents' socket.
    pub(crate) fn frame(self, id: u64) -> Bytes {
        encode(&ServerFrame::Err {
            id,
            code: self.code,
            reason: self.reason,
            temp: self.after_ms.is_some(),
            after_ms: self.after_ms,
        })
    }
}

/// An `ok` without more.
pub(crate) const fn plain_ok(id: u64) -> ServerFrame {
    ok_with_cursor(id, None)
}

/// An `ok` that says from where on events come.
pub(crate) const fn ok_with_cursor(id: u64, cur: Option<String>) -> ServerFrame {
    ServerFrame::Ok { id, p: None, conversation_id: None, message_id: None, seq: None, repeated: false, cur }
}
