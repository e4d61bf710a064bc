//! The messages that came while the reader did not see them, and the line above the first of them.

use protocol::frame::Message;
use protocol::position::Offset;

use super::{Logged, Timeline};

/// The newest messages of others that the reader did not see come. They stay marked after they are seen: the reader
/// finds where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// The number of the first one's epoch among those that the page saw.
    epoch: u32,
    first: Offset,
    count: u32,
    is_seen: bool,
}

impl Unread {
    /// How many they are.
    pub(super) const fn count(self) -> u32 {
        self.count
    }

    /// Whether the row is the first one, or stands below where that one was.
    pub(super) fn includes(self, row: &Logged) -> bool {
        (row.epoch, row.message.offset) >= (self.epoch, self.first)
    }
}

impl Timeline {
    /// Sets whether the reader sees new messages come: the page is visible, and shows the newest ones. Returns whether
    /// anything changed.
    pub const fn attend(&mut self, attends: bool) -> bool {
        self.attends = attends;
        match &mut self.unread {
            Some(unread) if attends && !unread.is_seen => {
                unread.is_seen = true;
                true
            }
            _ => false,
        }
    }

    /// How many messages of others came that the reader has not seen.
    pub fn unread(&self) -> u32 {
        let unseen = self.unread.filter(|unread| !unread.is_seen);
        unseen.map_or(0, Unread::count)
    }

    /// How many messages [`Item::Unread`](super::Item::Unread) stands above: those that came before the reader saw them.
    pub fn marked(&self) -> u32 {
        self.unread.map_or(0, Unread::count)
    }

    /// Takes a new message of another session.
    pub(super) fn count_unread(&mut self, message: &Message) {
        if self.attends {
            return;
        }
        match &mut self.unread {
            Some(unread) if !unread.is_seen => unread.count = unread.count.saturating_add(1),
            unread => {
                *unread = Some(Unread {
                    epoch: self.epochs,
                    first: message.offset,
                    count: 1,
                    is_seen: false,
                });
            }
        }
    }
}
