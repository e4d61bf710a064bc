//! The newest acks of a session on this connection: a repeated message is answered from
//! here, and costs the log nothing (EO-1).

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::id::{RoomName, Seq};
use crate::position::Offset;
use crate::time::Timestamp;

/// How many acks are kept: as many as this project's client has messages in flight.
const ACKS_MAX: usize = 32;

/// How long after a session's last message its acks are kept. A client without an answer for so long has
/// given its connection up.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// The answers of one session, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Acks {
    answers: VecDeque<Answer>,
    newest_at: Timestamp,
}

#[derive(Debug)]
struct Answer {
    seq: Seq,
    /// The hash of room and body. It tells apart the messages of one session under one number: a client that finds
    /// two texts with one hash can deceive only itself.
    hash: u64,
    /// None until the log has answered.
    offset: Option<Offset>,
}

impl Acks {
    /// A message goes to the log: its ack is expected.
    pub(super) fn expect(&mut self, now: Timestamp, seq: Seq, room: &RoomName, body: &str) {
        self.newest_at = now;
        // After a refusal for now the same number comes again.
        while self.answers.back().is_some_and(|last| last.seq >= seq) {
            self.answers.pop_back();
        }
        if self.answers.len() == ACKS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back(Answer {
            seq,
            hash: hash(room, body),
            offset: None,
        });
    }

    /// The log has the message at this offset.
    pub(super) fn settle(&mut self, seq: Seq, offset: Offset) {
        let found = self.find(seq);
        if let Some(answer) = found.and_then(|index| self.answers.get_mut(index)) {
            answer.offset = Some(offset);
        }
    }

    /// The offset of this very message; none if it is not known here.
    pub(super) fn of(&self, seq: Seq, room: &RoomName, body: &str) -> Option<Offset> {
        let answer = self.answers.get(self.find(seq)?)?;
        answer.offset.filter(|_| answer.hash == hash(room, body))
    }

    /// Whether all of these are too old to be repeated.
    pub(super) fn are_old(&self, now: Timestamp) -> bool {
        now - self.newest_at >= KEPT_FOR
    }

    fn find(&self, seq: Seq) -> Option<usize> {
        let found = self.answers.binary_search_by_key(&seq, |answer| answer.seq);
        found.ok()
    }
}

fn hash(room: &RoomName, body: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (room, body).hash(&mut hasher);
    hasher.finish()
}
