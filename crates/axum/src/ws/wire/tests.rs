//! The wire, with a real WebSocket client at the other end of a pipe.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use protocol::close::CloseCode;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::DuplexStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::Role;
use tungstenite::{Bytes, Error, Message};

use super::{READ_BYTES, WRITE_BYTES, WRITE_FRAMES, Wire, WriteError};
use crate::text_frame::TextFrame;

const LIMIT: usize = 4 * READ_BYTES;
const TIMEOUT: Duration = Duration::from_secs(30);

type Client = WebSocketStream<DuplexStream>;

/// Both ends of a pipe of so many bytes each way.
async fn pair(capacity: usize) -> (Wire<DuplexStream>, Client) {
    let (here, there) = tokio::io::duplex(capacity);
    let client = WebSocketStream::from_raw_socket(there, Role::Client, None).await;
    (Wire::new(here, Bytes::new(), LIMIT, TIMEOUT), client)
}

async fn read(wire: &mut Wire<DuplexStream>) -> Option<Result<Message, Error>> {
    poll_fn(|cx| wire.poll_read(cx)).await
}

async fn read_now(wire: &mut Wire<DuplexStream>) -> Option<Message> {
    match poll_fn(|cx| Poll::Ready(wire.poll_read(cx))).await {
        Poll::Ready(Some(message)) => Some(message.unwrap()),
        Poll::Ready(None) => panic!("the connection is gone"),
        Poll::Pending => None,
    }
}

/// Queues a frame, and waits until the wire is no longer full.
async fn write(wire: &mut Wire<DuplexStream>, text: impl Into<String>) {
    wire.push(TextFrame::new(text));
    if wire.is_full() {
        wire.flush().await.unwrap();
    }
}

fn numbered(range: std::ops::Range<usize>) -> Vec<Message> {
    range.map(|n| Message::text(format!("text {n}"))).collect()
}

/// Messages that came at once are read one by one, also if the thread's buffer serves another connection
/// meanwhile.
#[tokio::test]
async fn connections_do_not_mix() {
    let (mut one, mut first) = pair(READ_BYTES).await;
    let (mut two, mut second) = pair(READ_BYTES).await;
    for (n, message) in numbered(0..300).into_iter().enumerate() {
        first.feed(message.clone()).await.unwrap();
        second
            .feed(Message::text(format!("other {n}")))
            .await
            .unwrap();
    }
    first.flush().await.unwrap();
    second.flush().await.unwrap();
    for (n, message) in numbered(0..300).into_iter().enumerate() {
        assert_eq!(read_now(&mut one).await, Some(message));
        let other = Message::text(format!("other {n}"));
        assert_eq!(read_now(&mut two).await, Some(other));
    }
    assert_eq!(read_now(&mut one).await, None);
    drop(first);
    assert!(matches!(read(&mut one).await, None | Some(Err(_))));
}

/// Input that came together with the handshake is not lost.
#[tokio::test]
async fn what_came_early_is_read_first() {
    let (here, there) = tokio::io::duplex(1024);
    let early = Bytes::from_static(b"\x81\x82\0\0\0\0hi\x81\x83\0");
    let mut wire = Wire::new(here, early, LIMIT, TIMEOUT);
    let mut there = there;
    tokio::io::AsyncWriteExt::write_all(&mut there, b"\0\0\0you")
        .await
        .unwrap();
    assert_eq!(read_now(&mut wire).await, Some(Message::text("hi")));
    assert_eq!(read_now(&mut wire).await, Some(Message::text("you")));
}

/// Frames larger than any buffer, but not larger than the limit.
#[tokio::test]
async fn frames_of_any_size_up_to_the_limit_are_read() {
    let (mut wire, mut client) = pair(1000).await;
    for size in [0, 1, 125, 126, READ_BYTES + 1, LIMIT] {
        let message = Message::text("x".repeat(size));
        let (sent, read) = tokio::join!(client.send(message.clone()), read(&mut wire));
        sent.unwrap();
        assert_eq!(read.unwrap().unwrap(), message);
    }
    // The send goes no further than the header: the rest is not read.
    let large = client.send(Message::text("x".repeat(LIMIT + 1)));
    assert!(large.now_or_never().is_none());
    let read = read(&mut wire).await;
    assert!(matches!(read, Some(Err(Error::Capacity(_)))), "{read:?}");
}

/// Frames leave whole and in order, however little fits at a time, and the queue stays short.
#[tokio::test]
async fn writes_wait_for_a_slow_reader() {
    let (mut wire, mut client) = pair(100).await;
    let count = 4 * WRITE_FRAMES;
    let texts: Vec<String> = (0..count)
        .map(|n| format!("{n} {}", "x".repeat(n * 3)))
        .collect();
    let write = async {
        for text in &texts {
            write(&mut wire, text.as_str()).await;
            assert!((wire.queue.bytes as usize) < WRITE_BYTES + text.len());
        }
        wire.flush().await.unwrap();
        assert_eq!((wire.queue.bytes, wire.queue.frames.capacity()), (0, 0));
    };
    let read = async {
        for text in &texts {
            let message = client.next().await.unwrap().unwrap();
            assert_eq!(message, Message::text(text.as_str()));
        }
    };
    tokio::join!(write, read);
}

/// A client that takes something now and then is slow; one that takes nothing is stuck.
#[tokio::test(start_paused = true)]
async fn only_a_reader_that_takes_nothing_is_stuck() {
    let (mut wire, mut client) = pair(100).await;
    for n in 0..4 {
        write(&mut wire, format!("{n}{}", "x".repeat(90))).await;
    }
    let read = async {
        for n in 0..2 {
            sleep(TIMEOUT - Duration::from_secs(1)).await;
            let message = client.next().await.unwrap().unwrap();
            assert!(message.to_text().unwrap().starts_with(&n.to_string()));
        }
        // And no more.
        std::future::pending::<()>().await;
    };
    let begun = tokio::time::Instant::now();
    tokio::select! {
        flushed = wire.flush() => assert_eq!(flushed, Err(WriteError::Stuck)),
        () = read => unreachable!("it never ends"),
    }
    assert_eq!(begun.elapsed(), 3 * TIMEOUT - Duration::from_secs(2));
}

#[tokio::test]
async fn a_write_to_nobody_fails() {
    let (mut wire, client) = pair(100).await;
    drop(client);
    write(&mut wire, "hi").await;
    assert_eq!(wire.flush().await, Err(WriteError::Gone));
}

/// A ping is answered while nothing else is written, and otherwise between whole frames.
#[tokio::test]
async fn pings_are_answered() {
    let (mut wire, mut client) = pair(1000).await;
    client.send(Message::Ping("a".into())).await.unwrap();
    assert!(matches!(read_now(&mut wire).await, Some(Message::Ping(_))));
    assert_eq!(read_now(&mut wire).await, None);
    assert_eq!(
        client.next().await.unwrap().unwrap(),
        Message::Pong("a".into())
    );

    client.send(Message::Ping("b".into())).await.unwrap();
    write(&mut wire, "before").await;
    read_now(&mut wire).await;
    read_now(&mut wire).await;
    write(&mut wire, "after").await;
    wire.flush().await.unwrap();
    for message in [
        Message::text("before"),
        Message::Pong("b".into()),
        Message::text("after"),
    ] {
        assert_eq!(client.next().await.unwrap().unwrap(), message);
    }
    wire.ping();
    wire.flush().await.unwrap();
    assert_eq!(
        client.next().await.unwrap().unwrap(),
        Message::Ping(Bytes::new())
    );
}

/// RFC 6455 section 5.5.1: a close is clean, whichever end begins it.
#[tokio::test]
async fn closes_are_clean_both_ways() {
    let (mut wire, mut client) = pair(1000).await;
    let close = async move {
        wire.close(CloseCode::TAKEN_OVER).await;
    };
    let ((), ()) = tokio::join!(close, async {
        let Some(Ok(Message::Close(Some(frame)))) = client.next().await else {
            panic!("no close frame");
        };
        assert_eq!(u16::from(frame.code), CloseCode::TAKEN_OVER.get());
        assert!(client.next().await.is_none());
    });

    let (mut wire, mut client) = pair(1000).await;
    let farewell = async {
        client.close(None).await.unwrap();
        assert!(matches!(
            client.next().await,
            None | Some(Ok(Message::Close(_)))
        ));
        assert!(client.next().await.is_none());
    };
    let answer = async move {
        assert!(matches!(read(&mut wire).await, Some(Ok(Message::Close(_)))));
        wire.answer_close().await;
    };
    tokio::join!(farewell, answer);
}

/// A flush also waits for what TLS has taken and the socket has not: no later write may follow that
/// would push it out.
#[tokio::test]
async fn tls_holds_nothing_back() {
    let names = ["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Enough for TLS's own messages, too little for the frames.
    let (here, there) = tokio::io::duplex(4096);
    let name = ServerName::try_from("localhost").unwrap();
    let (here, there) = tokio::try_join!(
        TlsAcceptor::from(Arc::new(server)).accept(here),
        TlsConnector::from(Arc::new(client)).connect(name, there)
    )
    .unwrap();
    let mut client = WebSocketStream::from_raw_socket(there, Role::Client, None).await;
    let mut wire = Wire::new(here, Bytes::new(), LIMIT, TIMEOUT);
    for size in [10, 5000, WRITE_BYTES - 1000] {
        let text = "x".repeat(size);
        wire.push(TextFrame::new(text.clone()));
        let (flushed, read) = tokio::join!(wire.flush(), timeout(TIMEOUT, client.next()));
        assert_eq!(flushed, Ok(()));
        assert_eq!(read.unwrap().unwrap().unwrap(), Message::text(text));
    }
}
