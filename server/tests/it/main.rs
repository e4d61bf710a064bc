//! The server as a whole, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod admin;
mod api;
mod bad_input;
mod chaos;
mod closing;
mod command_line;
mod commands;
mod events;
mod full_disk;
mod handshake;
mod http;
mod kill;
mod limits;
mod names;
mod raw;
mod sessions;
mod static_files;
mod test_server;
mod tls;
mod tutorial;
