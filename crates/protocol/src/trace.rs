//! The trace of a session: what the server received, sent and decided on its connections, in entries that hold no text,
//! key or token.
//!
//! A [`Recorder`] makes the entries of one connection, of what the connection's driver passes on: inputs, frames,
//! transmits and verdicts. A [`Ring`] keeps the newest entries of one session, over all of its connections, within
//! bytes; a [`Reader`] follows it.

mod entry;
mod recorder;
mod ring;
#[cfg(test)]
mod tests;

pub use self::entry::{Entry, Fact, FrameNote, Side, TraceClock};
pub use self::recorder::{ENTRIES_MAX, Ordinals, Recorder};
pub use self::ring::{LINE_BYTES, Reader, Ring};
