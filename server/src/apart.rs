//! Pages are rendered and compressed a few at a time, and compressed apart from the tasks of connections: what
//! does not compress takes milliseconds, in which no heartbeat would be answered. Until they are written, they
//! count among the answers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::address::Client;
use crate::metrics::Met;
use crate::router::retry_after;
use crate::state::{AppState, Full};

/// How many pages are rendered and compressed at once. Others wait in the order in which they came.
const AT_ONCE: usize = 2;

/// How long a request may wait for its turn; a browser's person waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);

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
    // Before it has a turn: a form may come slowly.
    let request = match whole(&state, request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    // It is never closed.
    let Ok(turn) = timeout(PATIENCE, line.acquire_owned()).await else {
        return busy();
    };
    // Whoever has a turn waits for nobody who may be slow.
    let Some(Ok(owed)) = state.hub.owe(network).now_or_never() else {
        state.hub.metrics().limited(Met::AnswerBytes);
        return busy();
    };
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

/// The request with its whole body, where it has one: of what is too long as much as shows that.
async fn whole(state: &AppState, request: Request) -> Result<Request, Response> {
    if request.method() != Method::POST {
        return Ok(request);
    }
    let limit = state.config.frame_bytes as usize;
    let (parts, body) = request.into_parts();
    let mut coming = body.into_data_stream();
    let mut bytes = Vec::new();
    let collecting = async {
        while bytes.len() <= limit
            && let Some(part) = coming.next().await
        {
            bytes.extend_from_slice(&part?);
        }
        Ok::<_, axum::Error>(())
    };
    match timeout(state.config.body_timeout, collecting).await {
        Ok(Ok(())) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST.into_response()),
        Err(_) => {
            state.hub.metrics().limited(Met::BodyTimeout);
            Err((StatusCode::REQUEST_TIMEOUT, "The form came too slowly.\n").into_response())
        }
    }
}

fn busy() -> Response {
    let text = "The server cannot do this now: try again later.\n";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    (status, retry_after(Full::LATER), text).into_response()
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a page could not be made");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
