//! In the browser: the session is driven by `everbeat-web`.

use futures_channel::mpsc::Receiver;
use view::Command;

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
    everbeat_web::start(web, commands, report)
}
