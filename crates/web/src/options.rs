//! The options of a page's session: its server, its token source, and its place in the browser's storage.

use std::rc::Rc;

use crate::observe::Inspect;
use crate::token::TokenSource;

/// The options of a session.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) url: Rc<str>,
    pub(crate) further: Vec<Rc<str>>,
    pub(crate) prefix: Rc<str>,
    pub(crate) tokens: Option<TokenSource>,
    pub(crate) inspect: Inspect,
}

impl Options {
    /// The default beginning of the names of all locks, and of all keys in the browser's storage.
    pub const PREFIX: &str = "everbeat.";

    /// The URL of the server's WebSocket: `wss://host/path`, or a path of the page's own host, `/ws` say.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.into(),
            further: Vec::new(),
            prefix: Self::PREFIX.into(),
            tokens: None,
            inspect: Inspect::default(),
        }
    }

    /// Adds URLs of further nodes of the same server: `wss://host/path` (RC-8). The session goes there where the node that
    /// it has does not answer, or ends and names one of them; it goes nowhere else. A page of HTTPS uses `wss://` alone.
    #[must_use]
    pub fn addresses<'a>(mut self, urls: impl IntoIterator<Item = &'a str>) -> Self {
        self.further.extend(urls.into_iter().map(Rc::from));
        self
    }

    /// Another prefix than [`Options::PREFIX`]: pages of one origin that are different applications must not share one.
    #[must_use]
    pub fn storage_prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Fetches tokens from this URL, with the cookies that the browser has for it ([`TokenSource::at`]).
    #[must_use]
    pub fn token_url(self, url: impl Into<String>) -> Self {
        self.tokens(TokenSource::at(url.into()))
    }

    /// Takes tokens from this source whenever the server wants one (AC-6).
    #[must_use]
    pub fn tokens(mut self, source: TokenSource) -> Self {
        self.tokens = Some(source);
        self
    }

    /// Lets the session be inspected by this handle. The sessions of closed pages (RS-8) are not.
    #[must_use]
    pub fn inspect(mut self, inspect: Inspect) -> Self {
        self.inspect = inspect;
        self
    }
}
