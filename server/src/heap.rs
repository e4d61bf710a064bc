//! Memory that is free, and that the allocator keeps all the same.

use std::fs;

/// What is worth giving back: looking for it takes the allocator some milliseconds, in which others wait for it.
const WORTH_BYTES: u64 = 8 << 20;

/// A page of memory, as `/proc` counts.
const PAGE_BYTES: u64 = 4096;

/// What the program's allocator can tell and do. The default is one that keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct Allocator {
    /// How many bytes of it are free, whether the system has them back or not.
    pub free: fn() -> u64,
    /// Gives the free ones back to the system.
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

/// Gives memory back after there was need of much more: an allocator of many threads keeps what they freed.
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

    /// Gives back what is worth it. Takes some milliseconds where there is much: not for a task among others.
    pub(crate) fn look(&mut self) {
        let (free, resident) = ((self.allocator.free)(), resident());
        if self.trimming.is_due(free, resident) {
            (self.allocator.give_back)();
            self.trimming.done(free, self::resident());
        }
    }
}

/// Decides when. What was given back still counts as free, so it goes by what changed since.
#[derive(Debug)]
struct Trimming {
    /// The least that was free since the last time.
    least_free: u64,
    /// What the program had of the system after the last time.
    resident: u64,
}

impl Trimming {
    fn is_due(&mut self, free: u64, resident: u64) -> bool {
        self.least_free = self.least_free.min(free);
        let is_freed = free >= self.least_free + WORTH_BYTES;
        // Taken and freed again since it was looked last.
        let is_grown = resident >= self.resident + WORTH_BYTES && free >= WORTH_BYTES;
        is_freed || is_grown
    }

    const fn done(&mut self, free: u64, resident: u64) {
        self.least_free = free;
        self.resident = resident;
    }
}

/// How many bytes of memory the program has of the system; 0 where that cannot be told.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages.and_then(|pages| pages.parse().ok()).unwrap_or(0) * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A burst that is over leaves nothing behind: also where it came and went between two looks, and where it
    /// was still there at one of them.
    #[test]
    fn what_a_burst_left_is_given_back() {
        let mut trimming = Trimming {
            least_free: MIB,
            resident: 20 * MIB,
        };
        assert!(!trimming.is_due(2 * MIB, 21 * MIB));
        // It came and went.
        assert!(trimming.is_due(121 * MIB, 140 * MIB));
        trimming.done(121 * MIB, 20 * MIB);
        assert!(!trimming.is_due(121 * MIB, 20 * MIB));
        // The same once more, in what was given back.
        assert!(trimming.is_due(121 * MIB, 140 * MIB));
        trimming.done(121 * MIB, 20 * MIB);
        // It is there, then it is gone.
        assert!(!trimming.is_due(MIB, 140 * MIB));
        assert!(trimming.is_due(121 * MIB, 140 * MIB));
    }

    /// What is free in places that cannot be given back is not looked for again and again.
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

    /// A program that grows and frees little has nothing to give.
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
