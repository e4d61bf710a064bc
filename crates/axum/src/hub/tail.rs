//! The tail: the newest messages of one room, encoded once for all its readers.

use std::collections::VecDeque;

use protocol::position::Offset;

use super::entry::Entry;

/// The most messages in a tail. A reader further behind reads the log.
pub(in crate::hub) const TAIL_MESSAGES: usize = 256;

/// The most bytes in a tail.
pub(in crate::hub) const TAIL_BYTES: usize = 512 * 1024;

/// A tail: messages without a hole, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Tail {
    /// Adds a new message. One that does not follow the last begins a new tail.
    pub(super) fn push(&mut self, entry: Entry) {
        let last = self.entries.back();
        if last.is_some_and(|last| last.offset.next() != entry.offset) {
            self.clear();
        }
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while (self.entries.len() > TAIL_MESSAGES || self.bytes > TAIL_BYTES) && self.pop() {}
    }

    /// Replaces a message by its redacted form.
    pub(super) fn replace(&mut self, entry: &Entry) {
        let known = self.entries.iter_mut().rev();
        if let Some(known) = { known }.find(|known| known.offset == entry.offset) {
            self.bytes -= known.bytes();
            self.bytes += entry.bytes();
            *known = entry.clone();
        }
    }

    /// Drops the messages up to this offset.
    pub(super) fn trim(&mut self, through: Offset) {
        let is_old = |first: &Entry| first.offset <= through;
        while self.entries.front().is_some_and(is_old) && self.pop() {}
    }

    /// Drops all messages.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The messages after an offset; `None` if the tail does not reach back there.
    pub(super) fn after(&self, after: Offset) -> Option<impl Iterator<Item = &Entry>> {
        let next = after.next();
        let first = self.entries.front().filter(|first| first.offset <= next)?;
        let skip = usize::try_from(next.get() - first.offset.get()).unwrap_or(usize::MAX);
        Some(self.entries.iter().skip(skip))
    }

    /// The memory that the tail takes, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn pop(&mut self) -> bool {
        let oldest = self.entries.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, Entry::bytes);
        oldest.is_some()
    }
}
