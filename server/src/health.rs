//! Health: whether the server lives, and whether it is ready for clients.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::routing::get;
use everbeat_axum::hub::Hub;
use thiserror::Error;

use crate::readiness::Readiness;

/// The paths of health, which are answered even without a free descriptor.
pub const PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// Why a server is not ready for clients.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotReady {
    /// It drains.
    #[error("draining")]
    Draining,
    /// There is no free descriptor.
    #[error("no file can be opened")]
    NoFile,
    /// The log cannot store; a node of a cluster knows why.
    #[error("{}", .0.as_deref().unwrap_or("the log cannot store"))]
    CannotStore(Option<String>),
}

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
    match check(&hub, &readiness).await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// Whether the server is ready for clients. Answered within 2 s, whatever the log does.
///
/// # Errors
/// [`NotReady`]: why not.
pub async fn check(hub: &Arc<Hub>, readiness: &Readiness) -> Result<(), NotReady> {
    if hub.is_draining() {
        return Err(NotReady::Draining);
    }
    if !readiness.reserve().are_left() {
        return Err(NotReady::NoFile);
    }
    if !readiness.stores(hub).await {
        let cluster = hub.log().cluster();
        return Err(NotReady::CannotStore(
            cluster.and_then(|cluster| cluster.trouble),
        ));
    }
    Ok(())
}
