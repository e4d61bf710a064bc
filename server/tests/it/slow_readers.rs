//! Readers that are slow, and readers that hang: the system's send queue tells them apart (HB-4).

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::SockRef;
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::process::Process;
use crate::raw::Raw;

/// Short heartbeats; and a test that may publish a replay at once.
const OPTIONS: [&str; 6] = [
    "--heartbeat-interval",
    "1s",
    "--heartbeat-timeout",
    "500ms",
    "--publish-burst",
    "1000",
];

/// The messages of the replay, of about 1,100 bytes each.
const MESSAGES: u64 = 120;

/// A reader takes so much at once, and so often: 30,000 B/s.
const PORTION: usize = 1500;
const EVERY: Duration = Duration::from_millis(50);

/// A connection that is read slowly, without a pause.
struct Slow {
    stream: TcpStream,
    every: Interval,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.every.poll_tick(cx));
        let mut portion = [0; PORTION];
        let size = PORTION.min(into.remaining());
        let mut read = ReadBuf::new(&mut portion[..size]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slow {
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

/// A slow reader in the lobby, for which the replay of so many messages begins. Its system holds little: what it has not
/// read waits at the server.
async fn slow_reader(address: SocketAddr, limit: u64) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    // As over Ethernet: on loopback the window would open in steps of 64 KiB.
    SockRef::from(&socket).set_tcp_mss(1400).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = Box::new(Slow { stream, every });
    let raw = Raw::over(stream, address, "/ws", Some("everbeat.v1"), &[]).await;
    let mut raw = raw.unwrap();
    raw.hello().await;
    raw.send(&format!(
        r#"{{"type":"join","room":"lobby","limit":{limit}}}"#
    ))
    .await;
    raw.next_of("joined").await;
    raw
}

/// A server whose lobby has messages.
async fn filled() -> Process {
    let server = Process::start(&OPTIONS).await;
    let mut ada = Raw::connect(server.address).await;
    ada.hello().await;
    for seq in 1..=MESSAGES {
        ada.publish(seq, &"x".repeat(1_000)).await;
    }
    while ada.next_of("ack").await["seq"] != MESSAGES {}
    server
}

/// HB-4: a reader that is slow but steady gets all of a replay that takes it much longer than an interval and a timeout,
/// though the server wrote all of it long ago.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_not_a_silent_one() {
    let server = filled().await;
    let begun = Instant::now();
    let mut slow = slow_reader(server.address, MESSAGES).await;
    let (mut offset, mut asked) = (0, 0);
    while offset < MESSAGES || asked == 0 {
        let frame: Value = slow.next_frame().await;
        match frame["type"].as_str().unwrap() {
            "message" => offset = frame["offset"].as_u64().unwrap(),
            "ping" => {
                asked += 1;
                slow.send(r#"{"type":"pong"}"#).await;
            }
            _ => {}
        }
    }
    assert!(begun.elapsed() > Duration::from_secs(3), "it is not slow");
    slow.send(r#"{"type":"ping"}"#).await;
    slow.next_of("pong").await;
}

/// HB-4: a reader that hangs is closed in time, with all of its replay in the system's queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_hangs_is_closed_in_time() {
    let mut server = filled().await;
    let mut slow = slow_reader(server.address, 20).await;
    let begun = Instant::now();
    while !server.says("session end").await.contains("reason=4000") {}
    assert!(begun.elapsed() < Duration::from_secs(3), "in time");
    assert_eq!(slow.end().await.0, Some(4000));
}
