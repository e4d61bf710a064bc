//! The server as a whole, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access_rooms;
mod access_sessions;
mod access_tokens;
mod admin;
mod api;
mod api_posts;
mod api_reads;
mod api_removals;
mod bad_input;
mod calendar;
mod caller;
mod closing;
mod command_line;
mod commands;
mod descriptors;
mod events;
mod floods;
mod form;
mod frames;
mod frozen;
mod full_disk;
mod guarded;
mod handshake;
mod heavy;
mod http;
mod kill;
mod limits;
mod metrics;
mod names;
mod nodes;
mod other_sites;
mod pages;
mod peers;
mod process;
mod raw;
mod refused_handshakes;
mod rings;
mod service_manager;
mod sessions;
mod slow_readers;
mod static_files;
mod test_server;
mod tls;
mod tutorial;
