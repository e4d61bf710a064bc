//! The pages' queue: a few pages at a time are rendered and compressed, on threads apart from the tasks of
//! connections, as compressing takes milliseconds in which no heartbeat would be answered. Until they are written,
//! pages count among the answers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use everbeat_axum::address::Network;
use everbeat_axum::answers::Owed;
use everbeat_axum::everbeat::Everbeat;
use everbeat_axum::http::retry_after;
use everbeat_axum::metrics::Limit;
use futures_util::{FutureExt, StreamExt};
use protocol::server::Full;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many pages are rendered and compressed at once. Others wait in order.
const AT_ONCE: usize = 2;

/// The longest wait for a turn; users do not wait longer either.
const PATIENCE: Duration = Duration::from_secs(10);

/// The queue of pages.
#[derive(Clone)]
pub(crate) struct Pages {
    everbeat: Everbeat,
    line: Arc<Semaphore>,
}

/// A turn: the permit to render and compress a page, with memory reserved for it among the answers. It goes with the
/// response from the renderer to [`made`], through the layer that compresses.
#[derive(Clone)]
pub(crate) struct Turn {
    held: Arc<(OwnedSemaphorePermit, Owed)>,
}

impl Pages {
    /// An empty queue.
    pub(crate) fn new(everbeat: Everbeat) -> Self {
        Self {
            everbeat,
            line: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Waits for a turn. To be called once everything that may be slow is there: the request's body, and the
    /// authenticator's answer, for which it may have to fetch keys.
    ///
    /// # Errors
    /// The response where there is no turn in time.
    pub(crate) async fn turn(&self, network: Option<Network>) -> Result<Turn, Response> {
        let line = Arc::clone(&self.line);
        // The semaphore is never closed.
        let Ok(Ok(permit)) = timeout(PATIENCE, line.acquire_owned()).await else {
            return Err(busy());
        };
        // A request that has a permit must not wait for a slow client to free memory.
        let Some(Ok(owed)) = self.everbeat.hub().owe(network).now_or_never() else {
            self.everbeat.hub().metrics().limited(Limit::AnswerBytes);
            return Err(busy());
        };
        let held = Arc::new((permit, owed));
        Ok(Turn { held })
    }
}

/// Collects a page on a thread for blocking work, where the layer within compresses it for browsers that
/// accept that. A response without a turn is no page but a file, say, and passes.
pub(crate) async fn made(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let is_head = request.method() == Method::HEAD;
    // Read before there is a turn, as a form may arrive slowly.
    let mut request = match whole(&pages.everbeat, request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    request.extensions_mut().insert(pages);
    let mut response = next.run(request).await;
    let turn = response.extensions_mut().remove::<Turn>();
    // The only handle on the turn.
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

/// The request with its whole body, if it has one; of a body that is too long only enough to show that.
async fn whole(everbeat: &Everbeat, request: Request) -> Result<Request, Response> {
    if request.method() != Method::POST {
        return Ok(request);
    }
    let limit = everbeat.protocol().limits.frame_bytes as usize;
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
    match timeout(everbeat.http().body_timeout, collecting).await {
        Ok(Ok(())) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST.into_response()),
        Err(_) => {
            everbeat.hub().metrics().limited(Limit::BodyTimeout);
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
