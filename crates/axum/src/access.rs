//! Authentication: every socket, page and request is authenticated first, in the same way (AC-1).

#[cfg_attr(not(feature = "jwt"), path = "access/no_guests.rs")]
mod guests;
#[cfg(feature = "jwt")]
mod keys;
#[cfg(feature = "jwt")]
#[cfg(test)]
mod tests;
#[cfg_attr(not(feature = "jwt"), path = "access/no_tokens.rs")]
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
#[cfg(feature = "jwt")]
use std::time::Duration;

use axum::http::{HeaderMap, header};
use protocol::access::{Access, Denied, Rights};
use protocol::id::{IdError, Token};
use thiserror::Error;

pub use self::guests::{GuestCookie, GuestError};
use self::guests::{Guests, Known};
#[cfg(feature = "jwt")]
pub use self::keys::{KeySource, KeysError};
use self::tokens::Tokens;

/// Why the authenticator cannot be made.
#[derive(Debug, Error)]
pub enum AuthenticatorError {
    /// The keys of tokens cannot be read.
    #[cfg(feature = "jwt")]
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The key of guests' cookies cannot be read or made.
    #[error(transparent)]
    Guests(#[from] GuestError),
}

/// The authenticator's configuration: which tokens and guests it admits.
#[derive(Clone, Debug)]
pub struct AuthenticatorConfig {
    /// How tokens are checked; `None` where no tokens are taken.
    #[cfg(feature = "jwt")]
    pub tokens: Option<TokenConfig>,
    /// The cookie in which a browser shows its token.
    pub token_cookie: String,
    /// The rights of guests; `None` where no guests are taken.
    pub guests: Option<Rights>,
    /// The directory in which the key of guests' cookies is kept, and made where it is missing.
    pub data: PathBuf,
    /// The file of that key, where another program made it: the nodes of a cluster have the same key. It is never made
    /// here. `None`: it is in `data`.
    pub guest_key: Option<PathBuf>,
}

impl AuthenticatorConfig {
    /// Guests with all rights and no tokens; the key of guests' cookies is kept in this directory.
    pub fn new(data: PathBuf) -> Self {
        Self {
            #[cfg(feature = "jwt")]
            tokens: None,
            token_cookie: "everbeat-token".to_owned(),
            guests: Some(Rights::ALL),
            data,
            guest_key: None,
        }
    }
}

/// How tokens are checked.
#[cfg(feature = "jwt")]
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The place of the issuer's keys.
    pub keys: KeySource,
    /// How often the keys are read again.
    pub refresh: Duration,
    /// The audience that a token must name (`aud`, RFC 7519 section 4.1.3); `None`: not checked.
    pub audience: Option<String>,
    /// The issuer that a token must name (`iss`, section 4.1.1); `None`: not checked.
    pub issuer: Option<String>,
}

#[cfg(feature = "jwt")]
impl TokenConfig {
    /// Tokens that are signed with these keys, of any issuer and for any audience. The keys are read again every 5
    /// minutes: a key that was withdrawn serves no longer than that.
    pub fn new(keys: KeySource) -> Self {
        Self {
            keys,
            refresh: Duration::from_secs(5 * 60),
            audience: None,
            issuer: None,
        }
    }
}

/// The credentials that a request shows in its cookies, apart from the token of a `hello`.
#[derive(Clone, Default)]
pub struct ShownCredentials {
    /// `None` where there is no such cookie; an error where its value cannot be a token.
    token: Option<Result<Token, IdError>>,
    guest: Option<Known>,
}

/// The authenticator: finds out which user a caller acts for, and with which rights (AC-1).
pub struct Authenticator {
    tokens: Option<Arc<Tokens>>,
    token_cookie: String,
    guests: Option<Guests>,
}

impl Authenticator {
    /// An authenticator of this configuration.
    ///
    /// # Errors
    /// [`AuthenticatorError`]: it names the file and says what to do.
    pub async fn new(config: AuthenticatorConfig) -> Result<Self, AuthenticatorError> {
        #[cfg(feature = "jwt")]
        let tokens = match config.tokens {
            Some(tokens) => Some(Arc::new(Tokens::new(tokens).await?)),
            None => None,
        };
        #[cfg(not(feature = "jwt"))]
        let tokens = None::<Arc<Tokens>>;
        // Without an issuer no name is vouched for, and guests need no mark.
        let is_marked = tokens.is_some();
        let (data, shared) = (&config.data, config.guest_key.as_deref());
        let guests = config.guests;
        let guests = guests.map(|rights| Guests::new(data, shared, rights, is_marked));
        Ok(Self {
            tokens,
            token_cookie: config.token_cookie,
            guests: guests.transpose()?,
        })
    }

    /// The credentials that a request shows in its cookies.
    pub fn credentials(&self, headers: &HeaderMap) -> ShownCredentials {
        // Without keys, a cookie of that name may be another program's.
        let tokens = self.tokens.as_ref();
        let token = tokens.and_then(|_| cookies(headers, &self.token_cookie).next());
        let token = token.map(Token::new);
        let guests = self.guests.as_ref();
        let guest = guests.and_then(|guests| guests.known(headers));
        ShownCredentials { token, guest }
    }

    /// Authenticates a caller: by `said`, the token of its `hello` or of its header; else by the token in a cookie;
    /// else as a guest. A caller whose token is not good is denied, never taken for a guest.
    ///
    /// # Errors
    /// Why the caller is denied.
    pub async fn authenticate(
        &self,
        credentials: &ShownCredentials,
        said: Option<&Token>,
    ) -> Result<Access, Denied> {
        let shown = said
            .map(Ok)
            .or_else(|| credentials.token.as_ref().map(Result::as_ref));
        match (&self.tokens, shown) {
            (Some(tokens), Some(Ok(token))) => tokens.check(token).await,
            (_, Some(_)) => Err(Denied::TokenInvalid),
            (_, None) => {
                let guests = self.guests.as_ref().ok_or(Denied::TokenRequired)?;
                let known = credentials.guest.as_ref();
                Ok(guests.admit(known.map(|known| known.subject.clone())))
            }
        }
    }

    /// A new cookie for a guest that has none yet, or has one of an older kind; `None` for other callers.
    /// `is_secure` is whether the request came over HTTPS.
    pub fn guest_cookie(
        &self,
        credentials: &ShownCredentials,
        is_secure: bool,
    ) -> Option<GuestCookie> {
        if credentials.token.is_some() {
            return None;
        }
        let guests = self.guests.as_ref()?;
        guests.cookie(credentials.guest.as_ref(), is_secure)
    }

    /// A name for the key of guests' cookies, which reveals nothing of it: nodes of one cluster have the same. `None`
    /// where no guest gets a cookie.
    pub fn guest_mark(&self) -> Option<&str> {
        self.guests.as_ref()?.mark()
    }

    /// Reads the keys of tokens again at intervals, where there are any; never returns.
    pub async fn keep(&self) {
        match &self.tokens {
            Some(tokens) => tokens.keep().await,
            None => std::future::pending().await,
        }
    }
}

/// The values of the cookies of this name (RFC 6265 section 5.4): there may be several, not all of them
/// ours. Other cookies may hold any bytes.
pub fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
        .filter_map(move |(key, value)| (key == name).then_some(value))
}
