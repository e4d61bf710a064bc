//! Native clients: the browser's machine, driven over TCP, crashes to put them through, attacks on the
//! server beside them, and measurements beside other servers.

#![forbid(unsafe_code)]

pub mod attack;
pub mod chaos;
pub mod disk;
pub mod line;
pub mod measure;
pub mod peer;
#[cfg(target_os = "linux")]
pub mod power;
pub mod server;
mod session;
pub mod usage;
