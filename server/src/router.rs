//! All routes, in one list.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use everbeat_axum::address::{Client, Peer};
use everbeat_axum::http::{came_by_tls, retry_after};
use everbeat_axum::hub::Hub;
use everbeat_axum::limits::Limits;
use everbeat_axum::metrics::Limit;
use everbeat_axum::origin::is_forged;
use tracing::Instrument;
use tracing::field::Empty;

use crate::config::Config;
use crate::state::AppState;
use crate::telemetry::SPANS;
use crate::{api, headers, health, page, ws};

/// The server's routes:
///
/// - `GET /ws`: a WebSocket, in either dialect; also at `/`, see [`http::upgrade_anywhere`](everbeat_axum::http::upgrade_anywhere)
/// - `/api`: see [`api::routes`]
/// - `GET /healthz`, `GET /readyz`: see [`health`]
/// - everything else: pages and static files
pub fn build(state: AppState) -> Router {
    Router::new()
        .route("/ws", get(ws::upgrade))
        .merge(api::routes(&state))
        .merge(page::routes(&state))
        .layer(from_fn_with_state(state.clone(), own_pages))
        .layer(from_fn_with_state(state.clone(), limited))
        .layer(from_fn(api::everywhere))
        // Monitoring is not limited.
        .merge(health::routes())
        .layer(from_fn(headers::guard))
        .layer(from_fn(headers::unambiguous))
        .layer(from_fn_with_state(state.clone(), watched))
        .with_state(state)
}

/// Counts each request, and makes a span of it.
async fn watched(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let span = tracing::trace_span!(
        target: SPANS,
        "request",
        otel.kind = "server",
        http.request.method = %request.method(),
        url.path = request.uri().path(),
        http.response.status_code = Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    hub.metrics().answered(response.status());
    span.record("http.response.status_code", response.status().as_u16());
    response
}

/// Counts a request for its address, and adds its [`Client`] for the handlers. A program on a trusted
/// address that acts for itself is not limited.
async fn limited(
    State(hub): State<Arc<Hub>>,
    State(limits): State<Arc<Limits>>,
    State(config): State<Arc<Config>>,
    mut request: Request,
    next: Next,
) -> Response {
    // The acceptor adds it to each request.
    let Some(peer) = request.extensions().get::<Peer>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let client = Client::of(*peer, request.headers(), config.limits.trust());
    let counted = client.counted();
    let now = hub.clock().now();
    if let Some(Err(wait)) = counted.map(|network| limits.request(now, network)) {
        hub.metrics().limited(Limit::RequestsPerAddress);
        let text = "Too many requests from your address: try again later.\n";
        return (StatusCode::TOO_MANY_REQUESTS, retry_after(wait), text).into_response();
    }
    request.extensions_mut().insert(client);
    next.run(request).await
}

/// Refuses requests that change something and come from pages of other sites (CSRF).
async fn own_pages(
    State(hub): State<Arc<Hub>>,
    State(config): State<Arc<Config>>,
    request: Request,
    next: Next,
) -> Response {
    let by_tls = came_by_tls(&request, config.limits.trust());
    if is_forged(&request, &config.limits.allowed_origins, by_tls) {
        hub.metrics().limited(Limit::Origins);
        let text = "Pages of this origin may change nothing here: see --allowed-origins.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}
