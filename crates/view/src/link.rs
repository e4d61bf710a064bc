//! The connection, as a client shows it.

use std::time::Duration;

use protocol::client::{Event, Status};

use crate::Report;

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

    /// Counts a second down. Returns whether the countdown changed.
    pub fn tick(&mut self) -> bool {
        let before = self.seconds_left();
        self.retry_in = self
            .retry_in
            .map(|left| left.saturating_sub(Duration::from_secs(1)));
        self.seconds_left() != before
    }

    /// The state of the connection.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Whether the connection is live.
    pub fn is_live(&self) -> bool {
        self.status == Status::Live
    }

    /// Whether the page waits for the next try.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.status, Status::Waiting { .. })
    }

    /// Whether the user can have the session connect now.
    pub const fn can_try_now(&self) -> bool {
        matches!(self.status, Status::Waiting { .. } | Status::Stopped { .. })
    }

    /// The last round trip that was measured.
    pub const fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// How many heartbeats were answered.
    pub const fn beats(&self) -> u32 {
        self.beats
    }

    /// How many times the state changed: a countdown starts anew with each.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    /// Until the next try, in begun seconds: never 0. `None` unless the session waits.
    pub fn seconds_left(&self) -> Option<u64> {
        let left = self.retry_in?;
        let begun = u64::from(left.subsec_millis() > 0);
        Some((left.as_secs() + begun).max(1))
    }
}

#[cfg(test)]
mod tests {
    use protocol::client::Cause;
    use protocol::time::Timestamp;

    use super::*;

    const TRIP: Duration = Duration::from_millis(12);

    fn waiting(retry_in: Duration) -> Report {
        let status = Status::Waiting {
            until: Timestamp::ZERO,
            cause: Cause::NoAnswer,
            attempt: 1,
            offline: false,
        };
        Report::Status {
            status,
            retry_in: Some(retry_in),
        }
    }

    #[test]
    fn it_counts_down_in_begun_seconds() {
        let mut link = Link::default();
        assert!(link.fold(&waiting(Duration::from_millis(2300))));
        assert_eq!(link.seconds_left(), Some(3));
        assert!(link.is_waiting() && link.can_try_now());
        assert!(link.tick());
        assert_eq!(link.seconds_left(), Some(2));
        assert!(link.tick());
        assert!(!link.tick());
        assert_eq!(link.seconds_left(), Some(1));
        let live = Report::Status {
            status: Status::Live,
            retry_in: None,
        };
        assert!(link.fold(&live) && link.is_live());
        assert_eq!(link.seconds_left(), None);
    }

    #[test]
    fn beats_are_counted_and_timed() {
        let mut link = Link::default();
        assert!(link.fold(&Report::Event(Event::Beat { rtt: Some(TRIP) })));
        assert_eq!((link.beats(), link.rtt()), (1, Some(TRIP)));
        // A heartbeat that the server began has no round trip: the last one known stays.
        assert!(link.fold(&Report::Event(Event::Beat { rtt: None })));
        assert_eq!((link.beats(), link.rtt()), (2, Some(TRIP)));
        assert!(!link.fold(&Report::StorageFailed));
        assert!(!link.tick());
    }
}
