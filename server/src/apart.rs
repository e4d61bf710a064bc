//! Pages are rendered and compressed a few at a time, and compressed apart from the tasks of connections: what
//! does not compress takes milliseconds, in which no heartbeat would be answered. Until they are written, they
//! count among the answers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::address::Network;
use crate::answers::Owed;
use crate::http::retry_after;
use crate::metrics::Limit;
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

/// The right to render and compress a page, with room for it among the answers. It goes with the response from
/// the renderer to [`made`], through the layer that compresses.
#[derive(Clone)]
pub(crate) struct Turn {
    held: Arc<(OwnedSemaphorePermit, Owed)>,
}

impl Pages {
    /// No page is asked for yet.
    pub(crate) fn new(state: AppState) -> Self {
        Self {
            state,
            line: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Waits for a turn. To be called when all that others may be slow at is there: the request's body, and the
    /// verdict of the authenticator, which may have to ask for keys.
    ///
    /// # Errors
    /// The response where there is none in time.
    pub(crate) async fn turn(&self, network: Option<Network>) -> Result<Turn, Response> {
        let line = Arc::clone(&self.line);
        // It is never closed.
        let Ok(Ok(permit)) = timeout(PATIENCE, line.acquire_owned()).await else {
            return Err(busy());
        };
        // A request with a turn waits for no slow client.
        let Some(Ok(owed)) = self.state.hub.owe(network).now_or_never() else {
            self.state.hub.metrics().limited(Limit::AnswerBytes);
            return Err(busy());
        };
        let held = Arc::new((permit, owed));
        Ok(Turn { held })
    }
}

/// Makes a page whole on a thread for such work, as a layer within is about to compress it where the browser
/// takes that. A response without a turn is no page: a file, say, goes on its way.
pub(crate) async fn made(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let is_head = request.method() == Method::HEAD;
    // Before it has a turn: a form may come slowly.
    let mut request = match whole(&pages.state, request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    request.extensions_mut().insert(pages);
    let mut response = next.run(request).await;
    let turn = response.extensions_mut().remove::<Turn>();
    // It is the only one.
    let turn = turn.and_then(|turn| Arc::into_inner(turn.held));
    let Some((permit, owed)) = turn.filter(|_| !is_head) else {
        return response;
    };
    let (parts, body) = response.into_parts();
    let runtime = Handle::current();
    let making = tokio::task::spawn_blocking(move || {
        let _turn = permit;
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
            state.hub.metrics().limited(Limit::BodyTimeout);
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
