//! Authentication: every socket, page and request is authenticated first, in the same way (AC-1).

mod guests;
mod keys;
#[cfg(test)]
mod tests;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use protocol::access::{Access, Denied, Rights};
use protocol::id::{IdError, Token};
use thiserror::Error;

pub use self::guests::{GuestCookie, GuestError};
use self::guests::{Guests, Known};
pub use self::keys::{KeySource, KeysError};
use self::tokens::Tokens;

/// Why the authenticator cannot be made.
#[derive(Debug, Error)]
pub enum AuthenticatorError {
    /// The keys of tokens.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The key of guests' cookies.
    #[error(transparent)]
    Guests(#[from] GuestError),
}

/// Which tokens and guests are admitted.
#[derive(Clone, Debug)]
pub struct AuthenticatorConfig {
    /// Tokens; `None` where none are taken.
    pub tokens: Option<TokenConfig>,
    /// The cookie in which a browser shows its token.
    pub token_cookie: String,
    /// What guests may do; `None` where there are none.
    pub guests: Option<Rights>,
    /// The directory in which the key of guests' cookies is kept.
    pub data: PathBuf,
}

/// Which tokens are taken.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// Where the keys are that they are signed with.
    pub keys: KeySource,
    /// How often the keys are read again.
    pub refresh: Duration,
    /// For whom they must be meant (`aud`, RFC 7519 section 4.1.3); `None`: it is not asked.
    pub audience: Option<String>,
    /// Who must have made them (`iss`, section 4.1.1); `None`: it is not asked.
    pub issuer: Option<String>,
}

/// The credentials that a request shows in its cookies, apart from the token of a `hello`.
#[derive(Clone, Default)]
pub struct ShownCredentials {
    /// A cookie that holds no token at all is not the same as none.
    token: Option<Result<Token, IdError>>,
    guest: Option<Known>,
}

/// The authenticator: finds out whose a request is, and what it may do.
pub struct Authenticator {
    tokens: Option<Arc<Tokens>>,
    token_cookie: String,
    guests: Option<Guests>,
}

impl Authenticator {
    /// An authenticator of this configuration.
    ///
    /// # Errors
    /// An [`AuthenticatorError`] that says which file is meant and what to do.
    pub async fn new(config: AuthenticatorConfig) -> Result<Self, AuthenticatorError> {
        let tokens = match config.tokens {
            Some(tokens) => Some(Arc::new(Tokens::new(tokens).await?)),
            None => None,
        };
        // Where nobody vouches for anybody's name, all are alike.
        let is_marked = tokens.is_some();
        let guests = config.guests;
        let guests = guests.map(|rights| Guests::new(&config.data, rights, is_marked));
        Ok(Self {
            tokens,
            token_cookie: config.token_cookie,
            guests: guests.transpose()?,
        })
    }

    /// The credentials that a request shows in its cookies.
    pub fn credentials(&self, headers: &HeaderMap) -> ShownCredentials {
        // Without keys it may be a cookie of another program.
        let tokens = self.tokens.as_ref();
        let token = tokens.and_then(|_| cookies(headers, &self.token_cookie).next());
        let token = token.map(Token::new);
        let guests = self.guests.as_ref();
        let guest = guests.and_then(|guests| guests.known(headers));
        ShownCredentials { token, guest }
    }

    /// Authenticates a caller: by the token of its `hello` or of its header, else by that in a cookie, else as
    /// a guest. A caller whose token is not good does not become a guest unawares.
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

    /// A cookie for a guest that has none yet, or not the one that there should be; none for other callers.
    /// `is_secure`: the request came by HTTPS.
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

    /// Reads the keys of tokens again and again, where there are any.
    pub async fn keep(&self) {
        match &self.tokens {
            Some(tokens) => tokens.keep().await,
            None => std::future::pending().await,
        }
    }
}

/// The values of the cookies of this name (RFC 6265 section 5.4): there may be several, of which some are not
/// ours. Others beside them may hold any bytes.
pub(crate) fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
        .filter_map(move |(key, value)| (key == name).then_some(value))
}
