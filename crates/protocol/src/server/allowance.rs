//! The allowance of one connection: the cost of its frames, and pauses in reading where they cost too much.
//!
//! Each connection has a bucket of points, and each frame takes some. No frame is dropped for its cost: it is
//! served, and nothing more is read from the connection until it is paid for (back-pressure). The driver asks
//! for the cost, too, for the limits over more than one connection
//! ([`Connection::take_cost`](super::Connection::take_cost)).

use std::time::Duration;

use super::Config;
use crate::rate::Bucket;
use crate::time::Timestamp;

/// The cost of any frame: it is read, decoded and perhaps answered.
pub(super) const FRAME: u32 = 1;

/// The cost of a frame that all members of a room get news of, or that needs a look into the log: `join`, `leave`, a
/// new name in each room, a number that was used before.
pub(super) const NEWS: u32 = 10;

/// The cost of a frame that is answered with a page of the log, or needs a signature to be checked.
pub(super) const PAGE: u32 = 50;

/// How many bytes of text cost as much as a frame: they are copied to all readers of the room.
const TEXT_BYTES: usize = 512;

/// How long a client may receive nothing while its connection is not read: it probes after a second (HB-6).
const WORD_EVERY: Duration = Duration::from_millis(500);

/// The cost of frames since the last call of `take_cost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// In points; to be counted for the connection's user and for its address.
    pub points: u32,
    /// The connection exceeded its own limit.
    pub is_over: bool,
}

/// The state of one connection's allowance.
#[derive(Debug)]
pub(super) struct Allowance {
    bucket: Bucket,
    /// Rare, and so not part of what every session keeps.
    pause: Option<Box<Pause>>,
    pause_max_ms: u32,
    cost: Cost,
}

/// A time in which nothing is read.
#[derive(Debug)]
struct Pause {
    until: Timestamp,
    /// When the next sign of life is due to the client.
    word_at: Timestamp,
}

impl Allowance {
    pub(super) fn new(now: Timestamp, config: &Config) -> Self {
        Self {
            bucket: Bucket::new(now, config.frames_per_s, config.frame_burst),
            pause: None,
            pause_max_ms: u32::try_from(config.heartbeat_timeout.as_millis()).unwrap_or(u32::MAX),
            cost: Cost::default(),
        }
    }

    /// Takes the cost of a frame, in points: for this connection, and for all of its user's together.
    pub(super) fn spend(&mut self, now: Timestamp, own: u32, shared: u32) {
        self.share(shared);
        if own > 0 {
            let wait = self.bucket.spend(now, own);
            self.owe(now, wait);
        }
    }

    /// Takes a cost that counts only for all connections of the user together.
    pub(super) const fn share(&mut self, points: u32) {
        self.cost.points = self.cost.points.saturating_add(points);
    }

    /// The connection exceeded a limit of its own: it is read again after this time, if that is not zero.
    pub(super) fn owe(&mut self, now: Timestamp, wait: Duration) {
        if !wait.is_zero() {
            self.cost.is_over = true;
            self.pause(now, wait);
        }
    }

    /// Pauses reading for this time, but no longer than an answer to a ping may take: otherwise each end would take
    /// the other for dead.
    pub(super) fn pause(&mut self, now: Timestamp, wait: Duration) {
        let until = now + wait.min(Duration::from_millis(self.pause_max_ms.into()));
        let word_at = if wait > WORD_EVERY { now } else { until };
        let pause = self
            .pause
            .get_or_insert_with(|| Box::new(Pause { until, word_at }));
        pause.until = pause.until.max(until);
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Ends the pause if it is over. Returns whether a sign of life is due to the client meanwhile: a server that
    /// does not read must not look dead (HB-1).
    pub(super) fn handle_timeout(&mut self, now: Timestamp) -> bool {
        let Some(pause) = &mut self.pause else {
            return false;
        };
        if now >= pause.until {
            self.pause = None;
            return false;
        }
        if now < pause.word_at {
            return false;
        }
        let is_long = pause.until - now > WORD_EVERY;
        pause.word_at = if is_long {
            now + WORD_EVERY
        } else {
            pause.until
        };
        is_long
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let pause = self.pause.as_ref()?;
        Some(pause.until.min(pause.word_at))
    }

    pub(super) fn take_cost(&mut self) -> Cost {
        std::mem::take(&mut self.cost)
    }
}

/// The cost of a text beside its frame.
pub(super) fn text_cost(text: &str) -> u32 {
    u32::try_from(text.len() / TEXT_BYTES).unwrap_or(u32::MAX)
}
