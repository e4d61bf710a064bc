//! Tokens over real sockets: valid ones, and invalid ones over every way to show them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everbeat_client::{Client, Event, NoToken, Options, Status};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use protocol::close::CloseCode;
use protocol::id::{RoomName, Token};
use serde_json::{Value, json};

use crate::caller::{Answer, Caller, said};
use crate::guarded::{Guarded, SECRET, claims, join, page, sign, token};
use crate::raw::{Raw, refused};
use crate::test_server::TestServer;

/// AC-1: a server without guests refuses every client without a valid token: sockets, pages, the tutorial's
/// pages.
#[tokio::test]
async fn a_server_without_guests_serves_nobody_unknown() {
    let Guarded { server, .. } = &Guarded::start(&["--guests", "off"]).await;
    for (hello, code) in [
        (json!({"type": "hello"}), "token_required"),
        (
            json!({"type": "hello", "token": "nonsense"}),
            "token_invalid",
        ),
    ] {
        let mut raw = server.raw().await;
        raw.send(&hello.to_string()).await;
        assert_eq!(raw.end().await, (Some(4201), vec![code.to_owned()]));
    }
    let (status, body, cookie) = page(server, "/", "").await;
    assert_eq!((status, cookie), (401, None));
    assert!(body.contains("Sign in first"), "{body}");
    assert!(!body.contains("hydrate"), "{body}");
    let tutorial = Raw::open(server.address, "/", None).await;
    assert_eq!(refused(tutorial), 403);
    assert_eq!(server.hub.connections(), 0);
    // A token in a cookie opens all but the tutorial's dialect, which reads no token.
    let cookie = format!("everbeat-token={}", token("ada"));
    let (status, body, guest) = page(server, "/", &cookie).await;
    assert_eq!((status, guest), (200, None));
    assert!(body.contains("lobby"), "{body}");
    let headers = [("cookie", &*cookie)];
    let ours = Some("everbeat.v1");
    let mut raw = Raw::open_with(server.address, "/ws", ours, &headers)
        .await
        .unwrap();
    raw.hello().await;
    let joined = join(&mut raw, "lobby").await;
    assert_eq!(joined["members"][0]["name"], "ada");
    let tutorial = Raw::open_with(server.address, "/", None, &headers).await;
    assert_eq!(refused(tutorial), 403);
}

/// The claims of Ada's token, with this server's audience.
fn ours() -> Value {
    let mut claims = claims("ada", Duration::from_secs(3600));
    claims["aud"] = json!("everbeat");
    claims
}

/// Invalid tokens: what is wrong with each, the token, and the error code of its refusal.
fn bad_tokens() -> Vec<(&'static str, String, &'static str)> {
    let now = ours()["exp"].as_f64().unwrap() - 3600.0;
    let but = |name: &str, value: Value| {
        let mut claims = ours();
        claims[name] = value;
        claims
    };
    let signed = |header: &Header, secret: &str| {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(header, &ours(), &key).unwrap()
    };
    let base64 = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", base64(json!({"alg": "none"})), base64(ours()));
    let other = "another secret of more than 32 bytes";
    let named = Header {
        kid: Some("a key that nobody has".to_owned()),
        ..Header::default()
    };
    vec![
        (
            "over",
            sign(&but("exp", json!(now - 60.0))),
            "token_expired",
        ),
        (
            "early",
            sign(&but("nbf", json!(now + 60.0))),
            "token_invalid",
        ),
        ("theirs", sign(&but("aud", json!("other"))), "token_invalid"),
        (
            "for nobody",
            sign(&but("aud", Value::Null)),
            "token_invalid",
        ),
        ("unsigned", unsigned, "token_invalid"),
        (
            "HS512",
            signed(&Header::new(Algorithm::HS512), SECRET),
            "token_invalid",
        ),
        ("forged", signed(&Header::default(), other), "token_invalid"),
        ("unknown key", signed(&named, other), "token_invalid"),
    ]
}

/// Opens a connection with this cookie and sends `hello`.
async fn hello_by_cookie(server: &TestServer, cookie: &str) -> Raw {
    let headers = [("cookie", cookie)];
    let subprotocol = Some("everbeat.v1");
    let raw = Raw::open_with(server.address, "/ws", subprotocol, &headers).await;
    let mut raw = raw.unwrap();
    raw.send(r#"{"type":"hello"}"#).await;
    raw
}

/// The answers to every request of the API about a room.
async fn every_request(caller: &Caller) -> [Answer; 5] {
    [
        caller.get("/rooms/lobby/messages").await,
        caller.get("/rooms/lobby/presence").await,
        caller.get("/rooms/lobby/events").await,
        caller.post("lobby", "k", &said("hello")).await,
        caller.remove("lobby", 1).await,
    ]
}

/// AC-1, AC-2: an invalid token is refused with the same error code wherever it is shown, also where
/// guests would be served.
#[tokio::test]
async fn bad_tokens_are_told_alike_everywhere() {
    let guarded = Guarded::start(&["--token-audience", "everbeat"]).await;
    let server = &guarded.server;
    let (mut live, _) = guarded.hello(&sign(&ours()), &Value::Null).await;
    for (what, token, code) in bad_tokens() {
        let not_let_in = (Some(4201), vec![code.to_owned()]);
        let mut raw = server.raw().await;
        raw.send(&json!({"type": "hello", "token": token}).to_string())
            .await;
        assert_eq!(raw.end().await, not_let_in, "{what}");
        let cookie = format!("everbeat-token={token}");
        let mut raw = hello_by_cookie(server, &cookie).await;
        assert_eq!(raw.end().await, not_let_in, "{what}");
        let (status, body, guest) = guarded.page("/", &cookie).await;
        assert_eq!((status, guest), (401, None), "{what}");
        assert!(body.contains("Sign in first"), "{what}: {body}");

        let by_bearer = Caller::of(server).showing(&token);
        let by_cookie = Caller::of(server).with("cookie", &cookie);
        for caller in [by_bearer, by_cookie] {
            for answer in every_request(&caller).await {
                assert_eq!(answer.problem(), (401, code), "{what}");
                let told = answer.header("www-authenticate");
                assert!(told.contains("invalid_token"), "{what}: {told}");
            }
        }
        // As the renewal of a valid one it changes nothing.
        live.send(&json!({"type": "token", "token": token}).to_string())
            .await;
        let error = live.next_frame().await;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{what}"
        );
        live.send(r#"{"type":"ping"}"#).await;
        live.next_of("pong").await;
    }
    // A valid token passes everywhere: it is the token that was refused before.
    let token = sign(&ours());
    let cookie = format!("everbeat-token={token}");
    assert_eq!(guarded.page("/", &cookie).await.0, 200);
    hello_by_cookie(server, &cookie)
        .await
        .next_of("welcome")
        .await;
    let caller = Caller::of(server).showing(&token);
    let posted = caller.post("lobby", "k", &said("hello")).await;
    assert_eq!((posted.status, &posted.body["offset"]), (201, &json!(1)));
}

/// AC-1: while the issuer's keys cannot be fetched, every token is refused for now; guests are served.
#[tokio::test]
async fn keys_out_of_reach_are_no_verdict() {
    // A server that answers requests, but serves no keys.
    let elsewhere = TestServer::start(&[]).await;
    let keys = format!("http://{}/api/keys", elsewhere.address);
    let server = TestServer::start(&["--token-keys", &keys]).await;
    let token = token("ada");
    let cookie = format!("everbeat-token={token}");
    let later = (Some(1013), vec!["unavailable".to_owned()]);
    let mut raw = server.raw().await;
    raw.send(&json!({"type": "hello", "token": token}).to_string())
        .await;
    assert_eq!(raw.end().await, later);
    let mut raw = hello_by_cookie(&server, &cookie).await;
    assert_eq!(raw.end().await, later);
    assert_eq!(page(&server, "/", &cookie).await.0, 503);
    let by_bearer = Caller::of(&server).showing(&token);
    let by_cookie = Caller::of(&server).with("cookie", &cookie);
    for caller in [by_bearer, by_cookie] {
        for answer in every_request(&caller).await {
            assert_eq!(answer.problem(), (503, "unavailable"));
            assert_eq!(answer.header("retry-after"), "2");
        }
    }
    assert_eq!(page(&server, "/", "").await.0, 200);
}

/// AC-1: a text that is too long for a token is an invalid one, wherever it is shown.
#[tokio::test]
async fn tokens_that_are_too_long() {
    let guarded = Guarded::start(&[]).await;
    let server = &guarded.server;
    let (longest, long) = ("x".repeat(Token::BYTES_MAX), "x".repeat(8193));
    let not_let_in = (Some(4201), vec!["token_invalid".to_owned()]);
    for token in [&longest, &long] {
        let mut raw = server.raw().await;
        raw.send(&json!({"type": "hello", "token": token}).to_string())
            .await;
        assert_eq!(raw.end().await, not_let_in, "{}", token.len());
        let cookie = format!("everbeat-token={token}");
        let mut raw = hello_by_cookie(server, &cookie).await;
        assert_eq!(raw.end().await, not_let_in, "{}", token.len());
        assert_eq!(guarded.page("/", &cookie).await.0, 401);
        let by_bearer = Caller::of(server).showing(token);
        let by_cookie = Caller::of(server).with("cookie", &cookie);
        for caller in [by_bearer, by_cookie] {
            for answer in every_request(&caller).await {
                assert_eq!(answer.problem(), (401, "token_invalid"));
            }
        }
    }
    // A connection with a valid token keeps it (AC-2).
    let (mut live, _) = guarded.hello(&token("ada"), &Value::Null).await;
    live.send(&json!({"type": "token", "token": long}).to_string())
        .await;
    let error = live.next_frame().await;
    assert_eq!(error["code"], "token_invalid");
    live.is_served().await;
}

/// AC-2, AC-6: tokens are renewed on the same connection before they expire, again and again. An outage
/// of the issuer ends the connection after the grace period; after it the client reconnects by itself.
#[tokio::test]
async fn a_connection_outlives_its_tokens() {
    const GOOD_FOR: Duration = Duration::from_millis(1500);
    let options = [
        "--token-warning",
        "10s",
        "--token-grace",
        "500ms",
        "--guests",
        "off",
    ];
    let guarded = Guarded::start(&options).await;
    let is_down = Arc::new(AtomicBool::new(false));
    let outage = Arc::clone(&is_down);
    let give = move || {
        std::future::ready(match outage.load(Ordering::Relaxed) {
            true => Err(NoToken::Unavailable),
            false => Ok(Token::new(&sign(&claims("ada", GOOD_FOR))).unwrap()),
        })
    };
    let url = guarded.server.url();
    let mut client = everbeat_client::connect(&url, Options::new(0).tokens(give)).unwrap();
    client.join(RoomName::lobby(), None);
    // The first connection has no token yet; the second one stays.
    run_for(&mut client, GOOD_FOR * 2).await;
    assert_eq!(client.status(), Status::Live);
    assert_eq!(client.counts().connections, 2);
    is_down.store(true, Ordering::Relaxed);
    let events = run_for(&mut client, GOOD_FOR + Duration::from_secs(2)).await;
    let ended = events.iter().any(|event| {
        matches!(
            event,
            Event::Status(Status::Waiting { cause: protocol::client::Cause::Closed(Some(code)), .. })
                if *code == CloseCode::TOKEN_EXPIRED
        )
    });
    assert!(ended, "{events:?}");
    is_down.store(false, Ordering::Relaxed);
    let end = Instant::now() + Duration::from_secs(30);
    while client.status() != Status::Live {
        assert!(Instant::now() < end, "it never reconnected");
        client.next().await.unwrap();
    }
}

async fn run_for(client: &mut Client, time: Duration) -> Vec<Event> {
    let end = tokio::time::sleep(time);
    tokio::pin!(end);
    let mut events = Vec::new();
    loop {
        tokio::select! {
            event = client.next() => events.push(event.unwrap()),
            () = &mut end => return events,
        }
    }
}
