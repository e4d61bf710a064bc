//! Why a client is not live, as its user may know it.

use protocol::client::{Cause, Status};
use protocol::close::CloseCode;

/// The reason for which the connection ended or did not come about, in the kinds that differ for a user: for each of
/// them there is one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The browser says that there is no network.
    Offline,
    /// No connection could be opened.
    Unreachable,
    /// The connection broke off.
    Broken,
    /// The server sent nothing in time (HB-3, HB-6).
    Silent,
    /// The server received nothing in time, or this client read too slowly (HB-4).
    Unheard,
    /// The server restarts. It may have given this client a slot (RC-3).
    Restarting,
    /// The server cannot serve this client now: its log is unavailable, or too many clients come at once (RC-7).
    Busy,
    /// An HTTP server answered, and opened no connection.
    Refused {
        /// The status of its answer.
        status: u16,
    },
    /// The page was asleep (RC-6).
    Asleep,
    /// Another page goes on with this session (RS-4).
    TakenOver,
    /// The session expired (RS-9).
    Expired,
    /// One end sent what the other does not understand.
    Garbled,
    /// The user has to sign in, or to sign in again (AC-1, AC-2, AC-6).
    SignIn,
    /// An operator ended the session's connection.
    Ended,
    /// The server does not speak this client's version.
    Outdated,
}

impl Trouble {
    /// The trouble of a client with this status. `was_live`: whether the connection that ended had been live.
    pub(crate) const fn of(status: Status, was_live: bool) -> Option<Self> {
        match status {
            Status::Idle | Status::Connecting | Status::Live => None,
            Status::Waiting { offline: true, .. } => Some(Self::Offline),
            Status::Waiting { cause, .. } | Status::Stopped { cause } => {
                Some(Self::after(cause, was_live))
            }
        }
    }

    const fn after(cause: Cause, was_live: bool) -> Self {
        match cause {
            Cause::Closed(Some(code)) => Self::closed(code, was_live),
            Cause::Closed(None) if was_live => Self::Broken,
            Cause::NoAnswer if was_live => Self::Silent,
            Cause::Closed(None) | Cause::NoAnswer => Self::Unreachable,
            Cause::Refused { status } => Self::Refused { status },
            Cause::GoAway => Self::Restarting,
            Cause::Frozen => Self::Asleep,
            Cause::NoToken => Self::SignIn,
            _ => Self::Garbled,
        }
    }

    const fn closed(code: CloseCode, was_live: bool) -> Self {
        match code {
            CloseCode::SERVICE_RESTART | CloseCode::GOING_AWAY => Self::Restarting,
            CloseCode::TRY_AGAIN_LATER => Self::Busy,
            CloseCode::DEAD | CloseCode::SLOW | CloseCode::HELLO_TIMEOUT => Self::Unheard,
            CloseCode::TAKEN_OVER => Self::TakenOver,
            CloseCode::SESSION_GONE => Self::Expired,
            CloseCode::UNAUTHORIZED | CloseCode::TOKEN_EXPIRED => Self::SignIn,
            CloseCode::DISCONNECTED => Self::Ended,
            CloseCode::UNSUPPORTED => Self::Outdated,
            CloseCode::BAD_FRAME
            | CloseCode::FRAME_TOO_LARGE
            | CloseCode::SEQ_GAP
            | CloseCode::SEQ_CONFLICT
            | CloseCode::PROTOCOL_ERROR
            | CloseCode::INVALID_DATA
            | CloseCode::UNSUPPORTED_DATA
            | CloseCode::TOO_BIG => Self::Garbled,
            _ if was_live => Self::Broken,
            _ => Self::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::time::Timestamp;

    use super::*;

    const fn waiting(cause: Cause, offline: bool) -> Status {
        Status::Waiting {
            until: Timestamp::ZERO,
            cause,
            attempt: 1,
            offline,
            ceiling: None,
        }
    }

    #[test]
    fn a_connection_that_was_live_breaks_and_another_is_not_reached() {
        let lost = [
            Cause::Closed(None),
            Cause::Closed(Some(CloseCode::ABNORMAL)),
        ];
        for cause in lost {
            let status = waiting(cause, false);
            assert_eq!(Trouble::of(status, true), Some(Trouble::Broken));
            assert_eq!(Trouble::of(status, false), Some(Trouble::Unreachable));
        }
        let silent = waiting(Cause::NoAnswer, false);
        assert_eq!(Trouble::of(silent, true), Some(Trouble::Silent));
        assert_eq!(Trouble::of(silent, false), Some(Trouble::Unreachable));
    }

    #[test]
    fn no_network_is_the_first_thing_to_know() {
        let status = waiting(Cause::NoAnswer, true);
        assert_eq!(Trouble::of(status, true), Some(Trouble::Offline));
        for status in [Status::Idle, Status::Connecting, Status::Live] {
            assert_eq!(Trouble::of(status, true), None);
        }
    }

    /// Every code that a server sends (PROTOCOL.md, Close codes) has a reason of its own kind.
    #[test]
    fn codes_have_their_reasons() {
        let reasons = [
            (1001, Trouble::Restarting),
            (1002, Trouble::Garbled),
            (1012, Trouble::Restarting),
            (1013, Trouble::Busy),
            (4000, Trouble::Unheard),
            (4001, Trouble::Unheard),
            (4100, Trouble::TakenOver),
            (4103, Trouble::Garbled),
            (4105, Trouble::Expired),
            (4200, Trouble::Outdated),
            (4201, Trouble::SignIn),
            (4202, Trouble::SignIn),
            (4203, Trouble::Ended),
            (4999, Trouble::Broken),
        ];
        for (code, trouble) in reasons {
            let cause = Cause::Closed(Some(CloseCode::new(code)));
            let found = Trouble::of(waiting(cause, false), true);
            assert_eq!(found, Some(trouble), "{code}");
            let found = Trouble::of(Status::Stopped { cause }, true);
            assert_eq!(found, Some(trouble), "{code}");
        }
    }
}
