//! Invalid input gets the documented error and close code, and disturbs no other connection.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::raw::{Raw, refused};
use crate::test_server::TestServer;

/// Sends an invalid message on a connection in the lobby, checks error and close code; a
/// bystander keeps publishing all the while.
async fn refuses(message: Message, error: &str, code: u16) {
    let server = TestServer::start(&[]).await;
    let mut bystander = server.joined().await;
    let mut raw = server.joined().await;
    raw.send_message(message.clone()).await.unwrap();
    assert_eq!(
        raw.end().await,
        (Some(code), vec![error.to_owned()]),
        "{message:?}"
    );
    bystander.is_served().await;
}

#[tokio::test]
async fn what_is_not_a_frame_closes_its_own_connection_only() {
    for text in [
        "",
        "not json",
        "[]",
        r#"{"type":"nonsense"}"#,
        r#"{"seq":1}"#,
        r#"{"type":"publish","seq":0,"room":"lobby","body":"x"}"#,
        r#"{"type":"publish","seq":9007199254740992,"room":"lobby","body":"x"}"#,
        r#"{"type":"publish","seq":-1,"room":"lobby","body":"x"}"#,
        r#"{"type":"publish","seq":1.5,"room":"lobby","body":"x"}"#,
        r#"{"type":"join"}"#,
        r#"{"type":"join","room":7}"#,
        r#"{"type":"publish","seq":1,"room":"lobby","body":"\ud83"}"#,
    ] {
        refuses(Message::text(text), "bad_frame", 4101).await;
    }
    refuses(
        Message::Binary(Bytes::from_static(b"\x00\x01")),
        "bad_frame",
        4101,
    )
    .await;
}

/// A frame with an invalid room name is refused alone: the connection lives, and so do messages in flight.
#[tokio::test]
async fn what_can_be_no_room_is_refused_by_itself() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.joined().await;
    let mut seq = 0;
    for odd in ["", "Upper Case", "../../etc/passwd", &"x".repeat(65)] {
        for kind in ["join", "leave", "draft", "history"] {
            let frame = json!({"type": kind, "room": odd, "body": "b", "before": 9, "limit": 9});
            raw.send(&frame.to_string()).await;
            let error = raw.next_frame().await;
            assert_eq!(error["code"], "bad_room", "{frame}");
            assert_eq!((error.get("seq"), error.get("room")), (None, None));
        }
        seq += 2;
        raw.publish(seq - 1, "in flight").await;
        let publish = json!({"type": "publish", "seq": seq, "room": odd, "body": "b"});
        raw.send(&publish.to_string()).await;
        let (mut acked, mut refused) = (false, false);
        while !(acked && refused) {
            let frame = raw.next_frame().await;
            acked |= frame["type"] == "ack" && frame["seq"] == seq - 1;
            refused |= frame["type"] == "error" && frame["seq"] == seq;
        }
    }
    raw.publish(seq + 1, "still here").await;
    assert_eq!(raw.next_of("ack").await["seq"], seq + 1);
}

/// Half an emoji, as `JSON.stringify` writes it, is read as U+FFFD; the connection lives.
#[tokio::test]
async fn half_a_character_is_read_as_the_replacement_character() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.joined().await;
    let mut other = server.joined().await;
    raw.publish(1, "in flight").await;
    raw.send(r#"{"type":"draft","room":"lobby","body":"half \ud83d"}"#)
        .await;
    raw.send(r#"{"type":"rename","name":"Ada \ude00"}"#).await;
    raw.send(r#"{"type":"publish","seq":2,"room":"lobby","body":"\ud83dhalf"}"#)
        .await;
    while raw.next_of("ack").await["seq"] != 2 {}
    other.next_of("message").await;
    let message = other.next_of("message").await;
    assert_eq!(message["body"], "\u{fffd}half");
    assert_eq!(message["name"], "Ada \u{fffd}");
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_the_connection() {
    for bytes in [65 * 1024, 1024 * 1024] {
        let frame =
            json!({"type": "publish", "seq": 1, "room": "lobby", "body": "x".repeat(bytes)});
        refuses(Message::text(frame.to_string()), "frame_too_large", 4102).await;
    }
}

/// RS-1: `hello` is the first frame, in time, and comes once.
#[tokio::test]
async fn hello_comes_first_and_once() {
    refuses(Message::text(r#"{"type":"hello"}"#), "hello_expected", 4101).await;
    let server = TestServer::start(&["--hello-timeout", "100ms"]).await;
    let mut early = server.raw().await;
    early.send(r#"{"type":"join","room":"lobby"}"#).await;
    assert_eq!(
        early.end().await,
        (Some(4101), vec!["hello_expected".into()])
    );
    let mut silent = server.raw().await;
    assert_eq!(
        silent.end().await,
        (Some(4002), vec!["hello_expected".into()])
    );
}

/// EO-1, EO-6: a repeated `seq` gets its first `ack` again; one that skips ends the connection.
#[tokio::test]
async fn numbers_that_skip_or_repeat() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.joined().await;
    raw.publish(1, "one").await;
    assert_eq!(raw.next_of("ack").await["offset"], 1);
    raw.publish(1, "one").await;
    assert_eq!(
        raw.next_of("ack").await,
        json!({"type": "ack", "seq": 1, "room": "lobby", "offset": 1})
    );
    raw.publish(3, "three").await;
    assert_eq!(raw.end().await, (Some(4103), vec!["seq_gap".into()]));

    let mut raw = server.joined().await;
    raw.publish(1, "one").await;
    raw.next_of("ack").await;
    raw.publish(1, "another").await;
    assert_eq!(raw.end().await, (Some(4104), vec!["seq_conflict".into()]));
}

/// EO-7: such a message is refused for good and uses its `seq` up: the next one follows.
#[tokio::test]
async fn bodies_that_are_empty_or_too_long_use_their_number_up() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.joined().await;
    raw.publish(1, "").await;
    let error = raw.next_frame().await;
    assert_eq!(
        (&error["code"], &error["seq"]),
        (&json!("body_empty"), &json!(1))
    );
    assert_eq!(error.get("retry_after_ms"), None);
    raw.publish(2, &"x".repeat(8 * 1024 + 1)).await;
    let error = raw.next_frame().await;
    assert_eq!(
        (&error["code"], &error["seq"]),
        (&json!("body_too_large"), &json!(2))
    );
    raw.publish(3, "fine").await;
    assert_eq!(raw.next_of("ack").await["offset"], 1);
}

#[tokio::test]
async fn any_text_is_only_text() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.joined().await;
    let mut other = server.joined().await;
    let bodies = [
        "\u{0}",
        "\u{202e}abc\u{200f}",
        "<script>alert(1)</script>",
        "😀\u{1f468}\u{200d}",
    ];
    for (seq, body) in (1..).zip(bodies) {
        raw.publish(seq, body).await;
        assert_eq!(other.next_of("message").await["body"], body);
    }
}

/// RS-2: a wrong key gets a fresh session, never another client's.
#[tokio::test]
async fn a_wrong_key_gets_a_fresh_session() {
    let server = TestServer::start(&[]).await;
    let mut owner = server.raw().await;
    let session = owner.hello().await["session"].clone();
    for stolen in [
        json!({"id": session["id"], "key": "0".repeat(64)}),
        json!({"id": "nobody", "key": session["key"]}),
    ] {
        let mut thief = server.raw().await;
        thief
            .send(&json!({"type": "hello", "session": stolen}).to_string())
            .await;
        let welcome = thief.next_of("welcome").await;
        assert_eq!(welcome["resumed"], false);
        assert_ne!(welcome["session"]["id"], session["id"]);
    }
    owner.send(r#"{"type":"ping"}"#).await;
    owner.next_of("pong").await;
}

/// RS-6: a join at such a position says `recovered: false`.
#[tokio::test]
async fn a_position_that_the_log_does_not_know_is_not_recovered() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.joined().await;
    raw.publish(1, "one").await;
    raw.next_of("ack").await;
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    let epoch = raw.next_of("joined").await["epoch"].clone();
    for since in [
        json!({"epoch": "foreign", "offset": 1}),
        json!({"epoch": epoch, "offset": 7}),
    ] {
        raw.send(&json!({"type": "join", "room": "lobby", "since": since}).to_string())
            .await;
        let joined = raw.next_of("joined").await;
        assert_eq!(
            (&joined["recovered"], &joined["from"]),
            (&json!(false), &json!(0)),
            "{since}"
        );
        assert_eq!(raw.next_of("message").await["offset"], 1);
    }
    let since = json!({"epoch": epoch, "offset": 1});
    raw.send(&json!({"type": "join", "room": "lobby", "since": since}).to_string())
        .await;
    assert_eq!(raw.next_of("joined").await["recovered"], true);
}

#[tokio::test]
async fn too_many_rooms_and_drafts_without_a_room_are_refused() {
    let server = TestServer::start(&["--rooms", "2"]).await;
    let mut raw = server.joined().await;
    raw.send(r#"{"type":"join","room":"two"}"#).await;
    raw.next_of("joined").await;
    raw.send(r#"{"type":"join","room":"three"}"#).await;
    assert_eq!(raw.next_frame().await["code"], "too_many_rooms");
    raw.send(r#"{"type":"draft","room":"three","body":"x"}"#)
        .await;
    assert_eq!(raw.next_frame().await["code"], "not_joined");
    raw.send(r#"{"type":"join","room":"two"}"#).await;
    raw.next_of("joined").await;
}

/// EO-7: messages over the rate are refused for now, from one `seq` on, which the client then sends again.
#[tokio::test]
async fn one_that_sends_as_fast_as_it_can_is_told_to_wait() {
    let server = TestServer::start(&["--publishes", "10", "--publish-burst", "5"]).await;
    let mut raw = server.joined().await;
    for seq in 1..=20 {
        raw.publish(seq, "again").await;
    }
    let refusal = loop {
        let frame = raw.next_frame().await;
        if frame["type"] == "error" {
            break frame;
        }
    };
    assert_eq!(
        (&refusal["code"], &refusal["seq"]),
        (&json!("rate_limited"), &json!(6))
    );
    assert!(refusal["retry_after_ms"].as_u64().unwrap() <= 101);
    let begun = Instant::now();
    loop {
        raw.publish(6, "again").await;
        let frame = loop {
            let frame = raw.next_frame().await;
            if frame["type"] == "error" || (frame["type"] == "ack" && frame["seq"] == 6) {
                break frame;
            }
        };
        if frame["type"] == "ack" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

/// A client that never reads costs a cursor: other clients are served, and it gets every message once it reads.
#[tokio::test]
async fn a_client_that_never_reads_holds_nobody_up() {
    let options = ["--publishes", "100000", "--publish-burst", "100000"];
    let server = TestServer::start(&options).await;
    let mut lazy = server.joined().await;
    let mut busy = server.joined().await;
    let body = "x".repeat(8 * 1024);
    let count = 2000;
    for seq in 1..=count {
        busy.publish(seq, &body).await;
        while busy.next_of("ack").await["seq"] != seq {}
    }
    for offset in 1..=count {
        assert_eq!(lazy.next_of("message").await["offset"], offset);
    }
}

#[tokio::test]
async fn a_write_that_makes_no_progress_ends_the_connection() {
    let options = [
        "--publishes",
        "100000",
        "--publish-burst",
        "100000",
        "--write-timeout",
        "200ms",
    ];
    let server = TestServer::start(&options).await;
    let lazy = server.joined().await;
    let mut busy = server.joined().await;
    assert_eq!(server.hub.connections(), 2);
    let body = "x".repeat(8 * 1024);
    let mut seq = 0;
    while server.hub.connections() == 2 {
        seq += 1;
        busy.publish(seq, &body).await;
        while busy.next_of("ack").await["seq"] != seq {}
        assert!(seq < 20_000, "16 KiB buffers and 160 MB sent");
    }
    drop(lazy);
}

#[tokio::test]
async fn more_connections_than_allowed_are_refused_before_the_upgrade() {
    let server = TestServer::start(&["--connections", "1"]).await;
    let first = server.joined().await;
    let asked = Raw::open(server.address, "/ws", Some("everbeat.v1")).await;
    assert_eq!(refused(asked), 503);
    drop(first);
}
