//! The tutorial's dialect beside ours.

use tokio_tungstenite::tungstenite::Message;

use crate::raw::Raw;
use crate::test_server::TestServer;

async fn page(server: &TestServer, path: &str) -> Raw {
    Raw::open(server.address, path, None).await.unwrap()
}

#[tokio::test]
async fn a_text_comes_back_and_goes_to_everyone_in_the_room() {
    let server = TestServer::start(&[]).await;
    let mut ours = server.joined().await;
    let mut one = page(&server, "/").await;
    one.send("first").await;
    assert_eq!(one.next_text().await, "first");
    let mut two = page(&server, "/ws?room=lobby").await;
    two.send("hi").await;
    assert_eq!(two.next_text().await, "hi");
    assert_eq!(one.next_text().await, "hi");
    loop {
        if ours.next_of("draft").await["body"] == "hi" {
            break;
        }
    }
    ours.send(r#"{"type":"draft","room":"lobby","body":"typing"}"#)
        .await;
    assert_eq!(one.next_text().await, "typing");
    ours.publish(1, "sent").await;
    assert_eq!(two.next_text().await, "typing");
    assert_eq!(two.next_text().await, "sent");
}

#[tokio::test]
async fn a_heartbeat_goes_nowhere() {
    let server = TestServer::start(&[]).await;
    let mut one = page(&server, "/").await;
    one.send("before").await;
    assert_eq!(one.next_text().await, "before");
    let mut two = page(&server, "/").await;
    two.send("ready").await;
    assert_eq!(
        (two.next_text().await, one.next_text().await),
        ("ready".into(), "ready".into())
    );
    one.send("heartbeat").await;
    one.send("after").await;
    assert_eq!(
        (one.next_text().await, two.next_text().await),
        ("after".into(), "after".into())
    );
}

/// HB-4 for pages that only know WebSocket control frames.
#[tokio::test]
async fn the_server_asks_with_a_websocket_ping() {
    let options = [
        "--heartbeat-interval",
        "100ms",
        "--heartbeat-timeout",
        "100ms",
    ];
    let server = TestServer::start(&options).await;
    let mut one = page(&server, "/").await;
    assert!(matches!(one.next().await, Some(Message::Ping(_))));
    // Reading answers the ping (RFC 6455 section 5.5.2): the next event is another ping, not the end.
    assert!(matches!(one.next().await, Some(Message::Ping(_))));
}

#[tokio::test]
async fn text_that_is_too_large_and_binary_end_the_connection() {
    let server = TestServer::start(&[]).await;
    // Over --body-bytes, and over --frame-bytes.
    for bytes in [8 * 1024 + 1, 70_000] {
        let mut one = page(&server, "/").await;
        one.send(&"x".repeat(bytes)).await;
        assert_eq!(one.end().await.0, Some(1009), "{bytes}");
    }
    let mut one = page(&server, "/").await;
    one.send_message(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(one.end().await.0, Some(1003));
}

#[tokio::test]
async fn other_rooms_hear_nothing() {
    let server = TestServer::start(&[]).await;
    let mut lobby = page(&server, "/").await;
    let mut other = page(&server, "/?room=other").await;
    other.send("elsewhere").await;
    assert_eq!(other.next_text().await, "elsewhere");
    lobby.send("here").await;
    assert_eq!(lobby.next_text().await, "here");
}
