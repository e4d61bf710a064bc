//! Health: whether the server lives, and whether it is ready for clients.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::routing::get;
use everbeat_axum::hub::Hub;

use crate::readiness::Readiness;

/// The paths of health, which are answered even without a free descriptor.
pub const PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// - `GET /healthz`: 200 as long as the server answers at all: restart it when it does not
/// - `GET /readyz`: 200 if it takes connections and the log can store, else 503: send no clients here. Answered
///   within 2 s, whatever the log does
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Hub>: FromRef<S>,
    Arc<Readiness>: FromRef<S>,
{
    Router::new()
        .route(PATHS[0], get(async || "ok\n"))
        .route(PATHS[1], get(readyz))
}

async fn readyz(
    State(hub): State<Arc<Hub>>,
    State(readiness): State<Arc<Readiness>>,
) -> (StatusCode, &'static str) {
    if hub.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if !readiness.reserve().are_left() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no file can be opened\n");
    }
    if !readiness.stores(&hub).await {
        return (StatusCode::SERVICE_UNAVAILABLE, "the log cannot store\n");
    }
    (StatusCode::OK, "ready\n")
}
