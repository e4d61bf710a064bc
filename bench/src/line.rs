//! A connection that carries texts, to any server that is measured.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Small buffers: thousands of these connections are held by one process.
const READ_BUFFER: usize = 1024;

/// How texts are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Not at all.
    Bare,
    /// As events of Socket.IO 5 over Engine.IO 4.
    SocketIo,
}

/// One connection. Heartbeats of either kind are answered on the way.
#[derive(Debug)]
pub struct Line {
    socket: WebSocketStream<TcpStream>,
    dialect: Dialect,
}

impl Line {
    /// Connects. `path` means something to servers of bare texts only.
    ///
    /// # Errors
    /// If the server refuses, or greets otherwise than its protocol has it.
    pub async fn connect(
        address: SocketAddr,
        path: &str,
        dialect: Dialect,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let path = match dialect {
            Dialect::Bare => path,
            Dialect::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0);
        let request = format!("ws://{address}{path}");
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        let mut line = Self { socket, dialect };
        if dialect == Dialect::SocketIo {
            line.greet().await?;
        }
        Ok(line)
    }

    /// Sends a text, as the event `event` where there are events. It must need no escape in JSON.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, event: &str, text: &str) -> anyhow::Result<()> {
        let message = match self.dialect {
            Dialect::Bare => Message::text(text),
            Dialect::SocketIo => Message::text(format!("42[\"{event}\",\"{text}\"]")),
        };
        Ok(self.socket.send(message).await?)
    }

    /// Waits for the next text.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn receive(&mut self) -> anyhow::Result<Utf8Bytes> {
        let text = self.receive_raw().await?;
        match self.dialect {
            Dialect::Bare => Ok(text),
            Dialect::SocketIo => {
                // `42["event","text"]`, and behind the text its place where that can be recovered.
                let event = text.strip_prefix("42[\"").context("not an event")?;
                let text = event.split("\",\"").nth(1);
                let text = text.context("an event without text")?;
                Ok(text.trim_end_matches("\"]").into())
            }
        }
    }

    async fn greet(&mut self) -> anyhow::Result<()> {
        let opened = self.receive_raw().await?;
        if !opened.starts_with("0{") {
            bail!("not an Engine.IO server: {opened}");
        }
        self.socket.send(Message::text("40")).await?;
        let connected = self.receive_raw().await?;
        if !connected.starts_with("40{") {
            bail!("not a Socket.IO server: {connected}");
        }
        Ok(())
    }

    async fn receive_raw(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match self.socket.next().await.context("the connection ended")?? {
                // Engine.IO's ping; socketioxide sends one before it says anything else.
                Message::Text(text)
                    if self.dialect == Dialect::SocketIo && text.as_str() == "2" =>
                {
                    self.socket.send(Message::text("3")).await?;
                }
                Message::Text(text) => return Ok(text),
                Message::Close(_) => bail!("the server closed the connection"),
                // Pings are answered by the library while it reads on.
                _ => {}
            }
        }
    }
}
