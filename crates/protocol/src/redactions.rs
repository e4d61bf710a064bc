//! The newest redactions of a room (EO-8), for readers that pull, as with
//! [`presence`](crate::presence): each redaction has a version, and a reader asks for those since its own.

use std::collections::VecDeque;

use crate::frame::Message;
use crate::position::Offset;

/// How many redactions are kept for readers, the newest (EO-8). Redacting is a moderator's work: more than this
/// while a reader is away, or slow, are rare.
pub const REDACTED_MAX: usize = 256;

/// The newest redactions of one room, in their order.
#[derive(Debug)]
pub struct Redactions {
    max: usize,
    /// Redacted messages with the versions of their announcements; 0 for those from before the room had readers.
    entries: VecDeque<(u64, Message)>,
}

impl Redactions {
    /// No redactions. At most `max` are remembered: [`REDACTED_MAX`] by default.
    pub const fn new(max: usize) -> Self {
        Self {
            max,
            entries: VecDeque::new(),
        }
    }

    /// Takes the redactions that the log knows, oldest first: those not known here came before all others.
    pub fn learn(&mut self, mut from_log: Vec<Message>) {
        from_log.retain(|message| {
            let mut known = self.newest();
            !known.any(|known| known.offset == message.offset)
        });
        let places = self.max.saturating_sub(self.entries.len());
        for message in from_log.into_iter().rev().take(places) {
            self.entries.push_front((0, message));
        }
    }

    /// Takes a redacted message, which is announced with this version.
    pub fn add(&mut self, version: u64, message: Message) {
        // The log may have reported it a moment before.
        self.entries
            .retain(|(_, known)| known.offset != message.offset);
        self.entries.push_back((version, message));
        while self.entries.len() > self.max {
            self.entries.pop_front();
        }
    }

    /// Messages up to this offset are trimmed from the log: forgets their redactions, too.
    pub fn trim(&mut self, through: Offset) {
        self.entries.retain(|(_, message)| message.offset > through);
    }

    /// All redactions that are remembered, oldest first: for a client that joins.
    pub fn newest(&self) -> impl Iterator<Item = &Message> {
        self.entries.iter().map(|(_, message)| message)
    }

    /// The redactions after `version`, oldest first, as far as they are remembered.
    pub fn since(&self, version: u64) -> impl Iterator<Item = &Message> {
        let newer = self.entries.iter().filter(move |(at, _)| *at > version);
        newer.map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::id::{Name, RoomName, Seq, SessionId};

    fn removed(number: u64) -> Message {
        Message {
            room: RoomName::lobby(),
            offset: Offset::new(number).unwrap(),
            session: SessionId::new("s1").unwrap(),
            seq: Seq::new(number).unwrap(),
            name: Name::tidy("Ada"),
            at_ms: 0,
            body: String::new(),
            removed: true,
        }
    }

    fn offsets<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<u64> {
        messages.map(|message| message.offset.get()).collect()
    }

    fn since(redactions: &Redactions, version: u64) -> Vec<u64> {
        offsets(redactions.since(version))
    }

    /// EO-8: a reader that pulls gets each redaction once, in order.
    #[test]
    fn readers_are_told_what_was_removed_since() {
        let mut redactions = Redactions::new(10);
        for (version, number) in [(3, 7), (5, 2), (6, 9)] {
            redactions.add(version, removed(number));
        }
        assert_eq!(since(&redactions, 0), [7, 2, 9]);
        assert_eq!(since(&redactions, 3), [2, 9]);
        assert_eq!(since(&redactions, 5), [9]);
        assert!(since(&redactions, 6).is_empty());
        redactions.trim(Offset::new(7).unwrap());
        assert_eq!(since(&redactions, 0), [9]);
    }

    /// EO-8: the newest are remembered; none, where there is room for none.
    #[test]
    fn the_oldest_are_forgotten() {
        let mut redactions = Redactions::new(2);
        for version in 1..=4 {
            redactions.add(version, removed(version));
        }
        assert_eq!(since(&redactions, 1), [3, 4]);
        assert_eq!(offsets(redactions.newest()), [3, 4]);
        let mut redactions = Redactions::new(0);
        redactions.add(1, removed(1));
        assert!(since(&redactions, 0).is_empty());
    }

    /// EO-8: redactions that the log knows from before are for clients that join; the readers in the room have them.
    #[test]
    fn what_the_log_knows_comes_first_and_once() {
        let mut redactions = Redactions::new(3);
        redactions.add(4, removed(8));
        for _ in 0..2 {
            redactions.learn(vec![removed(5), removed(6), removed(8)]);
            assert_eq!(offsets(redactions.newest()), [5, 6, 8]);
        }
        assert_eq!(since(&redactions, 0), [8]);
        // A redaction that the log reported before it is announced here is remembered once.
        redactions.add(5, removed(6));
        assert_eq!(offsets(redactions.newest()), [5, 8, 6]);
        // No reader waits for what came before all others: it is dropped.
        redactions.add(6, removed(1));
        assert_eq!(offsets(redactions.newest()), [8, 6, 1]);
        assert_eq!(since(&redactions, 0), [8, 6, 1]);
    }
}
