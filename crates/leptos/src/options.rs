//! The options of an app's session: the server's URL, the source of tokens, the moment to connect.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

use leptos::prelude::Signal;
use protocol::client::NoToken;
use protocol::id::Token;

use crate::driver::Inspect;

/// A token that is on its way. [`NoToken::Denied`] says that the user has to sign in.
pub type FetchToken = Pin<Box<dyn Future<Output = Result<Token, NoToken>>>>;

/// The options of an app's session. While the server renders, the same options open nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The URL of the server's WebSocket: `wss://host/path`, or a path of the page's own host.
    pub url: String,
    /// The URLs of further nodes of the same server: where the session goes if the one that it has does not answer, or ends
    /// and names one of them (RC-8).
    pub addresses: Vec<String>,
    /// The prefix of the names of all keys and locks in the browser's storage; `None` for `everbeat.`. Different
    /// applications of one origin must not share one.
    pub storage_prefix: Option<String>,
    /// The source of tokens; `None` for guests.
    pub tokens: Option<Tokens>,
    /// The session begins once this is true; `None` for at once. It does not end if this becomes false again.
    pub start: Option<Signal<bool>>,
    /// The handle by which the session is inspected; `None` for a session that never is.
    pub inspect: Option<Inspect>,
}

/// The source of the user's tokens (AC-6).
#[derive(Clone)]
#[non_exhaustive]
pub enum Tokens {
    /// A token endpoint, which gets the cookies that the browser has for it. The answer is 200 with the token as its
    /// text, or 401 or 403 if the user has to sign in; after any other the session asks again.
    Url(String),
    /// A function of the app. The session calls it whenever the server wants a token.
    Fetch(Rc<dyn Fn() -> FetchToken>),
}

impl Options {
    /// A session of a guest at this URL, from the start.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            addresses: Vec::new(),
            storage_prefix: None,
            tokens: None,
            start: None,
            inspect: None,
        }
    }

    /// Sets [`Options::addresses`].
    #[must_use]
    pub fn addresses<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        self.addresses = urls.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`Options::storage_prefix`].
    #[must_use]
    pub fn storage_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.storage_prefix = Some(prefix.into());
        self
    }

    /// Fetches tokens from this URL: [`Tokens::Url`].
    #[must_use]
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.tokens = Some(Tokens::Url(url.into()));
        self
    }

    /// Takes tokens from this function: [`Tokens::Fetch`].
    #[must_use]
    pub fn tokens(mut self, fetch: impl Fn() -> FetchToken + 'static) -> Self {
        self.tokens = Some(Tokens::Fetch(Rc::new(fetch)));
        self
    }

    /// Sets [`Options::inspect`].
    #[must_use]
    pub fn inspect(mut self, inspect: Inspect) -> Self {
        self.inspect = Some(inspect);
        self
    }

    /// Sets [`Options::start`]: for a session that is to begin after a sign-in, say.
    #[must_use]
    pub fn start_when(mut self, start: impl Into<Signal<bool>>) -> Self {
        self.start = Some(start.into());
        self
    }
}

impl fmt::Debug for Tokens {
    /// Without the URL: it may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}
