//! WebSockets: the upgrade, and which dialect a connection speaks.
//!
//! A connection is one task. It owns its state machine ([`protocol::server`]) and its socket, and is
//! spoken to only through marks in its [`Mailbox`].

mod pull;
mod session;
mod tutorial;
mod wire;

use std::sync::Arc;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::frame::SUBPROTOCOL;
use protocol::id::{ConnectionId, RoomName};
use serde::Deserialize;

use crate::hub::Hub;
use crate::hub::mailbox::Mailbox;
use crate::state::AppState;

/// A connection as its task gets it.
struct Connection {
    id: ConnectionId,
    mailbox: Arc<Mailbox>,
    hub: Arc<Hub>,
    config: protocol::server::Config,
    write_timeout: std::time::Duration,
}

/// Where a tutorial page goes.
#[derive(Debug, Deserialize)]
pub struct TutorialQuery {
    room: Option<String>,
}

/// How much of what a client sends is read at once. Axum's default of 128 KiB is what an idle
/// connection costs; a heartbeat has 15 bytes.
const READ_BUFFER: usize = 1024;

/// Frames are gathered up to this size before they are written; more than this and what one frame
/// needs is never buffered, so that back-pressure is felt.
const WRITE_BUFFER: usize = 8 * 1024;

/// Upgrades a connection: with our subprotocol to a session, without any to the tutorial's dialect.
pub async fn upgrade(
    State(state): State<AppState>,
    Query(query): Query<TutorialQuery>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let room = query
        .room
        .as_deref()
        .map_or_else(|| Ok(RoomName::lobby()), RoomName::new);
    let room = match room {
        Ok(room) => room,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let Some((id, mailbox)) = state.hub.connect(state.config.connections) else {
        let retry = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
        let text = "The server takes no new connections now: try again later.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, retry, text).into_response();
    };
    let frame_bytes = state.config.frame_bytes as usize;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + 16 * frame_bytes)
        .max_message_size(frame_bytes)
        .max_frame_size(frame_bytes)
        .protocols([SUBPROTOCOL]);
    let offered = upgrade.requested_protocols().next().is_some();
    let chosen = upgrade.selected_protocol().is_some();
    let connection = Connection {
        id,
        mailbox,
        hub: Arc::clone(&state.hub),
        config: state.config.protocol(),
        write_timeout: state.config.write_timeout,
    };
    match (offered, chosen) {
        (true, false) => {
            state.hub.disconnect(id, None);
            let text = format!("This server speaks the subprotocol {SUBPROTOCOL}.\n");
            (StatusCode::BAD_REQUEST, text).into_response()
        }
        (_, is_session) => {
            let (hub, tracker) = (Arc::clone(&state.hub), state.tracker);
            upgrade
                .on_failed_upgrade(move |_| hub.disconnect(id, None))
                .on_upgrade(move |socket: WebSocket| async move {
                    // Tracked, so that a drain can wait for it.
                    let task = async move {
                        if is_session {
                            session::drive(socket, connection).await;
                        } else {
                            tutorial::drive(socket, connection, room).await;
                        }
                    };
                    tracker.track_future(task).await;
                })
        }
    }
}
