//! Tests of the driver over real sockets, against a server of which the test plays each frame.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{FutureExt, SinkExt, StreamExt};
use protocol::client::{Cause, Stored};
use protocol::frame::{Beat, ClientFrame, Elsewhere, Limits, SUBPROTOCOL, Welcome};
use protocol::id::{Credentials, Seq, SessionKey};
use protocol::outbox::OutboxLimit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::{Fate, MemoryStorage, connect};

const PATIENCE: Duration = Duration::from_secs(20);

/// More than the buffers of both sockets hold.
const MESSAGES: u64 = 3_000;

/// A server's listener.
struct Port(TcpListener);

/// One connection of that server.
struct Peer {
    socket: WebSocketStream<TcpStream>,
    cookie: Option<String>,
}

impl Port {
    async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("ws://{}/ws", self.0.local_addr().unwrap())
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = self.0.accept().await.unwrap();
        let cookie = Mutex::new(None);
        #[expect(clippy::result_large_err, reason = "as tungstenite calls it")]
        let speaks_it = |request: &Request, mut response: Response| {
            assert_eq!(request.uri().path(), "/ws");
            let shown = request.headers().get("cookie");
            *cookie.lock().unwrap() = shown.map(|cookie| cookie.to_str().unwrap().to_owned());
            let protocol = HeaderValue::from_static(SUBPROTOCOL);
            let headers = response.headers_mut();
            headers.insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let socket = accept_hdr_async(stream, speaks_it).await.unwrap();
        let cookie = cookie.into_inner().unwrap();
        Peer { socket, cookie }
    }
}

impl Peer {
    async fn hear(&mut self) -> ClientFrame {
        let Message::Text(text) = self.socket.next().await.unwrap().unwrap() else {
            panic!("not a frame");
        };
        codec::decode(&text, RECEIVED_BYTES_MAX).unwrap()
    }

    async fn say(&mut self, frame: ServerFrame) {
        let text = codec::encode(&frame);
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Waits for the end of the connection, and returns its close code.
    async fn end(&mut self) -> Option<u16> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn close(&mut self, code: CloseCode) {
        let close = CloseFrame {
            code: code.get().into(),
            reason: "".into(),
        };
        self.socket.close(Some(close)).await.unwrap();
    }
}

fn credentials() -> Credentials {
    Credentials {
        id: SessionId::new("s1").unwrap(),
        key: SessionKey::new("k1").unwrap(),
    }
}

fn welcome() -> ServerFrame {
    ServerFrame::Welcome(Welcome {
        session: credentials(),
        resumed: false,
        last_seq: 0,
        refused: Vec::new(),
        vouched: None,
        heartbeat: Beat {
            interval_ms: 25_000,
            timeout_ms: 5_000,
        },
        limits: Limits::default(),
    })
}

/// Runs both ends until the server's is done.
async fn play<T>(client: &mut Client, server: impl Future<Output = T>) -> T {
    let work = async {
        tokio::pin!(server);
        loop {
            tokio::select! {
                done = &mut server => return done,
                Some(_) = client.next() => {}
            }
        }
    };
    timeout(PATIENCE, work).await.expect("both ends go on")
}

async fn live(client: &mut Client) {
    while client.status() != Status::Live {
        client.next().await.expect("it goes on");
    }
}

/// A wait that is cancelled while the socket takes nothing loses no frame, and a command does not wait for the socket.
#[tokio::test]
async fn a_wait_may_be_cancelled() {
    let port = Port::open().await;
    let options = Options::new(1).configure(|config| {
        config.window = MESSAGES as usize;
        config.publish_flight = u64::MAX;
        config.outbox = OutboxLimit {
            entries: MESSAGES as usize,
            bytes: usize::MAX,
        };
    });
    let mut client = connect(&port.url(), options).unwrap();
    let (go, going) = oneshot::channel();
    let server = tokio::spawn(async move {
        let mut peer = port.accept().await;
        peer.hear().await;
        peer.say(welcome()).await;
        going.await.unwrap();
        let mut numbers = Vec::new();
        while numbers.len() < MESSAGES as usize {
            if let ClientFrame::Publish { seq, .. } = peer.hear().await {
                numbers.push(seq.get());
            }
        }
        numbers
    });
    let work = async {
        live(&mut client).await;
        let body = "x".repeat(8 * 1024);
        for _ in 0..MESSAGES {
            client.publish(RoomName::lobby(), body.clone()).unwrap();
            let _ = client.next().now_or_never();
        }
        assert!(client.buffered > 0, "the sockets took everything");
        go.send(()).unwrap();
        let mut server = server;
        loop {
            // Each frame is written by a wait that is cancelled.
            let _ = client.next().now_or_never();
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

/// EO-4: the session and the outbox come from the storage, and a cookie comes from the options.
#[tokio::test]
async fn a_client_continues_what_its_storage_keeps() {
    let port = Port::open().await;
    let storage = MemoryStorage::default();
    let options = || {
        let options = Options::new(1).storage(storage.clone());
        options.header("cookie", "guest=1")
    };
    let mut first = connect(&port.url(), options()).unwrap();
    let id = first.publish(RoomName::lobby(), "hello").unwrap();
    let hello = play(&mut first, async {
        let mut peer = port.accept().await;
        assert_eq!(peer.cookie.as_deref(), Some("guest=1"));
        let hello = peer.hear().await;
        peer.say(welcome()).await;
        while !matches!(peer.hear().await, ClientFrame::Publish { .. }) {}
        hello
    });
    let ClientFrame::Hello { session, .. } = hello.await else {
        panic!("hello comes first");
    };
    assert_eq!(session, None);
    drop(first);
    assert_eq!(storage.stored().entry(id).unwrap().body, "hello");

    let mut second = connect(&port.url(), options()).unwrap();
    let again = play(&mut second, async {
        let mut peer = port.accept().await;
        let ClientFrame::Hello { session, .. } = peer.hear().await else {
            panic!("hello comes first");
        };
        assert_eq!(session, Some(credentials()));
        let ServerFrame::Welcome(welcome) = welcome() else {
            unreachable!()
        };
        let resumed = true;
        peer.say(ServerFrame::Welcome(Welcome { resumed, ..welcome }))
            .await;
        peer.hear().await
    });
    let again = again.await;
    assert!(
        matches!(&again, ClientFrame::Publish { seq, body, .. } if seq.get() == 1 && body == "hello"),
        "{again:?}"
    );
}

/// RC-8: a node that is not there is passed over, and one that ends names the next; the session and its messages go along.
#[tokio::test]
async fn a_client_goes_from_node_to_node() {
    let (gone, first, second) = (Port::open().await, Port::open().await, Port::open().await);
    let dead = gone.url();
    drop(gone);
    let options = Options::new(1).addresses([first.url(), second.url()]);
    let mut client = connect(&dead, options).unwrap();
    assert_eq!(client.address().unwrap().as_str(), dead);
    let (from, to) = play(&mut client, async {
        // Which of the others it tries first was drawn.
        tokio::select! {
            peer = first.accept() => (peer, &second),
            peer = second.accept() => (peer, &first),
        }
    })
    .await;
    let mut from = from;
    play(&mut client, async {
        from.hear().await;
        from.say(welcome()).await;
    })
    .await;
    live(&mut client).await;
    client.publish(RoomName::lobby(), "hello").unwrap();
    let sent = play(&mut client, async {
        from.hear().await;
        let elsewhere = Elsewhere {
            address: Address::new(&to.url()).unwrap(),
            after_ms: 0,
        };
        from.say(ServerFrame::GoAway {
            reconnect_after_ms: 60_000,
            elsewhere: Some(elsewhere),
            reason: String::new(),
        })
        .await;
        let mut peer = to.accept().await;
        let ClientFrame::Hello { session, .. } = peer.hear().await else {
            panic!("hello comes first");
        };
        assert_eq!(session, Some(credentials()));
        let ServerFrame::Welcome(welcome) = welcome() else {
            unreachable!()
        };
        let resumed = true;
        peer.say(ServerFrame::Welcome(Welcome { resumed, ..welcome }))
            .await;
        peer.hear().await
    })
    .await;
    assert!(
        matches!(&sent, ClientFrame::Publish { seq, body, .. } if seq.get() == 1 && body == "hello"),
        "{sent:?}"
    );
    assert_eq!(client.address().unwrap().as_str(), to.url());
}

/// RC-8: addresses that do not belong together are found at once.
#[test]
fn addresses_are_of_one_kind() {
    let options = || Options::new(1).addresses(["wss://b.example/ws"]);
    let mixed = connect("ws://a.example/ws", options());
    let is_mixed = matches!(
        mixed,
        Err(ConnectError::Addresses(_) | ConnectError::Tls(_))
    );
    assert!(is_mixed, "{mixed:?}");
    let odd = Options::new(1).addresses(["/ws"]);
    assert!(
        matches!(connect("ws://a.example/ws", odd), Err(ConnectError::Url(url)) if url == "/ws")
    );
}

/// A close in order: the outbox first, then the closing handshake.
#[tokio::test]
async fn a_close_waits_for_the_outbox() {
    let port = Port::open().await;
    let mut client = connect(&port.url(), Options::new(1)).unwrap();
    client.publish(RoomName::lobby(), "hello").unwrap();
    let server = async {
        let mut peer = port.accept().await;
        peer.hear().await;
        peer.say(welcome()).await;
        while !matches!(peer.hear().await, ClientFrame::Publish { .. }) {}
        peer.say(ServerFrame::Ack {
            seq: Seq::FIRST,
            room: RoomName::lobby(),
            offset: Offset::ZERO.next(),
        })
        .await;
        peer.end().await
    };
    let both = async { tokio::join!(client.close_after_flush(PATIENCE), server) };
    let (closed, code) = timeout(PATIENCE, both).await.unwrap();
    assert_eq!((closed, code), (Ok(()), Some(1000)));
}

/// Messages that are not durable in time are counted, and stay in the storage.
#[tokio::test(start_paused = true)]
async fn a_close_that_cannot_wait_longer_says_what_is_left() {
    let port = Port::open().await;
    let url = port.url();
    // From now on the port refuses.
    drop(port);
    let storage = MemoryStorage::default();
    let mut client = connect(&url, Options::new(1).storage(storage.clone())).unwrap();
    client.publish(RoomName::lobby(), "hello").unwrap();
    let closed = client.close_after_flush(Duration::from_secs(60)).await;
    assert_eq!(closed, Err(NotFlushed { messages: 1 }));
    assert_eq!(storage.stored().outbox.len(), 1);
}

/// AC-6: a client that the server refuses for its token fetches one, and shows it.
#[tokio::test]
async fn a_token_is_fetched_when_the_server_wants_one() {
    let port = Port::open().await;
    let options = Options::new(1).tokens(async || {
        tokio::task::yield_now().await;
        Ok(Token::new("fresh").unwrap())
    });
    let mut client = connect(&port.url(), options).unwrap();
    let shown = play(&mut client, async {
        let mut shown = Vec::new();
        while shown.len() < 2 {
            let mut peer = port.accept().await;
            let ClientFrame::Hello { token, .. } = peer.hear().await else {
                panic!("hello comes first");
            };
            shown.push(token.map(|token| token.expose().to_owned()));
            peer.close(CloseCode::UNAUTHORIZED).await;
        }
        shown
    });
    assert_eq!(shown.await, [None, Some("fresh".to_owned())]);
    assert_eq!(client.counts().connections, 2);
}

/// When the server has ended a session for good, the events end, and go on after a command.
#[tokio::test]
async fn events_end_where_the_session_does() {
    let port = Port::open().await;
    let mut client = connect(&port.url(), Options::new(1)).unwrap();
    let server = tokio::spawn(async move {
        let mut peer = port.accept().await;
        peer.hear().await;
        peer.close(CloseCode::DISCONNECTED).await;
        port
    });
    let mut last = None;
    let events = async {
        while let Some(event) = StreamExt::next(&mut client).await {
            last = Some(event)
        }
    };
    timeout(PATIENCE, events).await.expect("an end");
    let cause = Cause::Closed(Some(CloseCode::DISCONNECTED));
    assert_eq!(last, Some(Event::Status(Status::Stopped { cause })));
    let port = server.await.unwrap();
    client.connect();
    play(&mut client, async { port.accept().await.hear().await }).await;
}

/// A connection that cannot be opened is tried again, and the events name the cause.
#[tokio::test(start_paused = true)]
async fn a_port_that_refuses_is_tried_again() {
    let port = Port::open().await;
    let url = port.url();
    drop(port);
    let mut client = connect(&url, Options::new(1)).unwrap();
    let mut waits = 0;
    while waits < 3 {
        let event = client.next().await.expect("it does not give up");
        if let Event::Status(Status::Waiting { cause, .. }) = event {
            assert_eq!(cause, Cause::Closed(None));
            waits += 1;
        }
    }
    assert_eq!(client.counts().connections, 3);
}

/// A failing storage would keep outdated messages: it is cleared, the client goes on, and reports it.
#[tokio::test]
async fn a_storage_that_fails_is_cleared_and_left_alone() {
    struct Full(MemoryStorage, &'static AtomicU32);
    impl Storage for Full {
        fn load(&mut self) -> io::Result<Stored> {
            self.0.load()
        }
        fn apply(&mut self, change: &Store) -> io::Result<()> {
            self.1.fetch_add(1, Ordering::Relaxed);
            match change {
                Store::Put(entry) if entry.body == "too much" => {
                    Err(io::ErrorKind::StorageFull.into())
                }
                change => self.0.apply(change),
            }
        }
        fn clear(&mut self) {
            self.0.clear();
        }
    }
    static APPLIED: AtomicU32 = AtomicU32::new(0);
    let memory = MemoryStorage::default();
    let options = Options::new(1).storage(Full(memory.clone(), &APPLIED));
    let mut client = Client::new("ws://localhost", options).unwrap();
    for body in ["enough", "too much", "never kept"] {
        client.publish(RoomName::lobby(), body).unwrap();
    }
    assert_eq!(APPLIED.load(Ordering::Relaxed), 2);
    assert!(memory.stored().outbox.is_empty());
    let error = client.storage_error().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(client.outbox().count(), 3);
}

/// A message is reported under the id that `publish` gave.
#[tokio::test]
async fn a_fate_names_its_message() {
    let port = Port::open().await;
    let mut client = connect(&port.url(), Options::new(1)).unwrap();
    let id = client.publish(RoomName::lobby(), "hello").unwrap();
    let server = tokio::spawn(async move {
        let mut peer = port.accept().await;
        peer.hear().await;
        peer.say(welcome()).await;
        while !matches!(peer.hear().await, ClientFrame::Publish { .. }) {}
        peer.say(ServerFrame::Ack {
            seq: Seq::FIRST,
            room: RoomName::lobby(),
            offset: Offset::new(7).unwrap(),
        })
        .await;
        peer
    });
    let durable = async {
        loop {
            if let Event::Fate { id, fate, .. } = client.next().await.unwrap()
                && let Fate::Durable { offset } = fate
            {
                return (id, offset.map(Offset::get));
            }
        }
    };
    let durable = timeout(PATIENCE, durable).await.unwrap();
    assert_eq!(durable, (id, Some(7)));
    drop(server.await.unwrap());
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    fn check(url: &str, expected: &str) {
        let error = Client::new(url, Options::new(1)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    check(
        "http://localhost/ws",
        "not the URL of a WebSocket: http://localhost/ws",
    );
    check("localhost", "not the URL of a WebSocket: localhost");
    check("", "not the URL of a WebSocket: ");
    check("ws:///ws", "not the URL of a WebSocket: ws:///ws");
    #[cfg(not(feature = "rustls"))]
    check(
        "wss://localhost/ws",
        "no TLS for wss://: the feature `rustls` is off",
    );
    let options = Options::new(1).header("a name", "x");
    let error = Client::new("ws://[::1]:8080/ws", options).unwrap_err();
    assert_eq!(error.to_string(), "not a header of HTTP: a name");
}

/// A handshake that is answered over HTTP: its status and `Retry-After` reach the session, which stops at a 403.
#[tokio::test]
async fn a_refused_handshake_says_why() {
    let port = Port::open().await;
    let mut client = connect(&port.url(), Options::new(1)).unwrap();
    let answers = [
        "503 Service Unavailable\r\nRetry-After: 1",
        "429 Too Many Requests\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT",
        "403 Forbidden\r\nRetry-After: 1",
    ];
    let server = tokio::spawn(async move {
        let mut times = Vec::new();
        for answer in answers {
            let (mut stream, _) = port.0.accept().await.unwrap();
            times.push(Instant::now());
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].ends_with(b"\r\n\r\n"));
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            times.push(Instant::now());
        }
        times
    });
    let mut causes = Vec::new();
    let events = async {
        while let Some(event) = client.next().await {
            if let Event::Status(Status::Waiting { cause, .. } | Status::Stopped { cause }) = event
            {
                causes.push(cause);
            }
        }
    };
    timeout(PATIENCE, events).await.expect("an end");
    assert_eq!(
        causes,
        [503, 429, 403].map(|status| Cause::Refused { status })
    );
    assert!(matches!(client.status(), Status::Stopped { .. }));
    let times = server.await.unwrap();
    assert!(times[2] - times[1] >= Duration::from_secs(1), "{times:?}");
}
