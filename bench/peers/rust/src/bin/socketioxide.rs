//! socketioxide over WebSockets alone, on Axum.
//!
//! usage: socketioxide PORT      `echo` is sent back; `join` enters rooms, named with spaces between;
//!                               `say` is sent to the others in the first of them; `in` tells that it
//!                               listens, and that it has entered

use std::time::Duration;

use axum::Router;
use socketioxide::extract::{Data, Extension, SocketRef};
use socketioxide::{SocketIo, TransportType};
use tokio::net::TcpListener;

/// The room that gets a socket's texts.
#[derive(Clone)]
struct Room(String);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        .ping_interval(Duration::from_secs(25))
        .ping_timeout(Duration::from_secs(5))
        .build_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.on(
            "echo",
            async |socket: SocketRef, Data(text): Data<String>| {
                let _ = socket.emit("echo", &text);
            },
        );
        socket.on(
            "join",
            async |socket: SocketRef, Data(text): Data<String>| {
                let rooms: Vec<String> = text.split(' ').map(str::to_owned).collect();
                socket.extensions.insert(Room(rooms[0].clone()));
                socket.join(rooms);
                let _ = socket.emit("in", "rooms");
            },
        );
        socket.on(
            "say",
            async |socket: SocketRef,
                   Extension(room): Extension<Room>,
                   Data(text): Data<String>| {
                let _ = socket.to(room.0).emit("say", &text).await;
            },
        );
        let _ = socket.emit("in", "here");
    });
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().layer(layer)).await?;
    Ok(())
}
