//! Free memory that the allocator keeps, and that is given back to the system.

use std::fs;

/// The least that is worth giving back: that takes the allocator some milliseconds, in which other threads wait for
/// it.
const WORTH_BYTES: u64 = 8 << 20;

/// A change of the resident memory that calls for a look at the free memory.
const MOVED_BYTES: u64 = 1 << 20;

/// At the latest after so many looks at the resident memory alone the free memory is looked at, too: memory that is
/// freed and kept does not change what is resident. The allocator takes 3 ms to count what 5,000 connections left free,
/// a fiftieth of what they cost when they are quiet; the resident memory takes some microseconds.
const GLANCES_MAX: u32 = 2;

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
    glance: Glance,
}

impl Heap {
    pub(crate) const fn new(allocator: Allocator) -> Self {
        Self {
            allocator,
            trimming: Trimming {
                least_free: u64::MAX,
                resident: 0,
            },
            glance: Glance {
                resident: 0,
                count: 0,
            },
        }
    }

    /// Gives memory back if it is worth it. Takes some milliseconds if there is much: not for an async task.
    pub(crate) fn look(&mut self) {
        let resident = resident();
        if !self.glance.calls_for_a_look(resident) {
            return;
        }
        let free = (self.allocator.free)();
        if self.trimming.is_due(free, resident) {
            (self.allocator.give_back)();
            self.trimming.done(free, self::resident());
        }
    }
}

/// Decides when to look at the free memory.
#[derive(Debug)]
struct Glance {
    /// The resident memory at the last look.
    resident: u64,
    /// How often the resident memory alone was looked at since.
    count: u32,
}

impl Glance {
    fn calls_for_a_look(&mut self, resident: u64) -> bool {
        if self.count < GLANCES_MAX && resident.abs_diff(self.resident) < MOVED_BYTES {
            self.count += 1;
            return false;
        }
        *self = Self { resident, count: 0 };
        true
    }
}

/// Decides when to give memory back. What was given back still counts as free, so only changes since then count.
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

    /// A quiet server counts its free memory at each third look, one that grows or shrinks at each.
    #[test]
    fn a_quiet_server_seldom_counts_its_free_memory() {
        let mut glance = Glance {
            resident: 0,
            count: 0,
        };
        let mut looks = |resident| glance.calls_for_a_look(resident);
        assert!(looks(20 * MIB));
        let quiet = [
            20 * MIB,
            20 * MIB,
            20 * MIB,
            20 * MIB + 1,
            20 * MIB,
            20 * MIB,
        ];
        assert_eq!(
            quiet.map(&mut looks),
            [false, false, true, false, false, true]
        );
        assert!(looks(21 * MIB + 1));
        assert!(looks(19 * MIB));
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
