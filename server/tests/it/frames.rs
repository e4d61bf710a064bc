//! Frames over the rate: none is lost, and other clients do not wait for them.

use std::time::{Duration, Instant};

use crate::metrics::value;
use crate::raw::Raw;
use crate::test_server::TestServer;

const PING: &str = r#"{"type":"ping"}"#;

/// A client of this address, with a session.
async fn from(server: &TestServer, address: &str) -> Raw {
    let headers = [("x-forwarded-for", address)];
    let raw = Raw::open_with(server.address, "/ws", Some("everbeat.v1"), &headers).await;
    let mut raw = raw.unwrap();
    raw.hello().await;
    raw
}

async fn pings(raw: &mut Raw, count: usize) {
    for _ in 0..count {
        raw.send(PING).await;
    }
}

/// Waits for so many pongs; other frames are passed over.
async fn pongs(raw: &mut Raw, count: usize) {
    for _ in 0..count {
        raw.next_of("pong").await;
    }
}

/// Frames over a connection's rate are all answered, at the rate.
#[tokio::test]
async fn one_connections_frames_are_read_at_a_rate() {
    let server = TestServer::start(&["--frames", "100", "--frame-burst", "10"]).await;
    let mut raw = server.raw().await;
    raw.hello().await;
    let begun = Instant::now();
    pings(&mut raw, 50).await;
    pongs(&mut raw, 50).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(350), "{took:?}");
    assert!(server.limited("frames").await >= 1.0);
}

/// The connections of one address share a rate; another address is not affected.
#[tokio::test]
async fn one_addresss_frames_are_read_at_a_rate() {
    let free = ["--frames", "1000000", "--frame-burst", "1000000"];
    let options = [&free[..], &["--frames-per-address", "1000"]].concat();
    let server = TestServer::start(&options).await;
    let mut others = from(&server, "2.2.2.2").await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(from(&server, "1.1.1.1").await);
    }
    let begun = Instant::now();
    for raw in &mut all {
        pings(raw, 2_700).await;
    }
    pings(&mut others, 100).await;
    pongs(&mut others, 100).await;
    for raw in &mut all {
        pongs(raw, 2_700).await;
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(700), "{took:?}");
    assert!(server.limited("frames_per_address").await >= 1.0);
    assert_eq!(server.limited("frames").await, 0.0);
}

/// EO-1: a message that was acked on this connection is answered from memory when it is repeated.
#[tokio::test]
async fn repeated_numbers_do_not_reach_the_log() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.raw().await;
    raw.hello().await;
    for _ in 0..100 {
        raw.publish(1, "said once").await;
    }
    for _ in 0..100 {
        let ack = raw.next_of("ack").await;
        assert_eq!((&ack["seq"], &ack["offset"]), (&1.into(), &1.into()));
    }
    for _ in 0..100 {
        raw.publish(1, "said once").await;
        assert_eq!(raw.next_of("ack").await["offset"], 1);
    }
    let metrics = server.metrics().await;
    let stored = value(&metrics, "everbeat_publishes_total{outcome=\"stored\"}");
    // Up to a hundred may have arrived before the first answer.
    assert!(stored.unwrap() <= 100.0, "{stored:?}");
}

/// EO-7: a message that is refused for good uses its `seq` up in the log, so it counts as a stored one does.
#[tokio::test]
async fn refused_messages_count_for_their_address() {
    let server = TestServer::start(&["--publishes-per-address", "1"]).await;
    let (mut refused, mut held) = (0, 0);
    for _ in 0..5 {
        let mut raw = from(&server, "1.1.1.1").await;
        for seq in 1..=3 {
            raw.publish(seq, "").await;
            let frame = raw.next_frame().await;
            if frame["code"] == "rate_limited" {
                assert!(
                    frame["retry_after_ms"].is_u64() && frame["seq"] == seq,
                    "{frame}"
                );
                held += 1;
                break;
            }
            assert_eq!(frame["code"], "body_empty");
            refused += 1;
        }
    }
    assert!((4..=9).contains(&refused) && held >= 2, "{refused}, {held}");
    let counted = server.limited("publishes_per_address").await;
    assert_eq!(counted, f64::from(held));
}

/// RS-9: a session that never published expires soon after its connection ended, and not before.
#[tokio::test]
async fn unused_sessions_are_forgotten_soon() {
    let server = TestServer::start(&["--unused-session-ttl", "1s"]).await;
    let sessions = async || {
        let metrics = server.metrics().await;
        ["live", "away"].map(|state| {
            let name = format!("everbeat_sessions{{state=\"{state}\"}}");
            value(&metrics, &name).unwrap()
        })
    };
    let mut stays = server.raw().await;
    let session = stays.hello().await["session"].clone();
    let mut said = server.raw().await;
    said.hello().await;
    said.publish(1, "worth keeping").await;
    said.next_of("ack").await;
    drop(said);
    for _ in 0..20 {
        server.raw().await.hello().await;
    }
    while sessions().await != [1.0, 1.0] {
        tokio::task::yield_now().await;
    }
    drop(stays);
    let mut again = server.raw().await;
    again
        .send(&format!(r#"{{"type":"hello","session":{session}}}"#))
        .await;
    assert_eq!(again.next_of("welcome").await["resumed"], true);
}
