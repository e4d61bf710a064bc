//! socketioxide over WebSockets alone, on Axum.
//!
//! usage: socketioxide PORT      `echo` is sent back, `say` is sent to everybody

use std::time::Duration;

use axum::Router;
use socketioxide::extract::{Data, SocketRef};
use socketioxide::{SocketIo, TransportType};
use tokio::net::TcpListener;

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
        socket.on("say", async |io: SocketIo, Data(text): Data<String>| {
            let _ = io.emit("say", &text).await;
        });
    });
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().layer(layer)).await?;
    Ok(())
}
