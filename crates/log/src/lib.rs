//! Everbeat's log as pure code: what may be asked of it, what becomes of that, and how several nodes agree on one
//! order.
//!
//! A [`Command`](command::Command) is a change of the log with its times and random ids inside, so the same commands
//! in the same order make the same log. The fold applies commands to a store. On one machine commands go
//! straight into it; on many they travel in a [`Pack`](pack::Pack) over an engine that puts them in order.

pub mod command;
pub mod fold;
pub mod memory;
pub mod order;
pub mod pack;
mod trimming;
