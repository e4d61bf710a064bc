//! Publishing over HTTP.

use std::sync::Arc;

use clap::Parser;
use everbeat_axum::clock::Clock;
use everbeat_axum::hub::{Hub, Rooms};
use everbeat_axum::log::late::LateLog;
use everbeat_axum::log::memory::MemoryLog;
use reqwest::Method;
use serde_json::json;
use server::config::Config;
use tokio::time::timeout;

use crate::caller::{Caller, said};
use crate::guarded::{Guarded, claims, sign, token, token_for};
use crate::raw::PATIENCE;
use crate::test_server::TestServer;

/// EO-1, EO-2: a posted message is in the log exactly once, and members of the room get it.
#[tokio::test]
async fn a_message_is_posted_once() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.joined().await;
    let api = Caller::of(&server);
    let first = api.post("lobby", "k-1", &said("hello")).await;
    assert_eq!(
        (first.status, first.header("cache-control")),
        (201, "no-store")
    );
    assert_eq!(first.body["offset"], 1);
    assert_eq!(
        (&first.body["repeated"], &first.body["room"]),
        (&json!(false), &json!("lobby"))
    );
    let message = raw.next_of("message").await;
    assert_eq!(
        (&message["body"], &message["offset"]),
        (&json!("hello"), &json!(1))
    );
    assert_eq!(message["seq"], 1);

    for key in ["k-1", "\"k-1\""] {
        let again = api.post("lobby", key, &said("hello")).await;
        assert_eq!((again.status, &again.body["repeated"]), (200, &json!(true)));
        assert_eq!(
            (&again.body["offset"], &again.body["epoch"]),
            (&json!(1), &first.body["epoch"])
        );
    }
    for (room, body) in [("lobby", "other"), ("other", "hello")] {
        let other = api.post(room, "k-1", &said(body)).await;
        assert_eq!(other.problem(), (409, "idempotency_key_reused"));
    }
    let next = api.post("lobby", "k-2", &said("hello")).await;
    assert_eq!((next.status, &next.body["offset"]), (201, &json!(2)));
    let read = api.get("/rooms/lobby/messages").await;
    assert_eq!(read.bodies(), ["hello", "hello"]);
    assert_eq!(read.body["epoch"], first.body["epoch"]);
    assert_eq!(
        api.get("/rooms/other/messages").await.offsets(),
        [] as [u64; 0]
    );
}

/// EO-2: a POST needs no read of the log: a durable message is answered as one, also while all reads
/// hang.
#[tokio::test]
async fn a_durable_message_is_answered_by_a_log_that_reads_nothing() {
    let rooms = Arc::new(Rooms::new(100));
    let memory = Arc::new(MemoryLog::new(1000, rooms.clone()));
    let log = Arc::new(LateLog::new(memory));
    let hub = Arc::new(Hub::new(rooms, log.clone(), 1 << 20, Clock::start()));
    let server = TestServer::start_over(&[], |_| hub).await;
    let api = Caller::of(&server);
    let read = api.get("/rooms/lobby/messages").await;
    log.freeze_reads(true);
    for (status, repeated) in [(201, false), (200, true)] {
        let posted = timeout(PATIENCE, api.post("lobby", "k", &said("hello"))).await;
        let posted = posted.expect("an answer without a read");
        assert_eq!(
            (posted.status, &posted.body["epoch"]),
            (status, &read.body["epoch"])
        );
        assert_eq!(
            (&posted.body["offset"], &posted.body["repeated"]),
            (&json!(1), &json!(repeated))
        );
    }
    log.freeze_reads(false);
    assert_eq!(api.get("/rooms/lobby/messages").await.bodies(), ["hello"]);
}

/// EO-1: concurrent posts under one key, as of a caller that retries too soon, are one message.
#[tokio::test]
async fn a_message_that_is_posted_many_times_at_once_is_there_once() {
    let server = TestServer::start(&[]).await;
    let posts = (0..50).map(|n| {
        let api = Caller::of(&server);
        async move {
            api.post(
                "lobby",
                &format!("k-{}", n % 5),
                &said(&format!("body {}", n % 5)),
            )
            .await
        }
    });
    let answers = futures_util::future::join_all(posts).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 5);
    assert!(
        answers
            .iter()
            .all(|answer| [200, 201].contains(&answer.status))
    );
    let mut read = Caller::of(&server).get("/rooms/lobby/messages").await;
    read.body["messages"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(|m| m["body"].to_string());
    assert_eq!(
        read.bodies(),
        ["body 0", "body 1", "body 2", "body 3", "body 4"]
    );
}

/// AC-4, AC-5: a post has the name that its token vouches for; idempotency keys are per caller.
#[tokio::test]
async fn posts_are_their_authors() {
    let guarded = Guarded::start(&["--guest-rooms", "lobby=rw,news=r"]).await;
    let guest = || Caller::of(&guarded.server);
    let as_ada = || guest().showing(&token("ada"));
    let as_bob = || guest().showing(&token("bob"));
    let named = |body: &str, name: &str| json!({"body": body, "name": name});
    for (caller, offset) in [(as_ada(), 1), (as_bob(), 2), (guest(), 3)] {
        let posted = caller
            .post("lobby", "same-key", &named("hello", "Ada Lovelace"))
            .await;
        assert_eq!(
            (posted.status, &posted.body["offset"]),
            (201, &json!(offset))
        );
    }
    let read = as_ada().get("/rooms/lobby/messages").await;
    let names: Vec<_> = read.body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["name"])
        .collect();
    assert_eq!(names, ["ada", "bob", "Ada Lovelace (guest)"]);
    // A caller's key says nothing about another caller's; a subject's key holds over all its tokens.
    let other = as_bob().post("lobby", "same-key", &said("another")).await;
    assert_eq!(other.problem().0, 409);
    let renewed = guest().showing(&sign(&claims("ada", std::time::Duration::from_secs(60))));
    let again = renewed.post("lobby", "same-key", &said("hello")).await;
    assert_eq!((again.status, &again.body["offset"]), (200, &json!(1)));

    let denied = guest().post("news", "k", &said("hello")).await;
    assert_eq!(denied.problem(), (403, "write_denied"));
    let reader = token_for("cem", &json!({"*": ["read"]}));
    let denied = guest()
        .showing(&reader)
        .post("lobby", "k", &said("hello"))
        .await;
    assert_eq!(denied.problem(), (403, "write_denied"));
    let denied = guest()
        .showing("nonsense")
        .post("lobby", "k", &said("hello"))
        .await;
    assert_eq!(denied.problem(), (401, "token_invalid"));
    assert_eq!(as_ada().get("/rooms/news/messages").await.body["head"], 0);
}

/// EO-7: a refused post gets the same error code as on a socket, and leaves its key unused.
#[tokio::test]
async fn posts_that_are_none_are_refused() {
    let server = TestServer::start(&["--body-bytes", "1400", "--frame-bytes", "9500"]).await;
    let api = Caller::of(&server);
    let checks = [
        (said(""), 422, "body_empty"),
        (said(&"x".repeat(1401)), 413, "body_too_large"),
        (said(&"x".repeat(20_000)), 413, "body_too_large"),
        (json!({}), 400, "bad_request"),
        (json!({"body": 7}), 400, "bad_request"),
        (json!({"body": "x", "name": 7}), 400, "bad_request"),
        (json!(["x"]), 400, "bad_request"),
        (json!(null), 400, "bad_request"),
    ];
    for (message, status, code) in checks {
        let refused = api.post("lobby", "k", &message).await;
        assert_eq!(refused.problem(), (status, code), "{message}");
    }
    let long = "x".repeat(256);
    for key in ["", "with blanks", "ä", &long] {
        let refused = api.post("lobby", key, &said("x")).await;
        assert_eq!(refused.problem(), (400, "bad_request"), "{key:?}");
    }
    let without = api
        .ask(Method::POST, "/rooms/lobby/messages", Some(&said("x")))
        .await;
    assert_eq!(without.problem(), (400, "idempotency_key_required"));
    let bare = Caller::of(&server).with("idempotency-key", "k");
    let untold = bare.ask(Method::POST, "/rooms/lobby/messages", None).await;
    assert_eq!(untold.problem(), (415, "unsupported_media_type"));
    let posted = api.post("lobby", "k", &said(&"x".repeat(1400))).await;
    assert_eq!((posted.status, &posted.body["offset"]), (201, &json!(1)));
}

/// EO-7: half an emoji, as `JSON.stringify` writes it, is read as U+FFFD; a repeat is the same message.
#[tokio::test]
async fn half_a_character_is_read_as_the_replacement_character() {
    let server = TestServer::start(&[]).await;
    let post = async || {
        let url = format!("http://{}/api/rooms/lobby/messages", server.address);
        let request = reqwest::Client::new().post(url);
        let request = request.header("idempotency-key", "k");
        let request = request.header("content-type", "application/json");
        let text = r#"{"body":"half \ud83d","name":"\ude00 Ada","x":"\ud83d"}"#;
        request.body(text).send().await.unwrap().status()
    };
    assert_eq!((post().await.as_u16(), post().await.as_u16()), (201, 200));
    let read = Caller::of(&server).get("/rooms/lobby/messages").await;
    assert_eq!(read.bodies(), ["half \u{fffd}"]);
}

/// EO-7: posts over the rate of a user or of an address get 429 with `Retry-After`.
#[tokio::test]
async fn posts_that_come_too_fast_are_refused_for_now() {
    let options = [
        "--publishes-per-person",
        "1",
        "--publishes-per-address",
        "2",
    ];
    let guarded = Guarded::start(&options).await;
    let post = async |caller: &Caller, count: usize| {
        let mut refused = 0;
        for n in 0..count {
            let answer = caller.post("lobby", &format!("k-{n}"), &said("x")).await;
            if answer.status == 429 {
                assert_eq!(answer.problem().1, "rate_limited");
                let wait: u64 = answer.header("retry-after").parse().unwrap();
                assert!((1..=2).contains(&wait));
                refused += 1;
            }
        }
        refused
    };
    let ada = Caller::of(&guarded.server).showing(&token("ada"));
    assert!(post(&ada, 8).await >= 1);
    let bob = Caller::of(&guarded.server).showing(&token("bob"));
    assert_eq!(post(&bob, 2).await, 0, "each user has a rate");
    let far = Caller::of(&guarded.server).with("x-forwarded-for", "192.0.2.9");
    let refused = post(&far, 14).await;
    assert!(refused >= 1);
    let counted = guarded.server.limited("publishes_per_address").await;
    assert_eq!(counted, f64::from(refused));
}

/// EO-1, EO-2: a restarted server knows the messages and keys in its log.
#[tokio::test]
async fn keys_outlive_the_server() {
    let data = tempfile::tempdir().unwrap();
    let config = Config::parse_from(["everbeat", "--data", data.path().to_str().unwrap()]);
    for status in [201, 200] {
        let open = |_: &Config| server::open_hub(&config).unwrap();
        let mut server = TestServer::start_over(&[], open).await;
        let posted = Caller::of(&server).post("lobby", "k", &said("x")).await;
        assert_eq!((posted.status, &posted.body["offset"]), (status, &json!(1)));
        server.terminate();
        server.ended().await;
    }
}

/// Guests without a cookie behind a proxy have separate keys, as far as the proxy tells them apart; a
/// repeat from another port is still a repeat.
#[tokio::test]
async fn hidden_guests_have_keys_of_their_own() {
    let server = TestServer::start(&[]).await;
    for (offset, from, status) in [
        (1, "203.0.113.9:4711", 201),
        (1, "203.0.113.9:4712", 200),
        (1, "203.0.113.9;", 200),
        (2, "[2001:db8::1]:4711", 201),
        (2, "2001:db8::1", 200),
        (3, "_ada", 201),
        (4, "_bob", 201),
        (4, "_bob:4711", 200),
    ] {
        let caller = Caller::of(&server).with("x-forwarded-for", from);
        let answer = caller.post("lobby", "same-key", &said("x")).await;
        assert_eq!(answer.status, status, "{from}");
        assert_eq!(answer.body["offset"], offset, "{from}");
    }
}
