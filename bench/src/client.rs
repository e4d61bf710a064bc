//! The driver of a native client: [`protocol::client::Session`] over a TCP WebSocket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, SinkExt, StreamExt};
use protocol::client::{Config, Event, Input, NoToken, Session, Stats, Stored, Transmit};
use protocol::close::CloseCode;
use protocol::codec;
use protocol::frame::{ClientFrame, SUBPROTOCOL, ServerFrame};
use protocol::id::{ConnectionId, RoomName, Token};
use protocol::time::Timestamp;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The largest frame that this client reads: a page of history may be long.
pub(crate) const FRAME_BYTES: u32 = 16 << 20;

/// Small buffers: thousands of these clients run in one process.
const READ_BUFFER: usize = 1024;

/// A WebSocket over TCP.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A session that connects to one address, and keeps what it must in memory.
pub struct Client {
    address: SocketAddr,
    origin: Instant,
    machine: Session,
    storage: Stored,
    tokens: Option<Box<dyn Fn() -> Result<Token, NoToken> + Send>>,
    connection: Option<(ConnectionId, Link)>,
    counts: Counts,
}

/// What the machine does not count: it is said on the wire, and told as a fate or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections tried.
    pub connections: u64,
    /// Errors for a message with the time after which it is to come again (EO-7).
    pub held: u64,
}

enum Link {
    Opening(JoinHandle<Result<Socket, tungstenite::Error>>),
    Open(Box<Socket>),
}

/// Something happened on the connection.
enum Heard {
    Opened(Box<Socket>),
    Message(Message),
    Gone(Option<CloseCode>),
}

impl Client {
    /// A client that goes on where `storage` left off. It connects when told to.
    pub fn new(address: SocketAddr, config: Config, storage: Stored) -> Self {
        let machine = Session::new(config, storage.clone());
        Self {
            address,
            origin: Instant::now(),
            machine,
            storage,
            tokens: None,
            connection: None,
            counts: Counts::default(),
        }
    }

    /// The same, with somebody who gives tokens. It is asked where the config says that tokens can be
    /// fetched.
    #[must_use]
    pub fn with_tokens(
        mut self,
        give: impl Fn() -> Result<Token, NoToken> + Send + 'static,
    ) -> Self {
        self.tokens = Some(Box::new(give));
        self
    }

    /// A fresh client on its way into some rooms.
    pub async fn joining(address: SocketAddr, seed: u64, rooms: &[RoomName]) -> Self {
        let config = Config {
            seed,
            ..Config::default()
        };
        let mut client = Self::new(address, config, Stored::default());
        for room in rooms.iter().cloned() {
            client
                .command(|session, now| session.join(now, room, None))
                .await;
        }
        client.command(Session::connect).await;
        client
    }

    /// Gives the machine a command, and carries out what follows from it. Returns what the machine
    /// has to tell.
    pub async fn command<T>(
        &mut self,
        command: impl FnOnce(&mut Session, Timestamp) -> T,
    ) -> (T, Vec<Event>) {
        let now = self.now();
        let result = command(&mut self.machine, now);
        (result, self.drain().await)
    }

    /// Waits for the next fact, feeds it, and returns what the machine has to tell. Safe to cancel.
    pub async fn step(&mut self) -> Vec<Event> {
        let deadline = self
            .machine
            .poll_timeout()
            .map(|at| self.origin + at.since_origin());
        tokio::select! {
            heard = hear(&mut self.connection) => self.heard(heard),
            () = wait_until(deadline) => {
                let now = self.now();
                self.machine.handle_timeout(now);
            }
        }
        self.drain().await
    }

    /// Lets the connection go as if the cable were cut. The machine learns of it as of any other loss.
    pub async fn cut(&mut self) -> Vec<Event> {
        if let Some((id, link)) = self.connection.take() {
            link.abandon();
            let now = self.now();
            self.machine
                .handle_input(now, Input::Closed { id, code: None });
        }
        self.drain().await
    }

    /// What a reload would find.
    pub const fn storage(&self) -> &Stored {
        &self.storage
    }

    /// The machine, to look at.
    pub const fn session(&self) -> &Session {
        &self.machine
    }

    /// The machine's counters.
    pub const fn stats(&self) -> Stats {
        self.machine.stats()
    }

    /// The driver's own counters.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_origin(self.origin.elapsed())
    }

    fn heard(&mut self, heard: Heard) {
        let Some(id) = self.connection.as_ref().map(|(id, _)| *id) else {
            return;
        };
        let input = match heard {
            Heard::Opened(socket) => {
                self.connection = Some((id, Link::Open(socket)));
                Input::Opened { id }
            }
            Heard::Message(Message::Text(text)) => {
                let frame = codec::decode::<ServerFrame>(&text, FRAME_BYTES);
                self.counts.held += u64::from(matches!(
                    &frame,
                    Ok(ServerFrame::Error(refusal))
                        if refusal.seq.is_some() && refusal.retry_after_ms.is_some()
                ));
                Input::Received { id, frame }
            }
            Heard::Message(_) => return,
            Heard::Gone(code) => {
                self.connection = None;
                Input::Closed { id, code }
            }
        };
        let now = self.now();
        self.machine.handle_input(now, input);
    }

    async fn drain(&mut self) -> Vec<Event> {
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Open { id } => {
                    self.counts.connections += 1;
                    let opening = tokio::spawn(connect(self.address));
                    self.connection = Some((id, Link::Opening(opening)));
                }
                Transmit::Frame { id, frame } => self.send(id, &frame).await,
                Transmit::Close { id, .. } => {
                    if let Some((_, link)) = self.connection.take_if(|(open, _)| *open == id) {
                        link.abandon();
                    }
                }
                Transmit::FetchToken => {
                    let token = self
                        .tokens
                        .as_ref()
                        .map_or(Err(NoToken::Denied), |give| give());
                    let now = self.now();
                    self.machine.handle_input(now, Input::Token(token));
                }
                Transmit::Store(store) => self.storage.apply(store),
            }
        }
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    async fn send(&mut self, id: ConnectionId, frame: &ClientFrame) {
        let Some((open, Link::Open(socket))) = &mut self.connection else {
            return;
        };
        if *open == id
            && socket
                .send(Message::text(codec::encode(frame)))
                .await
                .is_err()
        {
            // The read side tells the machine.
        }
    }
}

impl Link {
    fn abandon(self) {
        if let Self::Opening(task) = self {
            task.abort();
        }
    }
}

async fn connect(address: SocketAddr) -> Result<Socket, tungstenite::Error> {
    shake_hands(TcpStream::connect(address).await?, address).await
}

/// Opens a session's WebSocket on a connection to `address`.
pub(crate) async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
) -> Result<Socket, tungstenite::Error> {
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{address}/ws").into_client_request()?;
    let protocol = HeaderValue::from_static(SUBPROTOCOL);
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0);
    Ok(client_async_with_config(request, stream, Some(config))
        .await?
        .0)
}

async fn hear(connection: &mut Option<(ConnectionId, Link)>) -> Heard {
    match connection {
        None => std::future::pending().await,
        Some((_, Link::Opening(task))) => match task.await {
            Ok(Ok(socket)) => Heard::Opened(Box::new(socket)),
            Ok(Err(_)) | Err(_) => Heard::Gone(None),
        },
        Some((_, Link::Open(socket))) => match socket.next().await {
            Some(Ok(Message::Close(frame))) => {
                // The answer to the server's close frame, if it can leave at once.
                let _ = socket.flush().now_or_never();
                Heard::Gone(frame.map(|frame| CloseCode(frame.code.into())))
            }
            Some(Ok(message)) => Heard::Message(message),
            Some(Err(_)) | None => Heard::Gone(None),
        },
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        // Nothing is due: only the connection can wake us, or the caller.
        None => tokio::time::sleep(Duration::from_secs(60 * 60)).await,
    }
}
