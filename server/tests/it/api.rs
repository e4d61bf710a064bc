//! The HTTP API, over real sockets.

use std::net::SocketAddr;

use clap::Parser;
use reqwest::Method;
use serde_json::{Value, json};
use server::config::Config;

use crate::access::{Guarded, claims, sign, token, token_for};
use crate::http::get_raw;
use crate::raw::Raw;
use crate::test_server::TestServer;

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem (RFC 9457), and says which.
    fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.body["type"], "about:blank");
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        (self.status, self.body["code"].as_str().unwrap())
    }

    fn bodies(&self) -> Vec<&str> {
        let messages = self.body["messages"].as_array().unwrap();
        let body = |message: &Value| message["body"].as_str().map(str::len);
        assert!(messages.iter().all(|message| body(message).is_some()));
        messages.iter().filter_map(|m| m["body"].as_str()).collect()
    }

    fn offsets(&self) -> Vec<u64> {
        let messages = self.body["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|m| m["offset"].as_u64().unwrap())
            .collect()
    }
}

/// Somebody who asks, with these headers.
struct Caller {
    address: SocketAddr,
    headers: Vec<(&'static str, String)>,
}

impl Caller {
    fn of(server: &TestServer) -> Self {
        Self {
            address: server.address,
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn showing(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let url = format!("http://{}/api{path}", self.address);
        let mut request = reqwest::Client::new().request(method, url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            let json = "application/json";
            request = request.header("content-type", json).body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer {
            status,
            headers,
            body,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }
}

/// Publishes so many messages in the lobby, over a socket.
async fn publish(server: &TestServer, count: u64) -> Raw {
    let mut raw = server.raw().await;
    raw.hello().await;
    for seq in 1..=count {
        raw.publish(seq, &format!("body {seq}")).await;
        raw.next_of("ack").await;
    }
    raw
}

/// RS-5: what was said over a socket is read, from wherever one likes.
#[tokio::test]
async fn messages_are_read_in_pages() {
    let server = TestServer::start(&["--history-page", "5"]).await;
    publish(&server, 12).await;
    let api = Caller::of(&server);
    let newest = api.get("/rooms/lobby/messages").await;
    assert_eq!(
        (newest.status, newest.header("cache-control")),
        (200, "no-store")
    );
    assert_eq!(newest.offsets(), [8, 9, 10, 11, 12]);
    assert_eq!(newest.bodies()[4], "body 12");
    assert_eq!(
        (&newest.body["head"], &newest.body["more"]),
        (&json!(12), &json!(true))
    );
    let message = &newest.body["messages"][0];
    assert!(message["session"].is_string() && message["at_ms"].as_u64() > Some(0));
    assert_eq!(
        (&message["seq"], &message["room"]),
        (&json!(8), &Value::Null)
    );

    let checks = [
        ("after=0", &[1, 2, 3, 4, 5][..], true),
        ("after=10", &[11, 12], false),
        ("after=12", &[], false),
        ("after=2&limit=2", &[3, 4], true),
        ("after=2&before=5", &[3, 4], false),
        ("after=2&before=20", &[3, 4, 5, 6, 7], true),
        ("before=4", &[1, 2, 3], false),
        ("before=9&limit=3", &[6, 7, 8], true),
        ("before=0", &[], false),
        ("limit=4000000000", &[8, 9, 10, 11, 12], true),
    ];
    for (which, offsets, more) in checks {
        let page = api.get(&format!("/rooms/lobby/messages?{which}")).await;
        assert_eq!(page.offsets(), offsets, "{which}");
        assert_eq!(page.body["more"], more, "{which}");
        assert_eq!(page.body["gap"], false, "{which}");
    }
    let empty = api.get("/rooms/empty/messages").await;
    assert_eq!((empty.offsets(), &empty.body["head"]), (vec![], &json!(0)));
}

/// RS-6: nothing pretends to follow what the caller has.
#[tokio::test]
async fn a_gap_is_told() {
    let server = TestServer::start(&["--history", "1"]).await;
    publish(&server, 70).await;
    let api = Caller::of(&server);
    let newest = api.get("/rooms/lobby/messages?limit=1").await;
    let epoch = newest.body["epoch"].as_str().unwrap();
    let checks = [
        ("after=3".to_owned(), true),
        ("after=69".to_owned(), false),
        (format!("after=69&epoch={epoch}"), false),
        ("after=69&epoch=another".to_owned(), true),
        ("after=71".to_owned(), true),
    ];
    for (which, gap) in checks {
        let page = api.get(&format!("/rooms/lobby/messages?{which}")).await;
        assert_eq!(page.body["gap"], gap, "{which}");
        assert_eq!(page.offsets().last(), Some(&70), "{which}");
    }
}

/// AC-1, AC-5: who asks is found out as for sockets and pages, and may do the same.
#[tokio::test]
async fn rooms_are_read_by_who_may_read_them() {
    let guarded = Guarded::start(&["--guests", "off"]).await;
    let read = async |caller: Caller, room: &str| {
        let path = format!("/rooms/{room}/messages");
        caller.get(&path).await
    };
    let nobody = read(Caller::of(&guarded.server), "lobby").await;
    assert_eq!(nobody.problem(), (401, "token_required"));
    assert_eq!(
        nobody.header("www-authenticate"),
        r#"Bearer realm="everbeat""#
    );
    let mut old = claims("ada", std::time::Duration::ZERO);
    old["exp"] = json!(old["exp"].as_f64().unwrap() - 60.0);
    for (token, code) in [
        (sign(&old), "token_expired"),
        ("nonsense".to_owned(), "token_invalid"),
        (String::new(), "token_invalid"),
        ("with blanks in it".to_owned(), "token_invalid"),
    ] {
        let answer = read(Caller::of(&guarded.server).showing(&token), "lobby").await;
        assert_eq!(answer.problem(), (401, code), "{token}");
        assert!(answer.header("www-authenticate").contains("invalid_token"));
    }
    let news = token_for("ada", &json!({"news": ["read"], "drop": ["write"]}));
    for (room, status) in [("news", 200), ("drop", 403), ("lobby", 403)] {
        let answer = read(Caller::of(&guarded.server).showing(&news), room).await;
        assert_eq!(answer.status, status, "{room}");
        if status == 403 {
            assert_eq!(answer.problem().1, "read_denied");
        }
    }
    // In a cookie, as browsers have it; what is shown beside it counts first.
    let cookie = format!("everbeat-token={}", token("ada"));
    let by_cookie = Caller::of(&guarded.server).with("cookie", &cookie);
    assert_eq!(by_cookie.get("/rooms/lobby/messages").await.status, 200);
    let both = by_cookie.showing("nonsense");
    assert_eq!(both.get("/rooms/lobby/messages").await.status, 401);
    // The scheme's name in any case, and another one that is not for us.
    for (shown, status) in [
        (format!("bEARER {}", token("ada")), 200),
        ("Basic YWRhOmFkYQ==".to_owned(), 401),
    ] {
        let caller = Caller::of(&guarded.server).with("authorization", &shown);
        assert_eq!(caller.get("/rooms/lobby/messages").await.status, status);
    }
}

/// Whatever the path, nothing else of the server is reached by it, and what is refused is a problem.
#[tokio::test]
async fn odd_paths_are_problems() {
    let server = TestServer::start(&[]).await;
    for (path, status, code) in [
        ("/api/rooms/Lobby/messages", 400, "bad_room"),
        ("/api/rooms/../messages", 400, "bad_room"),
        ("/api/rooms/%2e%2e/messages", 400, "bad_room"),
        (
            "/api/rooms/%2e%2e%2f%2e%2e%2fetc%2fpasswd/messages",
            400,
            "bad_room",
        ),
        ("/api/rooms/%00/messages", 400, "bad_room"),
        ("/api/rooms/%ff%fe/messages", 400, "bad_room"),
        ("/api/rooms/%zz/messages", 400, "bad_room"),
        ("/api/rooms/%252e%252e/messages", 400, "bad_room"),
        ("/api/rooms/..%5c..%5csecret.txt/messages", 400, "bad_room"),
        ("/api/rooms/..\\secret.txt/messages", 400, "bad_room"),
        ("/api/rooms/%c0%ae%c0%ae/messages", 400, "bad_room"),
        ("/api/rooms/lobby%00.png/messages", 400, "bad_room"),
        ("/api/rooms/l%d0%bebby/messages", 400, "bad_room"),
        ("/api/rooms/%3Cscript%3E/messages", 400, "bad_room"),
        (
            &format!("/api/rooms/{}/messages", "a".repeat(65)),
            400,
            "bad_room",
        ),
        ("/api/rooms//messages", 400, "bad_room"),
        ("/api/rooms/lobby/../../../etc/passwd", 404, "not_found"),
        ("/api/../../../etc/passwd", 404, "not_found"),
        ("/api/rooms/lobby", 404, "not_found"),
        ("/api/", 404, "not_found"),
        ("/api", 404, "not_found"),
        ("/api/rooms/lobby/messages?after=x", 400, "bad_request"),
        ("/api/rooms/lobby/messages?after=-1", 400, "bad_request"),
        (
            "/api/rooms/lobby/messages?after=9007199254740992",
            400,
            "bad_request",
        ),
        (
            "/api/rooms/lobby/messages?after=1&after=2",
            400,
            "bad_request",
        ),
        ("/api/rooms/lobby/messages?limit=0", 400, "bad_request"),
        (
            "/api/rooms/lobby/messages?limit=4294967296",
            400,
            "bad_request",
        ),
        ("/api/rooms/lobby/messages?before=", 400, "bad_request"),
    ] {
        let answer = get_raw(server.address, path).await;
        assert_eq!(crate::http::status(&answer), status, "{path}: {answer}");
        assert!(!answer.contains("<script>"), "{path}: {answer}");
        assert!(
            answer.contains("application/problem+json"),
            "{path}: {answer}"
        );
        assert!(
            answer.contains(&format!("\"code\":\"{code}\"")),
            "{path}: {answer}"
        );
    }
}

/// What is refused before the API is reached is a problem there, too, and nowhere else.
#[tokio::test]
async fn what_others_refuse_is_a_problem() {
    let server = TestServer::start(&["--requests-per-address", "1"]).await;
    let api = Caller::of(&server);
    let wrong = api.ask(Method::PUT, "/rooms/lobby/messages", None).await;
    assert_eq!(wrong.problem(), (405, "method_not_allowed"));
    assert!(wrong.header("allow").contains("GET"), "{wrong:?}");
    let elsewhere = api.with("x-forwarded-for", "192.0.2.7");
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let answer = elsewhere.get("/rooms/lobby/messages").await;
        if answer.status == 429 {
            assert_eq!(answer.problem(), (429, "rate_limited"));
            assert_ne!(answer.header("retry-after"), "");
        }
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// A message to publish.
fn said(body: &str) -> Value {
    json!({"body": body})
}

impl Caller {
    async fn post(&self, room: &str, key: &str, message: &Value) -> Answer {
        let path = format!("/rooms/{room}/messages");
        let mut caller = Self {
            address: self.address,
            headers: self.headers.clone(),
        };
        caller.headers.push(("idempotency-key", key.to_owned()));
        caller.ask(Method::POST, &path, Some(message)).await
    }
}

/// EO-1, EO-2: what is posted is in the log, once, and whoever is in the room sees it at once.
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

/// EO-1: also where many say the same at once, as a caller does who gives up too soon.
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

/// AC-4, AC-5: who publishes goes by the name that a token vouches for; keys are everybody's own.
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
    // Nobody learns of anybody else's key; one's own is known over all of one's tokens.
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

/// EO-7: what is refused is told as on a socket, and leaves the key free.
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

/// EO-7: over the rate of a person or of an address, one is told when to come back.
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
    assert_eq!(post(&bob, 2).await, 0, "each for themselves");
    let far = Caller::of(&guarded.server).with("x-forwarded-for", "192.0.2.9");
    assert!(post(&far, 14).await >= 1);
}

/// A page of another site cannot speak for the person in front of it.
#[tokio::test]
async fn another_sites_page_posts_nothing() {
    let server = TestServer::start(&[]).await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let api = Caller::of(&server).with(name, value);
        let refused = api.post("lobby", "k", &said("x")).await;
        assert_eq!(refused.problem(), (403, "forbidden"), "{name}");
    }
}

/// EO-1, EO-2: a server that is started again over its log knows what was posted, and by which key.
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

/// PR-1, PR-3: who is in a room, and how many.
#[tokio::test]
async fn presence_tells_who_is_there() {
    let server = TestServer::start(&["--members-named", "2"]).await;
    let api = Caller::of(&server);
    let nobody = api.get("/rooms/lobby/presence").await;
    let expected = json!({"room": "lobby", "count": 0, "members": []});
    assert_eq!((nobody.status, nobody.body), (200, expected));
    let raws = [
        server.joined().await,
        server.joined().await,
        server.joined().await,
    ];
    let here = api.get("/rooms/lobby/presence").await;
    assert_eq!(here.body["count"], 3);
    let members = here.body["members"].as_array().unwrap();
    assert_eq!(members.len(), 2, "in a crowd some are named");
    assert!(
        members
            .iter()
            .all(|m| m["name"].is_string() && m["session"].is_string())
    );
    assert_eq!(api.get("/rooms/other/presence").await.body["count"], 0);
    drop(raws);
    let odd = api.get("/rooms/Lobby/presence").await;
    assert_eq!(odd.problem(), (400, "bad_room"));
    let guarded = Guarded::start(&["--guest-rooms", "news=r"]).await;
    let denied = Caller::of(&guarded.server)
        .get("/rooms/lobby/presence")
        .await;
    assert_eq!(denied.problem(), (403, "read_denied"));
}

impl Caller {
    async fn remove(&self, room: &str, offset: u64) -> Answer {
        let path = format!("/rooms/{room}/messages/{offset}");
        self.ask(Method::DELETE, &path, None).await
    }
}

/// A token of somebody who may do everything in all rooms.
fn moderator() -> String {
    token_for("mod", &json!({"*": ["read", "write", "moderate"]}))
}

/// EO-8: a removed text is gone everywhere, its offset stays, and those who have it are told.
#[tokio::test]
async fn a_removed_text_is_gone_everywhere() {
    let Guarded { server, .. } = &Guarded::start(&[]).await;
    let mut author = publish(server, 3).await;
    let mut reader = server.joined().await;
    for _ in 0..3 {
        reader.next_of("message").await;
    }
    let api = Caller::of(server).showing(&moderator());
    let gone = api.remove("lobby", 2).await;
    assert_eq!((gone.status, &gone.body), (204, &json!("")));
    assert_eq!(api.remove("lobby", 2).await.status, 204);

    // Whoever was there hears of it by the same message, once.
    let told = reader.next_of("message").await;
    assert_eq!(
        (&told["offset"], &told["body"], &told["removed"]),
        (&json!(2), &json!(""), &json!(true))
    );
    api.post("lobby", "k", &said("after")).await;
    assert_eq!(reader.next_of("message").await["body"], "after");
    // In history, in a replay, over HTTP, and on the page.
    reader
        .send(r#"{"type":"history","room":"lobby","before":4,"limit":10}"#)
        .await;
    let history = reader.next_of("history").await;
    assert_eq!(history["messages"][1]["removed"], true);
    assert!(!history.to_string().contains("body 2"));
    let mut late = server.joined().await;
    let replayed = [late.next_of("message").await, late.next_of("message").await];
    assert_eq!(
        (&replayed[0]["body"], &replayed[1]["removed"]),
        (&json!("body 1"), &json!(true))
    );
    let read = api.get("/rooms/lobby/messages").await;
    assert_eq!(read.bodies(), ["body 1", "", "body 3", "after"]);
    assert_eq!(read.body["messages"][1]["removed"], true);
    let page = reqwest::get(format!("http://{}/", server.address))
        .await
        .unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("body 1") && !page.contains("body 2"));
    assert!(page.contains(">removed</p>"), "{page}");

    // Who comes back learns of it; the number is known as before.
    let epoch = read.body["epoch"].as_str().unwrap();
    let since = json!({"epoch": epoch, "offset": 3});
    let mut back = server.raw().await;
    back.hello().await;
    back.send(&json!({"type": "join", "room": "lobby", "since": since}).to_string())
        .await;
    assert_eq!(back.next_of("joined").await["recovered"], true);
    let told = [back.next_of("message").await, back.next_of("message").await];
    assert_eq!(
        (&told[0]["offset"], &told[0]["removed"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(told[1]["offset"], 4);
    author.publish(2, "body 2").await;
    assert_eq!(author.next_of("ack").await["offset"], 2);
}

/// AC-5, EO-8: who may remove was told so by a token; nobody else, whatever else they may.
#[tokio::test]
async fn only_moderators_remove() {
    let guarded = Guarded::start(&["--guest-rooms", "*=rw"]).await;
    let server = &guarded.server;
    publish(server, 1).await;
    let own = token_for(
        "ada",
        &json!({"news": ["moderate"], "lobby": ["read", "write"]}),
    );
    let guest = Caller::of(server).remove("lobby", 1).await;
    assert_eq!(guest.problem(), (401, "token_required"));
    let open = TestServer::start(&[]).await;
    let nobody = Caller::of(&open).remove("lobby", 1).await;
    assert_eq!(nobody.problem(), (403, "moderate_denied"));
    for caller in [
        Caller::of(server).showing(&token("ada")),
        Caller::of(server).showing(&own),
    ] {
        let denied = caller.remove("lobby", 1).await;
        assert_eq!(denied.problem(), (403, "moderate_denied"));
    }
    let unknown = Caller::of(server)
        .showing("nonsense")
        .remove("lobby", 1)
        .await;
    assert_eq!(unknown.problem(), (401, "token_invalid"));
    let api = Caller::of(server).showing(&moderator());
    for (path, status, code) in [
        ("/rooms/lobby/messages/2", 404, "not_found"),
        ("/rooms/lobby/messages/0", 404, "not_found"),
        ("/rooms/other/messages/1", 404, "not_found"),
        ("/rooms/lobby/messages/x", 400, "bad_request"),
        ("/rooms/lobby/messages/9007199254740992", 400, "bad_request"),
        ("/rooms/Lobby/messages/1", 400, "bad_room"),
    ] {
        let refused = api.ask(Method::DELETE, path, None).await;
        assert_eq!(refused.problem(), (status, code), "{path}");
    }
    let cross = Caller::of(server)
        .showing(&moderator())
        .with("sec-fetch-site", "cross-site");
    assert_eq!(cross.remove("lobby", 1).await.problem(), (403, "forbidden"));
    assert_eq!(api.get("/rooms/lobby/messages").await.bodies(), ["body 1"]);
    assert_eq!(api.remove("lobby", 1).await.status, 204);
}

/// The document names what there is; each path that it has is served.
#[tokio::test]
async fn the_document_tells_what_there_is() {
    let server = TestServer::start(&[]).await;
    let api = Caller::of(&server);
    let document = api.get("/openapi.json").await;
    assert_eq!(
        (document.status, document.header("content-type")),
        (200, "application/json")
    );
    let document = document.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            operations.push(format!("{method} {path}"));
            let is_served = path.replace("{room}", "lobby").replace("{offset}", "1");
            if path.ends_with("/events") {
                // It does not end: `events.rs` reads it.
                continue;
            }
            let method = method.to_uppercase().parse().unwrap();
            let answer = api
                .ask(method, is_served.strip_prefix("/api").unwrap(), None)
                .await;
            assert_ne!(answer.status, 405, "{path}");
            if answer.status >= 400 {
                assert_ne!(answer.problem().1, "not_found", "{path}");
            }
        }
    }
    operations.sort();
    assert_eq!(
        operations,
        [
            "delete /api/rooms/{room}/messages/{offset}",
            "get /api/rooms/{room}/events",
            "get /api/rooms/{room}/messages",
            "get /api/rooms/{room}/presence",
            "post /api/rooms/{room}/messages",
        ]
    );
}
