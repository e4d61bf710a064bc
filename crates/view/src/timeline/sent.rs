//! The page's own messages on their way to the log.

use protocol::client::Fate;
use protocol::frame::Message;
use protocol::id::Seq;
use protocol::outbox::{Entry, EntryId, Stage};

use super::{Pending, Row, Timeline};

impl Timeline {
    pub(super) fn restore(&mut self, pending: Pending) {
        if !self.settle_shown(&pending) {
            self.pending.push(pending);
        }
    }

    /// Finds the row in the log of a message that was on its way. Returns whether there is one.
    fn settle_shown(&mut self, pending: &Pending) -> bool {
        for row in self.rows.iter_mut().rev() {
            if let Row::Logged(logged) = row
                && logged.epoch == self.epochs
                && pending.is(&logged.message)
            {
                logged.entry = Some(pending.id);
                return true;
            }
        }
        false
    }

    pub(super) fn queue(&mut self, entry: &Entry) -> bool {
        // A view that began with the outbox has it already.
        if self.pending.iter().all(|pending| pending.id != entry.id) {
            self.pending.push(Pending::new(entry, None));
        }
        if entry.stage == Stage::Unsent {
            self.queued = self.queued.wrapping_add(1);
            // An answer shows that the reader has read.
            self.unread = None;
        }
        true
    }

    pub(super) fn fate(&mut self, id: EntryId, seq: Seq, fate: Fate) -> bool {
        let Some(index) = self.pending.iter().position(|pending| pending.id == id) else {
            return false;
        };
        let is_here = self.pending[index].room == self.room;
        match fate {
            Fate::Durable { offset } if offset.is_none() || !is_here => {
                self.pending.remove(index);
            }
            Fate::Waiting if self.pending[index].is_aside() => {
                let mut pending = self.pending.remove(index);
                pending.become_waiting(seq);
                self.pending.push(pending);
            }
            Fate::Waiting => self.pending[index].become_waiting(seq),
            Fate::Sent => self.pending[index].become_sent(seq, self.own.current()),
            Fate::Durable { .. } | Fate::Uncertain | Fate::Held | Fate::Refused { .. } => {
                let mut pending = self.pending.remove(index);
                pending.fate = fate;
                let beginning = self.beginning();
                let is_further_up = pending.offset().is_some_and(|offset| offset < beginning);
                if !self.settle_shown(&pending) && !is_further_up {
                    self.pending.insert(index, pending);
                }
            }
        }
        true
    }

    /// Takes the message out of those on their way, and returns its entry, if it was one of them.
    pub(super) fn settle_pending(&mut self, message: &Message) -> Option<EntryId> {
        let index = self
            .pending
            .iter()
            .position(|pending| pending.is(message))?;
        Some(self.pending.remove(index).id)
    }
}
