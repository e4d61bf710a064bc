//! The outbox: the client's messages that are not settled.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "lengths of texts in memory, within the limit; what is taken off was counted before"
)]

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::ErrorCode;
use crate::id::{RoomName, Seq};

/// The client's own id of a message, for as long as the outbox holds it. Unlike [`Seq`] it never
/// changes, not even when the message moves to a fresh session (RS-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub u64);

/// A message in the outbox, in memory as in the browser's storage (EO-4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The client's own id of it.
    pub id: EntryId,
    /// Its number in the session.
    pub seq: Seq,
    /// Which room.
    pub room: RoomName,
    /// The text.
    pub body: String,
    /// How far it has got.
    pub stage: Stage,
}

/// How far a message in the outbox has got. A change is stored before the step is taken, never after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It never left the page.
    Unsent,
    /// It was sent at least once; whether the server has it is not known.
    Sent,
    /// It was sent in a session that is lost: only the user can decide what to do (RS-9).
    Uncertain,
    /// It never left the page that took it, and neither that page nor its session goes on: the user
    /// decides, who may be another one by now (RS-8).
    Held,
    /// Refused for good: the user has it back, to edit or to drop (EO-7).
    Refused(ErrorCode),
}

impl Stage {
    /// Whether the message waits for the user. Such a message is not sent by itself.
    pub const fn is_aside(self) -> bool {
        match self {
            Self::Unsent | Self::Sent => false,
            Self::Uncertain | Self::Held | Self::Refused(_) => true,
        }
    }

    /// The stage of a message whose session is not continued.
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
#[non_exhaustive]
pub enum PublishError {
    /// The outbox holds as much as it may.
    #[error("too many messages are waiting: try again when some have gone")]
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

/// A bounded queue of messages in the order of their numbers, and beside it those that wait for the user.
#[derive(Clone, Debug)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    /// Messages that wait for the user ([`Stage::is_aside`]).
    aside: Vec<Entry>,
    /// How many of `entries`, from the front, were sent on this connection.
    in_flight: usize,
    next_seq: Seq,
    next_id: u64,
    /// The highest number of this session that was settled while this outbox knew its message; 0 for none (RS-3).
    settled: u64,
    /// The first id of messages that this page took; those with smaller ids were found in its storage.
    first_own: u64,
    bytes: usize,
    limit: OutboxLimit,
}

/// How much the outbox may hold, with the messages that wait for the user.
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
            settled: 0,
            bytes,
            limit,
        }
    }

    /// Takes a message and numbers it.
    ///
    /// # Errors
    /// [`PublishError::OutboxFull`] at the limit.
    pub fn push(&mut self, room: RoomName, body: String) -> Result<Entry, PublishError> {
        let id = self.admit(&body)?;
        let entry = Entry {
            id,
            seq: self.next_seq,
            room,
            body,
            stage: Stage::Unsent,
        };
        self.next_seq = self.next_seq.next();
        self.entries.push_back(entry.clone());
        Ok(entry)
    }

    /// Takes a message that another page left, for the user to decide about. It gets an id of this page.
    ///
    /// # Errors
    /// [`PublishError::OutboxFull`] at the limit.
    pub fn inherit(&mut self, mut entry: Entry) -> Result<Entry, PublishError> {
        entry.id = self.admit(&entry.body)?;
        entry.stage = entry.stage.orphaned();
        self.aside.push(entry.clone());
        Ok(entry)
    }

    /// Checks that there is room for a text, and returns an id for its message.
    fn admit(&mut self, body: &str) -> Result<EntryId, PublishError> {
        let full = self.entries.len() + self.aside.len() >= self.limit.entries
            || self.bytes + body.len() > self.limit.bytes;
        if full {
            return Err(PublishError::OutboxFull);
        }
        self.bytes += body.len();
        Ok(self.free_id())
    }

    /// A free id. After the largest number, which only a damaged storage holds, comes 0.
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

    /// The messages that were sent on this connection and are not settled.
    pub fn in_flight(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().take(self.in_flight)
    }

    /// Removes the message with this number: it is settled.
    pub fn settle(&mut self, seq: Seq) -> Option<Entry> {
        let entry = self.take(seq)?;
        self.bytes -= entry.body.len();
        Some(entry)
    }

    /// Marks the message with this number as refused for good: its text waits for the user (EO-7).
    /// One with a text that is refused as empty was sent without it: it was too large (EO-7).
    pub fn refuse(&mut self, seq: Seq, code: ErrorCode) -> Option<&Entry> {
        let mut entry = self.take(seq)?;
        let code = match code {
            ErrorCode::BodyEmpty if !entry.body.is_empty() => ErrorCode::BodyTooLarge,
            code => code,
        };
        entry.stage = Stage::Refused(code);
        self.aside.push(entry);
        self.aside.last()
    }

    fn take(&mut self, seq: Seq) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.seq == seq)?;
        if index < self.in_flight {
            self.in_flight -= 1;
        }
        self.settled = self.settled.max(seq.get());
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

    /// Goes back, so that `seq` is the next to be sent (EO-7).
    pub fn rewind(&mut self, seq: Seq) {
        if let Some(index) = self.entries.iter().position(|entry| entry.seq >= seq) {
            self.in_flight = self.in_flight.min(index);
        }
    }

    /// The connection is closed: everything is to be sent again.
    pub const fn disconnected(&mut self) {
        self.in_flight = 0;
    }

    /// Continues a session whose last settled number is `last_seq`, after [`Outbox::first_through`].
    /// Unsent messages are numbered to follow: a page that was reloaded with an empty outbox
    /// does not know how far its session had counted. False if what was sent does not follow, or a settled number is
    /// not among the session's any more.
    pub fn continue_after(&mut self, last_seq: u64) -> bool {
        if last_seq < self.settled {
            return false;
        }
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

    /// Marks the message with this number as unsent, as it certainly is not in the log (EO-6).
    pub fn mark_unsent(&mut self, seq: Seq) -> Option<&Entry> {
        let entry = self.entries.iter_mut().find(|entry| entry.seq == seq)?;
        entry.stage = Stage::Unsent;
        Some(entry)
    }

    /// The session is lost (RS-9): unsent messages are numbered anew from 1, sent ones
    /// become uncertain. Those found in storage may be another user's by now, and are held (RS-8).
    pub fn abandon_session(&mut self) {
        self.in_flight = 0;
        self.settled = 0;
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

    /// The session is lost, and the page's user may be another one (RS-8): all messages wait for the user's
    /// decision.
    pub fn orphan(&mut self) {
        self.in_flight = 0;
        self.settled = 0;
        self.next_seq = Seq::FIRST;
        for mut entry in std::mem::take(&mut self.entries) {
            entry.stage = entry.stage.orphaned();
            self.aside.push(entry);
        }
    }

    /// Sends a message that waited for the user: it gets a new number at the end. A refused one is not taken, as it
    /// would be refused again.
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

    /// Drops a message that waited for the user.
    pub fn discard(&mut self, id: EntryId) -> Option<Entry> {
        let index = self.aside.iter().position(|entry| entry.id == id)?;
        let entry = self.aside.remove(index);
        self.bytes -= entry.body.len();
        Some(entry)
    }

    /// All messages: those in order first, those that wait for the user last.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().chain(&self.aside)
    }

    /// How many messages wait to become durable, without those that wait for the user.
    pub fn waiting(&self) -> usize {
        self.entries.len()
    }
}

/// Sorts entries by one of their numbers: one copy of the code for all numbers.
fn sort(entries: &mut [Entry], number: fn(&Entry) -> u64) {
    entries.sort_by_key(number);
}
