//! The connection, as the page shows it.

use std::time::Duration;

use protocol::client::{Event, Status};

use crate::realtime::Report;

/// The connection's state, its round trip and its heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    status: Status,
    /// While waiting: the time left, counted down by [`Link::tick`].
    retry_in: Option<Duration>,
    rtt: Option<Duration>,
    beats: u32,
    changes: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            status: Status::Idle,
            retry_in: None,
            rtt: None,
            beats: 0,
            changes: 0,
        }
    }
}

impl Link {
    /// Folds a report. Returns whether anything changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        match report {
            Report::Status { status, retry_in } => {
                self.status = *status;
                self.retry_in = *retry_in;
                self.changes = self.changes.wrapping_add(1);
                true
            }
            Report::Event(Event::Beat { rtt }) => {
                self.rtt = rtt.or(self.rtt);
                self.beats = self.beats.wrapping_add(1);
                true
            }
            _ => false,
        }
    }

    /// A second has passed. Returns whether the countdown moved.
    pub fn tick(&mut self) -> bool {
        let before = self.seconds_left();
        self.retry_in = self
            .retry_in
            .map(|left| left.saturating_sub(Duration::from_secs(1)));
        self.seconds_left() != before
    }

    /// The state in one word, for style sheets and tests.
    pub const fn state(&self) -> &'static str {
        match self.status {
            Status::Idle => "idle",
            Status::Connecting => "connecting",
            Status::Live => "live",
            Status::Waiting { offline: false, .. } => "waiting",
            Status::Waiting { offline: true, .. } => "offline",
            Status::Stopped { .. } => "stopped",
        }
    }

    /// The state in words, for people. It changes only with the state.
    pub fn words(&self) -> String {
        match self.status {
            Status::Idle => "Not connected".to_owned(),
            Status::Connecting => "Connecting".to_owned(),
            Status::Live => "Live".to_owned(),
            Status::Waiting { offline: false, .. } => "Reconnecting".to_owned(),
            Status::Waiting { offline: true, .. } => "Offline".to_owned(),
            Status::Stopped { code } => format!("Stopped: {}", code.reason()),
        }
    }

    /// What follows the words while waiting. It changes every second.
    pub fn countdown(&self) -> Option<String> {
        let seconds = self.seconds_left()?;
        match self.status {
            Status::Waiting { offline: false, .. } => Some(format!(" in {seconds} s")),
            Status::Waiting { offline: true, .. } => Some(format!(", trying again in {seconds} s")),
            _ => None,
        }
    }

    /// Whether frames travel.
    pub fn is_live(&self) -> bool {
        self.status == Status::Live
    }

    /// Whether the page waits for the next try.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.status, Status::Waiting { .. })
    }

    /// Whether a person can hurry the session.
    pub const fn can_try_now(&self) -> bool {
        matches!(self.status, Status::Waiting { .. } | Status::Stopped { .. })
    }

    /// The last round trip in whole milliseconds. (Not by `as_millis`: the page would carry how numbers of
    /// 128 bits are divided and written.)
    pub fn rtt_ms(&self) -> Option<u64> {
        self.rtt
            .map(|rtt| rtt.as_secs() * 1000 + u64::from(rtt.subsec_millis()))
    }

    /// How many heartbeats were answered.
    pub const fn beats(&self) -> u32 {
        self.beats
    }

    /// How many times the state changed: a countdown starts anew with each.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    /// Begun seconds count: nobody is told "in 0 s".
    fn seconds_left(&self) -> Option<u64> {
        let left = self.retry_in?;
        let begun = u64::from(left.subsec_millis() > 0);
        Some((left.as_secs() + begun).max(1))
    }
}

#[cfg(test)]
mod tests {
    use protocol::client::Cause;
    use protocol::close::CloseCode;
    use protocol::time::Timestamp;

    use super::*;

    fn waiting(offline: bool, retry_in: Duration) -> Report {
        let status = Status::Waiting {
            until: Timestamp::ZERO,
            cause: Cause::NoAnswer,
            attempt: 1,
            offline,
        };
        Report::Status {
            status,
            retry_in: Some(retry_in),
        }
    }

    fn shown(link: &Link) -> String {
        link.words() + &link.countdown().unwrap_or_default()
    }

    #[test]
    fn it_counts_down_in_begun_seconds() {
        let mut link = Link::default();
        assert!(link.fold(&waiting(false, Duration::from_millis(2300))));
        assert_eq!(
            (shown(&link).as_str(), link.state()),
            ("Reconnecting in 3 s", "waiting")
        );
        assert!(link.tick());
        assert_eq!(shown(&link), "Reconnecting in 2 s");
        assert!(link.tick());
        assert!(!link.tick());
        assert_eq!(shown(&link), "Reconnecting in 1 s");
    }

    #[test]
    fn offline_and_stopped_say_so() {
        let mut link = Link::default();
        link.fold(&waiting(true, Duration::from_secs(20)));
        assert_eq!(
            (shown(&link).as_str(), link.state()),
            ("Offline, trying again in 20 s", "offline")
        );
        assert!(link.can_try_now());
        let status = Status::Stopped {
            code: CloseCode::UNSUPPORTED,
        };
        link.fold(&Report::Status {
            status,
            retry_in: None,
        });
        assert_eq!(shown(&link), "Stopped: version not supported");
        assert!(link.can_try_now() && !link.is_waiting());
    }

    #[test]
    fn beats_are_counted_and_timed() {
        let mut link = Link::default();
        assert!(link.fold(&Report::Event(Event::Beat {
            rtt: Some(Duration::from_millis(12))
        })));
        assert_eq!((link.beats(), link.rtt_ms()), (1, Some(12)));
        // One that the server began tells no round trip: the last one known stays.
        assert!(link.fold(&Report::Event(Event::Beat { rtt: None })));
        assert_eq!((link.beats(), link.rtt_ms()), (2, Some(12)));
        assert!(!link.fold(&Report::StorageFailed));
        assert!(!link.tick());
    }
}
