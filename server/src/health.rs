//! Whether the server lives, and whether it can do its work.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::descriptors;
use crate::state::AppState;

/// What is answered here, also where the server can answer nothing else.
pub const PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// - `GET /healthz`: 200 as long as the server answers at all: restart it when it does not
/// - `GET /readyz`: 200 if it takes connections and the log can store, else 503: send nobody here. Answered
///   within 2 s, whatever the log does
pub fn routes() -> Router<AppState> {
    Router::new()
        .route(PATHS[0], get(async || "ok\n"))
        .route(PATHS[1], get(readyz))
}

async fn readyz(State(state): State<AppState>) -> (StatusCode, &'static str) {
    if state.hub.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if !descriptors::are_left() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no file can be opened\n");
    }
    if !state.readiness.stores(&state.hub).await {
        return (StatusCode::SERVICE_UNAVAILABLE, "the log cannot store\n");
    }
    (StatusCode::OK, "ready\n")
}
