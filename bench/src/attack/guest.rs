//! The attacker's connections and sessions: they send any bytes, and need not read the answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use protocol::codec;
use protocol::frame::{ClientFrame, RECEIVED_BYTES_MAX, SUBPROTOCOL, ServerFrame};
use protocol::id::{RoomName, Seq};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The attacker's address.
pub(super) const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// The attacker's receive buffer, in bytes: it bounds how much of an unread answer leaves the server.
const RECEIVE_BYTES: u32 = 4096;

/// The deadline of an answer that it reads.
const PATIENCE: Duration = Duration::from_secs(30);

/// The messages that are sent before their acks are read: as many as a session may publish at once.
const AT_ONCE: u64 = 50;

/// A connection from the attacker's address, with a small receive buffer.
pub(super) async fn dial(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ATTACKER, 0).into())?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    Ok(socket.connect(to).await?)
}

/// The same with the system's default buffer, so that the server writes all it has.
pub(super) async fn dial_wide(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ATTACKER, 0).into())?;
    Ok(socket.connect(to).await?)
}

/// Sends a request on a connection of its own; returns the whole answer, its head and its content.
pub(super) async fn ask(to: SocketAddr, request: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let asking = async {
        let mut stream = dial(to).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
        let content = answer.split_off(end.context("an answer without a head")? + 4);
        Ok((String::from_utf8_lossy(&answer).into_owned(), content))
    };
    timeout(PATIENCE, asking).await.context("no answer")?
}

/// A WebSocket over TCP.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// A session of the attacker.
pub(super) struct Guest {
    socket: Socket,
    published: u64,
}

impl Guest {
    /// Connects and waits for `welcome`.
    pub(super) async fn enter(to: SocketAddr) -> anyhow::Result<Self> {
        Self::enter_over(dial(to).await?, to).await
    }

    /// The same over this connection.
    pub(super) async fn enter_over(stream: TcpStream, to: SocketAddr) -> anyhow::Result<Self> {
        let socket = shake_hands(stream, to).await?;
        let mut guest = Self {
            socket,
            published: 0,
        };
        let hello = ClientFrame::Hello {
            session: None,
            name: None,
            token: None,
        };
        guest.send(&hello).await?;
        let welcome = guest.next().await?;
        ensure!(matches!(welcome, ServerFrame::Welcome(_)), "not welcome");
        Ok(guest)
    }

    /// The same with so many sessions, one after the other.
    pub(super) async fn enter_all(to: SocketAddr, count: usize) -> anyhow::Result<Vec<Self>> {
        let mut guests = Vec::with_capacity(count);
        for _ in 0..count {
            guests.push(Self::enter(to).await?);
        }
        Ok(guests)
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: &ClientFrame) -> anyhow::Result<()> {
        self.send_text(codec::encode(frame)).await
    }

    /// Sends any text.
    pub(super) async fn send_text(&mut self, text: String) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// Waits for the next frame.
    pub(super) async fn next(&mut self) -> anyhow::Result<ServerFrame> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await;
            match message.context("no frame")?.context("the end")?? {
                Message::Text(text) => return Ok(codec::decode(&text, RECEIVED_BYTES_MAX)?),
                Message::Close(close) => bail!("the server closed the connection: {close:?}"),
                _ => {}
            }
        }
    }

    /// The connection itself, for reading and writing at the same time.
    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }

    /// Reads and drops all frames, until the connection ends.
    pub(super) async fn discard(mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Publishes these texts, and waits for their acks: at most as many as a session may publish at once.
    pub(super) async fn publish(
        &mut self,
        room: &RoomName,
        bodies: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<()> {
        let mut waiting = 0;
        for body in bodies {
            self.published += 1;
            let publish = ClientFrame::Publish {
                seq: Seq::new(self.published)?,
                room: room.clone(),
                body,
            };
            self.send(&publish).await?;
            waiting += 1;
            if waiting == AT_ONCE {
                self.acks(waiting).await?;
                waiting = 0;
            }
        }
        self.acks(waiting).await
    }

    async fn acks(&mut self, mut waiting: u64) -> anyhow::Result<()> {
        while waiting > 0 {
            match self.next().await? {
                ServerFrame::Ack { .. } => waiting -= 1,
                ServerFrame::Error(refusal) => bail!("refused: {}", refusal.message),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Opens a WebSocket on a connection, with small buffers, as there are thousands.
async fn shake_hands(stream: TcpStream, to: SocketAddr) -> anyhow::Result<Socket> {
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{to}/ws").into_client_request()?;
    let protocol = HeaderValue::from_static(SUBPROTOCOL);
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol);
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0);
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    Ok(socket)
}

/// Fills a room with messages, by sessions of which each publishes as many as it may at once.
pub(super) async fn fill(
    to: SocketAddr,
    room: &RoomName,
    bodies: Vec<String>,
) -> anyhow::Result<()> {
    const EACH: usize = 150;
    for some in bodies.chunks(EACH) {
        let mut guest = Guest::enter(to).await?;
        guest.publish(room, some.iter().cloned()).await?;
    }
    Ok(())
}
