//! Close codes. The range of a code decides what the client does next.

use std::fmt;

use serde::Serialize;

/// A WebSocket close code (RFC 6455 section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CloseCode(u16);

/// A client's reaction to a close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconnectPolicy {
    /// Reconnect and resume.
    Resume,
    /// Reconnect with a fresh session.
    Fresh,
    /// Do not reconnect until the user acts.
    Never,
}

impl CloseCode {
    /// The page or the client program ends (RFC 6455: 1000).
    pub const NORMAL: Self = Self(1000);
    /// One end leaves, as at a closed page or at the client's slot (RFC 6455: 1001).
    pub const GOING_AWAY: Self = Self(1001);
    /// No closing handshake was seen; never sent on the wire (RFC 6455: 1006).
    pub const ABNORMAL: Self = Self(1006);
    /// Something that is not a WebSocket frame (RFC 6455: 1002).
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of data that this dialect does not take (RFC 6455: 1003).
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// A text that is not UTF-8 (RFC 6455: 1007).
    pub const INVALID_DATA: Self = Self(1007);
    /// A text that is too large for this dialect (RFC 6455: 1009).
    pub const TOO_BIG: Self = Self(1009);
    /// The server restarts (IANA registry: 1012).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server cannot serve now (IANA registry: 1013).
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// Nothing was received in time (HB-3, HB-4).
    pub const DEAD: Self = Self(4000);
    /// A write made no progress in time: a slow consumer.
    pub const SLOW: Self = Self(4001);
    /// No `hello` in time (RS-1).
    pub const HELLO_TIMEOUT: Self = Self(4002);

    /// Another connection resumed this session (RS-4).
    pub const TAKEN_OVER: Self = Self(4100);
    /// Something that is not a frame of this protocol, or a frame out of place.
    pub const BAD_FRAME: Self = Self(4101);
    /// A frame over the limit.
    pub const FRAME_TOO_LARGE: Self = Self(4102);
    /// A `seq` that skips numbers (EO-1).
    pub const SEQ_GAP: Self = Self(4103);
    /// A `seq` used twice for different messages (EO-6).
    pub const SEQ_CONFLICT: Self = Self(4104);

    /// The session expired while it was in use (RS-9).
    pub const SESSION_GONE: Self = Self(4105);

    /// The server does not speak the client's version.
    pub const UNSUPPORTED: Self = Self(4200);
    /// Not admitted: no token, or one that is not good here (AC-1).
    pub const UNAUTHORIZED: Self = Self(4201);
    /// The token ended and no newer one came (AC-2).
    pub const TOKEN_EXPIRED: Self = Self(4202);
    /// An operator ended the session's connection.
    pub const DISCONNECTED: Self = Self(4203);

    /// The code of this number, as a close frame carries it. A frame may carry any number: those without a name here
    /// count by their range ([`CloseCode::reconnect_policy`]).
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// A client's reaction to this code.
    ///
    /// Unassigned codes resume too: a client that stops for an unknown reason helps no user, and backoff is gentle.
    pub const fn reconnect_policy(self) -> ReconnectPolicy {
        match self.0 {
            4100..=4199 => ReconnectPolicy::Fresh,
            4200..=4299 => ReconnectPolicy::Never,
            _ => ReconnectPolicy::Resume,
        }
    }

    /// Whether the other end can be expected to answer a close with this code. It cannot where the code
    /// says that it gives no sign of life, or does not read (HB-7).
    pub const fn is_answered(self) -> bool {
        !matches!(self, Self::DEAD | Self::SLOW)
    }

    /// The reason in a word or two, sent with the code.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NORMAL => "done",
            Self::GOING_AWAY => "going away",
            Self::SERVICE_RESTART => "restarting",
            Self::TRY_AGAIN_LATER => "try again later",
            Self::DEAD => "nothing received in time",
            Self::SLOW => "reading too slowly",
            Self::HELLO_TIMEOUT => "no hello in time",
            Self::TAKEN_OVER => "resumed on another connection",
            Self::BAD_FRAME => "not a frame of everbeat.v1",
            Self::FRAME_TOO_LARGE => "frame too large",
            Self::SEQ_GAP => "seq skips numbers",
            Self::SEQ_CONFLICT => "seq used twice",
            Self::PROTOCOL_ERROR => "not a WebSocket frame",
            Self::INVALID_DATA => "not UTF-8",
            Self::UNSUPPORTED_DATA => "text only",
            Self::TOO_BIG => "text too large",
            Self::SESSION_GONE => "session expired",
            Self::UNSUPPORTED => "version not supported",
            Self::UNAUTHORIZED => "sign in first",
            Self::TOKEN_EXPIRED => "sign in again",
            Self::DISCONNECTED => "removed by an operator",
            _ => "connection lost",
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}
