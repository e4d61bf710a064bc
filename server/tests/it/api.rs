//! The HTTP API, over real sockets.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::access::{Guarded, claims, sign, token, token_for};
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

/// The answer to a request as it is written.
async fn ask_raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
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
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = ask_raw(server.address, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
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
