//! The seam between the page and the driver of its session.
//!
//! The page sends [`Command`]s and gets [`Report`]s; it knows neither the driver, nor its socket, nor its
//! clock. The browser's entry gives a [`Connector`] through the context; on
//! the server there is none, and the page stays as it was rendered.

mod handle;

use std::sync::Arc;

use futures_channel::mpsc::Receiver;
pub use view::{Command, Report};

pub use self::handle::{Realtime, provide_realtime, use_realtime};

/// The most commands that wait for the driver. Overflow: [`Realtime::send`] returns false.
pub const COMMANDS_MAX: usize = 256;

/// The function that the driver calls with each report.
pub type Reporter = Box<dyn FnMut(Report)>;

/// Stops the driver's loop: it closes its socket, and drops its timers and listeners.
pub type Stop = Box<dyn FnOnce() + Send + Sync>;

type Start = dyn Fn(Receiver<Command>, Reporter) -> Stop + Send + Sync;

/// Starts the session's driver. The browser's entry gives it through the context; absent on the server.
#[derive(Clone)]
pub struct Connector(Arc<Start>);

impl Connector {
    /// Wraps the function that starts a driver.
    pub fn new(
        start: impl Fn(Receiver<Command>, Reporter) -> Stop + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(start))
    }

    /// Starts the driver. It takes its commands from `commands` until these end or it is stopped.
    pub fn start(&self, commands: Receiver<Command>, reporter: Reporter) -> Stop {
        (self.0)(commands, reporter)
    }
}
