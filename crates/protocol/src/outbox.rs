//! The client's messages that are not yet durable.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::ErrorCode;
use crate::id::{RoomName, Seq};

/// The page's own name of a message, for as long as the outbox knows it. Unlike [`Seq`] it never
/// changes, not even when the message moves to a fresh session (RS-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub u64);

/// A message on its way, as it is kept in the browser's storage too (EO-4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The page's own name of it.
    pub id: EntryId,
    /// Its number in the session.
    pub seq: Seq,
    /// Which room.
    pub room: RoomName,
    /// The text.
    pub body: String,
    /// How far it came.
    pub stage: Stage,
}

/// How far a message in the outbox came. Stored before the step is taken, never after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It never left the page.
    Unsent,
    /// It was sent at least once; whether the server has it is not known.
    Sent,
    /// It was sent in a session that is lost: only a person can tell what to do (RS-9).
    Uncertain,
    /// It never left the page that took it, and neither that page nor its session goes on: a person
    /// decides, who may be another one (RS-8).
    Held,
    /// Refused for good: a person has it back, to edit or to drop (EO-7).
    Refused(ErrorCode),
}

impl Stage {
    /// Whether it waits for a person. Such a message is sent no more by itself.
    pub const fn is_aside(self) -> bool {
        match self {
            Self::Unsent | Self::Sent => false,
            Self::Uncertain | Self::Held | Self::Refused(_) => true,
        }
    }

    /// What becomes of it when nobody goes on with the session in which it has its number.
    #[must_use]
    pub const fn orphaned(self) -> Self {
        match self {
            Self::Unsent => Self::Held,
            Self::Sent => Self::Uncertain,
            aside => aside,
        }
    }
}

/// Why a message was not taken. The text stays where it was typed (EO-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The outbox holds as much as it may.
    #[error("too many messages are waiting: try again when some have gone")]
#[non_exhaustive]
    OutboxFull,
    /// Nothing to send.
    #[error("there is nothing to send")]
    Empty,
    /// Over the server's `limits.body_bytes`.
    #[error("the text has {bytes} bytes, {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit in force.
        limit: u32,
    },
}

/// A bounded queue of messages in the order of their numbers, and beside it those for a person.
#[derive(Clone, Debug)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    /// Those that wait for a person ([`Stage::is_aside`]).
    aside: Vec<Entry>,
    /// How many of `entries`, from the front, were sent on this connection.
    in_flight: usize,
    next_seq: Seq,
    next_id: u64,
    /// Ids from here on are of messages that this page took; those before were found in its storage.
    first_own: u64,
    bytes: usize,
    limit: OutboxLimit,
}

/// How much may wait at once, what waits for a person included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimit {
    /// Messages. Overflow: [`PublishError::OutboxFull`].
    pub entries: usize,
    /// Bytes of text in all; browsers give an origin about 5 MB of storage.
    pub bytes: usize,
}

impl Outbox {
    /// An outbox with what an earlier page of this session left.
    pub fn restore(limit: OutboxLimit, mut stored: Vec<Entry>) -> Self {
        sort(&mut stored, |entry| entry.id.0);
        let next_id = stored.last().map_or(0, |entry| entry.id.0.wrapping_add(1));
        let bytes = stored.iter().map(|entry| entry.body.len()).sum();
        let (aside, mut queued): (Vec<_>, Vec<_>) =
            stored.into_iter().partition(|entry| entry.stage.is_aside());
        sort(&mut queued, |entry| entry.seq.get());
        let next_seq = queued.last().map_or(Seq::FIRST, |entry| entry.seq.next());
        Self {
            entries: queued.into(),
            aside,
            in_flight: 0,
            next_seq,
            next_id,
            first_own: next_id,
            bytes,
            limit,
        }
    }

    /// Takes a message and numbers it.
    ///
    /// # Errors
    /// [`PublishError::OutboxFull`] at the limit.
    pub fn push(&mut self, room: RoomName, body: String) -> Result<&Entry, PublishError> {
        let id = self.admit(&body)?;
        let entry = Entry {
            id,
            seq: self.next_seq,
            room,
            body,
            stage: Stage::Unsent,
        };
        self.next_seq = self.next_seq.next();
        self.entries.push_back(entry);
        Ok(&self.entries[self.entries.len() - 1])
    }

    /// Takes a message that another page left, for a person to decide about. It gets a name of this page.
    ///
    /// # Errors
    /// [`PublishError::OutboxFull`] at the limit.
    pub fn inherit(&mut self, mut entry: Entry) -> Result<&Entry, PublishError> {
        entry.id = self.admit(&entry.body)?;
        entry.stage = entry.stage.orphaned();
        self.aside.push(entry);
        Ok(&self.aside[self.aside.len() - 1])
    }

    /// Finds room for a text, and a name for its message.
    fn admit(&mut self, body: &str) -> Result<EntryId, PublishError> {
        let full = self.entries.len() + self.aside.len() >= self.limit.entries
            || self.bytes + body.len() > self.limit.bytes;
        if full {
            return Err(PublishError::OutboxFull);
        }
        self.bytes += body.len();
        Ok(self.free_id())
    }

    /// An id that no message has. After the last number of all, which only an odd storage holds, comes 0.
    fn free_id(&mut self) -> EntryId {
        // There is one: there are more numbers than messages.
        loop {
            let id = EntryId(self.next_id);
            self.next_id = self.next_id.wrapping_add(1);
            if self.iter().all(|entry| entry.id != id) {
                return id;
            }
        }
    }

    /// The next message to send on this connection, if fewer than `window` are in flight. It counts
    /// as sent from now on.
    ///
    /// Returns the stage it had before: one that was [`Stage::Unsent`] must be stored before it is sent.
    pub fn send_next(&mut self, window: usize) -> Option<(Stage, &Entry)> {
        if !self.has_unsent(window) {
            return None;
        }
        let entry = self.entries.get_mut(self.in_flight)?;
        let before = std::mem::replace(&mut entry.stage, Stage::Sent);
        self.in_flight += 1;
        Some((before, entry))
    }

    /// Whether [`Outbox::send_next`] would send one.
    pub fn has_unsent(&self, window: usize) -> bool {
        self.in_flight < window.min(self.entries.len())
    }

    /// What was sent on this connection and is not settled.
    pub fn in_flight(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().take(self.in_flight)
    }

    /// Removes the message with this number: it is settled.
    pub fn settle(&mut self, seq: Seq) -> Option<Entry> {
        let entry = self.take(seq)?;
        self.bytes -= entry.body.len();
        Some(entry)
    }

    /// The message with this number is refused for good: its text waits for a person (EO-7).
    pub fn refuse(&mut self, seq: Seq, code: ErrorCode) -> Option<&Entry> {
        let mut entry = self.take(seq)?;
        entry.stage = Stage::Refused(code);
        self.aside.push(entry);
        self.aside.last()
    }

    fn take(&mut self, seq: Seq) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.seq == seq)?;
        if index < self.in_flight {
            self.in_flight -= 1;
        }
        self.entries.remove(index)
    }

    /// The number of the first message if it was sent and is at most `last_seq`: it is to be settled or
    /// refused, and the next one looked at (RS-3). One that never left the page cannot be settled,
    /// whatever its number.
    pub fn first_through(&self, last_seq: u64) -> Option<Seq> {
        let first = self.entries.front()?;
        let is_settled = first.stage == Stage::Sent && first.seq.get() <= last_seq;
        is_settled.then_some(first.seq)
    }

    /// Goes back so that `seq` is the next to be sent (EO-7).
    pub fn rewind(&mut self, seq: Seq) {
        if let Some(index) = self.entries.iter().position(|entry| entry.seq >= seq) {
            self.in_flight = self.in_flight.min(index);
        }
    }

    /// The connection is gone: everything is to be sent again.
    pub const fn disconnected(&mut self) {
        self.in_flight = 0;
    }

    /// Continues a session whose last settled number is `last_seq`, after [`Outbox::first_through`].
    /// What never left the page is numbered to follow: a page that was reloaded with an empty outbox
    /// does not know how far its session had counted. False if what was sent does not follow.
    pub fn continue_after(&mut self, last_seq: u64) -> bool {
        let mut next = Seq::after(last_seq);
        for entry in &mut self.entries {
            match entry.stage {
                Stage::Unsent => entry.seq = next,
                _ if entry.seq == next => {}
                _ => return false,
            }
            next = next.next();
        }
        self.next_seq = next;
        true
    }

    /// The message with this number certainly is not in the log: as if never sent (EO-6).
    pub fn mark_unsent(&mut self, seq: Seq) -> Option<&Entry> {
        let entry = self.entries.iter_mut().find(|entry| entry.seq == seq)?;
        entry.stage = Stage::Unsent;
        Some(entry)
    }

    /// The session is lost (RS-9): what never left the page is numbered anew from 1, what was sent
    /// becomes uncertain. What was found in storage may be another person's by now, and is held (RS-8).
    pub fn abandon_session(&mut self) {
        self.in_flight = 0;
        self.next_seq = Seq::FIRST;
        for mut entry in std::mem::take(&mut self.entries) {
            if entry.stage == Stage::Sent || entry.id.0 < self.first_own {
                entry.stage = entry.stage.orphaned();
                self.aside.push(entry);
            } else {
                entry.seq = self.next_seq;
                self.next_seq = self.next_seq.next();
                self.entries.push_back(entry);
            }
        }
    }

    /// The session is lost, and whoever is in front of the page may be another person (RS-8): everything
    /// waits for them.
    pub fn orphan(&mut self) {
        self.in_flight = 0;
        self.next_seq = Seq::FIRST;
        for mut entry in std::mem::take(&mut self.entries) {
            entry.stage = entry.stage.orphaned();
            self.aside.push(entry);
        }
    }

    /// A person decided to send a message: it gets a new number at the end. One that was refused as it
    /// is would be refused again.
    pub fn send_again(&mut self, id: EntryId) -> Option<&Entry> {
        let is_it = |entry: &Entry| entry.id == id && !matches!(entry.stage, Stage::Refused(_));
        let index = self.aside.iter().position(is_it)?;
        let mut entry = self.aside.remove(index);
        entry.seq = self.next_seq;
        entry.stage = Stage::Unsent;
        self.next_seq = self.next_seq.next();
        self.entries.push_back(entry);
        self.entries.back()
    }

    /// A person decided to drop a message that waited for them.
    pub fn discard(&mut self, id: EntryId) -> Option<Entry> {
        let index = self.aside.iter().position(|entry| entry.id == id)?;
        let entry = self.aside.remove(index);
        self.bytes -= entry.body.len();
        Some(entry)
    }

    /// All messages, those in order first, those for a person last.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().chain(&self.aside)
    }

    /// How many messages wait to become durable, without those that wait for a person.
    pub fn waiting(&self) -> usize {
        self.entries.len()
    }
}

/// Sorts entries by a number of theirs: the same code for each number.
fn sort(entries: &mut [Entry], number: fn(&Entry) -> u64) {
    entries.sort_by_key(number);
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const LIMIT: OutboxLimit = OutboxLimit {
        entries: 3,
        bytes: 10,
    };

    fn filled(bodies: &[&str]) -> Outbox {
        let mut outbox = Outbox::restore(LIMIT, Vec::new());
        for body in bodies {
            outbox.push(RoomName::lobby(), (*body).to_owned()).unwrap();
        }
        outbox
    }

    fn seqs(outbox: &Outbox) -> Vec<u64> {
        outbox.iter().map(|entry| entry.seq.get()).collect()
    }

    /// EO-4, PU-4: full means refused at once, by count and by bytes.
    #[test]
    fn it_is_bounded() {
        let mut outbox = filled(&["a", "b", "c"]);
        assert_eq!(
            outbox.push(RoomName::lobby(), "d".into()),
            Err(PublishError::OutboxFull)
        );
        let mut outbox = filled(&["123456789"]);
        assert_eq!(
            outbox.push(RoomName::lobby(), "ab".into()),
            Err(PublishError::OutboxFull)
        );
        assert!(outbox.push(RoomName::lobby(), "a".into()).is_ok());
        assert!(outbox.settle(Seq::FIRST).is_some());
        assert!(outbox.push(RoomName::lobby(), "123456789".into()).is_ok());
    }

    /// EO-4, PU-4: exactly what waits is counted, uncertain messages and stored ones included.
    #[test]
    fn what_waits_is_counted() {
        let mut outbox = filled(&["1234", "567"]);
        let push = |outbox: &mut Outbox, bytes: usize| {
            let body = "x".repeat(bytes);
            outbox.push(RoomName::lobby(), body).is_ok()
        };
        assert!(!push(&mut outbox, 4));
        outbox.send_next(1);
        outbox.abandon_session();
        // One is uncertain now, and counts as before.
        assert!(!push(&mut outbox, 4));
        assert!(push(&mut outbox, 3));
        assert!(!push(&mut outbox, 0));
        outbox.settle(Seq::FIRST).unwrap();
        assert!(!push(&mut outbox, 4));
        let stored = outbox.iter().cloned().collect();
        let mut outbox = Outbox::restore(LIMIT, stored);
        assert!(!push(&mut outbox, 4));
        assert!(outbox.discard(EntryId(0)).is_some());
        assert!(!push(&mut outbox, 8));
        assert!(push(&mut outbox, 7));
    }

    /// RS-3: settled ones go, the rest is sent again with the old numbers, in order.
    #[test]
    fn the_rest_is_sent_again_in_order() {
        let mut outbox = filled(&["a", "b", "c"]);
        while outbox.send_next(8).is_some() {}
        outbox.disconnected();
        let first = outbox.first_through(1).unwrap();
        assert_eq!(
            outbox.settle(first).map(|entry| entry.body),
            Some("a".into())
        );
        assert_eq!(outbox.first_through(1), None);
        assert!(outbox.continue_after(1));
        assert_eq!(
            outbox.send_next(8).map(|(_, entry)| entry.seq.get()),
            Some(2)
        );
        assert_eq!(
            outbox.send_next(8).map(|(_, entry)| entry.seq.get()),
            Some(3)
        );
        assert_eq!(outbox.send_next(8), None);
    }

    /// RS-3, EO-4: a reload with an empty outbox, then a message before the server said how far the
    /// session had counted: it is numbered to follow, not taken for a settled one.
    #[test]
    fn what_never_left_the_page_is_never_settled() {
        let mut outbox = filled(&["a"]);
        assert_eq!(outbox.first_through(10), None);
        assert!(outbox.continue_after(10));
        assert_eq!(
            outbox.send_next(8).map(|(_, entry)| entry.seq.get()),
            Some(11)
        );
        assert_eq!(
            outbox
                .push(RoomName::lobby(), "b".into())
                .unwrap()
                .seq
                .get(),
            12
        );
    }

    /// RS-3: a gap among what was sent cannot be continued.
    #[test]
    fn sent_numbers_must_follow() {
        let mut outbox = filled(&["a", "b"]);
        outbox.send_next(1);
        assert!(!outbox.continue_after(5));
    }

    #[test]
    fn the_window_bounds_what_is_in_flight() {
        let mut outbox = filled(&["a", "b", "c"]);
        assert!(outbox.send_next(2).is_some());
        assert!(outbox.send_next(2).is_some());
        assert_eq!(outbox.send_next(2), None);
        outbox.settle(Seq::FIRST);
        assert_eq!(
            outbox.send_next(2).map(|(_, entry)| entry.seq.get()),
            Some(3)
        );
    }

    /// RS-9: unsent ones move to the fresh session, sent ones become uncertain.
    #[test]
    fn a_lost_session_keeps_what_never_left_the_page() {
        let mut outbox = filled(&["a", "b", "c"]);
        outbox.send_next(1);
        outbox.abandon_session();
        assert_eq!(seqs(&outbox), [1, 2, 1]);
        let stages: Vec<_> = outbox.iter().map(|entry| entry.stage).collect();
        assert_eq!(stages, [Stage::Unsent, Stage::Unsent, Stage::Uncertain]);
        assert_eq!(
            outbox.send_again(EntryId(0)).map(|entry| entry.seq.get()),
            Some(3)
        );
        assert_eq!(outbox.waiting(), 3);
    }

    /// RS-8: whoever loaded the page anew may be somebody else, and only a resumed session tells.
    #[test]
    fn a_lost_session_holds_what_was_found_in_storage() {
        let mut outbox = Outbox::restore(LIMIT, filled(&["a"]).iter().cloned().collect());
        outbox.push(RoomName::lobby(), "b".into()).unwrap();
        outbox.abandon_session();
        let found: Vec<_> = outbox
            .iter()
            .map(|entry| (entry.id.0, entry.stage))
            .collect();
        assert_eq!(found, [(1, Stage::Unsent), (0, Stage::Held)]);
        assert_eq!(outbox.waiting(), 1);
    }

    /// EO-7: a text that was refused for good stays, blocks no number, and goes when a person says so.
    #[test]
    fn a_refused_text_waits_for_a_person() {
        let mut outbox = filled(&["a", "b"]);
        while outbox.send_next(8).is_some() {}
        let refused = outbox.refuse(Seq::FIRST, ErrorCode::BodyTooLarge).unwrap();
        assert_eq!(refused.stage, Stage::Refused(ErrorCode::BodyTooLarge));
        assert_eq!((outbox.waiting(), outbox.in_flight().count()), (1, 1));
        let text = serde_json::to_string(&outbox.iter().collect::<Vec<_>>()).unwrap();
        let mut outbox = Outbox::restore(LIMIT, serde_json::from_str(&text).unwrap());
        assert_eq!(outbox.waiting(), 1);
        assert_eq!(outbox.send_again(EntryId(0)), None);
        assert_eq!(
            outbox.discard(EntryId(0)).map(|entry| entry.body),
            Some("a".into())
        );
        assert_eq!(outbox.iter().count(), 1);
    }

    /// RS-8: where nobody knows whose turn it is, nothing is sent and nothing lost.
    #[test]
    fn orphans_wait_for_a_person() {
        let mut outbox = filled(&["a", "b"]);
        outbox.send_next(1);
        outbox.orphan();
        let stages: Vec<_> = outbox.iter().map(|entry| entry.stage).collect();
        assert_eq!(stages, [Stage::Uncertain, Stage::Held]);
        assert_eq!((outbox.waiting(), outbox.send_next(8)), (0, None));
        let mut heir = filled(&["mine"]);
        for entry in outbox.iter() {
            heir.inherit(entry.clone()).unwrap();
        }
        let found: Vec<_> = heir.iter().map(|entry| (entry.id.0, entry.stage)).collect();
        let expected = [(0, Stage::Unsent), (1, Stage::Uncertain), (2, Stage::Held)];
        assert_eq!(found, expected);
        let sent = heir.send_again(EntryId(2)).unwrap();
        assert_eq!((sent.seq.get(), sent.body.as_str()), (2, "b"));
        // As many as there may be.
        let entry = outbox.iter().next().unwrap().clone();
        assert_eq!(heir.inherit(entry), Err(PublishError::OutboxFull));
    }

    /// EO-4: a reload finds the same numbers and goes on after them.
    #[test]
    fn it_survives_being_stored() {
        let mut outbox = filled(&["a", "b"]);
        outbox.send_next(1);
        let stored: Vec<Entry> = outbox.iter().cloned().collect();
        let text = serde_json::to_string(&stored).unwrap();
        let mut again = Outbox::restore(LIMIT, serde_json::from_str(&text).unwrap());
        assert_eq!(again.iter().cloned().collect::<Vec<_>>(), stored);
        let next = again.push(RoomName::lobby(), "c".into()).unwrap();
        assert_eq!((next.seq.get(), next.id), (3, EntryId(2)));
    }

    /// EO-4: an odd storage may hold the last id of all; no id is given twice for that.
    #[test]
    fn ids_are_free_whatever_was_stored() {
        let stored = |id: u64| Entry {
            id: EntryId(id),
            seq: Seq::after(id % 7),
            room: RoomName::lobby(),
            body: "a".into(),
            stage: Stage::Unsent,
        };
        let kept = vec![stored(0), stored(u64::MAX)];
        let limit = OutboxLimit {
            entries: 9,
            ..LIMIT
        };
        let mut outbox = Outbox::restore(limit, kept);
        for id in [1, 2] {
            let pushed = outbox.push(RoomName::lobby(), "b".into()).unwrap();
            assert_eq!(pushed.id, EntryId(id));
        }
    }

    /// EO-7: after a refusal for now, sending goes on from that number.
    #[test]
    fn rewinding_starts_again_from_a_number() {
        let mut outbox = filled(&["a", "b", "c"]);
        while outbox.send_next(8).is_some() {}
        outbox.rewind(Seq::after(1));
        assert_eq!(
            outbox.send_next(8).map(|(_, entry)| entry.seq.get()),
            Some(2)
        );
    }
}
