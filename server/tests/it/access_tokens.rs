//! Tokens over real sockets: good ones, and bad ones by every way that there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bench::client::Client;
use protocol::client::{Config, Event, NoToken, Session, Status, Stored};
use protocol::close::CloseCode;
use protocol::id::{RoomName, Token};
use serde_json::json;

use crate::guarded::{Guarded, claims, join, page, sign, token};
use crate::raw::Raw;

/// AC-1: without guests nobody is served without a token: no socket, no page, no page of the tutorial.
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
    assert!(Raw::open(server.address, "/", None).await.is_err());
    assert_eq!(server.hub.connections(), 0);
    // A token in a cookie opens all of it but the tutorial, which reads none.
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
    assert!(
        Raw::open_with(server.address, "/", None, &headers)
            .await
            .is_err()
    );
}

/// AC-1: a token that ended opens nothing, in a cookie or in `hello`.
#[tokio::test]
async fn an_old_token_opens_nothing() {
    let guarded = Guarded::start(&[]).await;
    let mut old = claims("ada", Duration::ZERO);
    old["exp"] = json!(old["exp"].as_f64().unwrap() - 60.0);
    let old = sign(&old);
    let mut raw = guarded.server.raw().await;
    raw.send(&json!({"type": "hello", "token": old}).to_string())
        .await;
    assert_eq!(
        raw.end().await,
        (Some(4201), vec!["token_expired".to_owned()])
    );
    let cookie = format!("everbeat-token={old}");
    assert_eq!(guarded.page("/", &cookie).await.0, 401);
    let headers = [("cookie", &*cookie)];
    let ours = Some("everbeat.v1");
    let mut raw = Raw::open_with(guarded.server.address, "/ws", ours, &headers)
        .await
        .unwrap();
    raw.send(r#"{"type":"hello"}"#).await;
    assert_eq!(
        raw.end().await,
        (Some(4201), vec!["token_expired".to_owned()])
    );
}

/// AC-2, AC-6: tokens that end are renewed on the same connection, again and again; an outage of
/// whoever gives them ends the connection after the grace, and the client comes back by itself.
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
    let config = Config {
        fetches_tokens: true,
        ..Config::default()
    };
    let is_down = Arc::new(AtomicBool::new(false));
    let outage = Arc::clone(&is_down);
    let give = move || {
        if outage.load(Ordering::Relaxed) {
            return Err(NoToken::Unavailable);
        }
        Ok(Token::new(&sign(&claims("ada", GOOD_FOR))).unwrap())
    };
    let address = guarded.server.address;
    let mut client = Client::new(address, config, Stored::default()).with_tokens(give);
    let room = RoomName::lobby;
    client
        .command(|session, now| session.join(now, room(), None))
        .await;
    client.command(Session::connect).await;
    // The first connection has no token to show, the second one is for good.
    run_for(&mut client, GOOD_FOR * 2).await;
    assert_eq!(client.session().status(), Status::Live);
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
    while client.session().status() != Status::Live {
        assert!(Instant::now() < end, "it never came back");
        client.step().await;
    }
}

async fn run_for(client: &mut Client, time: Duration) -> Vec<Event> {
    let end = tokio::time::sleep(time);
    tokio::pin!(end);
    let mut events = Vec::new();
    loop {
        tokio::select! {
            more = client.step() => events.extend(more),
            () = &mut end => return events,
        }
    }
}
