//! WebSockets: the upgrade, and the task that a connection has from then on.
//!
//! A connection is one task. It owns its state machine ([`protocol::server`]) and its socket; the rest of the server
//! reaches it only through the marks in its [`Mailbox`](crate::hub::mailbox::Mailbox).

pub mod reading;
mod session;
pub mod wire;

use std::time::Duration;

use std::os::fd::BorrowedFd;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use protocol::frame::SUBPROTOCOL;
use protocol::server::Full;
use tungstenite::handshake::server::create_response_with_body;

use self::wire::Wire;
use crate::access::ShownCredentials;
use crate::address::Client;
use crate::everbeat::Everbeat;
use crate::http::{came_by_tls, retry_after};
use crate::metrics::Limit;
use crate::origin::may_connect;
use crate::permit::ConnectionPermit;
use crate::stream::Stream;

/// A dialect: what serves a connection once it is a WebSocket.
pub trait Dialect: Send + 'static {
    /// Serves one connection to its end, as a task of its own.
    fn serve<S: Stream>(
        self,
        wire: Wire<S>,
        permit: ConnectionPermit,
    ) -> impl Future<Output = ()> + Send + 'static;
}

/// Which streams connections run over. hyper hands an upgraded connection over behind a pointer; an acceptor that
/// knows what it made takes the stream itself out of it, which costs less.
pub trait Transport: 'static {
    /// Begins to serve an upgraded connection.
    fn begin<D: Dialect>(upgraded: Upgraded, ready: Ready<D>);
}

/// The transport of any acceptor: the connection stays behind hyper's pointer.
#[derive(Clone, Copy, Debug)]
pub enum AnyTransport {}

impl Transport for AnyTransport {
    fn begin<D: Dialect>(upgraded: Upgraded, ready: Ready<D>) {
        ready.begin(TokioIo::new(upgraded), Bytes::new());
    }
}

/// A permit and a dialect that wait for their stream.
pub struct Ready<D> {
    permit: ConnectionPermit,
    dialect: D,
}

impl<D: Dialect> Ready<D> {
    /// Starts the connection's task, which holds no more than it needs. `rest` is what the client has sent after the
    /// handshake.
    pub fn begin<S: Stream>(self, stream: S, rest: Bytes) {
        self.start(stream, rest, |wire| wire);
    }

    /// The same over a TCP socket below the stream, whose send queue tells a slow reader from a silent one (HB-4).
    pub fn begin_over<S: Stream>(self, stream: S, socket: fn(&S) -> BorrowedFd<'_>, rest: Bytes) {
        self.start(stream, rest, |wire| wire.over(socket));
    }

    fn start<S: Stream>(self, stream: S, rest: Bytes, finish: impl FnOnce(Wire<S>) -> Wire<S>) {
        let Self { permit, dialect } = self;
        let everbeat = &permit.everbeat;
        let frame_bytes = everbeat.protocol().limits.frame_bytes as usize;
        let wire = Wire::new(stream, rest, frame_bytes, everbeat.http().write_timeout);
        let tracker = everbeat.tracker().clone();
        tokio::spawn(tracker.track_future(dialect.serve(finish(wire), permit)));
    }
}

/// A request for a WebSocket, and the response that it is due (RFC 6455 section 4.2).
pub struct Handshake {
    upgrade: OnUpgrade,
    response: Response,
}

impl Handshake {
    /// Reads the handshake.
    ///
    /// # Errors
    /// The refusal of a request that asks for no WebSocket, or for another version of it.
    #[expect(clippy::result_large_err, reason = "it is the response")]
    pub fn of(request: &mut Request) -> Result<Self, Response> {
        let upgrade = hyper::upgrade::on(&mut *request);
        match create_response_with_body(request, Body::empty) {
            Ok(response) => Ok(Self { upgrade, response }),
            Err(error) => Err(not_a_handshake(&error)),
        }
    }

    /// Chooses a subprotocol.
    #[must_use]
    pub fn choose(mut self, subprotocol: &'static str) -> Self {
        let chosen = HeaderValue::from_static(subprotocol);
        let headers = self.response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
        self
    }

    /// Gives the connection a permit, and serves it in this dialect once it is a WebSocket. Where there is no permit
    /// the response says so.
    pub fn accept<T: Transport>(
        self,
        everbeat: &Everbeat,
        client: &Client,
        dialect: impl Dialect,
    ) -> Response {
        let permit = match everbeat.connect(client.counted()) {
            Ok(permit) => permit,
            Err(full) => {
                let text = match full {
                    Full::Address => "Your address holds too many connections: try again later.\n",
                    Full::Server => "The server takes no new connections now: try again later.\n",
                };
                let drain = everbeat.hub().drain().map(|drain| drain.length);
                return later(text, full.retry_after(drain));
            }
        };
        let ready = Ready { permit, dialect };
        let upgrade = self.upgrade;
        let begin = async move {
            if let Ok(upgraded) = upgrade.await {
                T::begin(upgraded, ready);
            }
        };
        // Tracked, so that a drain waits for it, and for the connection's task.
        tokio::spawn(everbeat.tracker().track_future(begin));
        self.response
    }
}

/// Upgrades a connection to a session, in our subprotocol.
pub async fn upgrade<T: Transport>(
    State(everbeat): State<Everbeat>,
    Extension(client): Extension<Client>,
    mut request: Request,
) -> Response {
    let handshake = match Handshake::of(&mut request) {
        Ok(handshake) => handshake,
        Err(refused) => return refused,
    };
    if !offered(request.headers()).any(|protocol| protocol == SUBPROTOCOL) {
        let text = format!("This server speaks the subprotocol {SUBPROTOCOL}.\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let http = everbeat.http();
    let by_tls = came_by_tls(&request, http.trust());
    if !may_connect(&request, &http.allowed_origins, by_tls) {
        everbeat.hub().metrics().limited(Limit::Origins);
        let text = "Pages of this origin may not connect here: see --allowed-origins.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let credentials = everbeat.authenticator().credentials(request.headers());
    let session = Session(Box::new(credentials));
    let handshake = handshake.choose(SUBPROTOCOL);
    handshake.accept::<T>(&everbeat, &client, session)
}

/// The subprotocols that a client offers.
pub fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Our subprotocol, for a client that showed these credentials.
struct Session(Box<ShownCredentials>);

impl Dialect for Session {
    fn serve<S: Stream>(
        self,
        wire: Wire<S>,
        permit: ConnectionPermit,
    ) -> impl Future<Output = ()> + Send + 'static {
        session::drive(wire, permit, *self.0)
    }
}

fn later(text: &'static str, wait: Duration) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, retry_after(wait), text).into_response()
}

/// The answer to a request that is no WebSocket handshake, or one of another version (RFC 6455 section 4.2.1).
fn not_a_handshake(error: &tungstenite::Error) -> Response {
    let needed = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        ),
    ];
    let text = format!("Here only WebSockets are served. {error}\n");
    (StatusCode::UPGRADE_REQUIRED, needed, text).into_response()
}
