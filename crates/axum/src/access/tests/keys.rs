//! The keys that tokens are checked with: none is taken for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::{ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::FutureExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::access::tokens::LOOK_EVERY;

/// AC-1: a public key, which all may know, must not serve as the secret of another algorithm.
#[tokio::test]
async fn a_public_key_is_no_secret() {
    for issuer in [Issuer::rsa(), Issuer::p256(), Issuer::ed25519()] {
        let authenticator = Place::new().with_keys(&issuer.public_pem).await;
        for secret in [&*issuer.public_pem, issuer.public_pem.trim()] {
            let confused = Issuer::secret(secret).sign(&ada());
            assert_eq!(
                check(&authenticator, &confused).await,
                Err(Denied::TokenInvalid)
            );
        }
        assert!(check(&authenticator, &issuer.sign(&ada())).await.is_ok());
    }
}

/// AC-1: a key with an id checks only tokens that name it.
#[tokio::test]
async fn keys_are_known_by_their_names() {
    let (one, other) = (Issuer::ed25519().named("1"), Issuer::ed25519().named("2"));
    let authenticator = Place::new().with_keys(&jwks(&[&one, &other])).await;
    assert!(check(&authenticator, &other.sign(&ada())).await.is_ok());
    let misnamed = other.named("1").sign(&ada());
    assert_eq!(
        check(&authenticator, &misnamed).await,
        Err(Denied::TokenInvalid)
    );
}

/// AC-1: the public part of a key is no secret, whichever key a token names.
#[tokio::test]
async fn keys_are_not_confused() {
    let (rsa, secret) = (Issuer::rsa().named("r"), Issuer::secret(SECRET).named("s"));
    let authenticator = Place::new().with_keys(&jwks(&[&rsa, &secret])).await;
    for issuer in [&rsa, &secret] {
        assert!(check(&authenticator, &issuer.sign(&ada())).await.is_ok());
        let mut nameless = issuer.header();
        nameless.kid = None;
        let token = issuer.sign_under(&nameless, &ada());
        assert!(
            check(&authenticator, &token).await.is_ok(),
            "a key serves it"
        );
    }
    let jwk = serde_json::to_value(rsa.jwk()).unwrap();
    let n = jwk["n"].as_str().unwrap();
    for known in [
        rsa.public_pem.as_bytes(),
        rsa.public_pem.trim().as_bytes(),
        jwk.to_string().as_bytes(),
        n.as_bytes(),
        &decoded(n),
    ] {
        let forger = Issuer::secret(known);
        for kid in [Some("r"), Some("s"), Some("x"), None] {
            let mut header = forger.header();
            header.kid = kid.map(str::to_owned);
            let denied = check(&authenticator, &forger.sign_under(&header, &ada())).await;
            assert_eq!(denied, Err(Denied::TokenInvalid), "{kid:?}");
        }
    }
}

/// AC-1: two keys of one id are still two, each with its own algorithm.
#[tokio::test]
async fn keys_of_one_name_keep_their_algorithms() {
    let (rsa, secret) = (Issuer::rsa().named("k"), Issuer::secret(SECRET).named("k"));
    let authenticator = Place::new().with_keys(&jwks(&[&rsa, &secret])).await;
    for issuer in [&rsa, &secret] {
        assert!(check(&authenticator, &issuer.sign(&ada())).await.is_ok());
    }
    for forger in [
        Issuer::secret(&rsa.public_pem).named("k"),
        Issuer::rsa().named("k"),
        Issuer::ed25519().named("k"),
        Issuer::p256().named("k"),
    ] {
        let denied = check(&authenticator, &forger.sign(&ada())).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "{:?}", forger.algorithm);
    }
}

/// AC-1: a token does not bring its own key, nor the address of one (RFC 7515 sections 4.1.2, 4.1.3).
#[tokio::test]
async fn keys_in_tokens_are_ignored() {
    let (rsa, forger) = (Issuer::rsa().named("r"), Issuer::rsa().named("r"));
    let server = KeyServer::start(jwks(&[&forger])).await;
    let authenticator = Place::new().with_keys(&jwks(&[&rsa])).await;
    for kid in [Some("r"), Some("x"), None] {
        let mut header = forger.header();
        header.kid = kid.map(str::to_owned);
        header.jwk = Some(forger.jwk());
        header.jku = Some(server.address.clone());
        let denied = check(&authenticator, &forger.sign_under(&header, &ada())).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "{kid:?}");
    }
    assert_eq!(server.asked(), 0);
    let mut header = rsa.header();
    header.jku = Some(server.address.clone());
    assert!(
        check(&authenticator, &rsa.sign_under(&header, &ada()))
            .await
            .is_ok()
    );
}

/// AC-1: a file is always readable. So a token with an unknown key is invalid, the first time and the
/// third, also if the file was removed since.
#[tokio::test]
async fn a_file_of_keys_is_a_verdict() {
    let (rsa, other) = (Issuer::rsa().named("r"), Issuer::rsa().named("x"));
    for text in [jwks(&[&rsa]), rsa.public_pem.clone(), SECRET.to_owned()] {
        let place = Place::new();
        let authenticator = place.with_keys(&text).await;
        for _ in 0..3 {
            let denied = check(&authenticator, &other.sign(&ada())).await;
            assert_eq!(denied, Err(Denied::TokenInvalid), "{text:.40}");
        }
        let authenticator = place.with_keys(&text).await;
        fs::remove_file(place.directory.path().join("keys")).unwrap();
        for _ in 0..3 {
            let denied = check(&authenticator, &other.sign(&ada())).await;
            assert_eq!(denied, Err(Denied::TokenInvalid), "{text:.40}");
        }
    }
}

/// A file without keys is refused, with what to do.
#[tokio::test]
async fn files_without_keys_are_refused() {
    let (rsa, p256, ed) = (Issuer::rsa(), Issuer::p256(), Issuer::ed25519());
    let p384 = Issuer::elliptic(Algorithm::ES384, &ECDSA_P384_SHA384_FIXED_SIGNING);
    // Its points are as long as those of P-256, which they do not lie on.
    let k1 = EcdsaKeyPair::generate(&ECDSA_P256K1_SHA256_FIXED_SIGNING).unwrap();
    let k1: PublicKeyX509Der<'_> = k1.public_key().as_der().unwrap();
    let k1 = pem("PUBLIC KEY", k1.as_ref());
    let mut private_p256 = serde_json::to_value(p256.jwk()).unwrap();
    private_p256["d"] = json!("AA");
    let elliptic = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]});
    let short = json!({"kty": "oct", "k": "c2hvcnQ"});
    let private = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"}]});
    let encrypts = json!({"keys": [{"kty": "oct", "use": "enc", "k": base64(&json!(SECRET))}]});
    let mut otherwise = serde_json::to_value(rsa.jwk()).unwrap();
    otherwise["alg"] = json!("RS512");
    let place = Place::new();
    for (text, expected) in [
        ("hunter2".to_owned(), "secret of 7 bytes"),
        (String::new(), "secret of 0 bytes"),
        (rsa.private_pem, "private key"),
        (p256.private_pem, "private key"),
        (private_p256.to_string(), "private key"),
        (p384.public_pem.clone(), "holds no key"),
        (serde_json::to_string(&p384.jwk()).unwrap(), "holds no key"),
        (k1, "holds no key"),
        (ed.private_pem, "private key"),
        (pem("PUBLIC KEY", b"nonsense"), "holds no key"),
        ("{}".to_owned(), "holds no key"),
        ("{\"keys\": 7}".to_owned(), "holds no key"),
        (elliptic.to_string(), "holds no key"),
        (short.to_string(), "holds no key"),
        (private.to_string(), "private key"),
        (encrypts.to_string(), "holds no key"),
        (otherwise.to_string(), "holds no key"),
    ] {
        let keys = place.file(&text);
        let told = Authenticator::new(place.config(keys.to_str()))
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(told.contains(expected), "{text:.40}: {told}");
        assert!(told.contains(keys.to_str().unwrap()), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let told = Authenticator::new(place.config(Some("/nowhere/keys")))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(told.contains("/nowhere/keys"), "{told}");
}

/// Addresses over which an attacker could replace the keys are not taken, and what may be secret in an address is
/// not shown.
#[test]
fn addresses_of_keys_are_safe_and_discreet() {
    for good in [
        "https://id.example.org/jwks",
        "http://localhost:3000/jwks",
        "http://LOCALHOST/jwks",
        "http://127.0.0.1:80/",
        "http://127.1.2.3/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/k",
        "http://[::ffff:127.0.0.1]/k",
        "HTTPS://id.example.org/jwks",
    ] {
        assert!(matches!(good.parse(), Ok(KeySource::Url(_))), "{good}");
    }
    for bad in [
        "http://id.example.org/jwks",
        "HTTP://id.example.org/jwks",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1:80@evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://localhost:3000@evil.example/jwks",
        "http://evil.example\\@127.0.0.1/",
        "http:\\\\evil.example/",
        "http:evil.example",
        "http://user:pass@127.0.0.1/",
        "http://localhostage",
        "http://localhost.evil.example/",
        "http://evil.example#@127.0.0.1/",
        "http://evil.example?@127.0.0.1/",
        "http://0.0.0.0/",
        "http://16909060/",
        "http://[::2]/",
        "http://127.0.0.1:port/",
        "https://",
        "ftp://127.0.0.1/jwks",
        "file:///etc/keys",
    ] {
        assert!(bad.parse::<KeySource>().is_err(), "{bad}");
    }
    for file in ["keys.json", "/etc/everbeat/keys", "./http:/x", "a:b"] {
        let read = KeySource::File(file.into());
        assert_eq!(file.parse(), Ok(read), "{file}");
    }
    let source: KeySource = "https://user:pass@id.example.org/jwks?key=abc"
        .parse()
        .unwrap();
    assert_eq!(source.to_string(), "https://id.example.org/jwks");
}

/// An HTTP server with keys, which counts its requests. Without keys it fails.
struct KeyServer {
    address: String,
    keys: Arc<parking_lot::Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    async fn start(keys: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/jwks", listener.local_addr().unwrap());
        let keys = Arc::new(parking_lot::Mutex::new(Some(keys)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (served, counted) = (Arc::clone(&keys), Arc::clone(&asked));
        let answer = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let keys = served.lock().clone();
            async move { keys.ok_or(StatusCode::SERVICE_UNAVAILABLE) }
        };
        let router = Router::new().route("/jwks", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            keys,
            asked,
        }
    }

    fn holds(&self, keys: impl Into<Option<String>>) {
        *self.keys.lock() = keys.into();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// AC-1: keys change; the first token with a new key has the address read again, and further ones do
/// not, for a while.
#[tokio::test]
async fn keys_of_an_address_are_read_again() {
    let (old, new) = (Issuer::rsa().named("old"), Issuer::ed25519().named("new"));
    let server = KeyServer::start(jwks(&[&old])).await;
    let place = Place::new();
    let authenticator = place.authenticator(Some(&server.address)).await;
    assert!(check(&authenticator, &old.sign(&ada())).await.is_ok());
    assert_eq!(server.asked(), 1);
    server.holds(jwks(&[&new]));
    assert!(check(&authenticator, &new.sign(&ada())).await.is_ok());
    assert_eq!(server.asked(), 2);
    // Its key was removed, or never existed: the keys were read a moment ago.
    for _ in 0..20 {
        let denied = check(&authenticator, &old.sign(&ada())).await;
        assert_eq!(denied, Err(Denied::TokenInvalid));
    }
    assert_eq!(server.asked(), 2);
    // The address now gives no JWK set: the last one stays.
    server.holds(SECRET.to_owned());
    authenticator.tokens.as_ref().unwrap().read().await;
    assert_eq!(server.asked(), 3);
    assert!(check(&authenticator, &new.sign(&ada())).await.is_ok());
}

/// AC-1: a key published since the last look is found by the next one.
#[tokio::test]
async fn a_key_is_found_by_the_next_look() {
    let (old, new) = (Issuer::rsa().named("old"), Issuer::ed25519().named("new"));
    let server = KeyServer::start(jwks(&[&old])).await;
    let authenticator = Place::new().authenticator(Some(&server.address)).await;
    assert_eq!(
        check(&authenticator, &new.sign(&ada())).await,
        Err(Denied::TokenInvalid)
    );
    server.holds(jwks(&[&new]));
    assert_eq!(
        check(&authenticator, &new.sign(&ada())).await,
        Err(Denied::TokenInvalid)
    );
    tokio::time::pause();
    tokio::time::advance(LOOK_EVERY).await;
    tokio::time::resume();
    assert!(check(&authenticator, &new.sign(&ada())).await.is_ok());
    assert_eq!(server.asked(), 3);
}

/// AC-1: while the address does not answer, a token with an unknown key gets no verdict; a token with a known key
/// is admitted.
#[tokio::test]
async fn an_unknown_key_is_no_verdict_while_the_address_is_out_of_reach() {
    let (old, new) = (Issuer::rsa().named("old"), Issuer::ed25519().named("new"));
    let forger = Issuer::secret(SECRET).named("old");
    let server = KeyServer::start(jwks(&[&old])).await;
    let authenticator = Place::new().authenticator(Some(&server.address)).await;
    server.holds(None);
    for _ in 0..20 {
        let denied = check(&authenticator, &new.sign(&ada())).await;
        assert_eq!(denied, Err(Denied::Unavailable));
        assert!(check(&authenticator, &old.sign(&ada())).await.is_ok());
        let denied = check(&authenticator, &forger.sign(&ada())).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "that key is known");
    }
    assert_eq!(server.asked(), 2);
}

/// AC-1: a look goes on for other callers if the caller that began it is dropped.
#[tokio::test]
async fn a_look_goes_on_without_who_began_it() {
    let (old, new) = (Issuer::rsa().named("old"), Issuer::ed25519().named("new"));
    let server = KeyServer::start(jwks(&[&old])).await;
    let authenticator = Place::new().authenticator(Some(&server.address)).await;
    server.holds(jwks(&[&new]));
    let token = new.sign(&ada());
    // Polled once, then dropped: its look is under way.
    assert!(check(&authenticator, &token).now_or_never().is_none());
    assert!(check(&authenticator, &token).await.is_ok());
    assert_eq!(server.asked(), 2);
}

/// AC-1: a server starts although the address does not answer yet; until it does, tokens get
/// no verdict.
#[tokio::test]
async fn keys_that_cannot_be_read_yet_are_no_verdict() {
    let issuer = Issuer::ed25519();
    let server = KeyServer::start(String::new()).await;
    let place = Place::new();
    let authenticator = place.authenticator(Some(&server.address)).await;
    let denied = check(&authenticator, &issuer.sign(&ada())).await;
    assert_eq!(denied, Err(Denied::Unavailable));
    // A secret that can be fetched is no secret.
    let secret = Issuer::secret(SECRET);
    server.holds(jwks(&[&secret]));
    let authenticator = place.authenticator(Some(&server.address)).await;
    let denied = check(&authenticator, &secret.sign(&ada())).await;
    assert_eq!(denied, Err(Denied::Unavailable));
    server.holds(jwks(&[&issuer]));
    let authenticator = place.authenticator(Some(&server.address)).await;
    assert!(check(&authenticator, &issuer.sign(&ada())).await.is_ok());
}
