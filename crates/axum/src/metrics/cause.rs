//! Why sessions came back, as far as the server saw how their connections had ended.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use protocol::close::CloseCode;
use protocol::id::SessionId;

/// Why a session came back: how its connection before had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It ended by the return itself (RS-4): the client noticed first that the connection was dead.
    Unseen,
    /// The server heard nothing in time (HB-4).
    Silent,
    /// It broke, without a close.
    Broken,
    /// The client closed it, as at a closed page.
    Left,
    /// The server closed it: a restart, an operator, a slow consumer, an error.
    Closed,
    /// The server does not remember: it ended before this process began, or long ago.
    Unknown,
}

impl Cause {
    /// All of them, in the order of [`Returns::counts`].
    pub const ALL: [Self; 6] = [
        Self::Unseen,
        Self::Silent,
        Self::Broken,
        Self::Left,
        Self::Closed,
        Self::Unknown,
    ];

    const fn of(code: CloseCode) -> Self {
        match code {
            CloseCode::DEAD => Self::Silent,
            CloseCode::ABNORMAL => Self::Broken,
            CloseCode::TAKEN_OVER => Self::Unseen,
            CloseCode::NORMAL | CloseCode::GOING_AWAY => Self::Left,
            _ => Self::Closed,
        }
    }
}

/// How many ends are remembered. A later end takes the place of an earlier one with the same place, so with very many
/// sessions the oldest are forgotten first; their causes count as unknown.
const SLOTS: usize = 1 << 14;

/// The ends of connections that sessions may come back from, and counts of those that did. It takes 64 KiB, however
/// many sessions there are: 24 bits tell the sessions of one place apart, and 8 name the cause.
#[derive(Debug)]
pub struct Returns {
    slots: Box<[AtomicU32]>,
    hash: RandomState,
    counts: [AtomicU64; Cause::ALL.len()],
}

impl Default for Returns {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(),
            hash: RandomState::new(),
            counts: Default::default(),
        }
    }
}

impl Returns {
    /// Notes the end of a session's connection.
    pub fn ended(&self, session: &SessionId, code: CloseCode) {
        let (slot, tag) = self.place(session);
        slot.store(tag | (Cause::of(code) as u32 + 1), Ordering::Relaxed);
    }

    /// Counts the return of a session, which took it from another connection here or not. Returns the cause.
    pub fn returned(&self, session: &SessionId, was_held: bool) -> Cause {
        let cause = if was_held {
            Cause::Unseen
        } else {
            self.cause(session)
        };
        self.counts[cause as usize].fetch_add(1, Ordering::Relaxed);
        cause
    }

    /// How many sessions came back, by cause, in the order of [`Cause::ALL`].
    pub fn counts(&self) -> [u64; Cause::ALL.len()] {
        std::array::from_fn(|cause| self.counts[cause].load(Ordering::Relaxed))
    }

    fn cause(&self, session: &SessionId) -> Cause {
        let (slot, tag) = self.place(session);
        let noted = slot.load(Ordering::Relaxed);
        let cause = (noted & 0xff)
            .checked_sub(1)
            .filter(|_| noted & !0xff == tag);
        let cause = cause.and_then(|cause| Cause::ALL.get(cause as usize));
        cause.copied().unwrap_or(Cause::Unknown)
    }

    /// The slot of a session, and its tag in the upper 24 bits.
    #[expect(clippy::cast_possible_truncation, reason = "parts of a hash")]
    fn place(&self, session: &SessionId) -> (&AtomicU32, u32) {
        let hash = self.hash.hash_one(session);
        (
            &self.slots[hash as usize % SLOTS],
            (hash >> 32) as u32 & !0xff,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_has_the_cause_of_the_end_before() {
        let returns = Returns::default();
        let id = |text: &str| SessionId::new(text).unwrap();
        returns.ended(&id("ada"), CloseCode::DEAD);
        returns.ended(&id("bob"), CloseCode::ABNORMAL);
        assert_eq!(returns.returned(&id("ada"), false), Cause::Silent);
        assert_eq!(returns.returned(&id("bob"), false), Cause::Broken);
        returns.ended(&id("ada"), CloseCode::GOING_AWAY);
        assert_eq!(returns.returned(&id("ada"), false), Cause::Left);
        returns.ended(&id("ada"), CloseCode::SERVICE_RESTART);
        assert_eq!(returns.returned(&id("ada"), false), Cause::Closed);
        assert_eq!(returns.returned(&id("ada"), true), Cause::Unseen);
        assert_eq!(returns.returned(&id("eve"), false), Cause::Unknown);
        assert_eq!(returns.counts(), [1; 6]);
        // The end by the return may come before the return is counted.
        returns.ended(&id("ada"), CloseCode::TAKEN_OVER);
        assert_eq!(returns.returned(&id("ada"), false), Cause::Unseen);
    }

    /// A session is not taken for another one that has its place.
    #[test]
    fn forgotten_ends_are_unknown() {
        let returns = Returns::default();
        let id = |n: usize| SessionId::new(&format!("s{n}")).unwrap();
        for n in 0..10 * SLOTS {
            returns.ended(&id(n), CloseCode::DEAD);
        }
        let silent = (0..10 * SLOTS)
            .filter(|n| returns.cause(&id(*n)) == Cause::Silent)
            .count();
        assert!(silent <= SLOTS + 10, "{silent}");
        assert!(silent > SLOTS / 2, "{silent}");
    }
}
