//! Readers: where one connection reads in one room.

use crate::position::{Epoch, Offset, Position};

/// How many messages one pull writes at most, before the connection looks at anything else again.
const PULL_MAX: u32 = 64;

/// A pull: what to take from a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Messages after this offset,
    pub after: Offset,
    /// at most so many of them,
    pub limit: u32,
    /// and, once these reach the head, drafts and members since this version.
    pub since: u64,
}

/// The span of a room's log: what decides where a reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The identity of the log.
    pub epoch: Epoch,
    /// The offset of its newest message.
    pub head: Offset,
    /// The messages up to this offset are trimmed.
    pub trimmed: Offset,
}

impl Span {
    /// RS-5, RS-6: after which offset a reader with the position `since` begins, and whether that follows its
    /// position. If not, it gets the newest messages, at most `limit`.
    pub fn begin(&self, since: Option<&Position>, limit: u32) -> (Offset, bool) {
        let Self {
            epoch,
            head,
            trimmed,
        } = self;
        match since {
            Some(since)
                if since.epoch == *epoch && since.offset >= *trimmed && since.offset <= *head =>
            {
                (since.offset, true)
            }
            since => {
                let from = head.back(u64::from(limit)).max(*trimmed);
                (from, since.is_none())
            }
        }
    }
}

/// A cursor in one room: all that a slow consumer costs.
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

    /// The room has newer messages, or newer versions.
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

    /// A pull failed: it may be tried again.
    pub const fn pull_failed(&mut self) {
        self.busy = false;
    }

    /// The next pull, if the room has news and no pull is under way.
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

    /// The offset of the last message that was written.
    pub const fn sent(&self) -> Offset {
        self.sent
    }
}
