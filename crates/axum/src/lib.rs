//! Everbeat in an Axum server.
//!
//! - [`access`]: authentication: tokens, their keys, guests' cookies
//! - [`address`], [`origin`], [`limits`]: what is refused
//! - [`hub`]: the registry of connections and rooms, which readers pull from
//! - [`mod@log`]: what is durable
//! - [`metrics`], [`journal`]: what the operator sees
//!
//! Decisions are those of [`protocol::server`]; this crate does its I/O.

#![forbid(unsafe_code)]

pub mod access;
pub mod address;
pub mod answers;
pub mod api;
pub mod calendar;
pub mod clock;
pub mod everbeat;
pub mod hex;
pub mod housekeeping;
pub mod http;
pub mod hub;
pub mod journal;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod origin;
pub mod permit;
pub mod routes;
pub mod secret;
pub mod spans;
pub mod stream;
pub mod supervise;
pub mod text_frame;
pub mod ws;

pub use protocol;
