//! The acceptor: takes connections, and serves HTTP on them with deadlines and small buffers.

mod last;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use everbeat_axum::address::{Network, Peer};
use everbeat_axum::everbeat::HttpConfig;
use everbeat_axum::http::{retry_after, upgrade_anywhere};
use everbeat_axum::hub::Hub;
use everbeat_axum::limits::Limits;
use everbeat_axum::metrics::Limit;
use everbeat_axum::stream::{HalfOpen, Stream};
use everbeat_axum::supervise::supervised;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use protocol::server::Full;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{ServiceExt, service_fn};

use self::last::{LAST_HEAD, LastAnswers};
use crate::descriptors::{self, Share};
use crate::health;
use crate::listener::{Listener, Shared};
use crate::tls::Tls;
use crate::write_deadline::WriteDeadline;

/// How long a new client has for its first request after the acceptor has stopped.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// The pause before accepting again after an error.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How often the journal says that no connection can be accepted.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The configuration of an acceptor.
#[derive(Clone, Debug)]
pub struct AcceptorConfig {
    /// The deadline of a TLS handshake, and then of a request's head.
    pub header_timeout: Duration,
    /// The deadline of a write that makes no progress.
    pub write_timeout: Duration,
    /// The longest time in which heartbeats find a dead peer.
    pub heartbeat: Duration,
    /// The proxies that are trusted.
    pub http: Arc<HttpConfig>,
}

/// The acceptor: takes TCP connections, and serves the requests on them.
pub struct Acceptor {
    /// The routes that answer requests.
    pub router: Router,
    /// The hub, for its metrics.
    pub hub: Arc<Hub>,
    /// The limits on connections without a WebSocket.
    pub limits: Arc<Limits>,
    /// Deadlines and proxies.
    pub config: AcceptorConfig,
    /// The reserve of descriptors.
    pub reserve: Share,
}

impl Acceptor {
    /// Accepts connections until `leave`, serves them until `stop`, then lets requests that are under way
    /// finish.
    pub async fn serve(
        self,
        listener: Listener,
        leave: CancellationToken,
        stop: CancellationToken,
    ) {
        let Listener {
            socket: listener,
            tls,
            shared,
            #[cfg(target_os = "linux")]
            claim,
        } = listener;
        let end = End { leave, stop };
        let requests = TaskTracker::new();
        let mut http = http1::Builder::new();
        // A head that comes too slowly is cut off; 16 KiB hold any head that a browser sends.
        http.timer(TokioTimer::new())
            .header_read_timeout(self.config.header_timeout)
            .max_buf_size(16 * 1024);
        let take = || self.accept(&http, &listener, tls.as_ref(), &end, &requests);
        supervised("accepting", take).await;
        if shared == Shared::Port {
            for accepted in waiting(listener) {
                if let Some(begun) = self.begin(&http, accepted, tls.is_some(), &end) {
                    requests.spawn(begun.run(tls.clone()));
                }
            }
        } else {
            drop(listener);
        }
        #[cfg(target_os = "linux")]
        drop(claim);
        requests.close();
        requests.wait().await;
    }

    /// Takes connections until `leave`. Those on descriptors of the reserve are answered beside that.
    async fn accept(
        &self,
        http: &http1::Builder,
        source: &impl Source,
        tls: Option<&Tls>,
        end: &End,
        requests: &TaskTracker,
    ) {
        let mut last = LastAnswers::new(self.reserve.clone());
        let mut told: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                accepted = source.accept() => accepted,
                () = last.ended() => {
                    last.refill();
                    continue;
                }
                () = end.leave.cancelled() => return,
            };
            let error = match accepted {
                Ok(accepted) => {
                    if let Some(begun) = self.begin(http, accepted, tls.is_some(), end) {
                        requests.spawn(begun.run(tls.cloned()));
                    }
                    continue;
                }
                Err(error) => error,
            };
            // A trouble of hours is a line now and then.
            if told.is_none_or(|at| at.elapsed() > TELL_AGAIN) {
                told = Some(Instant::now());
                tracing::error!(%error, "cannot accept connections now; trying again");
            }
            if !descriptors::are_exhausted(&error) {
                sleep(ACCEPT_AGAIN).await;
            } else if last.lend().await {
                if let Some(begun) = self.begin_last(http, source, tls, end).await {
                    last.answer(begun, tls.cloned());
                }
            } else {
                // All of the reserve is in use.
                let _ = timeout(ACCEPT_AGAIN, last.ended()).await;
            }
            last.refill();
        }
    }

    /// Takes a connection on a descriptor of the reserve: only a health probe is answered on
    /// it.
    async fn begin_last(
        &self,
        http: &http1::Builder,
        source: &impl Source,
        tls: Option<&Tls>,
        end: &End,
    ) -> Option<Begun> {
        let accepted = timeout(ACCEPT_AGAIN, source.accept()).await.ok()?.ok()?;
        self.begin(http, accepted, tls.is_some(), end)
    }

    /// Counts a new connection. `None` where a limit is exceeded: it is closed without an answer, as such a
    /// client does not read one.
    fn begin(
        &self,
        http: &http1::Builder,
        (stream, peer): (TcpStream, SocketAddr),
        is_tls: bool,
        end: &End,
    ) -> Option<Begun> {
        let address = peer.ip().to_canonical();
        let is_proxy = self.config.http.trust().covers(address);
        let network = (!is_proxy).then(|| Network::from(address));
        let half_open = HalfOpen::begin(&self.limits, network);
        let half_open = half_open.inspect_err(|met| self.hub.metrics().limited(*met));
        let half_open = half_open.ok()?;
        Some(Begun {
            stream: prepared(stream, &self.config)?,
            requests: Requests {
                hub: Arc::clone(&self.hub),
                half_open: Arc::new(half_open),
                http: http.clone(),
                router: self.router.clone(),
                peer: Peer {
                    address: peer,
                    is_tls,
                },
                end: end.clone(),
            },
            patience: self.config.header_timeout,
        })
    }
}

/// A source of connections.
trait Source: Sync {
    /// Polls for the next connection, as [`TcpListener::poll_accept`].
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>>;

    /// The next connection. A call that is dropped loses none.
    fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send {
        poll_fn(|cx| self.poll_accept(cx))
    }
}

impl Source for TcpListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        Self::poll_accept(self, cx)
    }
}

/// The connections in a socket's queue, which closing the socket would reset. Those whose handshake is under way just
/// then are reset all the same: docs/operations/upgrade.md says what helps.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    // The socket does not block: an error is the end of the queue.
    let queue = std::iter::from_fn(|| listener.accept().ok());
    let taken = queue.filter_map(|(stream, peer)| {
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    });
    taken.collect()
}

/// The signals that end connections.
#[derive(Clone)]
struct End {
    /// Take no new connections.
    leave: CancellationToken,
    /// Serve none.
    stop: CancellationToken,
}

impl End {
    /// Waits until an idle connection has to end. If the next server takes the new connections, a proxy should not
    /// keep its old ones; but a client that connected just before may send its first request.
    async fn came(&self) {
        let left = async {
            self.leave.cancelled().await;
            sleep(FIRST_WORD).await;
        };
        tokio::select! {
            () = left => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// A connection that has begun.
struct Begun {
    stream: WriteDeadline<TcpStream>,
    requests: Requests,
    /// The deadline of the TLS handshake.
    patience: Duration,
}

impl Begun {
    /// Serves it until it ends, or becomes a WebSocket.
    async fn run(self, tls: Option<Tls>) {
        let Some(tls) = tls else {
            return self.requests.answer(self.stream).await;
        };
        let (hub, stop) = (self.requests.hub.clone(), self.requests.end.stop.clone());
        let metrics = hub.metrics();
        // Large, so in a box: a connection without TLS needs no memory for it.
        let handshake = Box::pin(tls.accept(self.stream));
        let shaken = tokio::select! {
            shaken = timeout(self.patience, handshake) => shaken,
            () = stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.requests.answer(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => {
                tracing::debug!("a TLS handshake took too long");
                metrics.limited(Limit::HeaderTimeout);
            }
        }
    }
}

impl Begun {
    /// Answers one request, on a descriptor of the reserve.
    async fn run_last(self, tls: Option<Tls>) {
        match tls {
            None => self.requests.answer_last(self.stream).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = timeout(LAST_HEAD, tls.accept(self.stream)).await {
                    self.requests.answer_last(stream).await;
                }
            }
        }
    }
}

/// What serves the requests on one connection.
struct Requests {
    hub: Arc<Hub>,
    half_open: Arc<HalfOpen>,
    http: http1::Builder,
    router: Router,
    peer: Peer,
    end: End,
}

impl Requests {
    async fn answer<S: Stream>(self, stream: S) {
        let peer = self.peer;
        let half_open = Arc::clone(&self.half_open);
        let service = self
            .router
            .map_request(move |request: hyper::Request<Incoming>| {
                let mut request = upgrade_anywhere(request.map(Body::new));
                request.extensions_mut().insert(peer);
                half_open.note_request();
                request.extensions_mut().insert(Arc::clone(&half_open));
                request
            });
        let mut connection = pin!(
            self.http
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                .with_upgrades()
        );
        let end = tokio::select! {
            end = &mut connection => end,
            () = self.end.came() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = end {
            tracing::debug!(%error, "an HTTP connection ended early");
            // A connection that is idle between requests ends so, too, and exceeded nothing.
            let is_idle = self.half_open.has_asked();
            match met(&error) {
                Some(Limit::HeaderTimeout) if is_idle => {}
                Some(met) => self.hub.metrics().limited(met),
                None => {}
            }
        }
    }
}

impl Requests {
    /// Answers a health probe; anything else gets 503 and `Retry-After`, as it would need descriptors.
    async fn answer_last<S: Stream>(self, stream: S) {
        let Self {
            half_open,
            mut http,
            router,
            peer,
            ..
        } = self;
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (router, half_open) = (router.clone(), Arc::clone(&half_open));
            async move {
                half_open.note_request();
                if !health::PATHS.contains(&request.uri().path()) {
                    let wait = retry_after(Full::LATER);
                    let text = "The server can open nothing more now: try again later.\n";
                    return Ok((StatusCode::SERVICE_UNAVAILABLE, wait, text).into_response());
                }
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(half_open);
                router.oneshot(request).await
            }
        });
        http.keep_alive(false).header_read_timeout(LAST_HEAD);
        let service = TowerToHyperService::new(service);
        let served = http.serve_connection(TokioIo::new(stream), service).await;
        if let Err(error) = served {
            tracing::debug!(%error, "the answer on the last descriptor failed");
        }
    }
}

/// The limit that ended an HTTP connection; `None` where it was no limit.
fn met(error: &hyper::Error) -> Option<Limit> {
    let cause = error
        .source()
        .and_then(<dyn Error>::downcast_ref::<io::Error>);
    if error.is_timeout() {
        Some(Limit::HeaderTimeout)
    } else if error.is_parse_too_large() {
        Some(Limit::HeadBytes)
    } else if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut) {
        Some(Limit::WriteTimeout)
    } else {
        None
    }
}

/// Sets a socket's options: small frames are sent at once (RFC 896), and a peer that acknowledges nothing is
/// dropped (RFC 5482), later than heartbeats and deadlines would do so, as these give a close code. `None` if the
/// socket is closed already.
fn prepared(stream: TcpStream, config: &AcceptorConfig) -> Option<WriteDeadline<TcpStream>> {
    stream.set_nodelay(true).ok()?;
    #[cfg(target_os = "linux")]
    {
        let longest = config.heartbeat.max(config.write_timeout);
        let patience = config.write_timeout.saturating_add(longest);
        // In milliseconds, with the system's maximum. If it fails, a silent peer only stays longer.
        let patience = patience.min(Duration::from_millis(i32::MAX as u64));
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(patience));
    }
    Some(WriteDeadline::new(stream, config.write_timeout))
}
