//! Axum's WebSocket without changes: it pings each connection every 25 s, and ends those that did
//! not answer.
//!
//! usage: axum PORT      /echo sends back; /room/A/B is in the rooms A and B, and sends to the others in A

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, Sender};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::BroadcastStream;

/// A text, and the id of the connection that sent it.
type Said = (u64, Utf8Bytes);

type Rooms = Arc<Mutex<HashMap<String, Sender<Said>>>>;

/// The rooms of one connection; its texts go to the first one.
struct Seats {
    id: u64,
    own: Sender<Said>,
    heard: SelectAll<BroadcastStream<Said>>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let routes = Router::new()
        .route(
            "/echo",
            get(|upgrade: WebSocketUpgrade| async {
                upgrade.on_upgrade(|socket| serve(socket, None))
            }),
        )
        .route("/room/{*rooms}", get(enter))
        .with_state(Rooms::default());
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, routes).await?;
    Ok(())
}

async fn enter(
    State(rooms): State<Rooms>,
    Path(names): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    static IDS: AtomicU64 = AtomicU64::new(0);
    let mut senders = names.split('/').map(|name| {
        let mut rooms = rooms.lock().expect("no holder panics");
        let room = rooms.entry(name.to_owned());
        room.or_insert_with(|| broadcast::channel(256).0).clone()
    });
    let own = senders.next().expect("a split has one part at least");
    let others = senders.map(|room| BroadcastStream::new(room.subscribe()));
    let seats = Seats {
        id: IDS.fetch_add(1, Ordering::Relaxed),
        heard: others
            .chain([BroadcastStream::new(own.subscribe())])
            .collect(),
        own,
    };
    upgrade.on_upgrade(|socket| serve(socket, Some(seats)))
}

async fn serve(mut socket: WebSocket, mut seats: Option<Seats>) {
    let mut ping = interval(Duration::from_secs(25));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut is_alive = true;
    loop {
        let message = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => match &seats {
                    Some(seats) => {
                        let _ = seats.own.send((seats.id, text));
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
            text = hear(&mut seats) => Message::Text(text),
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

async fn hear(seats: &mut Option<Seats>) -> Utf8Bytes {
    let Some(seats) = seats else {
        return std::future::pending().await;
    };
    loop {
        match seats.heard.next().await {
            Some(Ok((from, text))) if from != seats.id => return text,
            // Its own text, or it was slow and has lost some.
            Some(Ok(_) | Err(_)) => {}
            None => return std::future::pending().await,
        }
    }
}
