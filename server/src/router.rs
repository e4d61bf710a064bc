//! All routes, in one list.

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;
use everbeat_axum::api;
use everbeat_axum::routes::{guarded, watched};

use crate::state::AppState;
use crate::{headers, health, page, ws};

/// The server's routes:
///
/// - `GET /ws`: a WebSocket, in either dialect; also at `/`, see
///   [`http::upgrade_anywhere`](everbeat_axum::http::upgrade_anywhere)
/// - `/api`: see [`api::routes`]
/// - `GET /healthz`, `GET /readyz`: see [`health`]
/// - everything else: pages and static files
pub fn build(state: AppState) -> Router {
    let everbeat = state.everbeat().clone();
    let api = api::routes(everbeat.protocol()).with_state(everbeat.clone());
    let routes = Router::new()
        .route("/ws", get(ws::upgrade))
        .merge(api)
        .merge(page::routes(&state));
    let routes = guarded(routes, &everbeat)
        // Monitoring is not limited.
        .merge(health::routes())
        .layer(from_fn(headers::guard))
        .layer(from_fn(headers::unambiguous));
    watched(routes, &everbeat).with_state(state)
}
