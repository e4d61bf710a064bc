//! A log that cannot store: publishes are refused for now, everything else goes on (EO-7).

use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::clock::Clock;
use everbeat_axum::hub::{Hub, Rooms};
use everbeat_axum::log::Log;
use everbeat_axum::log::memory::MemoryLog;
use everbeat_client::{Client, Event, Fate, Options};
use protocol::id::RoomName;
use serde_json::json;
use tokio::time::timeout;

use crate::test_server::TestServer;

/// A full database, the real one: publishes are refused with an error, reads go on, no message is harmed.
#[tokio::test]
async fn a_full_database_refuses_and_goes_on_reading() {
    let mut server = TestServer::start_with_little_room(&[]).await;
    let mut raw = server.joined().await;
    let (seq, refusal) = raw.publish_until_refused().await;
    assert_eq!(
        (&refusal["code"], &refusal["seq"]),
        (&json!("unavailable"), &json!(seq))
    );
    assert!(refusal["retry_after_ms"].as_u64().unwrap() > 0);
    raw.send(r#"{"type":"history","room":"lobby","before":3,"limit":9}"#)
        .await;
    assert_eq!(
        raw.next_of("history").await["messages"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    server.terminate();
    server.ended().await;
}

/// EO-2: messages in an unlinked database would be lost with the process. So none is acked, and the server is
/// not ready.
#[tokio::test]
async fn a_database_that_is_unlinked_takes_nothing() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.joined().await;
    raw.publish(1, "hello").await;
    raw.next_of("ack").await;
    let ready = async || {
        let ready = reqwest::get(format!("http://{}/readyz", server.address));
        ready.await.unwrap().status().as_u16()
    };
    assert_eq!(ready().await, 200);
    std::fs::remove_file(server.database()).unwrap();
    let noticed = async {
        while ready().await != 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), noticed).await.unwrap();
    raw.publish(2, "into nothing").await;
    let refused = raw.next_of("error").await;
    assert_eq!(
        (&refused["code"], &refused["seq"]),
        (&json!("unavailable"), &json!(2))
    );
}

/// A message that is refused for now waits in the outbox, and is stored once, when the log has room again.
#[tokio::test]
async fn a_refused_message_waits_and_arrives_once() {
    let rooms = Arc::new(Rooms::new(100));
    let log = Arc::new(MemoryLog::new(1000, rooms.clone()));
    let hub = Arc::new(Hub::new(rooms, log.clone(), 1 << 20, Clock::start()));
    let server = TestServer::start_over(&[], |_| hub).await;
    let room = RoomName::lobby();
    let mut client = everbeat_client::connect(&server.url(), Options::new(0)).unwrap();
    client.join(room.clone(), None);
    until(&mut client, |event| matches!(event, Event::Joined { .. })).await;
    log.fail_with(Some("no room"));
    client.publish(room, "hello").unwrap();
    until(&mut client, |event| {
        matches!(
            event,
            Event::Fate {
                fate: Fate::Waiting,
                ..
            }
        )
    })
    .await;
    log.fail_with(None);
    let mut seen = 0;
    until(&mut client, |event| {
        seen += u32::from(matches!(event, Event::Message(_)));
        matches!(
            event,
            Event::Fate {
                fate: Fate::Durable { .. },
                ..
            }
        )
    })
    .await;
    assert!(seen <= 1);
    let mut watcher = server.joined().await;
    watcher
        .send(r#"{"type":"history","room":"lobby","before":100,"limit":9}"#)
        .await;
    assert_eq!(
        watcher.next_of("history").await["messages"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// A log that cannot be read either: a reader that is behind gets no false gap, and its reads are tried
/// with pauses.
#[tokio::test]
async fn a_log_that_cannot_be_read_is_not_asked_without_pause() {
    let rooms = Arc::new(Rooms::new(100));
    let log = Arc::new(MemoryLog::new(1000, rooms.clone()));
    let hub = Arc::new(Hub::new(rooms, log.clone(), 1 << 20, Clock::start()));
    let options = ["--publishes", "100000", "--publish-burst", "100000"];
    let server = TestServer::start_over(&options, |_| hub).await;
    let mut writer = server.raw().await;
    writer.hello().await;
    writer.send(r#"{"type":"join","room":"lobby"}"#).await;
    let epoch = writer.next_of("joined").await["epoch"].clone();
    // More messages than the room's tail holds.
    for seq in 1..=300 {
        writer.publish(seq, "x").await;
    }
    while writer.next_of("ack").await["seq"] != 300 {}
    let mut late = server.raw().await;
    late.hello().await;
    log.close().await.unwrap();
    let since = json!({"epoch": epoch, "offset": 0});
    late.send(&json!({"type": "join", "room": "lobby", "since": since}).to_string())
        .await;
    let mut joins = 0;
    let listening = async {
        loop {
            assert_eq!(late.next_of("joined").await["recovered"], true);
            joins += 1;
        }
    };
    let listened: Result<(), _> = timeout(Duration::from_millis(500), listening).await;
    assert!(listened.is_err());
    assert_eq!(joins, 1);
}

async fn until(client: &mut Client, mut found: impl FnMut(&Event) -> bool) {
    let search = async { while !found(&client.next().await.unwrap()) {} };
    timeout(Duration::from_secs(20), search)
        .await
        .expect("the event within 20 s");
}
