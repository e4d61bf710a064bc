//! Axum's WebSocket as it comes: a ping for each connection every 25 s, and an end for those that did
//! not answer.
//!
//! usage: axum PORT      /echo sends back, /room sends to everybody

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, Sender};
use tokio::time::{MissedTickBehavior, interval};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let (room, _) = broadcast::channel::<Utf8Bytes>(1024);
    let routes = Router::new()
        .route(
            "/echo",
            get(|upgrade: WebSocketUpgrade| async {
                upgrade.on_upgrade(|socket| serve(socket, None))
            }),
        )
        .route("/room", get(enter))
        .with_state(room);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, routes).await?;
    Ok(())
}

async fn enter(State(room): State<Sender<Utf8Bytes>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| serve(socket, Some(room)))
}

async fn serve(mut socket: WebSocket, room: Option<Sender<Utf8Bytes>>) {
    let mut heard = room.as_ref().map(Sender::subscribe);
    let mut ping = interval(Duration::from_secs(25));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut is_alive = true;
    loop {
        let message = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => match &room {
                    Some(room) => {
                        let _ = room.send(text);
                        continue;
                    }
                    None => Message::Text(text),
                },
                Some(Ok(Message::Pong(_))) => {
                    is_alive = true;
                    continue;
                }
                Some(Ok(Message::Ping(_))) => continue,
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return,
            },
            text = hear(&mut heard) => Message::Text(text),
            _ = ping.tick() => {
                if !std::mem::replace(&mut is_alive, false) {
                    return;
                }
                Message::Ping(Default::default())
            }
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn hear(room: &mut Option<broadcast::Receiver<Utf8Bytes>>) -> Utf8Bytes {
    let Some(room) = room else {
        return std::future::pending().await;
    };
    loop {
        match room.recv().await {
            Ok(text) => return text,
            // Slow readers lose messages here.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
        }
    }
}
