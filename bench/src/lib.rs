//! Native clients: the browser's machine, driven over TCP, and a server to try them on.

#![forbid(unsafe_code)]

pub mod client;
pub mod disk;
pub mod server;
pub mod storage;
