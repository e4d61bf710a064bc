//! A connection that carries plain texts, to any of the measured servers.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use protocol::id::RoomName;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The size of the read buffer, in bytes: small, as one process holds thousands of connections.
const READ_BUFFER: usize = 1024;

/// The dialect of a connection: how it wraps texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As they are.
    Bare,
    /// As events of Socket.IO 5 over Engine.IO 4.
    SocketIo,
}

/// One connection. It answers heartbeats of WebSocket and of Engine.IO while it reads.
#[derive(Debug)]
pub struct Line {
    socket: WebSocketStream<TcpStream>,
    dialect: Dialect,
    recovery: Recovery,
    /// Texts that came before the greeting was over: Socket.IO sends missed ones first.
    early: VecDeque<Utf8Bytes>,
}

/// What a Socket.IO client has to keep for its connection state recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The session's private id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<String>,
    /// The offset of the last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<String>,
}

impl Line {
    /// Connects. `path` is used by servers of bare texts only.
    ///
    /// # Errors
    /// If the server refuses, or its greeting is not its protocol's.
    pub async fn connect(
        address: SocketAddr,
        path: &str,
        dialect: Dialect,
    ) -> anyhow::Result<Self> {
        let (line, _) = Self::resume(address, path, dialect, Recovery::default()).await?;
        Ok(line)
    }

    /// Connects and joins these rooms: its texts go to the other members of the first one.
    ///
    /// # Errors
    /// As [`Line::connect`].
    pub async fn enter(
        address: SocketAddr,
        rooms: &[RoomName],
        dialect: Dialect,
    ) -> anyhow::Result<Self> {
        Self::enter_again(address, rooms, dialect, Recovery::default()).await
    }

    /// The same, resuming an earlier connection if the server still knows it.
    ///
    /// # Errors
    /// As [`Line::connect`].
    pub async fn enter_again(
        address: SocketAddr,
        rooms: &[RoomName],
        dialect: Dialect,
        recovery: Recovery,
    ) -> anyhow::Result<Self> {
        let rooms: Vec<&str> = rooms.iter().map(RoomName::as_str).collect();
        let path = format!("/room/{}", rooms.join("/"));
        let (mut line, has_to_join) = Self::resume(address, &path, dialect, recovery).await?;
        if has_to_join {
            line.send("join", &rooms.join(" ")).await?;
            line.receive().await?;
        }
        Ok(line)
    }

    /// The state for [`Line::enter_again`].
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Connects; returns also whether rooms have to be joined by an event: not where the path names them, nor
    /// where an earlier connection was resumed.
    async fn resume(
        address: SocketAddr,
        path: &str,
        dialect: Dialect,
        recovery: Recovery,
    ) -> anyhow::Result<(Self, bool)> {
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
        let mut line = Self {
            socket,
            dialect,
            recovery,
            early: VecDeque::new(),
        };
        let has_to_join = dialect == Dialect::SocketIo && line.greet().await?;
        Ok((line, has_to_join))
    }

    /// Sends a text, as the event `event` if the dialect has events. It must need no escape in JSON.
    ///
    /// # Errors
    /// If the connection has ended.
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
    /// If the connection has ended.
    pub async fn receive(&mut self) -> anyhow::Result<Utf8Bytes> {
        let text = match self.early.pop_front() {
            Some(text) => text,
            None => self.receive_raw().await?,
        };
        match self.dialect {
            Dialect::Bare => Ok(text),
            Dialect::SocketIo => {
                // `42["event","text"]`, with the offset after the text where recovery is on.
                let event = text.strip_prefix("42[\"").context("not an event")?;
                let event = event.strip_suffix("\"]").context("not an event")?;
                let mut words = event.split("\",\"").skip(1);
                let text = words.next().context("an event without text")?.into();
                if let Some(offset) = words.next() {
                    self.recovery.offset = Some(offset.to_owned());
                }
                Ok(text)
            }
        }
    }

    /// Reads the greeting; returns whether the session is new, and not a resumed one.
    async fn greet(&mut self) -> anyhow::Result<bool> {
        let opened = self.receive_raw().await?;
        if !opened.starts_with("0{") {
            bail!("not an Engine.IO server: {opened}");
        }
        let known = serde_json::to_string(&self.recovery)?;
        self.socket
            .send(Message::text(format!("40{known}")))
            .await?;
        let mut connected = self.receive_raw().await?;
        while connected.starts_with("42") {
            self.early.push_back(connected);
            connected = self.receive_raw().await?;
        }
        let Some(connected) = connected.strip_prefix("40") else {
            bail!("not a Socket.IO server: {connected}");
        };
        let pid = serde_json::from_str::<Recovery>(connected)?.pid;
        let known = std::mem::replace(&mut self.recovery.pid, pid);
        let is_new = known.is_none() || self.recovery.pid != known;
        if is_new {
            // socketioxide loses events until its handlers are set, which is after its greeting.
            self.receive().await?;
        }
        Ok(is_new)
    }

    async fn receive_raw(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match self.socket.next().await.context("the connection ended")?? {
                // Engine.IO's ping; socketioxide sends one before any other packet.
                Message::Text(text)
                    if self.dialect == Dialect::SocketIo && text.as_str() == "2" =>
                {
                    self.socket.send(Message::text("3")).await?;
                }
                Message::Text(text) => return Ok(text),
                Message::Close(_) => bail!("the server closed the connection"),
                // The library answers pings while it reads on.
                _ => {}
            }
        }
    }
}
