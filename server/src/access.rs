//! Who may enter: the one check before sockets, pages and whatever else there is (AC-1).

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

/// Why the gate cannot be set up.
#[derive(Debug, Error)]
pub enum GateError {
    /// The keys of tokens.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The key of guests' cookies.
    #[error(transparent)]
    Guests(#[from] GuestError),
}

/// What tokens and guests are admitted.
#[derive(Clone, Debug)]
pub struct GateConfig {
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

/// What a request shows of its sender, apart from what is said in `hello`.
#[derive(Clone, Default)]
pub struct Presented {
    /// A cookie that holds no token at all is not the same as none.
    token: Option<Result<Token, IdError>>,
    guest: Option<Known>,
}

/// Lets people in, or not.
pub struct Gate {
    tokens: Option<Arc<Tokens>>,
    token_cookie: String,
    guests: Option<Guests>,
}

impl Gate {
    /// A gate of this configuration.
    ///
    /// # Errors
    /// A [`GateError`] that says which file is meant and what to do.
    pub async fn new(config: GateConfig) -> Result<Self, GateError> {
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

    /// What a request shows in its cookies.
    pub fn presented(&self, headers: &HeaderMap) -> Presented {
        // Without keys it may be a cookie of another program.
        let tokens = self.tokens.as_ref();
        let token = tokens.and_then(|_| cookies(headers, &self.token_cookie).next());
        let token = token.map(Token::new);
        let guests = self.guests.as_ref();
        let guest = guests.and_then(|guests| guests.known(headers));
        Presented { token, guest }
    }

    /// Finds out who that is: by the token that was said, else by that in a cookie, else as a guest.
    /// Somebody whose token is not good does not become a guest unawares.
    ///
    /// # Errors
    /// Why they are not let in.
    pub async fn admit(
        &self,
        presented: &Presented,
        said: Option<&Token>,
    ) -> Result<Access, Denied> {
        let shown = said
            .map(Ok)
            .or_else(|| presented.token.as_ref().map(Result::as_ref));
        match (&self.tokens, shown) {
            (Some(tokens), Some(Ok(token))) => tokens.check(token).await,
            (_, Some(_)) => Err(Denied::TokenInvalid),
            (_, None) => {
                let guests = self.guests.as_ref().ok_or(Denied::TokenRequired)?;
                let known = presented.guest.as_ref();
                Ok(guests.admit(known.map(|known| known.subject.clone())))
            }
        }
    }

    /// A cookie for a guest who has none yet, or not the one that there should be; none for anybody else.
    /// `is_secure`: the request came by HTTPS.
    pub fn guest_cookie(&self, presented: &Presented, is_secure: bool) -> Option<GuestCookie> {
        if presented.token.is_some() {
            return None;
        }
        let guests = self.guests.as_ref()?;
        guests.cookie(presented.guest.as_ref(), is_secure)
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
