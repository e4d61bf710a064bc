//! Accepting connections: with a deadline for the head of each request, and small buffers.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
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

use crate::address::{self, Network, Peer};
use crate::config::Config;
use crate::limits::Limits;
use crate::router::upgrade_anywhere;

/// How long to wait before accepting again when the system has no more sockets to give.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How to end the connection that a request came on, from within its answer. Noted at each request.
#[derive(Clone, Debug)]
pub struct Cut(pub CancellationToken);

/// What connections come to.
pub struct Doors {
    /// What answers their requests.
    pub router: Router,
    /// How many may stand in the door.
    pub limits: Arc<Limits>,
    /// Deadlines and proxies.
    pub config: Arc<Config>,
}

impl Doors {
    /// Serves until `stop`, then lets requests that are under way finish.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let requests = TaskTracker::new();
        let mut http = http1::Builder::new();
        // A head that trickles in is cut off; 16 KiB hold every head that a browser sends.
        http.timer(TokioTimer::new())
            .header_read_timeout(self.config.header_timeout)
            .max_buf_size(16 * 1024);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => self.begin(&http, (stream, peer), &requests, &stop),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection now; trying again");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
        drop(listener);
        requests.close();
        requests.wait().await;
    }

    /// Gives a connection a task that lives until it is a WebSocket, or at its end.
    fn begin(
        &self,
        http: &http1::Builder,
        (stream, peer): (TcpStream, SocketAddr),
        requests: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let address = peer.ip().to_canonical();
        let is_proxy = address::is_trusted(address, &self.config.limits.trusted_proxies);
        let held = if is_proxy {
            None
        } else {
            match self.limits.handshake(Network::from(address)) {
                // Dropped without a word: whoever opens so many does not listen.
                None => return,
                held => held,
            }
        };
        let Some(stream) = prepared(stream) else {
            return;
        };
        let cut = CancellationToken::new();
        let asked = Cut(cut.clone());
        let service = self
            .router
            .clone()
            .map_request(move |request: hyper::Request<Incoming>| {
                let mut request = upgrade_anywhere(request.map(Body::new));
                request.extensions_mut().insert(Peer(peer));
                request.extensions_mut().insert(asked.clone());
                request
            });
        let connection = http
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        let stop = stop.clone();
        requests.spawn(async move {
            let _held = held;
            let mut connection = pin!(connection);
            let end = tokio::select! {
                end = &mut connection => end,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        end = connection => end,
                        () = cut.cancelled() => return,
                    }
                }
                () = cut.cancelled() => return,
            };
            if let Err(error) = end {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
        });
    }
}

/// Small frames must not wait for company (RFC 896). A socket that is already gone is dropped.
fn prepared(stream: TcpStream) -> Option<TcpStream> {
    stream.set_nodelay(true).ok()?;
    Some(stream)
}
