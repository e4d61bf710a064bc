//! The gate alone: every kind of token, good and bad, and guests.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use axum::Router;
use axum::http::HeaderValue;
use axum::routing::get;
use clap::Parser;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use protocol::access::{Naming, Right, Subject};
use protocol::id::{RoomName, SessionId};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::clock::unix_ms;

const SECRET: &str = "a secret of more than thirty-two bytes";

/// Somebody who signs tokens.
struct Issuer {
    algorithm: Algorithm,
    key: EncodingKey,
    id: Option<&'static str>,
    public_pem: String,
    private_pem: String,
}

fn pem(tag: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(tag, der))
}

impl Issuer {
    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        Self {
            algorithm: Algorithm::EdDSA,
            key: EncodingKey::from_ed_pem(private_pem.as_bytes()).unwrap(),
            id: None,
            public_pem: pem("PUBLIC KEY", public.as_ref()),
            private_pem,
        }
    }

    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        Self {
            algorithm: Algorithm::RS256,
            key: EncodingKey::from_rsa_pem(private_pem.as_bytes()).unwrap(),
            id: None,
            public_pem: pem("PUBLIC KEY", public.as_ref()),
            private_pem,
        }
    }

    fn secret(secret: &str) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(secret.as_bytes()),
            id: None,
            public_pem: String::new(),
            private_pem: String::new(),
        }
    }

    fn named(self, id: &'static str) -> Self {
        let id = Some(id);
        Self { id, ..self }
    }

    fn sign(&self, claims: &Value) -> Token {
        let mut header = Header::new(self.algorithm);
        header.kid = self.id.map(str::to_owned);
        Token::new(&encode(&header, claims, &self.key).unwrap()).unwrap()
    }

    fn jwk(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = self.id.map(str::to_owned);
        jwk
    }
}

/// A set of these keys, as it is served.
fn jwks(issuers: &[&Issuer]) -> String {
    let keys = issuers.iter().map(|issuer| issuer.jwk()).collect();
    serde_json::to_string(&JwkSet { keys }).unwrap()
}

/// This many seconds from now.
fn from_now(seconds: i64) -> i64 {
    i64::try_from(unix_ms() / 1000).unwrap() + seconds
}

/// What a good token says.
fn ada() -> Value {
    json!({"sub": "ada", "name": "Ada", "exp": from_now(600)})
}

/// `ada` with something else in it; null leaves it out.
fn but(changes: &Value) -> Value {
    let mut claims = ada();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.directory.path().join("keys");
        fs::write(&path, text).unwrap();
        path
    }

    fn config(&self, options: &[&str]) -> Config {
        let data = self.directory.path().to_str().unwrap();
        Config::parse_from([&["everbeat", "--data", data], options].concat())
    }

    async fn gate(&self, options: &[&str]) -> Gate {
        Gate::new(&self.config(options)).await.unwrap()
    }

    /// A gate with keys from a file of this content.
    async fn with_keys(&self, text: &str, options: &[&str]) -> Gate {
        let keys = self.file(text);
        let keys = ["--token-keys", keys.to_str().unwrap()];
        self.gate(&[&keys, options].concat()).await
    }
}

async fn check(gate: &Gate, token: &Token) -> Result<Access, Denied> {
    gate.admit(&Presented::default(), Some(token)).await
}

fn shows(gate: &Gate, cookies: &str) -> Presented {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(cookies).unwrap();
    headers.insert(header::COOKIE, value);
    gate.presented(&headers)
}

/// AC-1, AC-3, AC-4, AC-5: each way of signing, each kind of file.
#[tokio::test]
async fn good_tokens_are_good() {
    let (ed, rsa) = (Issuer::ed25519().named("e"), Issuer::rsa().named("r"));
    let secret = Issuer::secret(SECRET);
    let sets = [
        (jwks(&[&ed, &rsa, &secret]), vec![&ed, &rsa, &secret]),
        (serde_json::to_string(&ed.jwk()).unwrap(), vec![&ed]),
        (ed.public_pem.clone(), vec![&ed]),
        (rsa.public_pem.clone(), vec![&rsa]),
        (format!("{SECRET}\n"), vec![&secret]),
    ];
    let claims = but(&json!({"rooms": {"team-*": ["read", "write"], "news": ["read"]}}));
    for (text, issuers) in sets {
        let gate = Place::new().with_keys(&text, &[]).await;
        for issuer in issuers {
            let access = check(&gate, &issuer.sign(&claims)).await.unwrap();
            assert_eq!(access.subject, Subject::new("ada"));
            assert_eq!(
                access.naming,
                Naming::Vouched(protocol::id::Name::tidy("Ada"))
            );
            let left = access.expires_in.unwrap().as_secs();
            assert!((590..=600).contains(&left), "{left}");
            let room = |name| RoomName::new(name).unwrap();
            assert!(access.rights.allow(&room("team-a"), Right::Write));
            assert!(!access.rights.allow(&room("news"), Right::Write));
            assert!(!access.rights.allow(&room("lobby"), Right::Read));
        }
    }
}

/// AC-4: without a name of their own people go by their subject. AC-5: without a word about rooms a
/// token is for all of them.
#[tokio::test]
async fn what_a_token_need_not_say() {
    let gate = Place::new().with_keys(SECRET, &[]).await;
    let issuer = Issuer::secret(SECRET);
    for name in [json!(null), json!(""), json!(" \u{200b} ")] {
        let token = issuer.sign(&but(
            &json!({"name": name, "exp": (from_now(600) as f64) + 0.5}),
        ));
        let access = check(&gate, &token).await.unwrap();
        assert_eq!(
            access.naming,
            Naming::Vouched(protocol::id::Name::tidy("ada"))
        );
        assert_eq!(access.rights, Rights::ALL);
    }
}

/// AC-1: what is not good is not good, and it is told only where the token itself was once good.
#[tokio::test]
async fn bad_tokens_are_bad() {
    let options = ["--token-audience", "everbeat", "--token-issuer", "us"];
    let gate = Place::new().with_keys(SECRET, &options).await;
    let issuer = Issuer::secret(SECRET);
    let good = json!({"aud": "everbeat", "iss": "us"});
    let with = |changes: Value| {
        let mut claims = but(&good);
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        issuer.sign(&claims)
    };
    assert!(check(&gate, &with(json!({}))).await.is_ok());
    assert!(
        check(&gate, &with(json!({"aud": ["x", "everbeat"]})))
            .await
            .is_ok()
    );
    let expired = check(&gate, &with(json!({"exp": from_now(-60)}))).await;
    assert_eq!(expired, Err(Denied::TokenExpired));
    let invalid = [
        json!({"nbf": from_now(60)}),
        json!({"aud": "other"}),
        json!({"aud": null}),
        json!({"iss": "them"}),
        json!({"iss": null}),
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "x".repeat(Subject::BYTES_MAX + 1)}),
        json!({"rooms": ["lobby"]}),
        json!({"rooms": "*"}),
        json!({"rooms": {"lobby": ["admin"]}}),
        json!({"rooms": {"Lobby": ["read"]}}),
    ];
    for changes in invalid {
        let denied = check(&gate, &with(changes.clone())).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "{changes}");
    }
}

/// AC-1: what is forged, of another key, or no token at all.
#[tokio::test]
async fn forged_tokens_are_bad() {
    let gate = Place::new().with_keys(SECRET, &[]).await;
    let issuer = Issuer::secret(SECRET);
    // Null is a word about rooms, though not one that we know: it must not be for all of them.
    let mut nulled = ada();
    nulled["rooms"] = json!(null);
    assert_eq!(
        check(&gate, &issuer.sign(&nulled)).await,
        Err(Denied::TokenInvalid)
    );
    // What must be understood is not.
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["b64".to_owned()]);
    let critical = encode(&critical, &ada(), &issuer.key).unwrap();
    let denied = check(&gate, &Token::new(&critical).unwrap()).await;
    assert_eq!(denied, Err(Denied::TokenInvalid));
    // Another key, another text, no signature, no token at all.
    let other = Issuer::secret("another secret of more than 32 bytes").sign(&ada());
    let [head, body, signature] = {
        let token = issuer.sign(&ada());
        let parts: Vec<String> = token.expose().split('.').map(str::to_owned).collect();
        <[String; 3]>::try_from(parts).unwrap()
    };
    let forged = base64(&but(&json!({"sub": "root"})));
    let texts = [
        other.expose().to_owned(),
        format!("{head}.{forged}.{signature}"),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{}.{body}.", base64(&json!({"alg": "none"}))),
        format!("{}.{body}.{signature}", base64(&json!({"alg": "none"}))),
        format!("{}.{body}.{signature}", base64(&json!({"alg": "HS512"}))),
        "-".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(Token::BYTES_MAX),
    ];
    for text in texts {
        let denied = check(&gate, &Token::new(&text).unwrap()).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "{text:.80}");
    }
}

fn base64(value: &Value) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
}

/// AC-1: a public key is known to everybody: it must not serve as the secret of another algorithm.
#[tokio::test]
async fn a_public_key_is_no_secret() {
    for issuer in [Issuer::rsa(), Issuer::ed25519()] {
        let gate = Place::new().with_keys(&issuer.public_pem, &[]).await;
        for secret in [&*issuer.public_pem, issuer.public_pem.trim()] {
            let confused = Issuer::secret(secret).sign(&ada());
            assert_eq!(check(&gate, &confused).await, Err(Denied::TokenInvalid));
        }
        assert!(check(&gate, &issuer.sign(&ada())).await.is_ok());
    }
}

/// AC-1: a key with a name signs only what names it.
#[tokio::test]
async fn keys_are_known_by_their_names() {
    let (one, other) = (Issuer::ed25519().named("1"), Issuer::ed25519().named("2"));
    let gate = Place::new().with_keys(&jwks(&[&one, &other]), &[]).await;
    assert!(check(&gate, &other.sign(&ada())).await.is_ok());
    let misnamed = other.named("1").sign(&ada());
    assert_eq!(check(&gate, &misnamed).await, Err(Denied::TokenInvalid));
}

/// What holds no keys is told, and so is what to do.
#[tokio::test]
async fn files_without_keys_are_refused() {
    let (rsa, ed) = (Issuer::rsa(), Issuer::ed25519());
    let elliptic = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]});
    let short = json!({"kty": "oct", "k": "c2hvcnQ"});
    let private = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"}]});
    let encrypts = json!({"keys": [{"kty": "oct", "use": "enc", "k": base64(&json!(SECRET))}]});
    let place = Place::new();
    for (text, expected) in [
        ("hunter2".to_owned(), "secret of 7 bytes"),
        (String::new(), "secret of 0 bytes"),
        (rsa.private_pem, "private key"),
        (ed.private_pem, "private key"),
        (pem("PUBLIC KEY", b"nonsense"), "holds no key"),
        ("{}".to_owned(), "holds no key"),
        ("{\"keys\": 7}".to_owned(), "holds no key"),
        (elliptic.to_string(), "holds no key"),
        (short.to_string(), "holds no key"),
        (private.to_string(), "private key"),
        (encrypts.to_string(), "holds no key"),
    ] {
        let keys = place.file(&text);
        let config = place.config(&["--token-keys", keys.to_str().unwrap()]);
        let told = Gate::new(&config).await.err().unwrap().to_string();
        assert!(told.contains(expected), "{text:.40}: {told}");
        assert!(told.contains(keys.to_str().unwrap()), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let config = place.config(&["--token-keys", "/nowhere/keys"]);
    let told = Gate::new(&config).await.err().unwrap().to_string();
    assert!(told.contains("/nowhere/keys"), "{told}");
}

/// Keys that somebody on the way could replace are not taken, and what may be secret in an address is
/// not told.
#[test]
fn addresses_of_keys_are_safe_and_discreet() {
    for good in [
        "https://id.example.org/jwks",
        "http://localhost:3000/jwks",
        "http://[::1]/k",
    ] {
        assert!(matches!(good.parse(), Ok(KeySource::Url(_))), "{good}");
    }
    for bad in [
        "http://id.example.org/jwks",
        "http://127.0.0.1.evil.example/",
        "http://localhostage",
    ] {
        assert!(bad.parse::<KeySource>().is_err(), "{bad}");
    }
    let source: KeySource = "https://user:pass@id.example.org/jwks?key=abc"
        .parse()
        .unwrap();
    assert_eq!(source.to_string(), "https://id.example.org/jwks");
}

/// A server of keys, which counts how often it is asked.
struct KeyServer {
    address: String,
    keys: Arc<parking_lot::Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    async fn start(keys: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/jwks", listener.local_addr().unwrap());
        let keys = Arc::new(parking_lot::Mutex::new(keys));
        let asked = Arc::new(AtomicUsize::new(0));
        let (served, counted) = (Arc::clone(&keys), Arc::clone(&asked));
        let answer = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let keys = served.lock().clone();
            async move { keys }
        };
        let router = Router::new().route("/jwks", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            keys,
            asked,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// AC-1: keys change; a token of a new one leads to one look at the address, and not to another one
/// at once, whoever comes.
#[tokio::test]
async fn keys_of_an_address_are_read_again() {
    let (old, new) = (Issuer::rsa().named("old"), Issuer::ed25519().named("new"));
    let server = KeyServer::start(jwks(&[&old])).await;
    let place = Place::new();
    let gate = place.gate(&["--token-keys", &server.address]).await;
    assert!(check(&gate, &old.sign(&ada())).await.is_ok());
    assert_eq!(server.asked(), 1);
    *server.keys.lock() = jwks(&[&new]);
    assert!(check(&gate, &new.sign(&ada())).await.is_ok());
    assert_eq!(server.asked(), 2);
    // Its key is gone, or was never there: nobody has looked since, so it cannot be told.
    for _ in 0..20 {
        let denied = check(&gate, &old.sign(&ada())).await;
        assert_eq!(denied, Err(Denied::Unavailable));
    }
    assert_eq!(server.asked(), 2);
    // What the address says now is no set of keys: the last one stays.
    *server.keys.lock() = SECRET.to_owned();
    gate.tokens.as_ref().unwrap().read().await;
    assert_eq!(server.asked(), 3);
    assert!(check(&gate, &new.sign(&ada())).await.is_ok());
}

/// AC-1: an address that does not answer yet keeps nobody from starting the server; until it does,
/// nobody can tell.
#[tokio::test]
async fn keys_that_cannot_be_read_yet_are_no_verdict() {
    let issuer = Issuer::ed25519();
    let server = KeyServer::start(String::new()).await;
    let place = Place::new();
    let gate = place.gate(&["--token-keys", &server.address]).await;
    let denied = check(&gate, &issuer.sign(&ada())).await;
    assert_eq!(denied, Err(Denied::Unavailable));
    // A secret that can be fetched is none.
    let secret = Issuer::secret(SECRET);
    *server.keys.lock() = jwks(&[&secret]);
    let gate = place.gate(&["--token-keys", &server.address]).await;
    let denied = check(&gate, &secret.sign(&ada())).await;
    assert_eq!(denied, Err(Denied::Unavailable));
    *server.keys.lock() = jwks(&[&issuer]);
    let gate = place.gate(&["--token-keys", &server.address]).await;
    assert!(check(&gate, &issuer.sign(&ada())).await.is_ok());
}

/// AC-1: what is said counts before what a cookie holds; what is not good makes nobody a guest.
#[tokio::test]
async fn a_token_counts_before_a_cookie_before_a_guest() {
    let issuer = Issuer::secret(SECRET);
    let place = Place::new();
    let gate = place.with_keys(SECRET, &[]).await;
    let (ada, bob) = (
        issuer.sign(&ada()),
        issuer.sign(&but(&json!({"sub": "bob"}))),
    );
    let with_cookie = shows(&gate, &format!("a=b; everbeat-token={}", bob.expose()));
    let said = gate.admit(&with_cookie, Some(&ada)).await.unwrap();
    assert_eq!(said.subject, Subject::new("ada"));
    let in_cookie = gate.admit(&with_cookie, None).await.unwrap();
    assert_eq!(in_cookie.subject, Subject::new("bob"));
    for bad in [
        "x.y.z",
        "",
        "\"quoted token\"",
        &"x".repeat(Token::BYTES_MAX + 1),
    ] {
        let presented = shows(&gate, &format!("everbeat-token={bad}"));
        let denied = gate.admit(&presented, None).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "{bad:.20}");
        assert!(gate.guest_cookie(&presented).is_none());
    }
    assert!(gate.admit(&Presented::default(), None).await.is_ok());

    // Without keys the cookie is somebody else's, and a token is for another server.
    let gate = place.gate(&[]).await;
    assert!(
        gate.admit(&shows(&gate, "everbeat-token=theirs"), None)
            .await
            .is_ok()
    );
    let denied = gate.admit(&Presented::default(), Some(&ada)).await;
    assert_eq!(denied, Err(Denied::TokenInvalid));

    let gate = place
        .with_keys(SECRET, &["--guests", "off", "--token-cookie", "sid"])
        .await;
    let denied = gate.admit(&Presented::default(), None).await;
    assert_eq!(denied, Err(Denied::TokenRequired));
    let presented = shows(&gate, &format!("sid={}", bob.expose()));
    assert!(gate.admit(&presented, None).await.is_ok());
}

/// AC-3, AC-4: a guest is the same person with the same cookie, also on the next server of these data;
/// a cookie that we did not sign makes nobody known.
#[tokio::test]
async fn a_guest_is_known_by_a_signed_cookie() {
    let place = Place::new();
    let gate = place.gate(&[]).await;
    let nobody = Presented::default();
    let header = gate.guest_cookie(&nobody).unwrap().header(true).unwrap();
    let header = header.to_str().unwrap().to_owned();
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Secure"] {
        assert!(header.contains(part), "{header}");
    }
    let value = header.split(';').next().unwrap();
    let first = gate.admit(&shows(&gate, value), None).await.unwrap();
    assert!(first.subject.is_some());
    assert!(gate.guest_cookie(&shows(&gate, value)).is_none());
    let again = place.gate(&[]).await;
    assert_eq!(
        again.admit(&shows(&again, value), None).await.unwrap(),
        first
    );
    let other = again.guest_cookie(&nobody).unwrap().header(false).unwrap();
    let other = other.to_str().unwrap();
    assert!(!other.contains("Secure"));
    let other = other.split(';').next().unwrap();
    assert_ne!(
        again.admit(&shows(&again, other), None).await.unwrap(),
        first
    );

    let elsewhere = Place::new().gate(&[]).await;
    let claims = json!({"sub": "guest-1", "aud": "everbeat-guest", "exp": from_now(600)});
    let forged = Issuer::secret(SECRET).sign(&claims);
    let forged = format!("{}={}", guests::COOKIE, forged.expose());
    for (gate, cookie) in [
        (&elsewhere, value),
        (&gate, &*forged),
        (&gate, "everbeat-guest="),
    ] {
        let access = gate.admit(&shows(gate, cookie), None).await.unwrap();
        assert_eq!(access.subject, None);
        assert!(gate.guest_cookie(&shows(gate, cookie)).is_some());
    }
}

/// The key of guests' cookies is for the server alone, and one that is broken is not replaced in
/// silence: all guests would be somebody else.
#[tokio::test]
async fn the_key_of_guests_is_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.gate(&[]).await;
    let path = place.directory.path().join("guests.key");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(&path, "short").unwrap();
    let told = Gate::new(&place.config(&[]))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        told.contains("guests.key") && told.contains("Remove it"),
        "{told}"
    );
}

/// AC-4: where tokens vouch for names, guests are marked. AC-5: guests have the rights of the options.
#[tokio::test]
async fn guests_are_marked_where_others_are_vouched_for() {
    let session = SessionId::new("abcd").unwrap();
    let name = protocol::id::Name::tidy("Ada");
    let place = Place::new();
    let gate = place.with_keys(SECRET, &["--guest-rooms", "news=r"]).await;
    let guest = gate.admit(&Presented::default(), None).await.unwrap();
    assert_eq!(
        guest.naming.name(Some(&name), &session).as_str(),
        "Ada (guest)"
    );
    assert!(
        guest
            .rights
            .allow(&RoomName::new("news").unwrap(), Right::Read)
    );
    assert!(!guest.rights.allow(&RoomName::lobby(), Right::Read));
    let gate = place.gate(&[]).await;
    let guest = gate.admit(&Presented::default(), None).await.unwrap();
    assert_eq!(guest.naming.name(Some(&name), &session), name);
    assert_eq!(guest.rights, Rights::ALL);
}

#[test]
fn cookies_are_found_by_their_whole_name() {
    let mut headers = HeaderMap::new();
    headers.append(header::COOKIE, HeaderValue::from_static("xa=1; a=2;b=3"));
    headers.append(header::COOKIE, HeaderValue::from_static("c=4=5"));
    let odd = HeaderValue::from_bytes(b"x=\x80\xff; e=6").unwrap();
    headers.append(header::COOKIE, odd);
    for (name, value) in [
        ("a", Some("2")),
        ("b", Some("3")),
        ("c", Some("4=5")),
        ("d", None),
        ("e", Some("6")),
    ] {
        assert_eq!(cookie(&headers, name), value, "{name}");
    }
}
