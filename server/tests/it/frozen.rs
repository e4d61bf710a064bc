//! A real log that hangs, as another program holds the database's lock: connections are served all the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use everbeat_axum::clock::Clock;
use everbeat_axum::hub::{Hub, Rooms};
use everbeat_axum::log::sqlite::{SqliteConfig, SqliteLog};
use rusqlite::Connection;
use serde_json::json;

use crate::http::{ask_raw, get_raw, status};
use crate::raw::Raw;
use crate::test_server::TestServer;

/// The longest time for which the log hangs; the test releases the lock sooner.
const HANGS: Duration = Duration::from_secs(30);

/// HB-1, RS-4: for some seconds the log stores nothing. Pings are answered, history is read, rooms are joined,
/// a closed connection leaves, `/readyz` is 503 in time; afterwards all that was queued is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_hangs_holds_nobody_up() {
    let mut database = None;
    let server = TestServer::start_over(&[], |config| {
        let rooms = Arc::new(Rooms::new(100));
        let patient = SqliteConfig {
            busy_timeout: HANGS,
            ..SqliteConfig::default()
        };
        let log = SqliteLog::open(&config.database(), patient, rooms.clone()).unwrap();
        database = Some(config.database());
        Arc::new(Hub::new(rooms, Arc::new(log), 1 << 20, Clock::start()))
    })
    .await;
    let mut ada = server.joined().await;
    ada.publish(1, "before").await;
    ada.next_of("ack").await;
    let mut bob = server.raw().await;
    let session = bob.hello().await["session"].clone();

    let other = Connection::open(database.unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let post = "POST /api/rooms/lobby/messages HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\n\
                Content-Type: application/json\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{\"body\":\"post\"}";
    let address = server.address;
    let posted = tokio::spawn(async move { ask_raw(address, post).await });
    ada.publish(2, "meanwhile").await;
    ada.send(r#"{"type":"history","room":"lobby","before":2,"limit":5}"#)
        .await;
    assert_eq!(
        ada.next_of("history").await["messages"][0]["body"],
        "before"
    );
    ada.send(r#"{"type":"join","room":"garden"}"#).await;
    ada.next_of("joined").await;
    ada.send(r#"{"type":"ping"}"#).await;
    ada.next_of("pong").await;
    // A new connection waits for its session; one that closes meanwhile gives its permit up.
    let hello = json!({"type": "hello", "session": session}).to_string();
    let mut newer = server.raw().await;
    newer.send(&hello).await;
    let mut hasty: Raw = server.raw().await;
    hasty.send(r#"{"type":"hello"}"#).await;
    let connections = || server.hub.connections();
    while connections() < 4 {
        tokio::task::yield_now().await;
    }
    drop(hasty);
    while connections() > 3 {
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    for _ in 0..2 {
        let answer = get_raw(server.admin, "/readyz").await;
        assert_eq!(status(&answer), 503, "{answer}");
    }
    assert!(asked.elapsed() < Duration::from_secs(4), "a shared probe");
    let answer = posted.await.unwrap();
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("\"unavailable\""), "{answer}");
    assert!(begun.elapsed() < HANGS / 2);

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ada.next_of("ack").await["seq"], 2);
    assert_eq!(newer.next_of("welcome").await["resumed"], true);
    // RS-4: the newer connection has taken the session over.
    assert_eq!(bob.end().await.0, Some(4100));
    while server.hub.live() > 2 {
        tokio::task::yield_now().await;
    }
}
