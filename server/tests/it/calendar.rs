//! A server whose clock is days away from its log's.

use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::clock::{Clock, unix_ms};
use everbeat_axum::hub::{Hub, Rooms};
use everbeat_axum::log::sqlite::{SqliteConfig, SqliteLog};
use everbeat_axum::log::{Log, OpenSession};
use everbeat_axum::secret;
use protocol::access::Identity;
use protocol::id::{SessionId, SessionKey};
use serde_json::json;

use crate::test_server::TestServer;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// RS-9: a session that is eight days old by this clock may be a minute old by the right one. So sessions
/// expire only once the clock has run evenly for a while, not at the start.
#[tokio::test]
async fn a_start_a_week_ahead_forgets_no_session() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("everbeat.db");
    let open = || {
        let rooms = Arc::new(Rooms::new(100));
        let log = SqliteLog::open(&path, SqliteConfig::default(), rooms.clone()).unwrap();
        (rooms, Arc::new(log))
    };
    let (_, log) = open();
    let (id, key) = ("5e55", "0123456789abcdef");
    let hash = secret::hash(&SessionKey::new(key).unwrap(), &Identity::Guest(None));
    let before = OpenSession {
        resume: None,
        fresh: (SessionId::new(id).unwrap(), hash),
        at_ms: unix_ms() - 8 * DAY_MS,
    };
    log.open_session(before).await.unwrap();
    log.close().await.unwrap();
    drop(log);
    let server = TestServer::start_over(&[], |_| {
        let (rooms, log) = open();
        Arc::new(Hub::new(rooms, log, 1 << 20, Clock::start()))
    })
    .await;
    // After ten visits the housekeeping of the start is over.
    for _ in 0..10 {
        server.joined().await.send(r#"{"type":"ping"}"#).await;
    }
    let week = Duration::from_millis(7 * DAY_MS);
    assert_eq!(server.hub.cutoff(week), None);
    let mut raw = server.raw().await;
    let hello = json!({"type": "hello", "session": {"id": id, "key": key}});
    raw.send(&hello.to_string()).await;
    assert_eq!(raw.next_of("welcome").await["resumed"], true);
}
