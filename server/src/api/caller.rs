//! Who asks.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use protocol::access::{Access, Denied};
use protocol::id::Token;

use super::problem::{Code, Problem};
use crate::address::Client;
use crate::state::AppState;

/// Whoever sent a request, let in by the gate (AC-1): known by the token in `Authorization: Bearer`
/// (RFC 6750 section 2.1), else by cookies as for pages, else a guest.
pub(crate) struct Caller {
    pub(super) access: Access,
    /// Where they are.
    pub(super) client: Client,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let said = bearer(&parts.headers).transpose()?;
        let presented = state.gate.presented(&parts.headers);
        let access = state.gate.admit(&presented, said.as_ref()).await?;
        // The router notes it at each request that comes here.
        let client = parts.extensions.get::<Client>().cloned();
        let client = client.ok_or_else(|| Problem::new(Code::Internal))?;
        Ok(Self { access, client })
    }
}

/// The token that is shown. Other schemes are for proxies in front.
fn bearer(headers: &HeaderMap) -> Option<Result<Token, Denied>> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    shown.find_map(|shown| {
        let mut words = shown.as_bytes().splitn(2, u8::is_ascii_whitespace);
        let scheme = words.next()?;
        scheme.eq_ignore_ascii_case(b"Bearer").then(|| {
            let token = std::str::from_utf8(words.next().unwrap_or_default());
            let token = token.map_err(|_| Denied::TokenInvalid)?;
            Token::new(token.trim()).map_err(|_| Denied::TokenInvalid)
        })
    })
}
