//! The send queue of this end's system, and what of it stands before a ping (HB-4).

/// The send queue of a connection: what this end's system took from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendQueue {
    /// How many bytes the other end's system has acknowledged so far, in all (`tcpi_bytes_acked`, tcp(7)).
    pub taken: u64,
    /// How many more bytes wait here, or are on their way (`SIOCOUTQ`, tcp(7)).
    pub waiting: u64,
}

/// The bytes before a ping, as they were at the last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    /// How many bytes there are up to the ping, in all.
    through: u64,
    /// How many of these the other end had taken.
    taken: u64,
}

impl Ahead {
    /// What stands before a ping sent now.
    pub(super) const fn of(queue: SendQueue) -> Self {
        Self {
            through: queue.taken.saturating_add(queue.waiting),
            taken: queue.taken,
        }
    }

    /// Looks again. Returns whether the other end took some of the bytes before the ping since the last look. What was
    /// written after the ping does not count: the system of a program that hangs takes it, too.
    pub(super) fn moves(&mut self, queue: SendQueue) -> bool {
        let before = self.taken;
        self.taken = queue.taken.min(self.through);
        self.taken > before
    }
}
