//! While the server renders there is no session: the hooks show what they begin with.

use std::rc::Rc;

use futures_channel::mpsc::Receiver;
use view::{Command, Fault, Observer};

use crate::options::Options;
use crate::{Reporter, Stop};

/// Starts nothing. Nothing calls it either: effects do not run on the server.
pub(crate) fn start(_: Options, _: Receiver<Command>, _: Reporter) -> Stop {
    Box::new(|| {})
}

/// A handle on a session that is inspected. While the server renders there is none, so it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Inspect;

impl Inspect {
    /// Does nothing.
    pub fn observe(&self, _: Option<Rc<dyn Observer>>) {}

    /// Does nothing.
    pub fn fault(&self, _: Fault) {}
}
