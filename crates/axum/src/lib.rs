//! Everbeat in an Axum server: rooms whose messages are durable, sessions that survive what happens to connections, the
//! HTTP API, Server-Sent Events.
//!
//! In an application of one's own it is nested as a router:
//!
//! ```no_run
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! use axum::Router;
//! use axum::routing::get;
//! use everbeat_axum::embedded::{Config, Embedded};
//! use everbeat_axum::hub::{Hub, HubConfig};
//! use everbeat_axum::log::sqlite::{SqliteConfig, SqliteLog};
//!
//! # async fn example(stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::open(&HubConfig::default(), |rooms| {
//!     SqliteLog::open("data/everbeat.db".as_ref(), SqliteConfig::default(), rooms)
//! })?;
//! let everbeat = Embedded::start(Config::new("data".into()), hub).await?;
//! let app = Router::new()
//!     .route("/", get(async || "a page of its own"))
//!     .nest("/rt", everbeat.router()); // clients connect at /rt/ws
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! let drained = async move {
//!     stop.await;
//!     everbeat.drain(Duration::from_secs(2)).await;
//!     if let Err(error) = everbeat.close().await {
//!         eprintln!("the log did not close cleanly: {error}");
//!     }
//! };
//! axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
//!     .with_graceful_shutdown(drained)
//!     .await?;
//! # Ok(())
//! # }
//! ```
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

pub use protocol;
