//! Pages are rendered and compressed a few at a time, and compressed apart from the tasks of connections: what
//! does not compress takes milliseconds, in which no heartbeat would be answered. Until they are written, they
//! count among the answers.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::address::Client;
use crate::hub::answers::NoRoom;
use crate::router::retry_after;
use crate::state::{AppState, Full};

/// How many pages are rendered and compressed at once. Others wait in the order in which they came.
const AT_ONCE: usize = 2;

/// What pages share.
#[derive(Clone)]
pub(crate) struct Pages {
    state: AppState,
    line: Arc<Semaphore>,
}

impl Pages {
    /// No page is asked for yet.
    pub(crate) fn new(state: AppState) -> Self {
        Self {
            state,
            line: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

/// Answers a request in its turn. A page, which a layer within is about to compress where the browser takes
/// that, is made whole on a thread for such work. Anything else, a file say, goes on its way.
pub(crate) async fn made(
    State(Pages { state, line }): State<Pages>,
    request: Request,
    next: Next,
) -> Response {
    let client = request.extensions().get::<Client>();
    let network = client.and_then(Client::counted);
    let is_head = request.method() == Method::HEAD;
    let owed = match state.hub.owe(network).await {
        Ok(owed) => owed,
        Err(NoRoom) => {
            let text = "The server cannot do this now: try again later.\n";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return (status, retry_after(Full::LATER), text).into_response();
        }
    };
    // It is never closed.
    let turn = line.acquire_owned().await;
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_head || !is_page {
        return response;
    }
    let (parts, body) = response.into_parts();
    let runtime = Handle::current();
    let making = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        runtime.block_on(to_bytes(body, usize::MAX))
    });
    let page: Bytes = match making.await {
        Ok(Ok(page)) => page,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    Response::from_parts(parts, Body::from(owed.hold(page)))
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a page could not be made");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
