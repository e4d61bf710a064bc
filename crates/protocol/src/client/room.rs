//! One room, as a client that stays in it over many connections knows it.

use crate::frame::{Joined, Message};
use crate::position::{Offset, Position};
use crate::time::Timestamp;

/// A room that the client wants to be in.
#[derive(Debug)]
pub(super) struct Room {
    position: Option<Position>,
    phase: Phase,
    /// Where the room was when it was joined, if the client had been in it before.
    head: Option<Offset>,
    draft: String,
    /// The draft has not been sent since it changed.
    draft_due: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Not joined on this connection.
    Absent,
    /// It was left, or joined from elsewhere, on this connection, and `join` was sent again, after a `ping`. What
    /// comes before the connection's pong of this number may be of the seat before.
    Reseating { pong: u64 },
    /// `join` was sent.
    Joining,
    /// The server cannot let the client in now: `join` is sent again at this time.
    Postponed(Timestamp),
    /// `joined` came.
    Joined,
}

/// How a message relates to the room's position (EO-3).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The next one: deliver it.
    Next,
    /// Known already: drop it.
    Repeated,
    /// Some before it are missing: join again.
    Gap,
}

impl Room {
    pub(super) const fn new(since: Option<Position>) -> Self {
        Self {
            position: since,
            phase: Phase::Absent,
            head: None,
            draft: String::new(),
            draft_due: false,
        }
    }

    pub(super) const fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    pub(super) fn disconnected(&mut self) {
        self.phase = Phase::Absent;
        self.draft_due = !self.draft.is_empty();
    }

    pub(super) fn joining(&mut self) {
        self.phase = Phase::Joining;
    }

    /// `join` was sent after this many pings, and not for the first time on this connection.
    pub(super) fn reseating(&mut self, pong: u64) {
        self.phase = Phase::Reseating { pong };
    }

    /// Takes how many pings were answered.
    pub(super) fn answered(&mut self, pongs: u64) {
        if matches!(self.phase, Phase::Reseating { pong } if pongs >= pong) {
            self.phase = Phase::Joining;
        }
    }

    /// Whether what comes may still be of the seat before.
    pub(super) const fn is_reseating(&self) -> bool {
        matches!(self.phase, Phase::Reseating { .. })
    }

    /// The server cannot let the client in now. A refusal of something else leaves the room as it is.
    pub(super) fn postponed(&mut self, until: Timestamp) {
        if self.phase == Phase::Joining {
            self.phase = Phase::Postponed(until);
        }
    }

    /// The server does not let the client in, or no longer (AC-5). The next connection asks again.
    pub(super) fn denied(&mut self) {
        self.phase = Phase::Absent;
    }

    pub(super) const fn join_due(&self) -> Option<Timestamp> {
        if let Phase::Postponed(until) = self.phase {
            Some(until)
        } else {
            None
        }
    }

    /// Takes the server's answer. Returns whether messages are missing between what the client has
    /// and what follows (RS-6).
    pub(super) fn joined(&mut self, joined: &Joined) -> bool {
        self.phase = Phase::Joined;
        // `recovered` is about the position that was asked with: by now the client may have more, read in a
        // seat that was left meanwhile.
        let follows = self.position.as_ref().is_some_and(|position| {
            position.epoch == joined.epoch
                && position.offset >= joined.from
                && (joined.recovered || position.offset <= joined.head)
        });
        self.head = self.position.as_ref().map(|_| joined.head);
        let gap = self.position.is_some() && !follows;
        if !follows {
            self.position = Some(Position {
                epoch: joined.epoch.clone(),
                offset: joined.from,
            });
        }
        gap
    }

    /// Whether messages are still to come that the room had when it was joined, or the answer to `join` itself.
    pub(super) fn is_behind(&self) -> bool {
        match self.phase {
            Phase::Absent => false,
            Phase::Reseating { .. } | Phase::Joining | Phase::Postponed(_) => true,
            Phase::Joined => {
                let offset = self.position.as_ref().map(|position| position.offset);
                offset < self.head
            }
        }
    }

    /// How a message relates to the position; the next one moves it.
    pub(super) fn place(&mut self, message: &Message) -> Place {
        let Some(position) = self
            .position
            .as_mut()
            .filter(|_| self.phase == Phase::Joined)
        else {
            return Place::Repeated;
        };
        if message.offset <= position.offset {
            Place::Repeated
        } else if message.offset == position.offset.next() {
            position.offset = message.offset;
            Place::Next
        } else {
            Place::Gap
        }
    }

    pub(super) fn write_draft(&mut self, body: String) {
        self.draft_due = self.draft != body || self.draft_due;
        self.draft = body;
    }

    /// Its text was published: the draft ends without a frame of its own (PR-2).
    pub(super) fn take_draft(&mut self) {
        self.draft.clear();
        self.draft_due = false;
    }

    /// An earlier message leaves the outbox. The server takes it for the text in the box (PR-2), so what was typed
    /// since is sent again.
    pub(super) fn message_sent(&mut self) {
        self.draft_due |= !self.draft.is_empty();
    }

    pub(super) fn is_draft_due(&self) -> bool {
        self.draft_due && self.phase == Phase::Joined
    }

    pub(super) fn draft_to_send(&mut self) -> Option<String> {
        if !self.is_draft_due() {
            return None;
        }
        self.draft_due = false;
        Some(self.draft.clone())
    }
}
