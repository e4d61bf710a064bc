//! Free memory that the allocator keeps, and that is given back to the system.

use std::fs;

/// The least that is worth giving back: that takes the allocator some milliseconds, in which other threads wait for
/// it.
const WORTH_BYTES: u64 = 8 << 20;

/// A page of memory, the unit of `/proc`.
const PAGE_BYTES: u64 = 4096;

/// The functions of the program's allocator. The default is an allocator that keeps no free memory.
#[derive(Clone, Copy, Debug)]
pub struct Allocator {
    /// The free bytes, whether they were given back or not.
    pub free: fn() -> u64,
    /// Gives the free bytes back to the system.
    pub give_back: fn(),
}

impl Default for Allocator {
    fn default() -> Self {
        Self {
            free: || 0,
            give_back: || {},
        }
    }
}

/// Gives memory back after a burst: an allocator of many threads keeps what they freed.
#[derive(Debug)]
pub(crate) struct Heap {
    allocator: Allocator,
    trimming: Trimming,
}

impl Heap {
    pub(crate) const fn new(allocator: Allocator) -> Self {
        Self {
            allocator,
            trimming: Trimming {
                least_free: u64::MAX,
                resident: 0,
            },
        }
    }

    /// Gives memory back if it is worth it. Takes some milliseconds if there is much: not for an async task.
    pub(crate) fn look(&mut self) {
        let (free, resident) = ((self.allocator.free)(), resident());
        if self.trimming.is_due(free, resident) {
            (self.allocator.give_back)();
            self.trimming.done(free, self::resident());
        }
    }
}

/// Decides when to. What was given back still counts as free, so only changes since then count.
#[derive(Debug)]
struct Trimming {
    /// The least that was free since memory was given back last.
    least_free: u64,
    /// The resident memory just after that.
    resident: u64,
}

impl Trimming {
    fn is_due(&mut self, free: u64, resident: u64) -> bool {
        self.least_free = self.least_free.min(free);
        let is_freed = free >= self.least_free + WORTH_BYTES;
        // Memory was taken and freed again since the last look.
        let is_grown = resident >= self.resident + WORTH_BYTES && free >= WORTH_BYTES;
        is_freed || is_grown
    }

    const fn done(&mut self, free: u64, resident: u64) {
        self.least_free = free;
        self.resident = resident;
    }
}

/// The program's resident memory in bytes; 0 where the system does not tell it.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages.and_then(|pages| pages.parse().ok()).unwrap_or(0) * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A burst leaves nothing behind, also if it came and went between two looks, or
    /// was still there at one of them.
    #[test]
    fn what_a_burst_left_is_given_back() {
        let mut trimming = Trimming {
            least_free: MIB,
            resident: 20 * MIB,
        };
        assert!(!trimming.is_due(2 * MIB, 21 * MIB));
        // A burst between two looks.
        assert!(trimming.is_due(121 * MIB, 140 * MIB));
        trimming.done(121 * MIB, 20 * MIB);
        assert!(!trimming.is_due(121 * MIB, 20 * MIB));
        // Another burst, in the memory that was given back.
        assert!(trimming.is_due(121 * MIB, 140 * MIB));
        trimming.done(121 * MIB, 20 * MIB);
        // A burst that is there at one look, and over at the next.
        assert!(!trimming.is_due(MIB, 140 * MIB));
        assert!(trimming.is_due(121 * MIB, 140 * MIB));
    }

    /// Free memory that cannot be given back is tried once.
    #[test]
    fn what_cannot_be_given_back_is_tried_once() {
        let mut trimming = Trimming {
            least_free: MIB,
            resident: 20 * MIB,
        };
        assert!(trimming.is_due(100 * MIB, 140 * MIB));
        trimming.done(100 * MIB, 135 * MIB);
        assert!((0..10).all(|_| !trimming.is_due(100 * MIB, 136 * MIB)));
    }

    /// A program that grows and frees little gives nothing back.
    #[test]
    fn what_is_in_use_is_left_alone() {
        let mut trimming = Trimming {
            least_free: MIB,
            resident: 20 * MIB,
        };
        assert!((2..20).all(|n| !trimming.is_due(MIB, n * 20 * MIB)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_program_has_memory() {
        assert!(resident() > MIB);
    }
}
