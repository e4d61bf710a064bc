//! Messages of the outbox that are found in the log: they are durable, whether an ack came or not (RS-9).

use super::Session;
use super::output::Fate;
use crate::frame::Message;
use crate::id::SessionId;
use crate::outbox::{Entry, EntryId, Stage};
use crate::time::Timestamp;

/// The sessions in which this page sent messages that are now uncertain. Messages that another page left have no
/// entry. There is at most one for each message of the outbox.
#[derive(Debug, Default)]
pub(super) struct Lost(Vec<(EntryId, SessionId)>);

impl Session {
    /// Notes the session of each message that becomes uncertain now.
    pub(super) fn note_lost(&mut self) {
        let mut lost = Vec::new();
        for entry in self.outbox.iter() {
            lost.extend(self.sent_in(entry).map(|it| (entry.id, it.clone())));
        }
        self.lost = Lost(lost);
    }

    /// Takes messages of the log that the application has from elsewhere.
    pub(super) fn seen(&mut self, now: Timestamp, messages: &[Message]) {
        let mut found = false;
        for message in messages {
            found |= self.find(message);
        }
        if found {
            // There is room for more.
            self.flush_outbox(now);
        }
    }

    /// Settles the message of the outbox that this message of the log is. Returns whether there is one.
    fn find(&mut self, message: &Message) -> bool {
        let is_it = |entry: &&Entry| {
            message.is_published_as(&entry.room, entry.seq, &entry.body)
                && self.sent_in(entry) == Some(&message.session)
        };
        let Some((id, seq, stage)) = self
            .outbox
            .iter()
            .find(is_it)
            .map(|entry| (entry.id, entry.seq, entry.stage))
        else {
            return false;
        };
        let found = if stage == Stage::Sent {
            self.outbox.settle(seq)
        } else {
            self.outbox.discard(id)
        };
        if let Some(entry) = found {
            let offset = Some(message.offset);
            self.settled(&entry, Fate::Durable { offset });
        }
        true
    }

    /// The session in which a message of the outbox was sent under its number, if it is known.
    fn sent_in(&self, entry: &Entry) -> Option<&SessionId> {
        match entry.stage {
            Stage::Sent => self.id(),
            Stage::Uncertain => {
                let lost = self.lost.0.iter().find(|(id, _)| *id == entry.id);
                lost.map(|(_, session)| session)
            }
            Stage::Unsent | Stage::Held | Stage::Refused(_) => None,
        }
    }
}
