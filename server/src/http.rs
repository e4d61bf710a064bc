//! What several parts say or read of HTTP.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Request, Uri, header};

use crate::address::{self, Peer, Trust};

/// Whether a request came by HTTPS, as far as the server or a proxy that it trusts knows.
pub fn came_by_tls<B>(request: &Request<B>, trust: Trust<'_>) -> bool {
    let peer = request.extensions().get::<Peer>();
    peer.is_some_and(|peer| address::came_by_tls(*peer, request.headers(), trust))
}

/// When to come back (RFC 9110 section 10.2.3), in begun seconds.
pub fn retry_after(wait: Duration) -> [(HeaderName, HeaderValue); 1] {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    [(header::RETRY_AFTER, HeaderValue::from(seconds))]
}

/// The tutorial's page opens its WebSocket at `/`, where a browser also asks for the page. A request
/// for an upgrade there is meant for `/ws`.
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
