//! The closing handshake (RFC 6455 section 7), from either end.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::http::{HEADERS, OURS, begin, code_after, masked};
use crate::raw::Raw;
use crate::test_server::TestServer;

/// A connection in each dialect: ours and the tutorial's.
async fn both(server: &TestServer) -> [Raw; 2] {
    let page = Raw::open(server.address, "/", None).await.unwrap();
    [server.joined().await, page]
}

/// The server answers a client's close with the same code; without an answer a browser reports a broken
/// connection.
#[tokio::test]
async fn a_close_is_answered() {
    let server = TestServer::start(&[]).await;
    for mut raw in both(&server).await {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "done".into(),
        };
        let close = Message::Close(Some(frame));
        raw.send_message(close).await.unwrap();
        assert_eq!(raw.end().await.0, Some(1000));
    }
}

/// A client gets the close code also where it was still sending when the server closed: the server reads
/// the rest, as TCP would else reset the connection and drop the code.
#[tokio::test]
async fn a_code_arrives_whatever_follows() {
    let server = TestServer::start(&[]).await;
    let binary = Message::binary(vec![1]);
    let long = Message::text("x".repeat(70_000));
    for (first, codes) in [(binary, [4101, 1003]), (long, [4102, 1009])] {
        for (mut raw, code) in both(&server).await.into_iter().zip(codes) {
            raw.send_message(first.clone()).await.unwrap();
            for _ in 0..200 {
                let more = Message::text(" ".repeat(8 * 1024));
                raw.send_message(more).await.unwrap();
            }
            assert_eq!(raw.end().await.0, Some(code));
        }
    }
}

/// RFC 6455 sections 5.1, 5.2, 5.5, 8.1: an invalid frame ends its own connection, with the code of its fault.
#[tokio::test]
async fn what_cannot_be_read_has_its_code() {
    let server = TestServer::start(&[]).await;
    let mut bystander = server.joined().await;
    let endless = [
        0x81, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4,
    ];
    for (what, bytes, ours, tutorials) in [
        ("a reserved bit", masked(0xa1, b"x"), 1002, 1002),
        ("an unknown kind of data", masked(0x83, b"x"), 1002, 1002),
        ("the middle of nothing", masked(0x80, b"x"), 1002, 1002),
        ("a ping in parts", masked(0x09, b"x"), 1002, 1002),
        (
            "a ping that is too long",
            masked(0x89, &[0; 126]),
            1002,
            1002,
        ),
        ("without a mask", b"\x81\x01x".to_vec(), 1002, 1002),
        ("no UTF-8", masked(0x81, b"\xc0\xae\xc0\xae"), 1007, 1007),
        ("more than memory", endless.to_vec(), 4102, 1009),
    ] {
        for (headers, code) in [(&[OURS][..], ours), (&[], tutorials)] {
            let headers = [&HEADERS[..], headers].concat();
            let (_, stream) = begin(server.address, "GET /ws HTTP/1.1", &headers).await;
            assert_eq!(code_after(stream, &bytes).await, Some(code), "{what}");
        }
    }
    bystander.is_served().await;
}

/// RFC 6455 section 7.1.1: after an invalid frame the server ends the stream at once. It does not
/// wait a second for the answer to its close, as it could not read one.
#[tokio::test]
async fn what_cannot_be_read_ends_at_once() {
    let server = TestServer::start(&[]).await;
    let end = async || {
        let (_, mut stream) = begin(server.address, "GET /ws HTTP/1.1", &HEADERS).await;
        stream.write_all(&masked(0xa1, b"x")).await.unwrap();
        let (begun, mut answer) = (Instant::now(), Vec::new());
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer[..1], [0x88]);
        begun.elapsed()
    };
    let mut waited = end().await;
    // On a busy machine one try may take longer.
    for _ in 0..3 {
        waited = waited.min(end().await);
    }
    assert!(waited < Duration::from_millis(500), "{waited:?}");
}
