//! What a connection's driver owes its machine: answers that take time, of the log above all.

/// A question's number on its connection: its answer carries it, so that the answer to a question which is
/// of no use any more is told apart (PU-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// The answers that are owed now, of all kinds together.
#[derive(Debug, Default)]
pub(super) struct Owed {
    asked: u64,
    count: usize,
}

impl Owed {
    /// One answer more is owed.
    pub(super) const fn ask(&mut self) -> RequestId {
        self.asked += 1;
        self.count += 1;
        RequestId(self.asked)
    }

    /// One came.
    pub(super) const fn answered(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }
}
