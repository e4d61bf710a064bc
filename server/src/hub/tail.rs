//! The newest messages of one room, encoded once for all its readers.

use std::collections::VecDeque;

use protocol::position::Offset;

use super::entry::Entry;

/// How many of the newest messages are kept encoded. A reader further behind reads the log.
pub(in crate::hub) const TAIL_MESSAGES: usize = 256;

/// How many bytes they may have in all.
pub(in crate::hub) const TAIL_BYTES: usize = 512 * 1024;

/// Messages without a hole, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Tail {
    /// A message is new. One that does not follow the last begins a new tail.
    pub(super) fn push(&mut self, entry: Entry) {
        let last = self.entries.back();
        if last.is_some_and(|last| last.offset.next() != entry.offset) {
            self.clear();
        }
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while (self.entries.len() > TAIL_MESSAGES || self.bytes > TAIL_BYTES) && self.pop() {}
    }

    /// A message is another one now: its text was removed.
    pub(super) fn replace(&mut self, entry: &Entry) {
        let known = self.entries.iter_mut().rev();
        if let Some(known) = { known }.find(|known| known.offset == entry.offset) {
            self.bytes -= known.bytes();
            self.bytes += entry.bytes();
            *known = entry.clone();
        }
    }

    /// What is that old goes.
    pub(super) fn trim(&mut self, through: Offset) {
        let is_old = |first: &Entry| first.offset <= through;
        while self.entries.front().is_some_and(is_old) && self.pop() {}
    }

    /// All of it goes.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The messages after an offset; `None` if it does not reach back there.
    pub(super) fn after(&self, after: Offset) -> Option<impl Iterator<Item = &Entry>> {
        let next = after.next();
        let first = self.entries.front().filter(|first| first.offset <= next)?;
        let skip = usize::try_from(next.get() - first.offset.get()).unwrap_or(usize::MAX);
        Some(self.entries.iter().skip(skip))
    }

    /// What it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn pop(&mut self) -> bool {
        let oldest = self.entries.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, Entry::bytes);
        oldest.is_some()
    }
}
