//! While the server renders there is no session: the hooks show what they begin with.

use futures_channel::mpsc::Receiver;
use view::Command;

use crate::options::Options;
use crate::{Reporter, Stop};

/// Starts nothing. Nothing calls it either: effects do not run on the server.
pub(crate) fn start(_: Options, _: Receiver<Command>, _: Reporter) -> Stop {
    Box::new(|| {})
}
