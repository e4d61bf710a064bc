//! The keys that tokens are checked with: from a file, or from an address that is read at intervals.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use thiserror::Error;
use url::Url;

/// The fewest bytes of a secret key (RFC 7518 section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The bytes of a point on the curve P-256, uncompressed (SEC 1 section 2.3.3).
const P256_BYTES: usize = 65;

/// The beginning of a public key on that curve as PEM: in base64 the algorithm, the curve (RFC 5480 section 2.1.1), and
/// the first byte of an uncompressed point.
const P256_BEGIN: &[u8] = b"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// The most bytes of a file or an answer with keys: enough for hundreds of keys.
const BYTES_MAX: usize = 256 * 1024;

/// The deadline of an address's answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The source of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file: a JWK set, a public key as PEM, or a secret.
    File(PathBuf),
    /// The address of a JWK set. It is kept as it was parsed, so that the check and the request mean the same host.
    Url(Url),
}

/// Why keys are not taken from an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeySourceError {
    /// The answer could be changed on the way.
    #[error(
        "keys that come over http can be forged: use https, or an address of this machine, as \
         http://127.0.0.1:3000/jwks, without a name before the host"
    )]
    PlainHttp,
    /// It is neither a file nor an address.
    #[error("neither a file nor an address as https://example.org/jwks: {0}")]
    NoAddress(String),
}

impl FromStr for KeySource {
    type Err = KeySourceError;

    fn from_str(text: &str) -> Result<Self, KeySourceError> {
        let is_url = |url: &Url| matches!(url.scheme(), "http" | "https");
        let url = match Url::parse(text) {
            Ok(url) if is_url(&url) => url,
            _ if !text.contains("://") => return Ok(Self::File(text.into())),
            Ok(_) => return Err(KeySourceError::NoAddress("it is not https".to_owned())),
            Err(error) => return Err(KeySourceError::NoAddress(error.to_string())),
        };
        let is_bare = url.username().is_empty() && url.password().is_none();
        if url.scheme() == "http" && !(is_bare && is_here(&url)) {
            return Err(KeySourceError::PlainHttp);
        }
        Ok(Self::Url(url))
    }
}

/// Whether an address is on this machine.
fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
    })
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            // Without the query and the user's name and password, which may be secret.
            Self::Url(url) => {
                write!(f, "{}{}", url.origin().ascii_serialization(), url.path())
            }
        }
    }
}

/// Why no keys could be read.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The source cannot be read.
    #[error("cannot read the keys of tokens from {from}: {reason}")]
    Unreadable {
        /// The source.
        from: KeySource,
        /// The reason.
        reason: String,
    },
    /// The source holds no key that tokens are checked with.
    #[error(
        "{from} holds no key of tokens: it may be a JWK set (RSA, P-256, Ed25519 or oct), a public key as PEM (RSA, P-256 or \
         Ed25519), or a secret of {SECRET_BYTES_MIN} bytes or more"
    )]
    NoKeys {
        /// The source.
        from: KeySource,
    },
    /// The source holds a private key, which only the issuer should have.
    #[error("{from} holds a private key: this server needs the public one only")]
    Private {
        /// The source.
        from: KeySource,
    },
    /// The source holds a secret key so short that it can be guessed.
    #[error("{from} holds a secret of {bytes} bytes: it needs {SECRET_BYTES_MIN} or more")]
    Short {
        /// The source.
        from: KeySource,
        /// The secret's length.
        bytes: usize,
    },
}

/// One key, for one algorithm only: a token cannot choose another one.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl KeySource {
    /// Reads the keys of the source.
    pub(super) async fn read(&self) -> Result<Vec<Key>, KeysError> {
        let unreadable = |reason: String| KeysError::Unreadable {
            from: self.clone(),
            reason,
        };
        let bytes = match self {
            Self::File(path) => read_file(path).map_err(|error| unreadable(error.to_string()))?,
            Self::Url(url) => fetch(url).await.map_err(|error| unreadable(told(&error)))?,
        };
        self.parse(&bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<Key>, KeysError> {
        let from = || self.clone();
        let text = bytes.trim_ascii();
        let keys = if text.starts_with(b"{") {
            self.parse_set(text)?
        } else if matches!(self, Self::Url(_)) {
            Vec::new()
        } else if text.starts_with(b"-----BEGIN") {
            if is_private(text) {
                return Err(KeysError::Private { from: from() });
            }
            from_pem(text).into_iter().collect()
        } else if text.len() < SECRET_BYTES_MIN {
            let bytes = text.len();
            return Err(KeysError::Short {
                from: from(),
                bytes,
            });
        } else {
            let key = DecodingKey::from_secret(text);
            vec![Key {
                id: None,
                algorithm: Algorithm::HS256,
                key,
            }]
        };
        if keys.is_empty() {
            return Err(KeysError::NoKeys { from: from() });
        }
        Ok(keys)
    }

    /// The keys of a JWK set, or of a single JWK. Keys for other purposes are skipped.
    fn parse_set(&self, text: &[u8]) -> Result<Vec<Key>, KeysError> {
        let found: Value = serde_json::from_slice(text).unwrap_or_default();
        let found = match found.get("keys").and_then(Value::as_array) {
            Some(keys) => keys.clone(),
            None => vec![found],
        };
        // RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2.
        if found.iter().any(|key| key.get("d").is_some()) {
            return Err(KeysError::Private { from: self.clone() });
        }
        // A secret that can be fetched is no secret.
        let takes_secrets = matches!(self, Self::File(_));
        let keys = found.into_iter().filter_map(|key| {
            let key = from_jwk(&serde_json::from_value(key).ok()?)?;
            (takes_secrets || key.algorithm != Algorithm::HS256).then_some(key)
        });
        Ok(keys.collect())
    }
}

fn from_jwk(jwk: &Jwk) -> Option<Key> {
    let is_for_signing = matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    );
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        _ => return None,
    };
    // The algorithm that the key names, if any, must be the one that it is used for here.
    let said = jwk.common.key_algorithm;
    let fits = said.is_none_or(|said| Algorithm::try_from(said).ok() == Some(algorithm));
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    let has_its_length = match algorithm {
        Algorithm::HS256 => bytes >= SECRET_BYTES_MIN,
        Algorithm::ES256 => bytes == P256_BYTES,
        _ => true,
    };
    (is_for_signing && fits && has_its_length).then(|| Key {
        id: jwk.common.key_id.clone(),
        algorithm,
        key,
    })
}

fn from_pem(text: &[u8]) -> Option<Key> {
    let (algorithm, key) = if is_p256(text) {
        (Algorithm::ES256, DecodingKey::from_ec_pem(text).ok()?)
    } else if let Ok(key) = DecodingKey::from_rsa_pem(text) {
        (Algorithm::RS256, key)
    } else {
        (Algorithm::EdDSA, DecodingKey::from_ed_pem(text).ok()?)
    };
    Some(Key {
        id: None,
        algorithm,
        key,
    })
}

/// Whether a PEM holds a public key on the curve P-256: other curves are for other algorithms, and some have points of
/// the same length.
fn is_p256(pem: &[u8]) -> bool {
    let lines = pem.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let body = lines.skip(1).flatten();
    body.take(P256_BEGIN.len()).eq(P256_BEGIN)
}

fn is_private(pem: &[u8]) -> bool {
    pem.split(|byte| *byte == b'\n').any(|line| {
        line.starts_with(b"-----BEGIN") && line.windows(11).any(|w| w == b"PRIVATE KEY")
    })
}

fn read_file(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why an address gave no keys.
#[derive(Debug, Error)]
enum FetchError {
    #[error(transparent)]
    Http(reqwest::Error),
    #[error("the answer has more than {BYTES_MAX} bytes")]
    TooLarge,
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // Without its URL, which may hold a secret; the caller names the source.
        Self::Http(error.without_url())
    }
}

async fn fetch(url: &Url) -> Result<Vec<u8>, FetchError> {
    let client = reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    // A request to this machine does not leave it, whatever proxy the environment names.
    let client = if url.scheme() == "http" {
        client.no_proxy()
    } else {
        client
    };
    let mut response = client
        .build()?
        .get(url.clone())
        .send()
        .await?
        .error_for_status()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An error with its causes, as reqwest's own text tells little.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut told: Vec<String> = causes.map(ToString::to_string).collect();
    told.dedup();
    told.join(": ")
}
