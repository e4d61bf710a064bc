//! Where one connection reads in one room.

use crate::position::Offset;

/// How many messages are written before the connection looks at anything else again.
const PULL_MAX: u32 = 64;

/// What to take from a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Messages after this offset,
    pub after: Offset,
    /// at most so many of them,
    pub limit: u32,
    /// and, once these reach the head, drafts and members since this version.
    pub since: u64,
}

/// A cursor: a slow consumer costs no more than this.
#[derive(Clone, Debug)]
pub struct Reader {
    sent: Offset,
    head: Offset,
    seen: u64,
    version: u64,
    /// A pull is under way.
    busy: bool,
}

impl Reader {
    /// A reader that has everything up to this offset and version.
    pub const fn new(sent: Offset, head: Offset, version: u64) -> Self {
        Self {
            sent,
            head,
            seen: version,
            version,
            busy: false,
        }
    }

    /// The room moved on.
    pub fn moved(&mut self, head: Offset, version: u64) {
        self.head = self.head.max(head);
        self.version = self.version.max(version);
    }

    /// A pull was written.
    pub fn pulled(&mut self, through: Offset, version: u64) {
        self.busy = false;
        self.sent = self.sent.max(through);
        self.seen = self.seen.max(version);
    }

    /// A pull brought nothing: it may be tried again.
    pub const fn pull_failed(&mut self) {
        self.busy = false;
    }

    /// The next pull, if there is anything to take and none is under way.
    pub fn next_pull(&mut self) -> Option<Pull> {
        if self.busy || (self.sent >= self.head && self.seen >= self.version) {
            return None;
        }
        self.busy = true;
        Some(Pull {
            after: self.sent,
            limit: PULL_MAX,
            since: self.seen,
        })
    }

    /// Up to where messages were written.
    pub const fn sent(&self) -> Offset {
        self.sent
    }
}
