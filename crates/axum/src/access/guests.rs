//! Guests: clients without a token, whose users are known by a signed cookie.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use protocol::access::{Access, Identity, Naming, Rights, Subject};
use protocol::id::Name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::cookies;
use crate::clock::unix_ms;
use crate::hex::hex;
use crate::secret;

/// The cookie's name on older servers; the name on a server of today begins with it. Browsers do not
/// tell the ports of a host apart (RFC 6265 section 8.5), so each server of a host needs a name of
/// its own.
const COOKIE: &str = "everbeat-guest";

/// How many bytes of a hash tell the servers of one host apart.
const MARK_BYTES: usize = 8;

/// A prefix of names that browsers accept over HTTPS only, from the host itself, and for all its paths (RFC 6265bis
/// section 4.1.3.2): so no other host of the domain can put a cookie in place of ours.
const FROM_HOST: &str = "__Host-";

/// The audience of guests' cookies: it tells them from tokens that are signed with the same key.
const AUDIENCE: &str = "everbeat-guest";

/// How long a guest is known: as long as browsers keep cookies (RFC 6265bis section 5.5).
const KNOWN_FOR: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The bytes of the key that signs cookies (RFC 7518 section 3.2: at least those of the hash).
const KEY_BYTES: usize = 32;

/// Why guests' cookies cannot be signed.
#[derive(Debug, Error)]
pub enum GuestError {
    /// The file of the key cannot be used.
    #[error("cannot use {path}, which holds the key of guests' cookies: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{path} should hold the key of guests' cookies: {KEY_BYTES} bytes. Remove it to get a new one; guests are new \
         people then"
    )]
    Key {
        /// Which file.
        path: PathBuf,
    },
    /// There is no file where it was said to be.
    #[error(
        "{path} is missing: it should hold the key of guests' cookies, {KEY_BYTES} random bytes, the same on all nodes"
    )]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("the system has no randomness for the key of guests' cookies")]
    Random,
}

/// A guest's cookie. Its value must not get into logs, so it has no `Debug`.
#[derive(Clone)]
pub struct GuestCookie {
    name: String,
    value: String,
    is_secure: bool,
}

impl GuestCookie {
    /// The cookie as a header. Only the server can read it. Other sites do not send it with their requests, but links
    /// from there do: else a guest that follows one would become a new guest.
    pub fn header(&self) -> Option<HeaderValue> {
        let Self { name, value, .. } = self;
        let age = KNOWN_FOR.as_secs();
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }
}

/// A guest who is known by a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The guest's subject.
    pub(super) subject: Subject,
    kind: Kind,
}

/// The kinds of a guest's cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// This server's, set over HTTPS.
    FromHost,
    /// This server's, set over HTTP.
    Own,
    /// An older server's.
    Former,
}

impl Known {
    /// Whether a new cookie would be no better than this one.
    fn needs_none(&self, is_secure: bool) -> bool {
        match self.kind {
            Kind::FromHost => true,
            Kind::Own => !is_secure,
            Kind::Former => false,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    exp: u64,
}

/// The guests that a server takes.
pub(super) struct Guests {
    rights: Rights,
    is_marked: bool,
    /// The names of this server's cookies: with [`FROM_HOST`], and without.
    names: [String; 2],
    signs: EncodingKey,
    checks: DecodingKey,
    validation: Validation,
}

impl Guests {
    /// Guests with these rights. The key of their cookies is in the `shared` file; without one it is in the data
    /// directory, and is made where it is missing.
    pub(super) fn new(
        data: &Path,
        shared: Option<&Path>,
        rights: Rights,
        is_marked: bool,
    ) -> Result<Self, GuestError> {
        let key = match shared {
            Some(path) => read_key(path)?.ok_or_else(|| GuestError::Missing {
                path: path.to_owned(),
            })?,
            None => {
                let path = data.join("guests.key");
                read_key(&path)?.map_or_else(|| make_key(&path), Ok)?
            }
        };
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["sub", "aud", "exp"]);
        Ok(Self {
            rights,
            is_marked,
            names: names(&key),
            signs: EncodingKey::from_secret(&key),
            checks: DecodingKey::from_secret(&key),
            validation,
        })
    }

    /// A name for the key.
    pub(super) fn mark(&self) -> Option<&str> {
        let [_, own] = &self.names;
        Some(own)
    }

    /// The access of a guest, who may be known or not.
    pub(super) fn admit(&self, subject: Option<Subject>) -> Access {
        Access {
            naming: Naming::Own {
                usual: subject.as_ref().map(usual_name),
                is_marked: self.is_marked,
            },
            identity: Identity::Guest(subject),
            rights: self.rights.clone(),
            expires_in: None,
        }
    }

    /// A new cookie for a guest who has none, or none of this kind (set over HTTPS, with this server's name).
    pub(super) fn cookie(&self, known: Option<&Known>, is_secure: bool) -> Option<GuestCookie> {
        let sub = match known {
            Some(known) if known.needs_none(is_secure) => return None,
            Some(known) => known.subject.as_str().to_owned(),
            None => format!("guest-{}", secret::random_hex::<16>()?),
        };
        let claims = Claims {
            sub,
            aud: AUDIENCE.to_owned(),
            exp: unix_ms() / 1000 + KNOWN_FOR.as_secs(),
        };
        let value = encode(&Header::new(Algorithm::HS256), &claims, &self.signs).ok()?;
        let [from_host, own] = &self.names;
        Some(GuestCookie {
            name: if is_secure { from_host } else { own }.clone(),
            value,
            is_secure,
        })
    }

    /// The guest who is known by a cookie. A cookie that we did not sign counts for nothing, and hides no other one.
    pub(super) fn known(&self, headers: &HeaderMap) -> Option<Known> {
        let [from_host, own] = &self.names;
        let kinds = [
            (from_host.as_str(), Kind::FromHost),
            (own.as_str(), Kind::Own),
            (COOKIE, Kind::Former),
        ];
        kinds.into_iter().find_map(|(name, kind)| {
            let subject = cookies(headers, name).find_map(|cookie| self.subject(cookie))?;
            Some(Known { subject, kind })
        })
    }

    fn subject(&self, cookie: &str) -> Option<Subject> {
        let token = decode::<Claims>(cookie, &self.checks, &self.validation).ok()?;
        Subject::new(&token.claims.sub).ok()
    }
}

/// The names of the cookies that are signed with this key: they last as long as the key, and two servers share
/// them only if they share the key. The names reveal nothing of the key.
fn names(key: &[u8]) -> [String; 2] {
    let mut hash = Sha256::new_with_prefix("the name of guests' cookies");
    hash.update(key);
    let mark = hash.finalize();
    let mark = hex(mark.get(..MARK_BYTES).unwrap_or(&mark));
    let own = format!("{COOKIE}-{mark}");
    [format!("{FROM_HOST}{own}"), own]
}

/// The name of a guest who chose none: the same in all of their sessions.
fn usual_name(subject: &Subject) -> Name {
    let tail: String = subject
        .as_str()
        .trim_start_matches("guest-")
        .chars()
        .take(4)
        .collect();
    Name::tidy(&format!("guest {tail}"))
}

/// The key in a file; `None` where there is no file.
fn read_key(path: &Path) -> Result<Option<Vec<u8>>, GuestError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, error)),
    };
    let mut key = Vec::new();
    let read = file.take(1024).read_to_end(&mut key);
    read.map_err(|error| failed(path, error))?;
    if key.len() != KEY_BYTES {
        return Err(GuestError::Key {
            path: path.to_owned(),
        });
    }
    Ok(Some(key))
}

fn make_key(path: &Path) -> Result<Vec<u8>, GuestError> {
    let mut key = vec![0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|_| GuestError::Random)?;
    write_key(path, &key).map_err(|error| failed(path, error))?;
    Ok(key)
}

fn failed(path: &Path, source: io::Error) -> GuestError {
    GuestError::File {
        path: path.to_owned(),
        source,
    }
}

/// Writes the key under another name first: the file is whole or absent, whenever the power is cut.
fn write_key(path: &Path, key: &[u8]) -> io::Result<()> {
    let part = path.with_extension("key.part");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    // The name is durable once its directory is synced.
    let directory = path.parent().unwrap_or(path);
    File::open(directory)?.sync_all()
}
