//! Sessions over real sockets: resume, take-over, drain.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::raw::Raw;
use crate::test_server::TestServer;

async fn resume(server: &TestServer, session: &Value) -> (Raw, Value) {
    let mut raw = server.raw().await;
    raw.send(&json!({"type": "hello", "session": session}).to_string())
        .await;
    let welcome = raw.next_of("welcome").await;
    (raw, welcome)
}

/// RS-3, RS-5: a new connection goes on where the old one ended.
#[tokio::test]
async fn a_session_resumes_and_replays() {
    let server = TestServer::start(&[]).await;
    let mut talker = server.joined().await;
    let mut raw = server.raw().await;
    let session = raw.hello().await["session"].clone();
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    let epoch = raw.next_of("joined").await["epoch"].clone();
    raw.publish(1, "mine").await;
    assert_eq!(raw.next_of("ack").await["offset"], 1);
    drop(raw);
    for seq in 1..=3 {
        talker.publish(seq, "meanwhile").await;
    }
    while talker.next_of("ack").await["seq"] != 3 {}
    let (mut raw, welcome) = resume(&server, &session).await;
    assert_eq!(
        (&welcome["resumed"], &welcome["last_seq"]),
        (&json!(true), &json!(1))
    );
    let since = json!({"epoch": epoch, "offset": 1});
    raw.send(&json!({"type": "join", "room": "lobby", "since": since}).to_string())
        .await;
    assert_eq!(raw.next_of("joined").await["recovered"], true);
    for offset in 2..=4 {
        assert_eq!(raw.next_of("message").await["offset"], offset);
    }
}

/// RS-4: the older connection of a session is closed with 4100.
#[tokio::test]
async fn a_second_connection_takes_the_session_over() {
    let server = TestServer::start(&[]).await;
    let mut first = server.raw().await;
    let session = first.hello().await["session"].clone();
    let (mut second, welcome) = resume(&server, &session).await;
    assert_eq!(welcome["resumed"], true);
    assert_eq!(first.end().await.0, Some(4100));
    second.send(r#"{"type":"ping"}"#).await;
    second.next_of("pong").await;
}

/// RS-4: the older connection is the one that opened first, not the one whose `hello` the log answered
/// first. A slow `hello` must not take the session from the page that has it now.
#[tokio::test]
async fn a_late_hello_takes_nothing_over() {
    let server = TestServer::start(&[]).await;
    let mut first = server.raw().await;
    let session = first.hello().await["session"].clone();
    drop(first);
    let mut older = server.raw().await;
    let (mut newer, welcome) = resume(&server, &session).await;
    assert_eq!(welcome["resumed"], true);
    older
        .send(&json!({"type": "hello", "session": session}).to_string())
        .await;
    assert_eq!(older.end().await.0, Some(4100));
    newer.send(r#"{"type":"ping"}"#).await;
    newer.next_of("pong").await;
}

/// PR-1 over real sockets: a short disconnect does not show the member as left.
#[tokio::test]
async fn a_short_break_shows_nobody_leaving() {
    let server = TestServer::start(&[]).await;
    let mut watcher = server.joined().await;
    let mut raw = server.raw().await;
    let session = raw.hello().await["session"].clone();
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    raw.next_of("joined").await;
    assert_eq!(
        watcher.next_of("presence").await["joined"][0]["session"],
        session["id"]
    );
    drop(raw);
    let (mut raw, _) = resume(&server, &session).await;
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    raw.next_of("joined").await;
    raw.publish(1, "back").await;
    // The watcher's next frame is the message, not a presence.
    assert_eq!(watcher.next_frame().await["type"], "message");
    raw.send(r#"{"type":"leave","room":"lobby"}"#).await;
    assert_eq!(
        watcher.next_of("presence").await["left"],
        json!([session["id"]])
    );
}

/// RC-3: a drain gives each client a slot after the drain, then closes with 1012.
#[tokio::test]
async fn a_drain_gives_slots_and_then_ends() {
    let mut server = TestServer::start(&[]).await;
    let mut clients = vec![server.joined().await, server.joined().await];
    server.terminate();
    let mut slots = Vec::new();
    for client in &mut clients {
        slots.push(
            client.next_of("go_away").await["reconnect_after_ms"]
                .as_u64()
                .unwrap(),
        );
    }
    slots.sort_unstable();
    assert_eq!(slots, [300, 350]);
    for client in &mut clients {
        assert_eq!(client.end().await.0, Some(1012));
    }
    server.ended().await;
}

/// Scrolling back: `history` comes in pages.
#[tokio::test]
async fn history_comes_in_pages() {
    let server = TestServer::start(&["--history-page", "2"]).await;
    let mut raw = server.joined().await;
    for seq in 1..=5 {
        raw.publish(seq, &format!("m{seq}")).await;
    }
    while raw.next_of("ack").await["seq"] != 5 {}
    raw.send(r#"{"type":"history","room":"lobby","before":4,"limit":100}"#)
        .await;
    let page = raw.next_of("history").await;
    let offsets: Vec<&Value> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["offset"])
        .collect();
    assert_eq!(
        (offsets, &page["more"]),
        (vec![&json!(2), &json!(3)], &json!(true))
    );
}

/// RS-6: a reader far behind reads from the log; messages that the log has trimmed are a gap.
#[tokio::test]
async fn a_trimmed_log_is_told_as_a_gap() {
    let options = [
        "--history",
        "10",
        "--publishes",
        "100000",
        "--publish-burst",
        "100000",
    ];
    let server = TestServer::start(&options).await;
    let mut raw = server.joined().await;
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    let epoch = raw.next_of("joined").await["epoch"].clone();
    for seq in 1..=500 {
        raw.publish(seq, "x").await;
    }
    while raw.next_of("ack").await["seq"] != 500 {}
    let mut late = server.raw().await;
    late.hello().await;
    let since = json!({"epoch": epoch, "offset": 1});
    late.send(&json!({"type": "join", "room": "lobby", "since": since}).to_string())
        .await;
    // The first `joined` may promise a replay; a second one then says that there is a gap.
    let joined = loop {
        let joined = late.next_of("joined").await;
        if joined["recovered"] == false {
            break joined;
        }
    };
    let from = joined["from"].as_u64().unwrap();
    assert_eq!(late.next_of("message").await["offset"], from + 1);
}

/// PU-4: of drafts over the rate others get a few, and always the last one, in either dialect.
#[tokio::test]
async fn drafts_over_the_rate_are_held_back() {
    let server = TestServer::start(&["--drafts", "1"]).await;
    let mut watcher = server.joined().await;
    let page = Raw::open(server.address, "/", None).await.unwrap();
    for (mut author, who) in [(server.joined().await, "session"), (page, "page")] {
        let begun = Instant::now();
        for number in 1..=20 {
            let body = format!("{who} {number}");
            let frame = json!({"type": "draft", "room": "lobby", "body": body});
            let text = if who == "page" {
                body
            } else {
                frame.to_string()
            };
            author.send(&text).await;
        }
        let last = format!("{who} 20");
        let mut seen = 0;
        let mut shown = String::new();
        while shown != last {
            let draft = watcher.next_of("draft").await;
            draft["body"].as_str().unwrap().clone_into(&mut shown);
            // An empty draft is the end of the author's before.
            seen += u64::from(!shown.is_empty());
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(1), "{who}: {took:?}");
        assert!(seen <= 1 + took.as_secs(), "{who}: {seen} in {took:?}");
    }
}
