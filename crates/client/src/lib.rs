//! A native client of Everbeat on tokio.
//!
//! A [`Client`] is one session: it connects, keeps a heartbeat, reconnects with backoff, resumes, and delivers each
//! message of its rooms exactly once and in order. What it publishes waits in an outbox until it is durable. All
//! decisions are those of [`protocol::client::Session`], which runs in browsers too; this crate does its I/O.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use everbeat_client::protocol::id::RoomName;
//! use everbeat_client::{Event, Fate, Options};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // The seed spreads the reconnects of many clients out: give each client another one.
//! let options = Options::new(std::process::id().into());
//! let mut client = everbeat_client::connect("ws://127.0.0.1:8080/ws", options)?;
//! let room = RoomName::new("lobby")?;
//! client.join(room.clone(), None);
//! let hello = client.publish(room, "hello")?;
//! while let Some(event) = client.next().await {
//!     match event {
//!         Event::Message(message) => println!("{}: {}", message.name, message.body),
//!         Event::Fate { id, fate: Fate::Durable { .. }, .. } if id == hello => break,
//!         _ => {}
//!     }
//! }
//! client.close_after_flush(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it runs
//!
//! A client has no task and no thread of its own: it reads, writes and reconnects while [`Client::next`] is awaited (or
//! the client is polled as a [`Stream`](futures_core::Stream)), so an application awaits that all the time, beside
//! whatever else it waits for:
//!
//! ```no_run
//! # async fn example(mut client: everbeat_client::Client, room: everbeat_client::protocol::id::RoomName,
//! #     mut lines: tokio::sync::mpsc::Receiver<String>) {
//! loop {
//!     tokio::select! {
//!         event = client.next() => match event {
//!             Some(event) => println!("{event:?}"),
//!             None => break,
//!         },
//!         Some(line) = lines.recv() => {
//!             if let Err(error) = client.publish(room.clone(), line) {
//!                 eprintln!("{error}");
//!             }
//!         }
//!     }
//! }
//! # }
//! ```
//!
//! [`Client::next`] is safe to cancel: all state is in the client, and an event that was taken is returned by the same
//! poll. Commands ([`Client::publish`], [`Client::join`], …) never wait.
//!
//! # What outlives the process
//!
//! A [`Storage`] keeps the session's credentials and the outbox. [`MemoryStorage`], the default, keeps them for as long as
//! the process lives; `FileStorage` (feature `file-store`) in a file, so that the next process continues the session.
//!
//! # TLS
//!
//! The feature `rustls` takes `wss://` URLs. The server's certificate is verified as the platform does it, or as a
//! configuration of rustls says that is given to `Options::tls`. Without the feature [`connect`] refuses such URLs with
//! [`ConnectError::Tls`].
//!
//! # What a user sees
//!
//! [`Client::view`] makes of the events what a user interface shows of a room: messages in their order, those on their way
//! and their fates, gaps, members, drafts. `examples/terminal.rs` is a whole program with it, in 100 lines, which shows a
//! correct room however the server or the program itself end:
//!
//! ```text
//! cargo run -p everbeat-client --features file-store --example terminal -- ws://127.0.0.1:8080/ws lobby Ada ada.session
//! ```

#![forbid(unsafe_code)]

mod client;
mod link;
mod options;
mod storage;
mod tls;

/// The samples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use protocol;
pub use protocol::client::{Cause, Config, Event, Fate, NoToken, Recovery, Status, Store, Stored};

#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
pub use view;

pub use self::client::{Client, Counts, NotFlushed};
pub use self::options::{ConnectError, Options};
#[cfg(feature = "file-store")]
pub use self::storage::FileStorage;
pub use self::storage::{MemoryStorage, Storage};

/// A client of the server at this WebSocket URL (`ws://host:port/ws`), which begins to connect once it is polled.
///
/// # Errors
/// [`ConnectError`]: the URL or the options cannot work. A server that cannot be reached is no error: the client tries
/// again, and reports it as [`Event::Status`]. So does one that refuses the handshake, whose status is the
/// [`Cause`]; after 400, 403, 405 and 426 the client stops ([`Status::Stopped`]), as the same would be refused again.
pub fn connect(url: &str, options: Options) -> Result<Client, ConnectError> {
    let mut client = Client::new(url, options)?;
    client.connect();
    Ok(client)
}
