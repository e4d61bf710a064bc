//! The options of a client: its seed, its limits, its token source and its storage.

use std::fmt;
use std::io;
use std::pin::Pin;
#[cfg(feature = "rustls")]
use std::sync::Arc;

use protocol::address::AddressError;
use protocol::client::{Config, NoToken};
use protocol::id::Token;
use thiserror::Error;
#[cfg(feature = "rustls")]
use tokio_rustls::rustls::ClientConfig;

use crate::storage::{MemoryStorage, Storage};
use crate::tls::TlsChoice;

/// A fetch of a token that is under way.
pub(crate) type Fetch = Pin<Box<dyn Future<Output = Result<Token, NoToken>> + Send>>;

/// Begins to fetch a token.
pub(crate) type TokenSource = Box<dyn FnMut() -> Fetch + Send>;

/// Why a client could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Two addresses of one server, one `wss://` and one `ws://`.
    #[error(transparent)]
    Addresses(#[from] AddressError),
    /// The URL is neither `ws://host[:port][/path]` nor `wss://…`.
    #[error("not the URL of a WebSocket: {0}")]
    Url(String),
    /// The URL is `wss://`, and there is no TLS: the feature `rustls` is off, or the platform trusts no certificate.
    #[error("no TLS for wss://: {0}")]
    Tls(String),
    /// A header cannot be sent; this is its name.
    #[error("not a header of HTTP: {0}")]
    Header(String),
    /// What the storage keeps cannot be read.
    #[error("the storage cannot be read")]
    Storage(#[source] io::Error),
}

/// The options of a [`Client`](crate::Client).
pub struct Options {
    pub(crate) config: Config,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) further: Vec<String>,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) tokens: Option<TokenSource>,
    pub(crate) tls: TlsChoice,
}

impl Options {
    /// The defaults, with this seed for all randomness (PU-2). Clients with one seed reconnect at the same times: give
    /// each client another one. It protects nothing, so it need not be secret.
    pub fn new(seed: u64) -> Self {
        Self {
            config: Config::new(seed),
            headers: Vec::new(),
            further: Vec::new(),
            storage: Box::new(MemoryStorage::default()),
            tokens: None,
            tls: TlsChoice::default(),
        }
    }

    /// Changes limits and deadlines of the core.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Fetches a token whenever the server wants one (AC-6). A fetch that takes longer than
    /// [`Config::connect_timeout`] counts as [`NoToken::Unavailable`]. A client that has a token at its start shows it by
    /// [`Client::show_token`](crate::Client::show_token) first, which spares a connection that is refused. A token that the
    /// server does not take is fetched again, with growing pauses: [`Status::Waiting`](crate::Status) then has close 4201.
    #[must_use]
    pub fn tokens<F, T>(mut self, mut fetch: F) -> Self
    where
        F: FnMut() -> T + Send + 'static,
        T: Future<Output = Result<Token, NoToken>> + Send + 'static,
    {
        self.config.fetches_tokens = true;
        self.tokens = Some(Box::new(move || Box::pin(fetch())));
        self
    }

    /// Keeps the session and the outbox in this storage, and resumes what it holds.
    #[must_use]
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Box::new(storage);
        self
    }

    /// Secures `wss://` so: other certificates than those that the platform trusts, a certificate of the client, … One
    /// configuration may serve many clients. The server is to speak HTTP/1.1: name no other protocol.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = TlsChoice(config.into());
        self
    }

    /// Adds URLs of further nodes of the same server (RC-8). The client goes there where the one that it has does not answer,
    /// or ends and names one of them; it goes nowhere else. They get what the first one gets: headers, the session's key
    /// and tokens.
    #[must_use]
    pub fn addresses<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        self.further.extend(urls.into_iter().map(Into::into));
        self
    }

    /// Sends one more header with each opening handshake, a cookie say.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Without the headers' values, which may be secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Options")
            .field("config", &self.config)
            .field("headers", &headers)
            .field("further", &self.further)
            .field("fetches_tokens", &self.tokens.is_some())
            .finish_non_exhaustive()
    }
}
