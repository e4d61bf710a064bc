//! Everbeat in an Axum server: rooms whose messages are durable, sessions that survive what happens to connections, the
//! HTTP API, Server-Sent Events.
//!
//! In an application of one's own it is nested as a router: see [`embedded`].
//!
//! # Parts
//!
//! - [`embedded`]: all of it within an application; [`everbeat`]: the parts that connections and requests share
//! - [`routes`], [`ws`], [`api`]: the routes, the WebSockets, the HTTP API
//! - [`access`]: authentication: tokens, their keys, guests' cookies
//! - [`address`], [`origin`], [`limits`]: refusals
//! - [`hub`]: the registry of connections and rooms, which readers pull from
//! - [`mod@log`]: durable messages
//! - [`metrics`], [`journal`], [`spans`]: the operator's figures and lines
//!
//! Decisions are those of [`protocol::server`]; this crate does its I/O. Everything but [`embedded`] and the
//! configurations that it takes serves the binary `everbeat`, and changes with it.
//!
//! # Features
//!
//! - `sqlite` (default): the log in SQLite
//! - `jwt` (default): tokens, and cookies that make guests known
//! - `metrics`: figures for Prometheus
//! - `nats`: many nodes on NATS JetStream

#![forbid(unsafe_code)]

pub mod access;
pub mod address;
pub mod answers;
pub mod api;
pub mod calendar;
pub mod clock;
pub mod embedded;
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

/// The samples of the README compile.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub use protocol;
