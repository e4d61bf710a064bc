//! WebSockets: the upgrade, and the choice of a connection's dialect.
//!
//! A connection is one task. It owns its state machine ([`protocol::server`]) and its socket; the rest of the server
//! reaches it only through the marks in its [`Mailbox`](everbeat_axum::hub::mailbox::Mailbox).

mod reading;
mod session;
mod tutorial;
pub(crate) mod wire;

use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use everbeat_axum::access::{Authenticator, ShownCredentials};
use everbeat_axum::address::Client;
use everbeat_axum::http::{came_by_tls, retry_after};
use everbeat_axum::metrics::Limit;
use everbeat_axum::origin::may_connect;
use everbeat_axum::stream::Stream;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use protocol::frame::SUBPROTOCOL;
use protocol::id::RoomName;
use protocol::server::Tutorial;
use serde::Deserialize;
use tokio::net::TcpStream;
use tungstenite::handshake::server::create_response_with_body;

use self::wire::Wire;
use crate::state::{AppState, ConnectionPermit, Full};
use crate::tls::TlsStream;
use crate::write_deadline::WriteDeadline;

/// The query of a tutorial page's upgrade: its room.
#[derive(Debug, Deserialize)]
pub struct TutorialQuery {
    room: Option<String>,
}

/// The dialect of a connection.
enum Dialect {
    Everbeat(Box<ShownCredentials>),
    Tutorial(RoomName),
}

/// Upgrades a connection: to a session if the client offers our subprotocol, to the tutorial's dialect if it offers
/// none.
pub async fn upgrade(
    State(state): State<AppState>,
    Extension(client): Extension<Client>,
    Query(query): Query<TutorialQuery>,
    mut request: Request,
) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    let mut response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => return not_a_handshake(&error),
    };
    let dialect = match dialect(&state, request.headers(), query.room.as_deref()) {
        Ok(Dialect::Tutorial(room)) if !may_tutor(&state.authenticator, &room).await => {
            let text = "Pages without a session may not use this room here.\n";
            return (StatusCode::FORBIDDEN, text).into_response();
        }
        Ok(dialect) => dialect,
        Err(text) => return (StatusCode::BAD_REQUEST, text).into_response(),
    };
    // A client of our subprotocol may be authenticated by a cookie; the tutorial's pages never are.
    let is_ours = matches!(dialect, Dialect::Everbeat(_));
    let allowed = &state.config.limits.allowed_origins;
    let by_tls = came_by_tls(&request, state.config.limits.trust());
    if is_ours && !may_connect(&request, allowed, by_tls) {
        state.hub.metrics().limited(Limit::Origins);
        let text = "Pages of this origin may not connect here: see --allowed-origins.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let permit = match state.connect(client.counted()) {
        Ok(permit) => permit,
        Err(Full::Address) => {
            let text = "Your address holds too many connections: try again later.\n";
            return later(text, Full::LATER);
        }
        Err(Full::Server) => {
            let text = "The server takes no new connections now: try again later.\n";
            // After the drain there is the next server.
            let drain = state.hub.is_draining().then_some(state.config.drain);
            return later(text, drain.unwrap_or(Full::LATER));
        }
    };
    if is_ours {
        let chosen = HeaderValue::from_static(SUBPROTOCOL);
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    // Tracked, so that a drain waits for it, and for the connection's task.
    let tracker = state.tracker.clone();
    tokio::spawn(tracker.track_future(begin(upgrade, permit, dialect)));
    response
}

fn later(text: &'static str, wait: Duration) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, retry_after(wait), text).into_response()
}

/// Waits until the connection is a WebSocket, and starts its task, which holds no more than it needs.
async fn begin(upgrade: OnUpgrade, permit: ConnectionPermit, dialect: Dialect) {
    let Ok(upgraded) = upgrade.await else { return };
    // The acceptor makes one of these two streams.
    match upgraded.downcast::<TokioIo<WriteDeadline<TcpStream>>>() {
        Ok(Parts { io, read_buf, .. }) => {
            drive(io.into_inner().into_inner(), read_buf, permit, dialect);
        }
        Err(upgraded) => {
            if let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<TlsStream>>() {
                let mut stream = io.into_inner();
                stream.get_mut().0.be_patient();
                drive(stream, read_buf, permit, dialect);
            }
        }
    }
}

/// Starts the task of a connection's dialect. `rest` is what the client has sent after the handshake.
fn drive<S: Stream>(stream: S, rest: Bytes, permit: ConnectionPermit, dialect: Dialect) {
    let config = &permit.state.config;
    let (frame_bytes, write_timeout) = (config.frame_bytes as usize, config.write_timeout);
    let wire = Wire::new(stream, rest, frame_bytes, write_timeout);
    let tracker = permit.state.tracker.clone();
    match dialect {
        Dialect::Everbeat(credentials) => {
            let task = session::drive(wire, permit, *credentials);
            tokio::spawn(tracker.track_future(task));
        }
        Dialect::Tutorial(room) => {
            let task = tutorial::drive(wire, permit, room);
            tokio::spawn(tracker.track_future(task));
        }
    }
}

/// Whether a tutorial page may use a room. The page is always a guest: it cannot say which site it is from, so the
/// cookies that its browser sends along must not count.
async fn may_tutor(authenticator: &Authenticator, room: &RoomName) -> bool {
    let access = authenticator
        .authenticate(&ShownCredentials::default(), None)
        .await;
    access.is_ok_and(|access| Tutorial::may_open(&access, room).is_ok())
}

/// The dialect that the client offers; the error says why there is none.
fn dialect(state: &AppState, headers: &HeaderMap, room: Option<&str>) -> Result<Dialect, String> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .peekable();
    if offered.peek().is_none() && state.config.access.tutorial.is_on() {
        let room = room.map_or_else(|| Ok(RoomName::lobby()), RoomName::new);
        return room
            .map(Dialect::Tutorial)
            .map_err(|error| format!("{error}\n"));
    }
    if offered.any(|protocol| protocol == SUBPROTOCOL) {
        let credentials = state.authenticator.credentials(headers);
        return Ok(Dialect::Everbeat(Box::new(credentials)));
    }
    Err(format!(
        "This server speaks the subprotocol {SUBPROTOCOL}.\n"
    ))
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
