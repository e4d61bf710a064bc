//! Accepting connections: with a deadline for the head of each request, and small buffers.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::router::upgrade_anywhere;

/// How long to wait before accepting again when the system has no more sockets to give.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets requests that are under way finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
) {
    let requests = TaskTracker::new();
    let mut http = http1::Builder::new();
    // A head that trickles in is cut off; 16 KiB hold every head that a browser sends.
    http.timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(16 * 1024);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection now; trying again");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        if let Some(stream) = prepared(stream) {
            let service = router
                .clone()
                .map_request(|request: hyper::Request<Incoming>| {
                    upgrade_anywhere(request.map(Body::new))
                });
            let service = TowerToHyperService::new(service);
            let connection = http
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let stop = stop.clone();
            requests.spawn(async move {
                let mut connection = pin!(connection);
                let end = tokio::select! {
                    end = &mut connection => end,
                    () = stop.cancelled() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                if let Err(error) = end {
                    tracing::debug!(%error, "an HTTP connection ended early");
                }
            });
        }
    }
    drop(listener);
    requests.close();
    requests.wait().await;
}

/// Small frames must not wait for company (RFC 896). A socket that is already gone is dropped.
fn prepared(stream: TcpStream) -> Option<TcpStream> {
    stream.set_nodelay(true).ok()?;
    Some(stream)
}
