//! A log over several nodes.

pub mod status;
