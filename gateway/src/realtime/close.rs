//! Why a socket is closed: the codes of `saler.v1`.
//!
//! The range carries the verdict, so that a client treats a code that it does not know rightly: 1001, 1012 and 40xx mean
//! reconnect and resume; 41xx reconnect without a cursor; 44xx stop and tell the user.

/// A close code of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: the client closed, and gets its answer.
    Normal,
    /// 1002: the WebSocket protocol itself was broken.
    Protocol,
    /// 1007: a text message was not UTF-8.
    Utf8,
    /// 1009: a message is over the limit of `hello`.
    TooBig,
    /// 1012: the hub goes down; come back after the `drain` frame's time, and resume.
    Restart,
    /// 4002: two heartbeats were not answered; reconnect and resume.
    Heartbeat,
    /// 4003: no `auth` in time; reconnect.
    AuthTimeout,
    /// 4008: the reader is too slow; reconnect and resume.
    Slow,
    /// 4009: a newer connection of the same device took its place.
    Replaced,
    /// 4010: the hub is not ready to serve it yet; reconnect and resume.
    NotReady,
    /// 4029: too many frames; reconnect later, and resume.
    Rate,
    /// 4400: a frame that is none.
    BadFrame,
    /// 4401: not signed in, or no longer.
    Unauthenticated,
    /// 4403: signed in, but without the right to be here, or with another role than before.
    Forbidden,
    /// 4429: too many connections of one person or visitor.
    TooManyConnections,
}

impl CloseCode {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Protocol => 1002,
            Self::Utf8 => 1007,
            Self::TooBig => 1009,
            Self::Restart => 1012,
            Self::Heartbeat => 4002,
            Self::AuthTimeout => 4003,
            Self::Slow => 4008,
            Self::Replaced => 4009,
            Self::NotReady => 4010,
            Self::Rate => 4029,
            Self::BadFrame => 4400,
            Self::Unauthenticated => 4401,
            Self::Forbidden => 4403,
            Self::TooManyConnections => 4429,
        }
    }

    /// The reason on the wire, at most 123 bytes; also the label of the metric.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "bye",
            Self::Protocol => "protocol_error",
            Self::Utf8 => "not_utf8",
            Self::TooBig => "too_big",
            Self::Restart => "restart",
            Self::Heartbeat => "no_heartbeat",
            Self::AuthTimeout => "auth_timeout",
            Self::Slow => "slow_reader",
            Self::Replaced => "replaced",
            Self::NotReady => "not_ready",
            Self::Rate => "too_many_frames",
            Self::BadFrame => "bad_frame",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::TooManyConnections => "too_many_connections",
        }
    }

    /// Whether what is queued is worthless to this client: it does not read, or must not.
    pub(crate) const fn drops_queue(self) -> bool {
        matches!(self, Self::Slow | Self::Heartbeat | Self::Unauthenticated | Self::Forbidden | Self::Replaced)
    }
}
