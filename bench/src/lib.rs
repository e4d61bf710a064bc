//! Native clients: the browser's machine, driven over TCP.

#![forbid(unsafe_code)]

pub mod client;
pub mod storage;
