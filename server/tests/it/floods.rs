//! Peers that never finish: request heads, bodies and handshakes without an end, and answers that are not
//! read. Each has a deadline, and other clients are served meanwhile.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use server::descriptors;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{interval, timeout};

use crate::http::{HEADERS, begin};
use crate::metrics::limited;
use crate::process::Process;
use crate::raw::{PATIENCE, Raw};
use crate::test_server::TestServer;

const POST: &str = "POST /api/rooms/lobby/messages HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/json\r\nIdempotency-Key: 1\r\n";

/// Sends `first`, then `more` again and again until the connection ends; returns the answer.
async fn tell(address: SocketAddr, first: &str, more: &[u8], every: Duration) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let first = first.to_owned();
    let more = more.to_owned();
    let telling = tokio::spawn(async move {
        let mut told = write.write_all(first.as_bytes()).await;
        let mut pace = interval(every);
        while told.is_ok() && !more.is_empty() {
            pace.tick().await;
            told = write.write_all(&more).await;
        }
        // Only the server ends the connection.
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, read.read_to_end(&mut answer)).await;
    telling.abort();
    if let Err(error) = read.expect("an end of the connection within 20 s") {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8(answer).unwrap().to_lowercase()
}

const TRICKLE: Duration = Duration::from_millis(20);

/// No request head, half of one, and one byte by byte: each connection ends at the deadline, without an answer.
#[tokio::test]
async fn heads_that_never_end_are_cut_off() {
    let server = TestServer::start(&["--header-timeout", "400ms"]).await;
    let half = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: web";
    let begun = Instant::now();
    let [silent, stalled, trickling] = [("", ""), (half, ""), (half, "x")];
    let (silent, stalled, trickling) = tokio::join!(
        tell(server.address, silent.0, silent.1.as_bytes(), TRICKLE),
        tell(server.address, stalled.0, stalled.1.as_bytes(), TRICKLE),
        tell(server.address, trickling.0, trickling.1.as_bytes(), TRICKLE),
    );
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!([silent, stalled, trickling], [""; 3]);
    assert_eq!(server.limited("header_timeout").await, 3.0);
    // A connection that is idle after its request ends, too, but does not count as a limit's refusal.
    let ask = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = tell(server.address, ask, b"", TRICKLE).await;
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
    assert_eq!(server.limited("header_timeout").await, 3.0);
    server.raw().await.hello().await;
}

/// A head over 16 KiB, and one over 100 lines.
#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = TestServer::start(&[]).await;
    let mut bystander = server.joined().await;
    let line = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let long = format!("{line}X: {}", "y".repeat(16 * 1024));
    let many: String = (0..150)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    let many = format!("{line}{many}\r\n");
    let path = format!("GET /{} HTTP/1.1\r\n", "y".repeat(16 * 1024));
    for head in [long, many, path] {
        let answer = tell(server.address, &head, b"", TRICKLE).await;
        assert!(answer.starts_with("http/1.1 431 "), "{head:.40}: {answer}");
    }
    assert_eq!(server.limited("head_bytes").await, 3.0);
    bystander.is_served().await;
}

/// A body that never arrives, one that trickles in, and two without an end.
#[tokio::test]
async fn bodies_that_never_end_are_cut_off() {
    let server = TestServer::start(&["--body-timeout", "400ms"]).await;
    let mut bystander = server.joined().await;
    let (length, chunked) = (
        format!("{POST}Content-Length: 1000000000\r\n\r\n"),
        format!("{POST}Transfer-Encoding: chunked\r\n\r\n"),
    );
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    let spaces = " ".repeat(4096);
    for (first, more, status) in [
        (&length, "", "408"),
        (&length, " ", "408"),
        (&chunked, "1\r\n \r\n", "408"),
        (&length, spaces.as_str(), "413"),
        (&chunked, &chunk, "413"),
    ] {
        let every = if status == "408" {
            TRICKLE
        } else {
            Duration::from_micros(1)
        };
        let answer = tell(server.address, first, more.as_bytes(), every).await;
        assert!(
            answer.starts_with(&format!("http/1.1 {status} ")),
            "{more:.20}: {answer}"
        );
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    assert_eq!(server.limited("body_timeout").await, 3.0);
    bystander.is_served().await;
}

/// A compressed body is refused, not inflated.
#[tokio::test]
async fn compressed_bodies_are_not_taken() {
    let server = TestServer::start(&[]).await;
    let head =
        format!("{POST}Content-Encoding: gzip\r\nContent-Length: 20\r\nConnection: close\r\n\r\n");
    let answer = tell(
        server.address,
        &format!("{head}{}", "x".repeat(20)),
        b"",
        TRICKLE,
    )
    .await;
    assert!(answer.starts_with("http/1.1 415 "), "{answer}");
    assert!(answer.contains("unsupported_media_type"), "{answer}");
}

/// A client that requests large answers and reads none is disconnected.
#[tokio::test]
async fn answers_that_nobody_takes_are_dropped() {
    let fast = ["--publishes", "100000", "--publish-burst", "100000"];
    let options = [&fast[..], &["--write-timeout", "400ms"]].concat();
    let server = TestServer::start(&options).await;
    let mut author = server.joined().await;
    for seq in 1..=200 {
        author.publish(seq, &"x".repeat(8 * 1024)).await;
        while author.next_of("ack").await["seq"] != seq {}
    }
    let ask = "GET /api/rooms/lobby/messages?limit=200 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut lazy = socket.connect(server.address).await.unwrap();
    // More answers than the sockets' buffers hold.
    lazy.write_all(ask.repeat(20).as_bytes()).await.unwrap();
    let begun = Instant::now();
    while server.limited("write_timeout").await < 1.0 {
        assert!(begun.elapsed() < PATIENCE);
    }
    author.publish(201, "still here").await;
    while author.next_of("ack").await["seq"] != 201 {}
}

/// A WebSocket without a `hello` is closed at its deadline (4002).
#[tokio::test]
async fn connections_without_a_word_are_closed() {
    let server = TestServer::start(&["--hello-timeout", "500ms"]).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(server.raw().await);
    }
    for mut raw in silent {
        assert_eq!(raw.end().await, (Some(4002), vec!["hello_expected".into()]));
    }
    while server.hub.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

/// A connection from one of this machine's addresses, with these bytes sent.
#[cfg(target_os = "linux")]
async fn begun(from: Ipv4Addr, to: SocketAddr, said: &[u8]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut stream = socket.connect(to).await?;
    stream.write_all(said).await?;
    Ok(stream)
}

/// Whether the server dropped the connection without an answer.
#[cfg(target_os = "linux")]
async fn is_dropped(stream: std::io::Result<TcpStream>) -> bool {
    let Ok(mut stream) = stream else { return true };
    let read = timeout(PATIENCE, stream.read_u8()).await;
    read.is_ok_and(|read| read.is_err())
}

/// A connection counts as half-open until it ends or becomes a stream of events: a HEAD of such a stream and
/// a refused request are none.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_count_whatever_becomes_of_their_requests() {
    let few = ["--handshakes-per-address", "3"];
    // This machine is no trusted proxy here, so its address counts.
    let options = [&few[..], &["--trusted-proxies", "192.0.2.0/24"]].concat();
    let events = "/api/rooms/lobby/events HTTP/1.1";
    for (line, status) in [
        (format!("HEAD {events}"), " 200 "),
        (
            format!("HEAD {}", events.replace("lobby", "Lobby%20")),
            " 400 ",
        ),
        ("GET /healthz HTTP/1.1".to_owned(), " 200 "),
    ] {
        let server = TestServer::start(&options).await;
        let mut kept = Vec::new();
        for _ in 0..3 {
            let (head, stream) = begin(server.address, &line, &["Host: localhost"]).await;
            assert!(head.contains(status), "{line}: {head}");
            kept.push(stream);
        }
        let before = server.limited("handshakes_per_address").await;
        let more = begun(Ipv4Addr::LOCALHOST, server.address, b"").await;
        assert!(is_dropped(more).await, "{line}: a fourth connection");
        let after = server.limited("handshakes_per_address").await;
        assert_eq!(after - before, 1.0, "{line}");
        drop(kept);
        // Streams of events hold permits of their own, and do not count as half-open.
        let mut streams = Vec::new();
        while streams.len() < 5 {
            let stream = begun(Ipv4Addr::LOCALHOST, server.address, b"").await;
            if let Ok(mut stream) = stream {
                let ask = format!("GET {events}\r\nHost: localhost\r\n\r\n");
                let asked = stream.write_all(ask.as_bytes()).await;
                let answered = timeout(PATIENCE, stream.read_u8()).await.unwrap();
                if asked.is_ok() && answered.is_ok() {
                    streams.push(stream);
                }
            }
        }
    }
}

/// 10,000 unfinished handshakes, each address at its limit: a new client from another address is served, a
/// connection over the limit is dropped.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn half_open_handshakes_leave_room_for_others() {
    const ADDRESSES: u8 = 50;
    const EACH: usize = 200;
    descriptors::raise();
    let server = Process::start(&[
        "--trusted-proxies",
        "192.0.2.0/24",
        "--header-timeout",
        "10m",
        "--handshakes",
        "10020",
    ])
    .await;
    let from = |number| Ipv4Addr::new(127, 0, 1, number);
    let upgrade = format!("GET /ws HTTP/1.1\r\n{}", HEADERS.join("\r\n"));
    let mut open = Vec::new();
    for number in 0..ADDRESSES {
        for index in 0..EACH {
            let said = [&b""[..], b"GET", upgrade.as_bytes()][index % 3];
            open.push(begun(from(number), server.address, said).await.unwrap());
        }
    }
    let asked = Instant::now();
    let mut raw = Raw::open(server.address, "/ws", Some("everbeat.v1"))
        .await
        .unwrap();
    raw.hello().await;
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    raw.publish(1, "among ten thousand").await;
    while raw.next_frame().await["type"] != "ack" {}
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );

    assert!(is_dropped(begun(from(0), server.address, b"").await).await);
    assert_eq!(limited(server.admin, "handshakes_per_address").await, 1.0);
    for _ in 0..21 {
        open.push(begun(from(ADDRESSES), server.address, b"").await.unwrap());
    }
    assert!(is_dropped(begun(from(ADDRESSES + 1), server.address, b"").await).await);
    assert!(limited(server.admin, "handshakes").await >= 1.0);
    // The server held all of them to the end.
    let mut held = 0;
    for stream in &mut open {
        let mut byte = [0];
        held += usize::from(
            stream
                .try_read(&mut byte)
                .is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        );
    }
    assert!(held >= usize::from(ADDRESSES) * EACH, "{held}");
    drop(open);
    while Raw::open(server.address, "/ws", Some("everbeat.v1"))
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
}
