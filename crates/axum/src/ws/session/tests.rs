//! A session's task while the log hangs, while the peer does not read, and where the task ends early. The clock
//! is paused: nothing takes time but sleeps.

mod trace;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use protocol::close::CloseCode;
use protocol::id::SessionId;
use protocol::presence::AWAY_AFTER;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::Role;
use tungstenite::{Bytes, Message};

use super::*;
use crate::access::{Authenticator, AuthenticatorConfig};
use crate::clock::Clock;
use crate::everbeat::{Everbeat, Parts};
use crate::hub::{Hub, Rooms};
use crate::limits::{Limits, LimitsConfig};
use crate::log::late::LateLog;
use crate::log::memory::MemoryLog;
use crate::metrics::Limit;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(600);

/// The memory of a quiet session, task and driver: nothing large may slip in unnoticed. The state of TLS is in a box
/// of its own.
#[test]
fn a_task_is_small() {
    fn size<S, F>(_: fn(Wire<S>, ConnectionPermit, ShownCredentials) -> F) -> usize {
        size_of::<F>()
    }
    let sizes = (size_of::<Driver<TcpStream>>(), size(drive::<TcpStream>));
    assert!(sizes.0 + sizes.1 <= 1200, "{sizes:?}");
}

/// A server without sockets.
struct Server {
    everbeat: Everbeat,
    hub: Arc<Hub>,
    log: Arc<LateLog>,
    _data: TempDir,
}

impl Server {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let rooms = Arc::new(Rooms::new(100));
        let memory = Arc::new(MemoryLog::new(1000, rooms.clone()));
        let log = Arc::new(LateLog::new(memory));
        let hub = Arc::new(Hub::new(rooms, log.clone(), 1 << 20, Clock::start()));
        let guests = AuthenticatorConfig::new(data.path().to_owned());
        let everbeat = Everbeat::new(Parts {
            hub: Arc::clone(&hub),
            authenticator: Arc::new(Authenticator::new(guests).await.unwrap()),
            limits: Arc::new(Limits::new(LimitsConfig::default())),
            protocol: Default::default(),
            http: Default::default(),
            tracker: Default::default(),
            send_queues: Default::default(),
        });
        Self {
            everbeat,
            hub,
            log,
            _data: data,
        }
    }

    /// Connects a client, over a pipe of so many bytes each way.
    async fn connect(&self, capacity: usize) -> Client {
        let (here, there) = tokio::io::duplex(capacity);
        let panics = Arc::<AtomicBool>::default();
        let stream = Frail {
            stream: here,
            panics: Arc::clone(&panics),
        };
        let permit = self.everbeat.connect(None).unwrap();
        let write_timeout = self.everbeat.http().write_timeout;
        let wire = Wire::new(stream, Bytes::new(), 64 * 1024, write_timeout);
        let task = tokio::spawn(drive(wire, permit, ShownCredentials::default()));
        Client {
            socket: WebSocketStream::from_raw_socket(there, Role::Client, None).await,
            task,
            panics,
        }
    }

    /// Connects a client with a fresh session, in the lobby.
    async fn joined(&self) -> (Client, Value) {
        let mut client = self.connect(1 << 20).await;
        client.send(json!({"type": "hello"})).await;
        let welcome = client.next_of("welcome").await;
        client.join("lobby").await;
        client.next_of("joined").await;
        (client, welcome["session"].clone())
    }

    fn members(&self) -> usize {
        let lobby = RoomName::lobby();
        // On one node it waits for nothing.
        self.hub.members(&lobby).now_or_never().unwrap().1 as usize
    }

    /// The number of connections, of sessions that have one, and of members of the lobby.
    fn counts(&self) -> (usize, usize, usize) {
        (self.hub.connections(), self.hub.live(), self.members())
    }
}

/// A client that only sends and reads frames.
struct Client {
    socket: WebSocketStream<DuplexStream>,
    task: JoinHandle<()>,
    panics: Arc<AtomicBool>,
}

impl Client {
    async fn send(&mut self, frame: Value) {
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    async fn join(&mut self, room: &str) {
        self.send(json!({"type": "join", "room": room})).await;
    }

    async fn history(&mut self, before: u64) {
        let history = json!({"type": "history", "room": "lobby", "before": before, "limit": 5});
        self.send(history).await;
    }

    async fn publish(&mut self, seq: u64, body: &str) {
        let frame = json!({"type": "publish", "seq": seq, "room": "lobby", "body": body});
        self.send(frame).await;
    }

    /// The next frame, or the code with which the connection closed.
    async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next frame of this type; answers pings, and skips others.
    async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap();
            if frame["type"] == kind {
                return frame;
            }
            if frame["type"] == "ping" {
                self.send(json!({"type": "pong"})).await;
            }
        }
    }

    /// The code with which the server closes the connection.
    async fn end(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    /// Checks that a ping is answered at once.
    async fn is_answered(&mut self) {
        let asked = Instant::now();
        self.send(json!({"type": "ping"})).await;
        self.next_of("pong").await;
        assert!(asked.elapsed() < Duration::from_millis(10));
    }
}

/// A stream that can make its task panic.
struct Frail {
    stream: DuplexStream,
    panics: Arc<AtomicBool>,
}

impl AsyncRead for Frail {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.panics.load(Ordering::Relaxed), "a panic for a test");
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Frail {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// HB-1, PR-1: for a minute the log does nothing. Pings are answered both ways, requests wait for their answers, a
/// client that hangs up leaves in time, and all answers come at the end.
#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_for_a_minute_holds_nothing_up() {
    let server = Server::new().await;
    let (mut ada, _) = server.joined().await;
    let (bob, _) = server.joined().await;
    server.log.freeze(true);
    ada.publish(1, "into the ice").await;
    ada.history(9).await;
    ada.join("garden").await;
    let frozen = Instant::now();
    drop(bob);
    let mut is_gone = false;
    while frozen.elapsed() < Duration::from_secs(60) {
        ada.is_answered().await;
        server.hub.handle_timeout(server.hub.clock().now());
        is_gone |= server.hub.connections() == 1;
        let (elapsed, second) = (frozen.elapsed(), Duration::from_secs(1));
        assert!(elapsed > AWAY_AFTER - second || server.members() == 2);
        assert!(elapsed < AWAY_AFTER + second || server.members() == 1);
        sleep(Duration::from_secs(5)).await;
    }
    assert!(is_gone);
    server.log.freeze(false);
    let mut owed = vec!["ack", "message", "history", "joined"];
    while !owed.is_empty() {
        let frame = ada.next().await.unwrap();
        owed.retain(|kind| frame["type"] != *kind);
    }
    assert!(frozen.elapsed() < Duration::from_secs(66));
}

/// RS-4, AC-1: a connection that waits for the log can be taken over, disconnected and shut down at once.
#[tokio::test(start_paused = true)]
async fn what_is_owed_keeps_nobody() {
    let server = Server::new().await;
    let begun = Instant::now();
    for code in [
        CloseCode::TAKEN_OVER,
        CloseCode::DISCONNECTED,
        CloseCode::SERVICE_RESTART,
    ] {
        let (mut ada, session) = server.joined().await;
        server.log.freeze_reads(true);
        ada.history(9).await;
        ada.history(8).await;
        ada.is_answered().await;
        match code {
            CloseCode::TAKEN_OVER => {
                let mut newer = server.connect(1024).await;
                newer
                    .send(json!({"type": "hello", "session": session}))
                    .await;
                assert_eq!(newer.next_of("welcome").await["resumed"], true);
            }
            CloseCode::DISCONNECTED => {
                let id = SessionId::new(session["id"].as_str().unwrap()).unwrap();
                let connection = server.hub.connection_of(&id).unwrap();
                let report = server.hub.reports(&[connection]).await.remove(0);
                let vitals = report.vitals.expect("the task answers");
                assert_eq!(vitals.session, Some(id));
                assert!(server.hub.disconnect_by_operator(connection));
            }
            _ => server.hub.shut_down(),
        }
        assert_eq!(ada.end().await, Some(code.get()));
        server.log.freeze_reads(false);
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// RC-5, RS-1: both ends give up a session that does not open.
#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_open_is_given_up() {
    let server = Server::new().await;
    server.log.freeze_writes(true);
    let mut patient = server.connect(1024).await;
    patient.send(json!({"type": "hello"})).await;
    let begun = Instant::now();
    let refusal = patient.next().await.unwrap();
    assert_eq!(refusal["code"], "unavailable");
    assert_eq!(patient.end().await, Some(CloseCode::TRY_AGAIN_LATER.get()));
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(8) && waited < Duration::from_secs(10));

    // A client that hangs up is noticed at once, and gets no session.
    let mut hasty = server.connect(1024).await;
    hasty.send(json!({"type": "hello"})).await;
    let Client { socket, task, .. } = hasty;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(server.hub.connections(), 1);
    let begun = Instant::now();
    drop(socket);
    task.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(server.counts(), (0, 0, 0));
    server.log.freeze_writes(false);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.counts(), (0, 0, 0));
}

/// Pages come in the order in which they were asked for, and so does what was asked for after them.
#[tokio::test(start_paused = true)]
async fn answers_come_in_order() {
    let server = Server::new().await;
    let (mut ada, _) = server.joined().await;
    for seq in 1..=9 {
        ada.publish(seq, &format!("text {seq}")).await;
    }
    while ada.next_of("ack").await["seq"] != 9 {}
    server.log.freeze_reads(true);
    for before in [9, 3, 7] {
        ada.history(before).await;
    }
    ada.join("garden").await;
    ada.is_answered().await;
    server.log.freeze_reads(false);
    for before in [9, 3, 7] {
        let page = ada.next_of("history").await["messages"].take();
        let last = page.as_array().unwrap().last().unwrap();
        assert_eq!(last["offset"], before - 1);
    }
    ada.next_of("joined").await;
}

/// RS-4: the session of a client that does not read is still taken over, and its old connection closes.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_keeps_nobody() {
    let server = Server::new().await;
    let (mut writer, _) = server.joined().await;
    let mut slow = server.connect(1024).await;
    slow.send(json!({"type": "hello"})).await;
    let session = slow.next_of("welcome").await["session"].clone();
    slow.join("lobby").await;
    slow.next_of("joined").await;
    let body = "x".repeat(8 * 1024);
    for seq in 1..=40 {
        writer.publish(seq, &body).await;
    }
    while writer.next_of("ack").await["seq"] != 40 {}
    assert_eq!(server.counts(), (2, 2, 2));
    // Its session is resumed on another connection.
    let begun = Instant::now();
    let mut newer = server.connect(1024 * 1024).await;
    newer
        .send(json!({"type": "hello", "session": session}))
        .await;
    assert_eq!(newer.next_of("welcome").await["resumed"], true);
    slow.task.await.unwrap();
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    assert_eq!(server.counts(), (2, 2, 2));
}

/// A client that takes nothing at all is dropped in time.
#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_dropped_in_time() {
    let server = Server::new().await;
    let (mut writer, _) = server.joined().await;
    let mut stuck = server.connect(1024).await;
    stuck.send(json!({"type": "hello"})).await;
    stuck.next_of("welcome").await;
    stuck.join("lobby").await;
    stuck.next_of("joined").await;
    let begun = Instant::now();
    for seq in 1..=10 {
        writer.publish(seq, &"x".repeat(8 * 1024)).await;
    }
    while writer.next_of("ack").await["seq"] != 10 {}
    stuck.task.await.unwrap();
    let (waited, timeout) = (begun.elapsed(), server.everbeat.http().write_timeout);
    assert!(
        waited >= timeout && waited < timeout + Duration::from_secs(3),
        "{waited:?}"
    );
}

/// PR-1: a task that panics, or is aborted, gives up as much as one that ends in order: its session has no
/// connection, and its member is away, and leaves in time.
#[tokio::test(start_paused = true)]
async fn a_task_that_ends_before_its_time_leaves_nothing_behind() {
    for panics in [true, false] {
        let server = Server::new().await;
        let (ada, _) = server.joined().await;
        assert_eq!(server.counts(), (1, 1, 1));
        let Client {
            mut socket,
            task,
            panics: switch,
        } = ada;
        if panics {
            switch.store(true, Ordering::Relaxed);
            socket.send(Message::text("{}")).await.unwrap();
        } else {
            task.abort();
        }
        let ended = task.await.unwrap_err();
        assert_eq!(ended.is_panic(), panics);
        // The member is away, and has not left.
        assert_eq!(server.counts(), (0, 0, 1));
        let due = server.hub.clock().now() + AWAY_AFTER;
        server.hub.handle_timeout(due);
        assert_eq!(server.counts(), (0, 0, 0));
    }
}
