//! A page of the fuzzer: its storage, and what it believes from the events.

use std::collections::BTreeMap;

use protocol::client::{Event, Fate, Session, Status, Store, Stored};
use protocol::frame::{ErrorCode, Message};
use protocol::id::{Credentials, RoomName, Seq};
use protocol::outbox::{Entry, EntryId, Stage};
use protocol::position::{Epoch, Offset, Position};

/// A storage that survives reloads, and its checks.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    kept: Stored,
}

impl Storage {
    /// The storage that an earlier page left.
    pub fn of(credentials: Option<Credentials>, entries: Vec<Entry>) -> Self {
        let mut kept = Stored {
            credentials,
            outbox: Vec::new(),
        };
        for entry in entries {
            kept.apply(Store::Put(entry));
        }
        Self { kept }
    }

    /// The storage that a new page finds.
    pub fn stored(&self) -> Stored {
        self.kept.clone()
    }

    /// How many messages there are, and how many bytes they have.
    pub fn size(&self) -> (usize, usize) {
        let outbox = &self.kept.outbox;
        (
            outbox.len(),
            outbox.iter().map(|entry| entry.body.len()).sum(),
        )
    }

    /// Takes a change.
    ///
    /// # Panics
    /// If something is removed that was never put.
    pub fn apply(&mut self, store: Store) {
        if let Store::Remove(id) = &store {
            assert!(self.kept.entry(*id).is_some(), "removed twice: {id:?}");
        }
        self.kept.apply(store);
    }

    /// EO-4: a message is stored as sent before it leaves.
    ///
    /// # Panics
    /// If it is not.
    pub fn knows_sent(&self, seq: Seq, body: &str) {
        // A message that fits no frame goes without its text.
        let is_it = |entry: &Entry| {
            let is_same = body.is_empty() || entry.body == body;
            is_same && entry.seq == seq && entry.stage == Stage::Sent
        };
        let is_stored = self.kept.outbox.iter().any(is_it);
        assert!(is_stored, "{seq} left before it was stored as sent");
    }

    /// EO-4: after each step a reload would find what the machine has.
    ///
    /// # Panics
    /// If it would not.
    pub fn agrees_with(&self, session: &Session) {
        let mut outbox: Vec<&Entry> = session.outbox().collect();
        outbox.sort_by_key(|entry| entry.id);
        let stored: Vec<&Entry> = self.kept.outbox.iter().collect();
        assert_eq!(stored, outbox, "stored and kept in memory");
        let id = self
            .kept
            .credentials
            .as_ref()
            .map(|credentials| &credentials.id);
        assert_eq!(id, session.id(), "stored session and the one in use");
    }
}

/// The page's side of a session.
#[derive(Debug)]
pub struct Page {
    status: Status,
    rooms: BTreeMap<RoomName, Option<Position>>,
    fates: BTreeMap<EntryId, (Seq, Fate)>,
}

impl Page {
    /// A page that has just loaded, with the messages that it found in its storage.
    pub fn new(session: &Session) -> Self {
        let fate = |entry: &Entry| {
            let fate = match entry.stage {
                Stage::Uncertain => Fate::Uncertain,
                Stage::Held => Fate::Held,
                Stage::Refused(code) => Fate::Refused { code },
                Stage::Unsent | Stage::Sent => Fate::Waiting,
            };
            (entry.id, (entry.seq, fate))
        };
        Self {
            status: session.status(),
            rooms: BTreeMap::new(),
            fates: session.outbox().map(fate).collect(),
        }
    }

    /// The page joins a room, of which it shows everything up to `since` already (RS-7).
    pub fn join(&mut self, room: RoomName, since: Option<Position>) {
        self.rooms.insert(room, since);
    }

    /// The page leaves a room.
    pub fn leave(&mut self, room: &RoomName) {
        self.rooms.remove(room);
    }

    /// The page's position in a room.
    pub fn position(&self, room: &RoomName) -> Option<&Position> {
        self.rooms.get(room)?.as_ref()
    }

    /// How many rooms it is in.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Folds an event.
    ///
    /// # Panics
    /// If the event is impossible.
    pub fn fold(&mut self, event: Event) {
        match event {
            Event::Status(status) => self.status = status,
            Event::Joined { joined, gap } => {
                let (epoch, from) = (joined.epoch, joined.from);
                self.joined(&joined.room, epoch, from, gap);
            }
            Event::Message(message) => self.message(&message),
            Event::Queued(entry) => {
                let before = self.fates.insert(entry.id, (entry.seq, Fate::Waiting));
                assert_eq!(before, None, "an id given twice: {:?}", entry.id);
            }
            Event::Fate { id, seq, fate } => {
                let before = self.fates.insert(id, (seq, fate));
                let is_final = |(_, fate): &(Seq, Fate)| is_settled(*fate);
                assert!(before.is_some(), "a fate of an unknown message: {id:?}");
                assert!(
                    !before.as_ref().is_some_and(is_final),
                    "{before:?} was final, not {fate:?}"
                );
            }
            // Refused by the server, or by the client itself, which knows the limit (PU-4).
            Event::Refused(refusal) => {
                if let (ErrorCode::TooManyRooms, Some(room)) = (refusal.code, &refusal.room) {
                    self.rooms.remove(room);
                }
            }
            _ => {}
        }
    }

    /// EO-3, RS-6: offsets go on where they stopped, unless a gap was reported.
    fn joined(&mut self, room: &RoomName, epoch: Epoch, from: Offset, gap: bool) {
        let position = self.rooms.get_mut(room);
        let position = position.unwrap_or_else(|| panic!("{room} was not joined"));
        match position {
            Some(position) if !gap => {
                assert_eq!(position.epoch, epoch, "another log without a gap");
                assert!(from <= position.offset, "messages missing without a gap");
            }
            position => {
                *position = Some(Position {
                    epoch,
                    offset: from,
                });
            }
        }
    }

    fn message(&mut self, message: &Message) {
        let position = self.rooms.get_mut(&message.room).and_then(Option::as_mut);
        let position = position.unwrap_or_else(|| panic!("out of the blue: {message:?}"));
        assert_eq!(message.offset, position.offset.next(), "not the next one");
        position.offset = message.offset;
    }

    /// EO-5: the page shows what the session holds.
    ///
    /// # Panics
    /// If it is not.
    pub fn agrees_with(&self, session: &Session) {
        assert_eq!(self.status, session.status(), "shown and real status");
        let is_live = session.status() == Status::Live;
        for entry in session.outbox() {
            let shown = self.fates.get(&entry.id);
            let &(seq, fate) = shown.unwrap_or_else(|| panic!("not shown: {entry:?}"));
            assert_eq!(seq, entry.seq, "shown and real number of {entry:?}");
            let is_right = match (entry.stage, fate) {
                (Stage::Uncertain, Fate::Uncertain) | (Stage::Held, Fate::Held) => true,
                (Stage::Refused(why), Fate::Refused { code }) => why == code,
                (Stage::Unsent | Stage::Sent, Fate::Waiting) => true,
                // The close that follows a conflict makes it wait again.
                (Stage::Unsent | Stage::Sent, Fate::Sent) => is_live,
                _ => false,
            };
            assert!(is_right, "{fate:?} is shown of {entry:?}");
        }
        let open = self.fates.values().filter(|(_, fate)| !is_settled(*fate));
        let refused = |entry: &&Entry| matches!(entry.stage, Stage::Refused(_));
        let waiting = session.outbox().filter(|entry| !refused(entry));
        for (room, position) in &self.rooms {
            assert_eq!(position.as_ref(), session.position(room), "place in {room}");
        }
        assert!(open.count() >= waiting.count(), "a fate too few");
    }
}

const fn is_settled(fate: Fate) -> bool {
    matches!(fate, Fate::Durable { .. } | Fate::Refused { .. })
}
