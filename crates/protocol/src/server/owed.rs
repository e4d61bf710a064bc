//! The answers that a connection's driver owes its machine, above all from the log.

/// The number of a question on its connection. Its answer carries it, so that an answer which is of no use any more
/// is recognised (PU-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// How many answers of all kinds are owed now.
#[derive(Debug, Default)]
pub(super) struct Owed {
    asked: u64,
    count: usize,
}

impl Owed {
    /// Counts one more answer as owed.
    pub(super) const fn ask(&mut self) -> RequestId {
        self.asked = self.asked.saturating_add(1);
        self.count = self.count.saturating_add(1);
        RequestId(self.asked)
    }

    /// Counts an answer that came.
    pub(super) const fn answered(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }
}
