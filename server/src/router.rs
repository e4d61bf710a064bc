//! All routes, in one list.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::routing::get;

use crate::state::AppState;
use crate::{page, ws};

/// The server's routes:
///
/// - `GET /ws`: a WebSocket, in either dialect; also at `/`, see [`upgrade_anywhere`]
/// - `GET /healthz`: whether the server takes connections
/// - everything else: pages and static files
pub fn build(state: AppState) -> Router {
    Router::new()
        .route("/ws", get(ws::upgrade))
        .route("/healthz", get(healthz))
        .merge(page::routes(&state))
        .with_state(state)
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

async fn healthz(State(state): State<AppState>) -> (StatusCode, &'static str) {
    if state.hub.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}
