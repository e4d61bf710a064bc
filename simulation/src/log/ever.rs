//! Everything that ever was durable: what the judge compares pages with.

use std::collections::BTreeMap;

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
    /// Where the messages of a session's number are.
    places: BTreeMap<(SessionId, Seq), Vec<Place>>,
}

impl Ever {
    /// Takes what became durable.
    pub(super) fn learn(&mut self, epoch: &Epoch, changes: &Changes) {
        let place = |message: &Message| (epoch.clone(), message.room.clone(), message.offset);
        for message in &changes.messages {
            let before = self.messages.insert(place(message), message.clone());
            match before {
                // A node that lost the tail of its store folds it again.
                Some(before) => assert_eq!(before, *message, "another message at its offset"),
                None => {
                    let number = (message.session.clone(), message.seq);
                    self.places.entry(number).or_default().push(place(message));
                }
            }
        }
        for message in &changes.redacted {
            self.redacted.insert(place(message), message.clone());
        }
    }

    pub(super) fn holds(&self, message: &Message) -> bool {
        let form = match message.removed {
            true => &self.redacted,
            false => &self.messages,
        };
        let mut places = self.of(&message.session, message.seq);
        places.any(|place| form.get(place) == Some(message))
    }

    pub(super) fn knows(&self, session: &SessionId, seq: Seq, body: &str) -> bool {
        let mut places = self.of(session, seq);
        places.any(|place| self.messages.get(place).is_some_and(|m| m.body == body))
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    fn of(&self, session: &SessionId, seq: Seq) -> impl Iterator<Item = &Place> {
        self.places
            .get(&(session.clone(), seq))
            .into_iter()
            .flatten()
    }
}
