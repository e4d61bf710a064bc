//! The largest answers: pages are cut by bytes, and unread answers together have a bound.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::caller::Caller;
use crate::raw::{PATIENCE, Raw};
use crate::test_server::TestServer;

/// The default of `--page-bytes`.
const PAGE_BYTES: usize = 256 * 1024;

/// The most bytes of a frame beside its messages.
const HEAD_BYTES: usize = 1024;

/// Publishes texts of 8 KiB of the character with the longest escape, and waits for each ack.
async fn flood(server: &TestServer, count: u64) -> Raw {
    let mut author = server.joined().await;
    for seq in 1..=count {
        author.publish(seq, &"\u{1}".repeat(8192)).await;
        while author.next_of("ack").await["seq"] != seq {}
    }
    author
}

fn offsets(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().unwrap();
    let offsets = messages.iter().map(|message| message["offset"].as_u64());
    offsets.map(Option::unwrap).collect()
}

/// Pages of `history` and of GET, in either direction, have at most so many bytes; `more` says that the log
/// has more messages.
#[tokio::test]
async fn pages_are_cut_by_bytes() {
    let server = TestServer::start(&[]).await;
    let mut author = flood(&server, 12).await;
    for (before, expected, more) in [
        (13, &[8, 9, 10, 11, 12][..], true),
        (8, &[3, 4, 5, 6, 7], true),
        (3, &[1, 2], false),
    ] {
        let ask = json!({"type": "history", "room": "lobby", "before": before, "limit": 200});
        author.send(&ask.to_string()).await;
        let page = author.next_of("history").await;
        assert_eq!(
            (offsets(&page), &page["more"]),
            (expected.to_vec(), &json!(more))
        );
        assert!(page.to_string().len() <= PAGE_BYTES + HEAD_BYTES);
    }
    let api = Caller::of(&server);
    for (which, expected, more) in [
        ("limit=200", &[8, 9, 10, 11, 12][..], true),
        ("limit=200&after=0", &[1, 2, 3, 4, 5], true),
        ("limit=200&after=9", &[10, 11, 12], false),
    ] {
        let page = api.get(&format!("/rooms/lobby/messages?{which}")).await;
        assert_eq!(
            (page.offsets(), &page.body["more"]),
            (expected.to_vec(), &json!(more))
        );
        assert!(page.body.to_string().len() <= PAGE_BYTES + HEAD_BYTES);
    }
}

/// RS-5: a replay that is larger than a page arrives whole and in order.
#[tokio::test]
async fn a_replay_goes_on_page_by_page() {
    let server = TestServer::start(&["--tail-bytes", "1"]).await;
    let mut author = flood(&server, 12).await;
    author.publish(13, "last").await;
    let mut reader = server.raw().await;
    reader.hello().await;
    reader
        .send(r#"{"type":"join","room":"lobby","limit":200}"#)
        .await;
    reader.next_of("joined").await;
    for offset in 1..=13 {
        assert_eq!(reader.next_of("message").await["offset"], offset);
    }
}

/// A client that requests the largest page again and again, and reads no answer.
async fn lazy(server: &TestServer) -> TcpStream {
    let ask = "GET /api/rooms/lobby/messages?limit=200 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut lazy = socket.connect(server.address).await.unwrap();
    // More answers than the sockets' buffers hold.
    lazy.write_all(ask.repeat(40).as_bytes()).await.unwrap();
    lazy
}

/// Unread answers of all clients together are bounded. Over the bound a request waits, then is refused with
/// `Retry-After`, and is served once there is room. Publishes go on meanwhile.
#[tokio::test]
async fn answers_that_nobody_reads_have_a_bound() {
    let most = 4 * PAGE_BYTES;
    let server = TestServer::start(&["--answer-bytes", &most.to_string()]).await;
    let mut author = flood(&server, 12).await;
    assert_eq!(server.hub.answers_left(), most);
    let mut lazies = Vec::new();
    let begun = Instant::now();
    while server.limited("answer_bytes").await < 1.0 {
        if lazies.len() < 12 {
            lazies.push(lazy(&server).await);
        }
        assert!(begun.elapsed() < PATIENCE);
    }
    let api = Caller::of(&server);
    let refused = api.get("/rooms/lobby/messages?limit=200").await;
    assert_eq!(refused.problem(), (503, "unavailable"));
    assert_eq!(refused.header("retry-after"), "2");
    author
        .send(r#"{"type":"history","room":"lobby","before":13,"limit":200}"#)
        .await;
    let refused = author.next_of("error").await;
    assert_eq!(refused["code"], "unavailable");
    assert!(refused["retry_after_ms"].as_u64() > Some(0));
    author.publish(13, "still here").await;
    while author.next_of("ack").await["seq"] != 13 {}

    drop(lazies);
    while server.hub.answers_left() < most {
        assert!(begun.elapsed() < 2 * PATIENCE);
        tokio::task::yield_now().await;
    }
    assert_eq!(api.get("/rooms/lobby/messages?limit=200").await.status, 200);
    author
        .send(r#"{"type":"history","room":"lobby","before":13,"limit":200}"#)
        .await;
    assert_eq!(offsets(&author.next_of("history").await).len(), 5);
}
