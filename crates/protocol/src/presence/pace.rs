//! The pace of presence: how fast readers get drafts and members. One draft costs its bytes for each reader.
//!
//! A reader takes the latest state whenever it pulls, so nothing is lost by waiting. What is bounded is the
//! fan-out: some hundred members of a room who all type long texts would otherwise have the server encode,
//! wake and write for seconds, while all other clients wait.

use std::time::Duration;

use super::{DRAFTS_BYTES, Presence};
use crate::rate::Bucket;
use crate::time::Timestamp;

/// How many bytes of drafts and members all readers together get a second, by default: in small pieces that is about
/// what one core can write.
pub const FAN_OUT_BYTES: u32 = 64 << 20;

/// The cost of waking a reader and writing to it, beside the bytes of a draft.
const READER_BYTES: usize = 256;

/// An announcement of at most this cost never waits: a room of a few readers types on while a large one is paced.
const FREE_BYTES: usize = 64 * 1024;

/// How many bytes one token of the bucket stands for.
const TOKEN_BYTES: usize = 1024;

/// The budget for what all rooms together send to their readers.
#[derive(Debug)]
pub struct FanOut {
    bucket: Bucket,
}

impl FanOut {
    /// A budget of so many bytes a second, and half as many at once.
    pub fn new(now: Timestamp, bytes_per_s: u32) -> Self {
        let tokens = (bytes_per_s / 1024).max(2);
        Self {
            bucket: Bucket::new(now, tokens, tokens / 2),
        }
    }

    /// Spends the cost of an announcement to so many readers. Returns how long their room has to wait for the next.
    fn spend(&mut self, now: Timestamp, bytes: usize, readers: usize) -> Duration {
        let cost = (bytes + READER_BYTES).saturating_mul(readers);
        let tokens = u32::try_from(cost.div_ceil(TOKEN_BYTES)).unwrap_or(u32::MAX);
        let wait = self.bucket.spend(now, tokens);
        if cost <= FREE_BYTES {
            return Duration::ZERO;
        }
        wait
    }
}

/// How much of one room's [`Presence`] was announced to its readers.
#[derive(Debug, Default)]
pub struct Pace {
    announced: u64,
    /// No announcement before this time.
    until: Option<Timestamp>,
}

impl Pace {
    /// The version up to which changes were announced.
    pub const fn announced(&self) -> u64 {
        self.announced
    }

    /// Announces changes to readers, as far as the budget allows: in pieces of [`DRAFTS_BYTES`], each of which
    /// has to be paid for before the next. To be called after each change, and at [`Pace::poll_timeout`].
    /// Returns whether a wait begins: the next changes are announced later.
    pub fn announce(
        &mut self,
        now: Timestamp,
        presence: &Presence,
        readers: usize,
        fan_out: &mut FanOut,
    ) -> bool {
        if self.until.is_some_and(|until| until > now) {
            return false;
        }
        self.until = None;
        while self.announced < presence.version() && self.until.is_none() {
            let (through, bytes) = presence.piece_after(self.announced);
            self.announced = through;
            let wait = fan_out.spend(now, bytes, readers);
            self.until = (!wait.is_zero()).then(|| now + wait);
        }
        self.until.is_some()
    }

    /// Announces everything at once, for what must not wait: a redaction (EO-8).
    pub const fn announce_all(&mut self, presence: &Presence) {
        self.announced = presence.version();
    }

    /// When to call [`Pace::announce`] next, if readers are behind.
    pub fn poll_timeout(&self, presence: &Presence) -> Option<Timestamp> {
        self.until.filter(|_| self.announced < presence.version())
    }
}

impl Presence {
    /// The next piece for a reader that knows `version`: the version it reaches, and its bytes of drafts.
    fn piece_after(&self, version: u64) -> (u64, usize) {
        let (mut through, mut bytes) = (version, 0);
        for (at, (_, body)) in self.drafts.since(version) {
            let next = bytes + crate::codec::text_bytes(body);
            if next > DRAFTS_BYTES && through > version {
                return (through, bytes);
            }
            (through, bytes) = (at, next);
        }
        (self.version, bytes)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::id::{ConnectionId, Generation, Holder, Name, SessionId};

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn id(number: u64) -> SessionId {
        SessionId::new(&format!("s{number}")).unwrap()
    }

    /// A room with so many members, all of them announced.
    fn crowd(members: u64) -> (Presence, Pace) {
        let mut presence = Presence::new(10);
        for number in 0..members {
            let connection = ConnectionId::new(number);
            let generation = Generation::default();
            let holder = Holder {
                connection,
                generation,
            };
            presence.enter(at(0), id(number), Name::tidy("x"), holder);
        }
        presence.handle_timeout(at(10_000));
        let mut pace = Pace::default();
        pace.announce_all(&presence);
        (presence, pace)
    }

    /// PR-2, PU-4: 400 pages that each type 8 kB to each other are 1.3 GB. Readers get it piece by piece, no
    /// faster than the fan-out allows, and in the end everything.
    #[test]
    fn many_long_drafts_are_told_slowly_and_whole() {
        let (mut presence, mut pace) = crowd(400);
        let mut fan_out = FanOut::new(at(10_000), 64 << 20);
        for number in 0..400 {
            presence.draft(&id(number), "x".repeat(8_000), 0);
            pace.announce(at(10_000), &presence, 400, &mut fan_out);
        }
        let (mut sent, mut known) = (0, pace.announced());
        let mut now = at(10_000);
        let mut longest = Duration::ZERO;
        while let Some(due) = pace.poll_timeout(&presence) {
            longest = longest.max(due - now);
            now = due;
            pace.announce(now, &presence, 400, &mut fan_out);
            while known < pace.announced() {
                let changes = presence.changes_between(known, pace.announced()).unwrap();
                let bytes: usize = changes.drafts.iter().map(|draft| draft.body.len()).sum();
                assert!(bytes <= DRAFTS_BYTES, "{bytes}");
                sent += bytes * 400;
                known = changes.until.unwrap_or_else(|| pace.announced());
            }
        }
        assert_eq!(known, presence.version());
        let took = (now - at(10_000)).as_secs_f64();
        // The last piece is announced, and not yet paid for.
        let rate = (sent - DRAFTS_BYTES * 400) as f64 / took;
        assert!(rate <= f64::from(64 << 20), "{rate} bytes a second");
        assert!(
            took < 30.0 && longest < Duration::from_secs(1),
            "{took} {longest:?}"
        );
    }

    /// PR-2: the latest wins: while readers are paced, only the newest text of a draft is shown.
    #[test]
    fn what_was_overwritten_meanwhile_is_not_told() {
        let (mut presence, mut pace) = crowd(2_000);
        let mut fan_out = FanOut::new(at(10_000), 1 << 20);
        presence.draft(&id(0), "x".repeat(8_000), 0);
        assert!(pace.announce(at(10_000), &presence, 2_000, &mut fan_out));
        let known = pace.announced();
        for key in 0..50 {
            presence.draft(&id(0), format!("key {key}"), 0);
            pace.announce(at(10_000 + key), &presence, 2_000, &mut fan_out);
        }
        assert_eq!(pace.announced(), known);
        let due = pace.poll_timeout(&presence).unwrap();
        pace.announce(due, &presence, 2_000, &mut fan_out);
        let changes = presence.changes_between(known, pace.announced()).unwrap();
        assert_eq!(changes.drafts.len(), 1);
        assert_eq!(changes.drafts[0].body, "key 49");
    }

    /// A room of a few readers does not wait for the debts of large ones.
    #[test]
    fn a_small_room_never_waits() {
        let mut fan_out = FanOut::new(at(10_000), 1 << 20);
        let (mut large, mut large_pace) = crowd(2_000);
        large.draft(&id(0), "x".repeat(8_000), 0);
        large_pace.announce(at(10_000), &large, 2_000, &mut fan_out);
        let (mut small, mut pace) = crowd(5);
        for key in 0..50 {
            small.draft(&id(1), format!("key {key}"), 0);
            pace.announce(at(10_000), &small, 5, &mut fan_out);
            assert_eq!(pace.announced(), small.version());
        }
    }

    /// EO-8: a redaction is announced at once, whatever the room owes.
    #[test]
    fn a_removal_does_not_wait() {
        let (mut presence, mut pace) = crowd(2_000);
        let mut fan_out = FanOut::new(at(10_000), 1 << 20);
        presence.draft(&id(0), "x".repeat(8_000), 0);
        pace.announce(at(10_000), &presence, 2_000, &mut fan_out);
        let version = presence.bump_version();
        assert!(pace.announced() < version);
        pace.announce_all(&presence);
        assert_eq!(pace.announced(), version);
        assert_eq!(pace.poll_timeout(&presence), None);
    }
}
