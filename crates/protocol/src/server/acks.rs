//! What a session's newest numbers were answered with on this connection: a repeated one is answered from
//! here, and costs the log nothing (EO-1).

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::id::{RoomName, Seq};
use crate::position::Offset;
use crate::time::Timestamp;

/// How many of them: as many as this project's client has in flight.
const ACKS_MAX: usize = 32;

/// How long after its last message a session's are known. A client that had no answer for so long has
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
    /// Of its room and body. Who found two messages with the same one could only deceive himself: it tells
    /// apart the messages of one session under one number.
    hash: u64,
    /// None until the log has answered.
    offset: Option<Offset>,
}

impl Acks {
    /// A message goes to the log.
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

    /// The log has it there.
    pub(super) fn settle(&mut self, seq: Seq, offset: Offset) {
        if let Some(index) = self.find(seq) {
            self.answers[index].offset = Some(offset);
        }
    }

    /// Where this very message is; none if that is not known here.
    pub(super) fn of(&self, seq: Seq, room: &RoomName, body: &str) -> Option<Offset> {
        let answer = &self.answers[self.find(seq)?];
        answer.offset.filter(|_| answer.hash == hash(room, body))
    }

    /// Whether nobody repeats any of these any more.
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
