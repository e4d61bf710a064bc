//! What a page says about its session: where the server is, who gives tokens, and where the browser keeps things.

use std::rc::Rc;

use crate::token::TokenSource;

/// How a session is driven.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) url: Rc<str>,
    pub(crate) prefix: Rc<str>,
    pub(crate) tokens: Option<TokenSource>,
}

impl Options {
    /// What the names of all locks and of all keys in the browser's storage begin with, unless another prefix is set.
    pub const PREFIX: &str = "everbeat.";

    /// The URL of the server's WebSocket: `wss://host/path`, or a path of the page's own host, `/ws` say.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.into(),
            prefix: Self::PREFIX.into(),
            tokens: None,
        }
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
}
