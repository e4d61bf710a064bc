//! Helpers for HTTP that several parts share.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Request, Uri, header};

use crate::address::{self, Peer, Trust};

/// Whether a request came over HTTPS, as far as the server or a trusted proxy knows.
pub fn came_by_tls<B>(request: &Request<B>, trust: Trust<'_>) -> bool {
    let peer = request.extensions().get::<Peer>();
    peer.is_some_and(|peer| address::came_by_tls(*peer, request.headers(), trust))
}

/// `Retry-After`: when to try again (RFC 9110 section 10.2.3), in whole seconds, rounded up.
pub fn retry_after(wait: Duration) -> [(HeaderName, HeaderValue); 1] {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    [(header::RETRY_AFTER, HeaderValue::from(seconds))]
}

/// Sends a request for an upgrade at `/` to `/ws`: the tutorial's page opens its WebSocket at `/`, where browsers
/// also ask for the page.
pub fn upgrade_anywhere<B>(mut request: Request<B>) -> Request<B> {
    let asks_upgrade = request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if asks_upgrade && request.uri().path() == "/" {
        let target = request
            .uri()
            .query()
            .map_or_else(|| "/ws".into(), |q| format!("/ws?{q}"));
        if let Ok(target) = target.parse::<Uri>() {
            *request.uri_mut() = target;
        }
    }
    request
}
