//! In the browser: the session is driven by `everbeat-web`.

use std::fmt;
use std::rc::Rc;

use futures_channel::mpsc::Receiver;
use send_wrapper::SendWrapper;
use view::{Command, Fault, Observer};

use crate::options::{Options, Tokens};
use crate::{Reporter, Stop};

/// Starts the driver.
pub(crate) fn start(options: Options, commands: Receiver<Command>, report: Reporter) -> Stop {
    let further = options.addresses.iter().map(String::as_str);
    let mut web = everbeat_web::Options::at(&options.url).addresses(further);
    if let Some(prefix) = &options.storage_prefix {
        web = web.storage_prefix(prefix);
    }
    web = match options.tokens {
        Some(Tokens::Url(url)) => web.token_url(url),
        Some(Tokens::Fetch(fetch)) => web.tokens(everbeat_web::TokenSource::new(move || fetch())),
        None => web,
    };
    if let Some(inspect) = &options.inspect {
        web = web.inspect((*inspect.0).clone());
    }
    everbeat_web::start(web, commands, report)
}

/// A handle on a session that is inspected; clones are the same handle. It goes with the session's
/// [`Options`], and may be put into a context. On the server it does nothing.
///
/// Only the thread that made it may use it: in a browser there is one.
#[derive(Clone)]
pub struct Inspect(SendWrapper<everbeat_web::Inspect>);

impl Default for Inspect {
    fn default() -> Self {
        Self(SendWrapper::new(everbeat_web::Inspect::default()))
    }
}

impl Inspect {
    /// Lets `observer` take the session's trace from now on, in place of an earlier one; `None` ends it. Nothing is
    /// made for a trace that is not taken.
    pub fn observe(&self, observer: Option<Rc<dyn Observer>>) {
        self.0.observe(observer);
    }

    /// Causes a fault of the session's connection, clock or machine. Without a session nothing happens.
    pub fn fault(&self, fault: Fault) {
        self.0.fault(fault);
    }
}

impl fmt::Debug for Inspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspect(..)")
    }
}
