//! The ring of a session's newest entries, within bytes, and its readers.

use std::collections::VecDeque;

use super::{Entry, Fact};
use crate::codec;
use crate::time::Timestamp;

/// The memory of a line beside its text: its place in the queue, which grows by doubling, and the allocator's overhead.
pub const LINE_BYTES: usize = 64;

/// The newest entries of a session, encoded once for all readers.
#[derive(Debug)]
pub struct Ring {
    bytes_max: usize,
    lines: VecDeque<Box<str>>,
    bytes: usize,
    /// How many lines were dropped: the place of the oldest one.
    dropped: u64,
}

impl Ring {
    /// A ring of at most so many bytes; one line always fits.
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            lines: VecDeque::new(),
            bytes: 0,
            dropped: 0,
        }
    }

    /// Adds an entry; drops the oldest ones where there are too many bytes.
    pub fn push(&mut self, entry: &Entry) {
        let line = codec::encode(entry).into_boxed_str();
        self.bytes = self.bytes.saturating_add(size(&line));
        self.lines.push_back(line);
        while self.bytes > self.bytes_max
            && self.lines.len() > 1
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(size(&oldest));
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// A reader of what comes from now on.
    pub fn reader(&self) -> Reader {
        Reader {
            at: self.end(),
            n: 0,
        }
    }

    /// The memory that the lines take, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place of the next line.
    fn end(&self) -> u64 {
        self.dropped.saturating_add(self.lines.len() as u64)
    }
}

fn size(line: &str) -> usize {
    line.len().saturating_add(LINE_BYTES)
}

/// A reader's place in a ring. It numbers the lines that it writes.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The place of the next line in the ring.
    at: u64,
    /// The number of the last line that was written, lost ones included.
    n: u64,
}

impl Reader {
    /// Whether the ring has lines for this reader.
    pub fn is_behind(&self, ring: &Ring) -> bool {
        self.at < ring.end()
    }

    /// Writes the next lines, until `out` has `bytes` or more. Lines that the ring dropped become one of
    /// [`Fact::Lost`], which bears the number of the last of them. Returns how many were lost.
    pub fn read(&mut self, now: Timestamp, ring: &Ring, bytes: usize, out: &mut String) -> u64 {
        let lost = ring.dropped.saturating_sub(self.at);
        if lost > 0 {
            self.at = ring.dropped;
            self.n = self.n.saturating_add(lost.saturating_sub(1));
            let fact = Fact::Lost { count: lost };
            self.write(now, fact, out);
        }
        let known = usize::try_from(self.at.saturating_sub(ring.dropped)).unwrap_or(usize::MAX);
        for line in ring.lines.iter().skip(known) {
            if out.len() >= bytes {
                break;
            }
            self.at = self.at.saturating_add(1);
            self.line(line, out);
        }
        lost
    }

    /// Writes a line of the reader's own, which is in no ring.
    pub fn write(&mut self, now: Timestamp, fact: Fact, out: &mut String) {
        let entry = Entry {
            at: now,
            connection: None,
            fact,
        };
        self.line(&codec::encode(&entry), out);
    }

    fn line(&mut self, line: &str, out: &mut String) {
        self.n = self.n.saturating_add(1);
        out.push_str("{\"n\":");
        out.push_str(&self.n.to_string());
        out.push(',');
        // An entry is an object with fields: its brace stands before the number now.
        out.push_str(line.strip_prefix('{').unwrap_or(line));
        out.push('\n');
    }
}
