//! What the operator sees: on a listener of its own, which is not for the internet.

pub mod samples;
mod status;

use std::net::IpAddr;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use protocol::id::ConnectionId;
use tower_http::csrf::CsrfLayer;

use crate::state::AppState;
use crate::{headers, health};

/// What Prometheus is told that it gets.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The operator's routes:
///
/// - `GET /metrics`: see [`crate::metrics`]
/// - `GET /healthz`, `GET /readyz`: see [`health`]
/// - `GET /status`: a page; `POST /status/connections/{id}/disconnect` ends a connection
pub fn build(state: AppState) -> Router {
    let pages = Router::new()
        .route("/", get(async || Redirect::to("/status")))
        .route("/status", get(status::page))
        .merge(status::files())
        .route("/status/connections/{id}/disconnect", post(disconnect))
        .layer(CsrfLayer::new())
        .layer(from_fn(known_by_address));
    Router::new()
        .route("/metrics", get(metrics))
        .merge(pages)
        .merge(health::routes())
        .layer(from_fn(headers::guard))
        .with_state(state)
}

async fn metrics(State(state): State<AppState>) -> Response {
    let now = state.hub.now().await;
    match state.hub.metrics().render(now) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn disconnect(State(state): State<AppState>, Path(id): Path<u64>) -> Response {
    if !state.hub.remove(ConnectionId(id)) {
        return (StatusCode::NOT_FOUND, "That connection is gone already.\n").into_response();
    }
    tracing::info!(connection.id = id, "an operator ends a connection");
    Redirect::to("/status").into_response()
}

/// A page somewhere whose name was made to lead here (DNS rebinding) would have the operator's browser
/// read this one, and press its buttons: the name by which it asks gives it away.
async fn known_by_address(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    if host.is_some_and(is_address) {
        return next.run(request).await;
    }
    let text =
        "Here only by an IP address or as localhost; a proxy in front must send such a Host.\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

fn is_address(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| {
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_addresses() {
        for host in [
            "localhost",
            "LOCALHOST:8090",
            "127.0.0.1:8090",
            "[::1]:8090",
            "10.0.0.7",
        ] {
            assert!(is_address(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:8090",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(!is_address(host), "{host}");
        }
    }
}
