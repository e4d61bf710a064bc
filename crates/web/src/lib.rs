//! Everbeat's driver for browsers.
//!
//! [`start`] drives one session for a page: it takes [`Command`](view::Command)s and makes
//! [`Report`](view::Report)s. [`protocol::client::Session`] decides, [`driver::Driver`] feeds it facts and does the
//! I/O that it asks for by [`browser::Browser`], and [`run`] is the loop around them.
//!
//! ```no_run
//! use everbeat_web::{Options, start};
//! use futures_channel::mpsc;
//!
//! let (commands, receiver) = mpsc::channel(256);
//! let options = Options::at("/ws").token_url("/token");
//! let stop = start(options, receiver, Box::new(|report| { /* show it */ }));
//! ```
//!
//! A session that was started with an [`Inspect`] can be observed, and faults of its connection can be caused.
//!
//! The crate exports nothing to JavaScript by itself. Everything that the browser may call back is owned by a field,
//! and detached by its drop.

pub mod area;
pub mod browser;
pub mod clock;
pub mod driver;
pub mod element;
pub mod faulty;
pub mod heirs;
pub mod leftovers;
pub mod lifecycle;
pub mod lock;
pub mod masked;
pub mod observe;
pub mod options;
pub mod queue;
pub mod run;
pub mod socket;
pub mod storage;
pub mod token;

pub use self::observe::Inspect;
pub use self::options::Options;
pub use self::run::{Reporter, Stop, is_broken, start};
pub use self::token::TokenSource;
