//! Everbeat's log as pure code: what may be asked of it, what becomes of that, and how several nodes agree on one
//! order.
//!
//! A [`Command`](command::Command) is a change of the log with its times and random ids inside, so the same commands
//! in the same order make the same log. The fold applies commands to a store. On one machine commands go
//! straight into it; on many they travel in a [`Pack`](pack::Pack) over an engine that puts them in order.

#![forbid(unsafe_code)]
#![warn(unnameable_types)]
// What another node sends must end no machine: neither by an overflow nor by an index. Tests may.
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

pub mod command;
pub mod fold;
pub mod follower;
pub mod memory;
pub mod nodes;
pub mod order;
pub mod pack;
pub mod sender;
mod trimming;

pub use protocol;

/// The README's sample is compiled and run.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
