//! Whether the server lives, and whether it can do its work.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::hub::Hub;
use crate::state::AppState;

/// How long the log may take to store what is written to find out whether it can.
const PATIENCE: Duration = Duration::from_secs(2);

/// For how long one answer holds: asking often must not cost a sync each time.
const FRESH: Duration = Duration::from_secs(1);

/// - `GET /healthz`: 200 as long as the server answers at all: restart it when it does not
/// - `GET /readyz`: 200 if it takes connections and the log can store, else 503: send nobody here
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
}

/// Whether the log can store, found out by storing something.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    /// Whether the log could store something just now. Those who ask at once share an answer.
    async fn stores(&self, hub: &Arc<Hub>) -> bool {
        let mut known = self.0.lock().await;
        if let Some((at, stores)) = *known
            && at.elapsed() < FRESH
        {
            return stores;
        }
        let probe = timeout(PATIENCE, hub.log().probe());
        let stores = matches!(probe.await, Ok(Ok(())));
        *known = Some((Instant::now(), stores));
        stores
    }
}

async fn readyz(State(state): State<AppState>) -> (StatusCode, &'static str) {
    if state.hub.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if !state.readiness.stores(&state.hub).await {
        return (StatusCode::SERVICE_UNAVAILABLE, "the log cannot store\n");
    }
    (StatusCode::OK, "ready\n")
}
