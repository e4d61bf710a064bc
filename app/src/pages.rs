//! The pages that have an address, and their header: hooks wired to components.

pub mod header;
pub mod not_found;
pub mod room;
