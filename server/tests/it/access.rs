//! Who may enter, over real sockets: tokens, guests, and what is kept from whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bench::client::Client;
use jsonwebtoken::{EncodingKey, Header, encode};
use protocol::client::{Config, Event, NoToken, Session, Status, Stored};
use protocol::close::CloseCode;
use protocol::id::{RoomName, Token};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::raw::Raw;
use crate::test_server::TestServer;

const SECRET: &str = "a secret of more than thirty-two bytes";

/// What somebody's token says; it is good for this long.
pub(crate) fn claims(sub: &str, good_for: Duration) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    json!({"sub": sub, "name": sub, "exp": (now + good_for).as_secs_f64()})
}

pub(crate) fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), claims, &key).unwrap()
}

/// A token for an hour.
pub(crate) fn token(sub: &str) -> String {
    sign(&claims(sub, Duration::from_secs(3600)))
}

/// One for some rooms only.
pub(crate) fn token_for(sub: &str, rooms: &Value) -> String {
    let mut claims = claims(sub, Duration::from_secs(3600));
    claims["rooms"] = rooms.clone();
    sign(&claims)
}

/// A server that takes tokens.
pub(crate) struct Guarded {
    pub(crate) server: TestServer,
    _keys: TempDir,
}

impl Guarded {
    pub(crate) async fn start(options: &[&str]) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let file = keys.path().join("secret");
        std::fs::write(&file, SECRET).unwrap();
        let guarded = ["--token-keys", file.to_str().unwrap()];
        let server = TestServer::start(&[&guarded, options].concat()).await;
        let _keys = keys;
        Self { server, _keys }
    }

    /// Says hello with this token and this session.
    pub(crate) async fn hello(&self, token: &str, session: &Value) -> (Raw, Value) {
        let mut raw = self.server.raw().await;
        let mut hello = json!({"type": "hello", "token": token, "name": "Mallory"});
        if !session.is_null() {
            hello["session"] = session.clone();
        }
        raw.send(&hello.to_string()).await;
        let welcome = raw.next_of("welcome").await;
        (raw, welcome)
    }

    async fn page(&self, path: &str, cookie: &str) -> (u16, String, Option<String>) {
        page(&self.server, path, cookie).await
    }
}

/// Status, body and what cookie is set.
async fn page(server: &TestServer, path: &str, cookie: &str) -> (u16, String, Option<String>) {
    let client = reqwest::Client::new();
    let request = client.get(format!("http://{}{path}", server.address));
    let answer = request.header("cookie", cookie).send().await.unwrap();
    let set = answer.headers().get("set-cookie");
    let set = set.map(|set| set.to_str().unwrap().to_owned());
    (answer.status().as_u16(), answer.text().await.unwrap(), set)
}

async fn join(raw: &mut Raw, room: &str) -> Value {
    raw.send(&json!({"type": "join", "room": room}).to_string())
        .await;
    raw.next_of("joined").await
}

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

/// AC-3, RS-2: a session is resumed by its owner with its key: not by somebody else with the key, not
/// by its owner without, and not by a guest.
#[tokio::test]
async fn a_stolen_session_opens_nothing() {
    let guarded = Guarded::start(&[]).await;
    let (ada, bob) = (token("ada"), token("bob"));
    let (mut raw, welcome) = guarded.hello(&ada, &Value::Null).await;
    let session = welcome["session"].clone();
    raw.publish(1, "private").await;
    raw.next_of("ack").await;
    drop(raw);
    let without_key = json!({"id": session["id"], "key": "0123456789abcdef"});
    for (token, session) in [(&bob, &session), (&ada, &without_key)] {
        let (_, welcome) = guarded.hello(token, session).await;
        assert_eq!(welcome["resumed"], false);
        assert_ne!(welcome["session"]["id"], session["id"]);
        assert_eq!(welcome["last_seq"], 0);
    }
    let mut guest = guarded.server.raw().await;
    guest
        .send(&json!({"type": "hello", "session": session}).to_string())
        .await;
    assert_eq!(guest.next_of("welcome").await["resumed"], false);
    let (_, welcome) = guarded.hello(&ada, &session).await;
    assert_eq!(
        (&welcome["resumed"], &welcome["last_seq"]),
        (&json!(true), &json!(1))
    );
}

/// AC-4: what is said about names in `hello` and `rename` changes nothing where a token vouches; a
/// guest is marked, whatever letters they choose.
#[tokio::test]
async fn names_cannot_be_forged() {
    let guarded = Guarded::start(&[]).await;
    let (mut ada, _) = guarded.hello(&token("Ada"), &Value::Null).await;
    ada.send(r#"{"type":"rename","name":"Root"}"#).await;
    assert_eq!(join(&mut ada, "lobby").await["members"][0]["name"], "Ada");
    for name in [
        "Ada",
        "\u{410}da",
        "Ada\u{202e}",
        "\u{200b}Ada",
        "<b>Ada</b>",
    ] {
        let mut guest = guarded.server.raw().await;
        guest
            .send(&json!({"type": "hello", "name": name}).to_string())
            .await;
        guest.next_of("welcome").await;
        let joined = join(&mut guest, "lobby").await;
        let names: Vec<&str> = joined["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["name"].as_str().unwrap())
            .collect();
        let guests = names.iter().filter(|name| name.ends_with(" (guest)"));
        assert_eq!(guests.count() + 1, names.len(), "{names:?}");
        assert!(
            names
                .iter()
                .all(|name| !name.contains(['\u{202e}', '\u{200b}']))
        );
        guest.send(r#"{"type":"leave","room":"lobby"}"#).await;
    }
}

/// AC-5: a room outside the grant, by every way that there is.
#[tokio::test]
async fn a_closed_room_is_closed_everywhere() {
    let guarded = Guarded::start(&["--guest-rooms", "lobby=rw"]).await;
    let rooms = json!({"team-*": ["read", "write"], "news": ["read"]});
    let ada = token_for("ada", &rooms);
    let (mut editor, _) = guarded.hello(&token("editor"), &Value::Null).await;
    for (seq, room) in [(1, "lobby"), (2, "news")] {
        let body = format!("secret of {room}");
        let publish = json!({"type": "publish", "seq": seq, "room": room, "body": body});
        editor.send(&publish.to_string()).await;
        editor.next_of("ack").await;
    }
    let (mut raw, _) = guarded.hello(&ada, &Value::Null).await;
    for (frame, code) in [
        (json!({"type": "join", "room": "lobby"}), "read_denied"),
        (
            json!({"type": "history", "room": "lobby", "before": 9, "limit": 9}),
            "read_denied",
        ),
        (
            json!({"type": "publish", "seq": 1, "room": "lobby", "body": "x"}),
            "write_denied",
        ),
        (
            json!({"type": "publish", "seq": 2, "room": "news", "body": "x"}),
            "write_denied",
        ),
    ] {
        raw.send(&frame.to_string()).await;
        let error = raw.next_frame().await;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{frame}"
        );
    }
    let joined = join(&mut raw, "news").await;
    assert_eq!(
        (&joined["read_only"], &joined["head"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(raw.next_of("message").await["body"], "secret of news");
    raw.send(r#"{"type":"draft","room":"news","body":"x"}"#)
        .await;
    assert_eq!(raw.next_frame().await["code"], "write_denied");
    assert!(join(&mut raw, "team-a").await["read_only"].is_null());

    let cookie = format!("everbeat-token={ada}");
    let (status, body, _) = guarded.page("/", &cookie).await;
    assert_eq!(status, 403);
    assert!(
        body.contains("closed to you") && !body.contains("secret"),
        "{body}"
    );
    let (status, body, _) = guarded.page("/r/news", &cookie).await;
    assert_eq!(status, 200);
    assert!(body.contains("secret of news"), "{body}");
    // Guests have rights of their own, and so have the tutorial's pages.
    assert_eq!(guarded.page("/", "").await.0, 200);
    assert_eq!(guarded.page("/r/news", "").await.0, 403);
    let address = guarded.server.address;
    assert!(Raw::open(address, "/?room=news", None).await.is_err());
    assert!(Raw::open(address, "/?room=lobby", None).await.is_ok());
}

/// AC-3: a guest's cookie comes with the page; with it a session is resumed, and without it is not.
#[tokio::test]
async fn a_guest_is_somebody_over_all_connections() {
    let server = TestServer::start(&[]).await;
    let (status, _, cookie) = page(&server, "/", "").await;
    let cookie = cookie.unwrap();
    assert_eq!(status, 200);
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(page(&server, "/", &cookie).await.2, None);
    let hello = async |cookie: &str, session: &Value| {
        let headers = [("cookie", cookie)];
        let ours = Some("everbeat.v1");
        let mut raw = Raw::open_with(server.address, "/ws", ours, &headers)
            .await
            .unwrap();
        raw.send(&json!({"type": "hello", "session": session}).to_string())
            .await;
        raw.next_of("welcome").await
    };
    let first = hello(&cookie, &Value::Null).await;
    let again = hello(&cookie, &first["session"]).await;
    assert_eq!(again["resumed"], true);
    let other = page(&server, "/", "").await.2.unwrap();
    let other = other.split(';').next().unwrap().to_owned();
    for thief in [&*other, "everbeat-guest=x.y.z", "a=b"] {
        assert_eq!(hello(thief, &first["session"]).await["resumed"], false);
    }
    assert_eq!(hello(&cookie, &first["session"]).await["resumed"], true);
}

/// The tutorial's pages can be shut out.
#[tokio::test]
async fn the_tutorial_can_be_off() {
    let server = TestServer::start(&["--tutorial", "off"]).await;
    assert!(Raw::open(server.address, "/", None).await.is_err());
    server.raw().await.hello().await;
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
