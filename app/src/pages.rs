//! What has an address, and what stands above it: hooks wired to components.

pub mod header;
pub mod nowhere;
pub mod room;
