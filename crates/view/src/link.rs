//! The connection, as a client shows it.

use std::time::Duration;

use protocol::client::{Event, Recovery, Status};
use protocol::frame::ErrorCode;

use crate::{Report, Trouble};

#[cfg(test)]
mod tests;

/// A second: what [`Link::tick`] counts.
const SECOND: Duration = Duration::from_secs(1);

/// How long what the return brought is shown: long enough to read a line of figures twice.
const RECOVERY_SHOWN: Duration = Duration::from_secs(12);

/// How long a round trip is shown: two intervals of the default heartbeat. An older one says nothing of the line.
const TRIP_SHOWN: Duration = Duration::from_secs(50);

/// How long to wait for what the return brought before the user hears that the outage is over.
const RECOVERY_AWAITED: Duration = Duration::from_secs(3);

/// The shortest wait of messages that a user feels, and is told of.
const PAUSE_FELT: Duration = SECOND;

/// The connection: its state, why it is not live, what its return brought, its round trip and its heartbeats.
///
/// It has no clock: whoever shows it calls [`Link::tick`] once a second as long as [`Link::is_timed`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    status: Status,
    trouble: Option<Trouble>,
    /// Whether the last connection that ended had been live.
    was_live: bool,
    attempt: u32,
    /// The whole wait for the next try.
    delay: Duration,
    /// What is left of it.
    retry_in: Option<Duration>,
    doubtful: bool,
    trip: Option<Brief<Duration>>,
    recovery: Option<Brief<Recovery>>,
    pause: Option<Brief<ErrorCode>>,
    outage: Outage,
    notice: Option<Notice>,
    beats: u32,
    changes: u32,
}

/// Something that is shown for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Brief<T> {
    what: T,
    left: Duration,
}

/// How far the user has heard of an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    /// There is none.
    None,
    /// It began in this second: it may be over before it is worth a word.
    New,
    /// The user heard that it began.
    Announced,
    /// The session is live again. What that brought is awaited for this long.
    Ending(Duration),
}

/// What a user who does not look at the page hears: each outage when it begins and when it is over, and nothing in
/// between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The session is not live, and tries by itself to be.
    Lost(Trouble),
    /// The session is not live, and does nothing about it until the user acts.
    Stopped(Trouble),
    /// The session is live again, and this is what it brought, if that is known.
    Back(Option<Recovery>),
}

impl Default for Link {
    fn default() -> Self {
        Self {
            status: Status::Idle,
            trouble: None,
            was_live: false,
            attempt: 0,
            delay: Duration::ZERO,
            retry_in: None,
            doubtful: false,
            trip: None,
            recovery: None,
            pause: None,
            outage: Outage::None,
            notice: None,
            beats: 0,
            changes: 0,
        }
    }
}

/// Folding.
impl Link {
    /// Folds a report. Returns whether anything changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        match report {
            Report::Status { status, retry_in } => self.changed(*status, *retry_in),
            Report::Event(Event::Beat { rtt }) => {
                let trip = rtt.map(|rtt| Brief::of(rtt, TRIP_SHOWN));
                self.trip = trip.or(self.trip);
                self.beats = self.beats.wrapping_add(1);
            }
            Report::Event(Event::Doubt { doubtful }) => self.doubtful = *doubtful,
            Report::Event(Event::Paused { code, wait }) => {
                self.pause = (*wait >= PAUSE_FELT).then(|| Brief::of(*code, *wait));
                // What is to come is worth more than what came.
                self.recovery = self.recovery.filter(|_| self.pause.is_none());
            }
            Report::Event(Event::Recovered(recovery)) => {
                self.recovery = Some(Brief::of(*recovery, RECOVERY_SHOWN));
                self.pause = None;
                // What is missing is worth a word, however short the outage was.
                if self.outage != Outage::None || !recovery.is_complete() {
                    self.ends(Some(*recovery));
                }
            }
            _ => return false,
        }
        true
    }

    /// Counts a second. Returns whether that changes what is shown.
    pub fn tick(&mut self) -> bool {
        let before = self.shown();
        let mut is_heard = false;
        self.retry_in = self.retry_in.map(|left| left.saturating_sub(SECOND));
        pass(&mut self.trip);
        pass(&mut self.recovery);
        pass(&mut self.pause);
        match self.outage {
            Outage::New => {
                self.outage = Outage::Announced;
                self.notice = self.trouble.map(Notice::Lost);
                is_heard = true;
            }
            Outage::Ending(left) if left <= SECOND => {
                self.ends(None);
                is_heard = true;
            }
            Outage::Ending(left) => self.outage = Outage::Ending(left.saturating_sub(SECOND)),
            Outage::None | Outage::Announced => {}
        }
        is_heard || self.shown() != before
    }

    /// What a second may change: the countdowns, and what is shown at all.
    fn shown(&self) -> (Option<u64>, Option<u64>, bool, bool) {
        let pause = self.pause().map(|(_, seconds)| seconds);
        let (trip, recovery) = (self.trip.is_some(), self.recovery.is_some());
        (self.seconds_left(), pause, trip, recovery)
    }

    fn changed(&mut self, status: Status, retry_in: Option<Duration>) {
        let ends = self.is_live();
        if !self.is_waiting() {
            // Another wait is for the same end.
            self.was_live = ends;
        }
        match status {
            Status::Waiting { attempt, .. } => self.attempt = attempt,
            Status::Idle | Status::Live => self.attempt = 0,
            Status::Connecting | Status::Stopped { .. } => {}
        }
        if status != Status::Connecting {
            self.trouble = Trouble::of(status, self.was_live);
        }
        self.status = status;
        self.retry_in = retry_in;
        self.delay = retry_in.unwrap_or_default();
        self.doubtful = false;
        self.pause = None;
        if ends {
            self.trip = None;
            self.recovery = None;
        }
        self.heard();
        self.changes = self.changes.wrapping_add(1);
    }

    /// Takes what the user has to hear of a new state.
    fn heard(&mut self) {
        match (self.status, self.outage) {
            (Status::Waiting { .. }, Outage::None) => self.outage = Outage::New,
            // It went on before the user heard of an end.
            (Status::Waiting { .. }, Outage::Ending(_)) => self.outage = Outage::Announced,
            (Status::Stopped { .. }, _) => {
                self.outage = Outage::Announced;
                self.notice = self.trouble.map(Notice::Stopped);
            }
            // The user wished it, or hears nothing of what was over within a second.
            (Status::Idle, _) | (Status::Live, Outage::New) => self.outage = Outage::None,
            (Status::Live, Outage::Announced) => self.outage = Outage::Ending(RECOVERY_AWAITED),
            _ => {}
        }
    }

    fn ends(&mut self, recovery: Option<Recovery>) {
        self.outage = Outage::None;
        self.notice = Some(Notice::Back(recovery));
    }
}

/// What is shown.
impl Link {
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

    /// Why the session is not live: also while the next try is under way.
    pub const fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// The number of the next try, or of the one under way; 0 for the first one and while live.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The whole wait for the next try, and the most that it could have become if it was drawn (RC-1). `None` unless
    /// the session waits.
    pub const fn wait(&self) -> Option<(Duration, Option<Duration>)> {
        match self.status {
            Status::Waiting { ceiling, .. } => Some((self.delay, ceiling)),
            _ => None,
        }
    }

    /// Until the next try, in begun seconds: never 0. `None` unless the session waits.
    pub fn seconds_left(&self) -> Option<u64> {
        self.retry_in.map(begun_seconds)
    }

    /// Whether a live connection is being checked: an answer takes longer than usual.
    pub const fn is_checking(&self) -> bool {
        self.doubtful
    }

    /// What the return after an outage brought, for a while.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref().map(|brief| &brief.what)
    }

    /// Why the server takes no message for now, and for how many begun seconds, if a user feels it.
    pub fn pause(&self) -> Option<(ErrorCode, u64)> {
        self.pause
            .map(|brief| (brief.what, begun_seconds(brief.left)))
    }

    /// What a user hears who does not look.
    pub const fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }

    /// The round trip that was measured last, unless that is long ago.
    pub fn rtt(&self) -> Option<Duration> {
        self.trip.map(|brief| brief.what)
    }

    /// How many heartbeats were answered.
    pub const fn beats(&self) -> u32 {
        self.beats
    }

    /// How many times the state changed: a countdown starts anew with each.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    /// Whether time changes what is shown: then [`Link::tick`] is to be called once a second.
    pub const fn is_timed(&self) -> bool {
        self.retry_in.is_some()
            || self.trip.is_some()
            || self.recovery.is_some()
            || self.pause.is_some()
            || matches!(self.outage, Outage::New | Outage::Ending(_))
    }
}

impl<T> Brief<T> {
    const fn of(what: T, left: Duration) -> Self {
        Self { what, left }
    }
}

/// A second passes.
fn pass<T>(brief: &mut Option<Brief<T>>) {
    *brief = brief.take().and_then(|Brief { what, left }| {
        let left = left.saturating_sub(SECOND);
        (!left.is_zero()).then_some(Brief { what, left })
    });
}

/// In seconds, of which the last one counts when it has begun: at least 1.
fn begun_seconds(time: Duration) -> u64 {
    let begun = u64::from(time.subsec_millis() > 0);
    (time.as_secs() + begun).max(1)
}
