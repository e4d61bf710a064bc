//! The commands of the lab (`--lab`), for the server's own pages.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::lab::Lab;
use crate::state::AppState;

/// The path under which the commands are.
pub(super) const PREFIX: &str = "/lab/";

/// How long before the process is killed: its answer leaves in this time.
const LAST_WORD: Duration = Duration::from_millis(50);

/// The longest stall.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The routes of the lab:
///
/// - `POST /lab/kill`: the process dies, as in a crash
/// - `POST /lab/drain`: it drains and ends, as by SIGTERM
/// - `POST /lab/stall?ms=`: it does nothing for so long, as when the system does not let it run
pub(super) fn routes(lab: &Lab) -> Router<AppState> {
    Router::new()
        .route("/lab/kill", post(kill))
        .route("/lab/drain", post(drain))
        .route("/lab/stall", post(stall))
        .layer(from_fn_with_state(lab.clone(), own_pages))
        .with_state(lab.clone())
}

async fn kill() -> StatusCode {
    tracing::warn!("a page of the lab kills the server");
    tokio::spawn(async {
        sleep(LAST_WORD).await;
        std::process::abort();
    });
    StatusCode::ACCEPTED
}

async fn drain(State(lab): State<Lab>) -> StatusCode {
    tracing::warn!("a page of the lab drains the server");
    lab.drain();
    StatusCode::ACCEPTED
}

/// The query: for how many milliseconds.
#[derive(Deserialize)]
struct Stall {
    ms: u64,
}

async fn stall(Query(Stall { ms }): Query<Stall>) -> Response {
    let time = Duration::from_millis(ms);
    if time > STALL_MAX {
        let text = format!("At most {} ms.\n", STALL_MAX.as_millis());
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    tracing::warn!(?time, "a page of the lab stalls the server");
    // A task that sleeps so holds up its thread; all threads together are the server.
    for _ in 0..Handle::current().metrics().num_workers() {
        tokio::spawn(async move {
            sleep(LAST_WORD).await;
            std::thread::sleep(time);
        });
    }
    StatusCode::ACCEPTED.into_response()
}

/// Lets the server's own pages read the answers, which have another port (Fetch Standard, "CORS protocol"). Which pages
/// may send commands was decided before.
async fn own_pages(State(lab): State<Lab>, request: Request, next: Next) -> Response {
    let page = page_of(&lab, request.headers());
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(page) = page {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
        let methods = HeaderValue::from_static("POST");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    response
}

/// The origin of a request, if it is that of one of our pages.
fn page_of(lab: &Lab, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let mut pages = lab.pages().iter();
    let is_own = pages.any(|page| page.as_str().as_bytes() == origin.as_bytes());
    is_own.then(|| origin.clone())
}
