//! Everything that ever was durable: what the judge compares pages with.

use std::collections::{BTreeMap, BTreeSet};

use everbeat_log::fold::Changes;
use protocol::frame::Message;
use protocol::id::{RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};

/// Where a message is.
type Place = (Epoch, RoomName, Offset);

/// What ever was durable, also what was trimmed, redacted or lost with its database.
#[derive(Clone, Debug, Default)]
pub(super) struct Ever {
    /// Each message as it was written.
    messages: BTreeMap<Place, Message>,
    /// The redacted form of those that were redacted.
    redacted: BTreeMap<Place, Message>,
    /// Those that were folded without their text, as it was erased from the engine (EO-8).
    erased: BTreeSet<Place>,
    /// The engine lost what it had acked: nothing can be said any more.
    is_void: bool,
    /// Where the messages of a session's number are.
    places: BTreeMap<(SessionId, Seq), Vec<Place>>,
}

impl Ever {
    /// From now on nothing can be said: other messages may come in the places of those that were durable.
    pub(super) const fn void(&mut self) {
        self.is_void = true;
    }

    pub(super) const fn is_void(&self) -> bool {
        self.is_void
    }

    /// Takes what became durable.
    pub(super) fn learn(&mut self, epoch: &Epoch, changes: &Changes) {
        let place = |message: &Message| (epoch.clone(), message.room.clone(), message.offset);
        for message in &changes.messages {
            self.take(place(message), message);
        }
        for message in &changes.redacted {
            self.redacted.insert(place(message), message.clone());
        }
    }

    /// Takes what was durable at another node.
    pub(super) fn merge(&mut self, other: &Self) {
        for (place, message) in &other.messages {
            self.take(place.clone(), message);
        }
        let redacted = other.redacted.iter();
        let redacted = redacted.map(|(place, message)| (place.clone(), message.clone()));
        self.redacted.extend(redacted);
    }

    /// Whether a message is as it was written, erased or redacted.
    pub(super) fn holds(&self, message: &Message) -> bool {
        let is_it = |place: &Place| {
            if message.removed {
                self.redacted.get(place) == Some(message)
            } else {
                let is_erased = message.body.is_empty() && self.erased.contains(place);
                is_erased || self.messages.get(place) == Some(message)
            }
        };
        self.is_void || self.of(&message.session, message.seq).any(is_it)
    }

    pub(super) fn knows(&self, session: &SessionId, seq: Seq, body: &str) -> bool {
        let mut places = self.of(session, seq);
        let is_it = |place: &Place| self.messages.get(place).is_some_and(|m| m.body == body);
        self.is_void || places.any(is_it)
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// A message is in its place. A node that lost the tail of its store folds it there again, maybe without its text;
    /// no other one may be there.
    fn take(&mut self, place: Place, message: &Message) {
        let is_erased = message.body.is_empty();
        if is_erased {
            self.erased.insert(place.clone());
        }
        match self.messages.get_mut(&place) {
            None => {
                let number = (message.session.clone(), message.seq);
                self.places.entry(number).or_default().push(place.clone());
                self.messages.insert(place, message.clone());
            }
            Some(before) if before.body.is_empty() => *before = message.clone(),
            Some(before) => assert!(
                before == message || self.is_void || is_erased && before.session == message.session,
                "in the place of {before:?}: {message:?}"
            ),
        }
    }

    fn of(&self, session: &SessionId, seq: Seq) -> impl Iterator<Item = &Place> {
        let places = self.places.get(&(session.clone(), seq));
        places.into_iter().flatten()
    }
}
