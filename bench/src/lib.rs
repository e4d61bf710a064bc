//! Native clients: the browser's machine, driven over TCP, and crashes to put them through.

#![forbid(unsafe_code)]

pub mod chaos;
pub mod client;
pub mod disk;
pub mod server;
