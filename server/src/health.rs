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
/// - `GET /readyz`: 200 if it takes connections and the log can store, else 503 and why, in words: send no clients
///   here. Answered within 2 s, whatever the log does
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
) -> (StatusCode, String) {
    let no = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    if hub.is_draining() {
        return no("draining");
    }
    if !readiness.reserve().are_left() {
        return no("no file can be opened");
    }
    if !readiness.stores(&hub).await {
        let cluster = hub.log().cluster();
        let trouble = cluster.and_then(|cluster| cluster.trouble);
        return no(trouble.as_deref().unwrap_or("the log cannot store"));
    }
    (StatusCode::OK, "ready\n".to_owned())
}
