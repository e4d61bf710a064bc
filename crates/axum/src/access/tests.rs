//! The authenticator: every kind of token, good and bad, and guests.

mod guests;
mod keys;
mod tokens;

use std::fs;
use std::path::PathBuf;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RsaKeyPair,
};
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use protocol::access::{Grants, Identity, Naming, Right, Subject};
use protocol::id::{RoomName, SessionId};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::clock::unix_ms;

const SECRET: &str = "a secret of more than thirty-two bytes";

/// An issuer of tokens.
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

    /// On the curve P-256 (RFC 7518 section 3.4).
    fn p256() -> Self {
        Self::elliptic(Algorithm::ES256, &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    fn elliptic(algorithm: Algorithm, curve: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        Self {
            algorithm,
            key: EncodingKey::from_ec_pem(private_pem.as_bytes()).unwrap(),
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

    fn secret(secret: impl AsRef<[u8]>) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(secret.as_ref()),
            id: None,
            public_pem: String::new(),
            private_pem: String::new(),
        }
    }

    fn named(self, id: &'static str) -> Self {
        let id = Some(id);
        Self { id, ..self }
    }

    fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = self.id.map(str::to_owned);
        header
    }

    fn sign(&self, claims: &Value) -> Token {
        self.sign_under(&self.header(), claims)
    }

    fn sign_under(&self, header: &Header, claims: &Value) -> Token {
        Token::new(&encode(header, claims, &self.key).unwrap()).unwrap()
    }

    fn jwk(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = self.id.map(str::to_owned);
        jwk
    }
}

/// A JWK set of these keys.
fn jwks(issuers: &[&Issuer]) -> String {
    let keys = issuers.iter().map(|issuer| issuer.jwk()).collect();
    serde_json::to_string(&JwkSet { keys }).unwrap()
}

/// This many seconds from now.
fn from_now(seconds: i64) -> i64 {
    i64::try_from(unix_ms() / 1000).unwrap() + seconds
}

/// The claims of a good token.
fn ada() -> Value {
    json!({"sub": "ada", "name": "Ada", "exp": from_now(600)})
}

/// The claims of `ada` with changes; null removes a claim.
fn but(changes: &Value) -> Value {
    changed(ada(), changes)
}

/// Claims with changes; null removes a claim.
fn changed(mut claims: Value, changes: &Value) -> Value {
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

    /// With keys from a file or an address, where there are any.
    fn config(&self, keys: Option<&str>) -> AuthenticatorConfig {
        let keys = keys.map(|keys| keys.parse().unwrap());
        AuthenticatorConfig {
            tokens: keys.map(TokenConfig::new),
            ..AuthenticatorConfig::new(self.directory.path().to_owned())
        }
    }

    async fn authenticator(&self, keys: Option<&str>) -> Authenticator {
        Authenticator::new(self.config(keys)).await.unwrap()
    }

    /// With keys from a file of this content.
    fn config_with_keys(&self, text: &str) -> AuthenticatorConfig {
        let keys = self.file(text);
        self.config(Some(keys.to_str().unwrap()))
    }

    /// An authenticator with keys from a file of this content.
    async fn with_keys(&self, text: &str) -> Authenticator {
        Authenticator::new(self.config_with_keys(text))
            .await
            .unwrap()
    }
}

async fn check(authenticator: &Authenticator, token: &Token) -> Result<Access, Denied> {
    authenticator
        .authenticate(&ShownCredentials::default(), Some(token))
        .await
}

fn shows(authenticator: &Authenticator, cookies: &str) -> ShownCredentials {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(cookies).unwrap();
    headers.insert(header::COOKIE, value);
    authenticator.credentials(&headers)
}

fn base64(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64.decode(text).unwrap()
}
