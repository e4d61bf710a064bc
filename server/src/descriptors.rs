//! How many files may be open at once: each connection is one.

use std::fs::File;
use std::io;

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

/// Whether one more file can be opened.
pub fn are_left() -> bool {
    nothing().is_ok()
}

/// A descriptor that is kept for when there are no others: so that a probe of health can be
/// answered.
#[derive(Debug)]
pub struct Reserve(Option<File>);

impl Reserve {
    /// Takes one, if there is one.
    pub fn keep() -> Self {
        Self(nothing().ok())
    }

    /// Gives it back to the system; whether there was one.
    pub fn lend(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes one again, if there is one.
    pub fn refill(&mut self) {
        if self.0.is_none() {
            *self = Self::keep();
        }
    }
}

fn nothing() -> io::Result<File> {
    File::open("/dev/null")
}
