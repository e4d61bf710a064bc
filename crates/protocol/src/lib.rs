//! Everbeat's pure core: the frames of the wire, and the machines that decide for each end.
//!
//! Nothing in this crate does I/O, asks a clock or draws randomness of its own. [`client::Session`] and
//! [`server::Connection`] are plain structs, the machines. A driver feeds them facts together with the time
//! (`handle_input`, `handle_timeout`) and a user's commands (`publish`, `draft`, `join`, …), and after
//! each of these drains their output:
//!
//! 1. `poll_transmit` until `None`: I/O to perform, in order;
//! 2. `poll_event` until `None`: reports to the application;
//! 3. `poll_timeout`: when to call `handle_timeout` at the latest. It may be called earlier.
//!
//! What may grow within a version is `#[non_exhaustive]`: events, causes, inputs, errors. Exhaustive on purpose is what
//! a driver has to deal with in full, so that one which does not know a new variant does not build: transmits, frames,
//! [`client::Store`], the answers and errors of [`server::Request`], who a client is and why it is denied; and what
//! PROTOCOL.md closes: [`client::Status`], [`client::Fate`], [`close::ReconnectPolicy`]. Configs are made from their
//! defaults by struct update (`..Config::new(seed)`), which that attribute would forbid.
//!
//! The same machines run in the browser, in the server and in the tests (PU-7). The rules that they
//! obey have ids, such as HB-2; PROTOCOL.md lists them.

#![forbid(unsafe_code)]
#![warn(unnameable_types)]
// What a peer sends must end no machine: neither by an overflow nor by an index. Tests may.
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

pub mod access;
pub mod address;
pub mod admission;
pub mod backoff;
pub mod client;
pub mod close;
pub mod codec;
pub mod frame;
pub mod heartbeat;
pub mod id;
pub mod outbox;
pub mod position;
pub mod presence;
pub mod rate;
pub mod redactions;
pub mod server;
pub mod time;
pub mod trace;

/// The samples of the README compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
