//! The driver of a native client: [`protocol::client::Session`] over a TCP WebSocket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, SinkExt, StreamExt};
use protocol::client::{Config, Event, Input, NoToken, Session, Stats, Stored, Transmit};
use protocol::close::CloseCode;
use protocol::codec;
use protocol::frame::{RECEIVED_BYTES_MAX, SUBPROTOCOL, ServerFrame};
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
    /// What the machine was told last that the connection holds.
    buffered: u64,
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
    Open(Box<Line>),
}

/// An open connection, and what waits to be written to it.
struct Line {
    socket: Socket,
    /// Frames that the socket has not taken yet. The machine bounds them: it sends only as much ahead of the
    /// answers as its window says.
    waiting: VecDeque<String>,
    /// How many bytes wait here, and in the socket.
    buffered: usize,
    /// The bytes of the frame that the socket took last, as long as it may hold some of them.
    in_socket: usize,
}

/// Something happened on the connection.
enum Heard {
    Opened(Box<Line>),
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
            buffered: 0,
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
        self.look();
        let now = self.now();
        let result = command(&mut self.machine, now);
        (result, self.settle().await)
    }

    /// Waits for the next fact, feeds it, and returns what the machine has to tell. Safe to cancel: what was
    /// heard is fed, and what is to be sent is queued, without another wait.
    pub async fn step(&mut self) -> Vec<Event> {
        let deadline = self
            .machine
            .poll_timeout()
            .map(|at| self.origin + at.since_origin());
        tokio::select! {
            heard = hear(&mut self.connection) => {
                self.look();
                self.heard(heard);
            }
            () = wait_until(deadline) => {
                self.look();
                let now = self.now();
                self.machine.handle_timeout(now);
            }
        }
        self.settle().await
    }

    /// Lets the connection go as if the cable were cut. The machine learns of it as of any other loss.
    pub async fn cut(&mut self) -> Vec<Event> {
        if let Some((id, link)) = self.connection.take() {
            link.abandon();
            let now = self.now();
            self.machine
                .handle_input(now, Input::Closed { id, code: None });
        }
        self.settle().await
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
            Heard::Opened(line) => {
                self.connection = Some((id, Link::Open(line)));
                Input::Opened { id }
            }
            Heard::Message(Message::Text(text)) => {
                let frame = codec::decode::<ServerFrame>(&text, RECEIVED_BYTES_MAX);
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

    /// Does what the machine wants, and sends what the socket takes at once. It does not wait: what is left
    /// is sent while [`Client::step`] waits.
    async fn settle(&mut self) -> Vec<Event> {
        loop {
            self.drain();
            poll_fn(|cx| {
                if let Some((_, Link::Open(line))) = &mut self.connection {
                    line.write(cx);
                }
                Poll::Ready(())
            })
            .await;
            if !self.look() {
                return std::iter::from_fn(|| self.machine.poll_event()).collect();
            }
        }
    }

    /// Tells the machine what the connection holds, where that has changed.
    fn look(&mut self) -> bool {
        let Some((id, Link::Open(line))) = &self.connection else {
            self.buffered = 0;
            return false;
        };
        let (id, bytes) = (*id, line.buffered as u64);
        let has_changed = bytes != self.buffered;
        if has_changed {
            self.buffered = bytes;
            let now = self.now();
            self.machine
                .handle_input(now, Input::Buffered { id, bytes });
        }
        has_changed
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Open { id } => {
                    self.counts.connections += 1;
                    let opening = tokio::spawn(connect(self.address));
                    self.connection = Some((id, Link::Opening(opening)));
                }
                Transmit::Frame { id, frame } => {
                    if let Some((open, Link::Open(line))) = &mut self.connection
                        && *open == id
                    {
                        line.push(codec::encode(&frame));
                    }
                }
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
    }
}

impl Line {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            waiting: VecDeque::new(),
            buffered: 0,
            in_socket: 0,
        }
    }

    fn push(&mut self, text: String) {
        self.buffered += text.len();
        self.waiting.push_back(text);
    }

    /// Writes as much as the socket takes. That it takes nothing any more is heard by reading.
    fn write(&mut self, cx: &mut Context<'_>) {
        if matches!(self.poll_write(cx), Poll::Ready(Err(_))) {
            self.waiting.clear();
            (self.buffered, self.in_socket) = (0, 0);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        while !self.waiting.is_empty() {
            ready!(self.socket.poll_ready_unpin(cx))?;
            self.buffered -= std::mem::take(&mut self.in_socket);
            if let Some(text) = self.waiting.pop_front() {
                self.in_socket = text.len();
                self.socket.start_send_unpin(Message::text(text))?;
            }
        }
        ready!(self.socket.poll_flush_unpin(cx))?;
        (self.buffered, self.in_socket) = (0, 0);
        Poll::Ready(Ok(()))
    }

    /// The next thing that is heard; meanwhile what waits is written.
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        if self.buffered > 0 {
            self.write(cx);
        }
        Poll::Ready(match ready!(self.socket.poll_next_unpin(cx)) {
            Some(Ok(Message::Close(frame))) => {
                // The answer to the server's close frame, if it can leave at once.
                let _ = self.socket.flush().now_or_never();
                Heard::Gone(frame.map(|frame| CloseCode(frame.code.into())))
            }
            Some(Ok(message)) => Heard::Message(message),
            Some(Err(_)) | None => Heard::Gone(None),
        })
    }
}

impl Link {
    /// Lets go. What can leave at once does.
    fn abandon(self) {
        match self {
            Self::Opening(task) => task.abort(),
            Self::Open(mut line) => line.write(&mut Context::from_waker(Waker::noop())),
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
            Ok(Ok(socket)) => Heard::Opened(Box::new(Line::new(socket))),
            Ok(Err(_)) | Err(_) => Heard::Gone(None),
        },
        Some((_, Link::Open(line))) => poll_fn(|cx| line.poll_heard(cx)).await,
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        // Nothing is due: only the connection can wake us, or the caller.
        None => tokio::time::sleep(Duration::from_secs(60 * 60)).await,
    }
}

#[cfg(test)]
mod tests {
    use protocol::client::Status;
    use protocol::frame::{Beat, ClientFrame, Limits, Welcome};
    use protocol::id::{Credentials, SessionId, SessionKey};
    use protocol::outbox::OutboxLimit;
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;
    use tokio::time::timeout;
    use tokio_tungstenite::accept_hdr_async;
    use tungstenite::handshake::server::{Request, Response};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// More than the buffers of both sockets hold.
    const MESSAGES: u64 = 3_000;

    fn welcome() -> String {
        codec::encode(&ServerFrame::Welcome(Welcome {
            session: Credentials {
                id: SessionId::new("s1").unwrap(),
                key: SessionKey::new("k1").unwrap(),
            },
            resumed: false,
            last_seq: 0,
            refused: Vec::new(),
            vouched: None,
            heartbeat: Beat {
                interval_ms: 25_000,
                timeout_ms: 5_000,
            },
            limits: Limits::default(),
        }))
    }

    /// Welcomes one client, reads nothing more before `go`, then the numbers of all its messages.
    async fn serve(listener: TcpListener, go: oneshot::Receiver<()>) -> Vec<u64> {
        let (stream, _) = listener.accept().await.unwrap();
        #[expect(clippy::result_large_err, reason = "as tungstenite calls it")]
        let speaks_it = |_: &Request, mut response: Response| {
            let protocol = HeaderValue::from_static(SUBPROTOCOL);
            let headers = response.headers_mut();
            headers.insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let mut socket = accept_hdr_async(stream, speaks_it).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text(welcome())).await.unwrap();
        go.await.unwrap();
        let mut numbers = Vec::new();
        while numbers.len() < MESSAGES as usize {
            let Message::Text(text) = socket.next().await.unwrap().unwrap() else {
                continue;
            };
            if let ClientFrame::Publish { seq, .. } =
                codec::decode(&text, RECEIVED_BYTES_MAX).unwrap()
            {
                numbers.push(seq.get());
            }
        }
        numbers
    }

    /// A step that is given up while the socket takes nothing loses no frame, and a command does not wait
    /// for the socket.
    #[tokio::test]
    async fn a_step_may_be_cancelled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (go, going) = oneshot::channel();
        let server = tokio::spawn(serve(listener, going));
        let config = Config {
            window: MESSAGES as usize,
            publish_flight: u64::MAX,
            outbox: OutboxLimit {
                entries: MESSAGES as usize,
                bytes: usize::MAX,
            },
            ..Config::default()
        };
        let mut client = Client::new(address, config, Stored::default());
        let work = async {
            client.command(Session::connect).await;
            while client.session().status() != Status::Live {
                client.step().await;
            }
            let body = "x".repeat(8 * 1024);
            for _ in 0..MESSAGES {
                let (id, _) = client
                    .command(|session, now| session.publish(now, RoomName::lobby(), body.clone()))
                    .await;
                id.unwrap();
                let _ = client.step().now_or_never();
            }
            assert!(client.buffered > 0, "the sockets took everything");
            go.send(()).unwrap();
            let mut server = server;
            loop {
                // Each frame is written by a step that is given up.
                let _ = client.step().now_or_never();
                tokio::select! {
                    biased;
                    numbers = &mut server => return numbers.unwrap(),
                    () = tokio::task::yield_now() => {}
                }
            }
        };
        let numbers = timeout(PATIENCE, work).await.expect("all frames arrive");
        assert_eq!(numbers, Vec::from_iter(1..=MESSAGES));
    }
}
