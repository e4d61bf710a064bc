//! The page's sentences for what the view holds.

use protocol::client::{Cause, Status};
use protocol::close::CloseCode;
use view::{Alert, Link};

/// The connection's state in one word, for style sheets and tests.
pub(crate) const fn state(link: &Link) -> &'static str {
    match link.status() {
        Status::Idle => "idle",
        Status::Connecting => "connecting",
        Status::Live => "live",
        Status::Waiting { offline: false, .. } => "waiting",
        Status::Waiting { offline: true, .. } => "offline",
        Status::Stopped { .. } => "stopped",
    }
}

/// The connection's state in words. They change only with the state.
pub(crate) fn status(link: &Link) -> String {
    match link.status() {
        Status::Idle => "Not connected".to_owned(),
        Status::Connecting => "Connecting".to_owned(),
        Status::Live => "Live".to_owned(),
        Status::Waiting { offline: false, .. } => "Reconnecting".to_owned(),
        Status::Waiting { offline: true, .. } => "Offline".to_owned(),
        Status::Stopped { cause } => format!("Stopped: {}", why(cause)),
    }
}

/// Why nothing is tried any more. A browser does not show the status of a refused handshake.
const fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::Closed(Some(code)) => code.reason(),
        _ => CloseCode::ABNORMAL.reason(),
    }
}

/// The countdown after [`status`] while the session waits to reconnect. It changes every second.
pub(crate) fn countdown(link: &Link) -> Option<String> {
    let seconds = link.seconds_left()?;
    match link.status() {
        Status::Waiting { offline: false, .. } => Some(format!(" in {seconds} s")),
        Status::Waiting { offline: true, .. } => Some(format!(", trying again in {seconds} s")),
        _ => None,
    }
}

/// The last round trip. (Not by `as_millis`: the program would need code to divide and format 128-bit
/// numbers.)
pub(crate) fn round_trip(link: &Link) -> Option<String> {
    let rtt = link.rtt()?;
    let ms = rtt.as_secs() * 1000 + u64::from(rtt.subsec_millis());
    Some(format!("{ms} ms"))
}

/// Why the user's last action failed.
pub(crate) fn alert(alert: &Alert) -> String {
    match alert {
        Alert::NotTaken(error) => format!("Not sent: {error}."),
        Alert::Busy => "Not sent: the page is busy. Try again in a moment.".to_owned(),
        Alert::Refused(why) => format!("The server refused something: {why}."),
        Alert::NotKept => {
            "This browser keeps nothing more: reloading the page would lose what is not sent."
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::client::{Cause, Event};
    use protocol::close::CloseCode;
    use protocol::time::Timestamp;
    use view::Report;

    use super::*;

    fn linked(status: Status, retry_in: Option<Duration>) -> Link {
        let mut link = Link::default();
        link.fold(&Report::Status { status, retry_in });
        link
    }

    fn waiting(offline: bool, retry_in: Duration) -> Link {
        let status = Status::Waiting {
            until: Timestamp::ZERO,
            cause: Cause::NoAnswer,
            attempt: 1,
            offline,
        };
        linked(status, Some(retry_in))
    }

    fn shown(link: &Link) -> String {
        status(link) + &countdown(link).unwrap_or_default()
    }

    #[test]
    fn a_wait_is_counted_down() {
        let link = waiting(false, Duration::from_millis(2300));
        assert_eq!(
            (shown(&link).as_str(), state(&link)),
            ("Reconnecting in 3 s", "waiting")
        );
        let link = waiting(true, Duration::from_secs(20));
        assert_eq!(
            (shown(&link).as_str(), state(&link)),
            ("Offline, trying again in 20 s", "offline")
        );
    }

    #[test]
    fn the_end_says_why() {
        let cause = Cause::Closed(Some(CloseCode::UNSUPPORTED));
        let link = linked(Status::Stopped { cause }, None);
        assert_eq!(shown(&link), "Stopped: version not supported");
        assert!(link.can_try_now() && !link.is_waiting());
    }

    #[test]
    fn a_round_trip_is_in_milliseconds() {
        let mut link = Link::default();
        assert_eq!(round_trip(&link), None);
        let rtt = Some(Duration::from_micros(2_012_900));
        link.fold(&Report::Event(Event::Beat { rtt }));
        assert_eq!(round_trip(&link).as_deref(), Some("2012 ms"));
    }
}
