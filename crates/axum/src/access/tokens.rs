//! Tokens: signed by an issuer, checked here.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use parking_lot::RwLock;
use protocol::access::{Access, Denied, Grants, Identity, Naming, Rights, Subject};
use protocol::id::{Name, Token};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::TokenConfig;
use super::keys::{Key, KeySource, KeysError};
use crate::clock::unix_ms;

/// How far the issuer's clock may be ahead of or behind ours, in seconds.
const LEEWAY_S: u64 = 5;

/// A token with an unknown key has the keys read again, but not more often than this.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The claims of a token (RFC 7519 section 4.1, OpenID Connect Core 1.0 section 5.1).
#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: Option<String>,
    /// Unix time in seconds; may have a fraction.
    exp: f64,
    /// Absent: the token is good for all rooms. `null` is not the same, and invalid.
    #[serde(default, deserialize_with = "granted")]
    rooms: Option<Grants>,
}

fn granted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Grants>, D::Error> {
    Grants::deserialize(deserializer).map(Some)
}

/// The check of tokens.
pub(super) struct Tokens {
    source: KeySource,
    refresh: Duration,
    audience: Option<String>,
    issuer: Option<String>,
    /// `None` until the keys could be read once.
    keys: RwLock<Option<Arc<[Key]>>>,
    /// The last look for keys; locked by the one that is under way.
    looked: Mutex<Option<Look>>,
}

/// One look for keys at their source.
struct Look {
    at: Instant,
    /// Whether it ended with keys.
    was_read: bool,
}

/// The result of a check.
enum Checked {
    Good(Access),
    Bad(Denied),
    /// The token names a key that we do not have.
    UnknownKey,
}

impl Tokens {
    /// The check with these keys. A file must be readable now; an address may be so later.
    pub(super) async fn new(config: TokenConfig) -> Result<Self, KeysError> {
        let keys = match (config.keys.read().await, &config.keys) {
            (Ok(keys), _) => Some(keys),
            (Err(error), KeySource::File(_)) => return Err(error),
            (Err(error), KeySource::Url(_)) => {
                tracing::warn!(%error, "every token is refused until the keys can be read");
                None
            }
        };
        Ok(Self {
            source: config.keys,
            refresh: config.refresh,
            audience: config.audience,
            issuer: config.issuer,
            keys: RwLock::new(keys.map(Arc::from)),
            looked: Mutex::new(None),
        })
    }

    /// Checks a token (AC-1).
    pub(super) async fn check(self: &Arc<Self>, token: &Token) -> Result<Access, Denied> {
        match self.check_now(token) {
            Some(Checked::Good(access)) => return Ok(access),
            Some(Checked::Bad(denied)) => return Err(denied),
            Some(Checked::UnknownKey) | None => {}
        }
        // In a task of its own: the caller may be dropped in the midst of it, while others wait for it.
        let looker = Arc::clone(self);
        let looking = tokio::spawn(async move { looker.look().await });
        // A file was readable, or the server had not started: only an address can be out of reach.
        let is_known = looking.await.unwrap_or(false) || matches!(self.source, KeySource::File(_));
        match self.check_now(token) {
            Some(Checked::Good(access)) => Ok(access),
            Some(Checked::Bad(denied)) => Err(denied),
            // The keys were read within `LOOK_EVERY`: that is a verdict, also on a token whose key was
            // published since then, until the next look. Issuers publish a key before they sign with it, and a
            // client that fetches tokens tries again by itself (AC-6). "Not now" instead would have all clients
            // with a token of a removed key retry for ever, and use up the looks that others need.
            Some(Checked::UnknownKey) if is_known => Err(Denied::TokenInvalid),
            Some(Checked::UnknownKey) | None => Err(Denied::Unavailable),
        }
    }

    /// Reads the keys again at intervals; never returns.
    pub(super) async fn keep(&self) {
        loop {
            sleep(self.refresh).await;
            self.read().await;
        }
    }

    /// Checks a token with the keys that we have; `None` without any keys.
    fn check_now(&self, token: &Token) -> Option<Checked> {
        let keys = self.keys.read().clone()?;
        let token = token.expose();
        // A token with critical extensions is refused, as we know none (RFC 7515 section 4.1.11).
        let Some(header) = decode_header(token).ok().filter(|h| h.crit.is_none()) else {
            return Some(Checked::Bad(Denied::TokenInvalid));
        };
        // A key is chosen by its id where both have one, and serves its own algorithm only: a token
        // does not choose how it is checked.
        let fits = |key: &&Key| {
            let is_named = key.id.is_some() && header.kid.is_some();
            key.algorithm == header.alg && (!is_named || key.id == header.kid)
        };
        let is_unknown = header.kid.is_some() && keys.iter().all(|key| key.id != header.kid);
        let mut checked = if is_unknown {
            Checked::UnknownKey
        } else {
            Checked::Bad(Denied::TokenInvalid)
        };
        for key in keys.iter().filter(fits) {
            match decode::<Claims>(token, &key.key, &self.validation(key)) {
                Ok(data) => return Some(access(data.claims)),
                Err(error) => match error.kind() {
                    // Another key may have signed it.
                    ErrorKind::InvalidSignature => {}
                    ErrorKind::ExpiredSignature => checked = Checked::Bad(Denied::TokenExpired),
                    _ => checked = Checked::Bad(Denied::TokenInvalid),
                },
            }
        }
        Some(checked)
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm);
        let mut required = vec!["sub", "exp"];
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    /// Looks for newer keys, unless a look was made just now. Returns whether the last look found keys.
    async fn look(&self) -> bool {
        let mut looked = self.looked.lock().await;
        if let Some(look) = looked
            .as_ref()
            .filter(|look| look.at.elapsed() < LOOK_EVERY)
        {
            return look.was_read;
        }
        let at = Instant::now();
        let was_read = self.read().await;
        *looked = Some(Look { at, was_read });
        was_read
    }

    /// Reads the keys; if they cannot be read, the old ones stay. Returns whether they could.
    pub(super) async fn read(&self) -> bool {
        match self.source.read().await {
            Ok(keys) => *self.keys.write() = Some(keys.into()),
            Err(error) => {
                tracing::warn!(%error, "the keys of tokens stay as they were");
                return false;
            }
        }
        true
    }
}

fn access(claims: Claims) -> Checked {
    let Ok(subject) = Subject::new(&claims.sub) else {
        return Checked::Bad(Denied::TokenInvalid);
    };
    let now = Duration::from_millis(unix_ms()).as_secs_f64();
    // Zero within the leeway after the end; the longest duration where the end is too far for one.
    let left = Duration::try_from_secs_f64((claims.exp - now).max(0.0));
    let names = [claims.name.as_deref(), Some(&*claims.sub)];
    let mut names = names.into_iter().flatten().map(Name::tidy);
    let naming = match names.find(|name| !name.is_empty()) {
        Some(name) => Naming::Vouched(name),
        None => Naming::Own {
            usual: None,
            is_marked: true,
        },
    };
    Checked::Good(Access {
        naming,
        identity: Identity::Subject(subject),
        rights: claims.rooms.map_or(Rights::ALL, Rights::from),
        expires_in: Some(left.unwrap_or(Duration::MAX)),
    })
}
