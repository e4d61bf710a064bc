//! The server as a whole, over real sockets.

mod bad_input;
mod command_line;
mod full_disk;
mod kill;
mod raw;
mod sessions;
mod test_server;
mod tutorial;
