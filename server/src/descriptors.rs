//! How many files may be open at once: each connection is one.

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
