//! How many files may be open at once: each connection is one.

use std::fs::File;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Config;

/// What is open beside connections: the log, its readers, files that are served.
const OTHERS: u64 = 200;

/// How many these options may need.
pub fn wanted(config: &Config) -> u64 {
    let limits = &config.limits;
    let connections = limits.connections.saturating_add(limits.handshakes) as u64;
    connections.saturating_add(OTHERS)
}

/// Lets this process open as many as the system allows: the 1,024 that a shell starts with are far fewer
/// than our options promise. How many that are; `None` where the system does not say.
pub fn raise() -> Option<u64> {
    rlimit::increase_nofile_limit(u64::MAX).ok()
}

/// What the system says where this process, or all processes together, have no descriptor left: EMFILE and ENFILE
/// of errno(3), which have these numbers on Linux, macOS and the BSDs.
const EXHAUSTED: [i32; 2] = [24, 23];

/// Whether that is why something failed.
pub fn are_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| EXHAUSTED.contains(&code))
}

/// How many descriptors are kept for when there are no others: that many connections are answered at once.
const KEPT: usize = 8;

/// How many of them are for the operator alone.
const OPERATORS: usize = 2;

/// Descriptors that are kept for when there are no others: so that a probe of health can be
/// answered. All listeners share them, so that all give the same answer.
#[derive(Debug)]
pub struct Reserve(Mutex<Vec<File>>);

impl Reserve {
    /// Takes as many as there are.
    pub fn keep() -> Arc<Self> {
        let reserve = Self(Mutex::new(Vec::with_capacity(KEPT)));
        reserve.refill();
        Arc::new(reserve)
    }

    /// Whether one more file can be opened, beside those that are kept.
    pub fn are_left(&self) -> bool {
        self.refill() && nothing().is_ok()
    }

    /// What everybody's listener may lend of it.
    pub fn of_everybody(self: &Arc<Self>) -> Share {
        let reserve = Arc::clone(self);
        Share {
            reserve,
            spared: OPERATORS,
        }
    }

    /// What the operator's listener may lend of it.
    pub fn of_operator(self: &Arc<Self>) -> Share {
        let reserve = Arc::clone(self);
        Share { reserve, spared: 0 }
    }

    /// Takes again what was lent, as far as there is some; whether all of it is back.
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

/// What one listener may lend of the [`Reserve`].
#[derive(Clone, Debug)]
pub struct Share {
    reserve: Arc<Reserve>,
    /// How many it leaves.
    spared: usize,
}

impl Share {
    /// Gives a descriptor back to the system; whether there was one.
    pub fn lend(&self) -> bool {
        let mut kept = self.reserve.0.lock();
        kept.len() > self.spared && kept.pop().is_some()
    }

    /// Takes again what was lent, as far as there is some.
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
        // This test's process has descriptors.
        assert!(reserve.are_left());
        assert!(everybody.lend());
    }
}
