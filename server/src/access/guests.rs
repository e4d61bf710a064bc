//! Guests: people without a token, known again by a signed cookie.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::HeaderValue;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use protocol::access::{Access, Naming, Rights, Subject};
use protocol::id::Name;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::unix_ms;
use crate::secret;

/// The cookie's name.
pub(super) const COOKIE: &str = "everbeat-guest";

/// What tells a guest's cookie from a token of somebody who happens to have the key.
const AUDIENCE: &str = "everbeat-guest";

/// How long a guest is known: as long as browsers keep cookies (RFC 6265bis section 5.5).
const KNOWN_FOR: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// How many random bytes sign cookies (RFC 7518 section 3.2: at least those of the hash).
const KEY_BYTES: usize = 32;

/// Why guests' cookies cannot be signed.
#[derive(Debug, Error)]
pub enum GuestError {
    /// The file of the key.
    #[error("cannot use {path}, which holds the key of guests' cookies: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Somebody wrote something else there.
    #[error(
        "{path} should hold the key of guests' cookies: {KEY_BYTES} bytes. Remove it to get a new one; guests are new \
         people then"
    )]
    Key {
        /// Which file.
        path: PathBuf,
    },
    /// The system has no randomness.
    #[error("the system has no randomness for the key of guests' cookies")]
    Random,
}

/// A cookie that makes a guest known. Not to be shown by `Debug`.
#[derive(Clone)]
pub struct GuestCookie(String);

impl GuestCookie {
    /// The cookie as a header. Only the server reads it; other sites do not send it along with their
    /// requests, but a link from there does: or whoever followed one would be somebody new.
    pub fn header(&self, is_secure: bool) -> Option<HeaderValue> {
        let Self(value) = self;
        let age = KNOWN_FOR.as_secs();
        let secure = if is_secure { "; Secure" } else { "" };
        let text =
            format!("{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    exp: u64,
}

/// Whoever comes without a token.
pub(super) struct Guests {
    rights: Rights,
    is_marked: bool,
    signs: EncodingKey,
    checks: DecodingKey,
    validation: Validation,
}

impl Guests {
    /// Guests who may do this, with the key of their cookies from the data directory: made there if it
    /// is missing.
    pub(super) fn new(data: &Path, rights: Rights, is_marked: bool) -> Result<Self, GuestError> {
        let path = data.join("guests.key");
        let key = read_key(&path)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["sub", "aud", "exp"]);
        Ok(Self {
            rights,
            is_marked,
            signs: EncodingKey::from_secret(&key),
            checks: DecodingKey::from_secret(&key),
            validation,
        })
    }

    /// What a guest may do, known or not.
    pub(super) fn admit(&self, subject: Option<Subject>) -> Access {
        Access {
            naming: Naming::Own {
                usual: subject.as_ref().map(usual_name),
                is_marked: self.is_marked,
            },
            subject,
            is_guest: true,
            rights: self.rights.clone(),
            expires_in: None,
        }
    }

    /// A cookie for somebody new.
    pub(super) fn new_cookie(&self) -> Option<GuestCookie> {
        let claims = Claims {
            sub: format!("guest-{}", secret::random_hex::<16>()?),
            aud: AUDIENCE.to_owned(),
            exp: unix_ms() / 1000 + KNOWN_FOR.as_secs(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.signs)
            .ok()
            .map(GuestCookie)
    }

    /// Whose cookie it is; one that is not ours makes nobody known.
    pub(super) fn known(&self, cookie: &str) -> Option<Subject> {
        let token = decode::<Claims>(cookie, &self.checks, &self.validation).ok()?;
        Subject::new(&token.claims.sub)
    }
}

/// What a guest is called without a choice: the same in all of their sessions.
fn usual_name(subject: &Subject) -> Name {
    let tail: String = subject
        .as_str()
        .trim_start_matches("guest-")
        .chars()
        .take(4)
        .collect();
    Name::tidy(&format!("guest {tail}"))
}

fn read_key(path: &Path) -> Result<Vec<u8>, GuestError> {
    let failed = |source| GuestError::File {
        path: path.to_owned(),
        source,
    };
    let mut key = Vec::new();
    match File::open(path) {
        Ok(file) => {
            let mut file = file.take(1024);
            file.read_to_end(&mut key).map_err(failed)?;
            if key.len() == KEY_BYTES {
                Ok(key)
            } else {
                Err(GuestError::Key {
                    path: path.to_owned(),
                })
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            key.resize(KEY_BYTES, 0);
            getrandom::fill(&mut key).map_err(|_| GuestError::Random)?;
            write_key(path, &key).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

/// The file is there whole or not at all, whenever the power is cut: under another name first.
fn write_key(path: &Path, key: &[u8]) -> io::Result<()> {
    let part = path.with_extension("key.part");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    // The name is stable when its directory is.
    let directory = path.parent().unwrap_or(path);
    File::open(directory)?.sync_all()
}
