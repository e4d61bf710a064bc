//! File descriptors: how many the server needs, and a reserve of them. Each connection takes one.

use std::fs::File;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

/// Descriptors beside connections: the log, its readers, files that are served.
const OTHERS: u64 = 200;

/// How many descriptors so many connections, and so many without a WebSocket, may need.
pub fn wanted(connections: usize, handshakes: usize) -> u64 {
    let connections = connections.saturating_add(handshakes) as u64;
    connections.saturating_add(OTHERS)
}

/// Raises this process's limit to what the system allows: a shell's 1,024 are far fewer
/// than the options promise. Returns the limit; `None` where the system does not tell it.
pub fn raise() -> Option<u64> {
    rlimit::increase_nofile_limit(u64::MAX).ok()
}

/// The errors of this process, or of the whole system, without a free descriptor: EMFILE and ENFILE
/// of errno(3), which have these numbers on Linux, macOS and the BSDs.
const EXHAUSTED: [i32; 2] = [24, 23];

/// Whether an error says that no descriptor is free.
pub fn are_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| EXHAUSTED.contains(&code))
}

/// How many descriptors are kept in reserve: so many connections are answered at once when no other is free.
const KEPT: usize = 8;

/// How many of them are for the operator alone.
const OPERATORS: usize = 2;

/// The reserve: descriptors for when no other is free, so that a health probe can still be
/// answered. All listeners share it, so that all give the same answer.
#[derive(Debug)]
pub struct Reserve(Mutex<Vec<File>>);

impl Reserve {
    /// Opens the reserve, as far as descriptors are free.
    pub fn keep() -> Arc<Self> {
        let reserve = Self(Mutex::new(Vec::with_capacity(KEPT)));
        reserve.refill();
        Arc::new(reserve)
    }

    /// Whether one more file can be opened, with the reserve full.
    pub fn are_left(&self) -> bool {
        self.refill() && nothing().is_ok()
    }

    /// The share that the clients' listener may lend.
    pub fn of_everybody(self: &Arc<Self>) -> Share {
        let reserve = Arc::clone(self);
        Share {
            reserve,
            spared: OPERATORS,
        }
    }

    /// The share that the operator's listener may lend.
    pub fn of_operator(self: &Arc<Self>) -> Share {
        let reserve = Arc::clone(self);
        Share { reserve, spared: 0 }
    }

    /// Fills the reserve as far as descriptors are free. Returns whether it is full.
    fn refill(&self) -> bool {
        let mut kept = self.0.lock();
        while kept.len() < KEPT {
            match nothing() {
                Ok(file) => kept.push(file),
                Err(_) => return false,
            }
        }
        true
    }
}

/// The part of the [`Reserve`] that one listener may lend.
#[derive(Clone, Debug)]
pub struct Share {
    reserve: Arc<Reserve>,
    /// How many descriptors it must leave.
    spared: usize,
}

impl Share {
    /// Closes a descriptor of the reserve, so that it is free; returns whether there was one.
    pub fn lend(&self) -> bool {
        let mut kept = self.reserve.0.lock();
        kept.len() > self.spared && kept.pop().is_some()
    }

    /// Fills the reserve as far as descriptors are free.
    pub fn refill(&self) {
        self.reserve.refill();
    }
}

fn nothing() -> io::Result<File> {
    File::open("/dev/null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_leaves_the_operator_some() {
        let reserve = Reserve::keep();
        let (everybody, operator) = (reserve.of_everybody(), reserve.of_operator());
        let lent = |share: &Share| (0..).take_while(|_| share.lend()).count();
        assert_eq!(lent(&everybody), KEPT - OPERATORS);
        assert_eq!(lent(&operator), OPERATORS);
        // The test's process has free descriptors.
        assert!(reserve.are_left());
        assert!(everybody.lend());
    }
}
