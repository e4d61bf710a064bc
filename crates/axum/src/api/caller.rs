//! The caller of a request, authenticated.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use protocol::access::{Access, Denied};
use protocol::id::Token;

use super::problem::{Code, Problem};
use crate::access::Authenticator;
use crate::address::Client;

/// An authenticated caller (AC-1): by the token in `Authorization: Bearer`
/// (RFC 6750 section 2.1), else by cookies as for pages, else a guest.
pub struct Caller {
    pub(super) access: Access,
    /// The address that the request came from.
    pub(super) client: Client,
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let said = bearer(&parts.headers).transpose()?;
        let authenticator = Arc::<Authenticator>::from_ref(state);
        let credentials = authenticator.credentials(&parts.headers);
        let access = authenticator
            .authenticate(&credentials, said.as_ref())
            .await?;
        // The router adds it to each request.
        let client = parts.extensions.get::<Client>().cloned();
        let client = client.ok_or_else(|| Problem::new(Code::Internal))?;
        Ok(Self { access, client })
    }
}

/// The token of the request. Other schemes than Bearer are for proxies in front; but a token under one of them, or
/// under none, is refused: its sender would be taken for a guest (AC-1).
fn bearer(headers: &HeaderMap) -> Option<Result<Token, Denied>> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    shown.find_map(|shown| {
        let mut words = shown.as_bytes().splitn(2, u8::is_ascii_whitespace);
        let scheme = words.next()?;
        if scheme.eq_ignore_ascii_case(b"Bearer") {
            let token = std::str::from_utf8(words.next().unwrap_or_default());
            let token = token.map_err(|_| Denied::TokenInvalid);
            return Some(
                token.and_then(|token| Token::new(token.trim()).map_err(|_| Denied::TokenInvalid)),
            );
        }
        has_token(shown.as_bytes()).then_some(Err(Denied::TokenInvalid))
    })
}

/// Whether a word of the header has the form of a token (RFC 7519 section 3.1, RFC 7515 section 7.1): three parts or,
/// if encrypted, five, of which the first is a JSON object in Base64.
fn has_token(credentials: &[u8]) -> bool {
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    credentials.split(|byte| !is_inside(byte)).any(|word| {
        let parts = word.split(|byte| *byte == b'.').count();
        word.starts_with(b"eyJ") && matches!(parts, 3 | 5)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// A token without a valid signature.
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl";

    fn said(authorization: &str) -> Option<Result<Token, Denied>> {
        let value = HeaderValue::from_str(authorization).unwrap();
        bearer(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
    }

    #[test]
    fn a_token_under_another_scheme_is_refused_and_not_ignored() {
        for good in ["Bearer", "bearer", "BEARER "] {
            let token = said(&format!("{good} {TOKEN}")).unwrap().unwrap();
            assert_eq!(token.expose(), TOKEN, "{good}");
        }
        for bad in [
            "",
            "Token ",
            "JWT ",
            "DPoP ",
            "Bearer: ",
            "Bearer=",
            "Token token=\"",
        ] {
            let token = said(&format!("{bad}{TOKEN}"));
            assert_eq!(
                token.map(|token| token.err()),
                Some(Some(Denied::TokenInvalid)),
                "{bad}"
            );
        }
        // Credentials for proxies in front.
        for other in [
            "Basic YWRhOmV5Si5hLmI=",
            "Negotiate eyJabc==",
            "Digest username=\"a.b.c\"",
            "",
        ] {
            assert!(said(other).is_none(), "{other}");
        }
    }
}
