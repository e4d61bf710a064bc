//! A room's events over HTTP (Server-Sent Events).

use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::guarded::{Guarded, claims, sign, token_for};
use crate::raw::{PATIENCE, Raw};
use crate::test_server::TestServer;

/// One block of the stream: an event, or an id or a comment alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    id: String,
    event: String,
    data: String,
    retry: String,
    comment: bool,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }

    fn offset(&self) -> u64 {
        assert_eq!(self.event, "message", "{self:?}");
        let offset = self.json()["offset"].as_u64().unwrap();
        assert!(self.id.ends_with(&format!(":{offset}")), "{self:?}");
        offset
    }
}

/// A listener: the answer, and the part of it that is read but not yet parsed.
struct Events {
    response: Response,
    read: String,
}

impl Events {
    async fn open(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = ask(server, path, headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            read: String::new(),
        }
    }

    /// The next block, comments included; `None` at the end.
    async fn next_block(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let mut event = Event::default();
                for line in block.lines() {
                    let (field, value) = line.split_once(':').unwrap();
                    let value = value.trim_start().to_owned();
                    match field {
                        "" => event.comment = true,
                        "id" => event.id = value,
                        "event" => event.event = value,
                        "data" => event.data = value,
                        "retry" => event.retry = value,
                        other => panic!("{other}"),
                    }
                }
                self.read = rest.to_owned();
                return Some(event);
            }
            let chunk = timeout(Duration::from_secs(20), self.response.chunk()).await;
            // A cut connection is an end, too.
            let chunk = chunk.unwrap().ok()??;
            self.read += std::str::from_utf8(&chunk).unwrap();
        }
    }

    async fn next(&mut self) -> Event {
        loop {
            let event = self.next_block().await.unwrap();
            if !event.comment {
                return event;
            }
        }
    }

    async fn offsets(&mut self, count: usize) -> Vec<u64> {
        let mut offsets = Vec::new();
        for _ in 0..count {
            offsets.push(self.next().await.offset());
        }
        offsets
    }
}

async fn ask(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Response {
    let client = reqwest::Client::new();
    let mut request = client.get(format!("http://{}/api{path}", server.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// A connection with a session, for publishing.
async fn author(server: &TestServer) -> Raw {
    let mut raw = server.raw().await;
    raw.hello().await;
    raw
}

async fn publish(raw: &mut Raw, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        raw.publish(seq, &format!("body {seq}")).await;
        raw.next_of("ack").await;
    }
}

const LOBBY: &str = "/rooms/lobby/events";

/// RS-5: a stream begins at the head; after a break it goes on from the last event, with nothing lost or doubled.
#[tokio::test]
async fn events_go_on_where_they_ended() {
    let server = TestServer::start(&[]).await;
    let mut raw = author(&server).await;
    publish(&mut raw, 1..=2).await;
    let mut events = Events::open(&server, LOBBY, &[]).await;
    let begin = events.next().await;
    assert!(
        begin.id.ends_with(":2") && begin.event.is_empty(),
        "{begin:?}"
    );
    publish(&mut raw, 3..=4).await;
    let third = events.next().await;
    assert_eq!(third.offset(), 3);
    let message = third.json();
    assert_eq!(
        (&message["type"], &message["body"]),
        (&json!("message"), &json!("body 3"))
    );
    let fourth = events.next().await;
    assert_eq!(fourth.offset(), 4);
    drop(events);

    publish(&mut raw, 5..=6).await;
    for (path, headers) in [
        (LOBBY.to_owned(), vec![("last-event-id", &*fourth.id)]),
        (format!("{LOBBY}?since={}", fourth.id), vec![]),
        // On a reconnect the browser's `Last-Event-ID` is newer than the address.
        (
            format!("{LOBBY}?since={}", begin.id),
            vec![("last-event-id", &*fourth.id)],
        ),
    ] {
        let mut events = Events::open(&server, &path, &headers).await;
        assert_eq!(events.next().await.id, fourth.id);
        assert_eq!(events.offsets(2).await, [5, 6]);
    }
    // An empty `Last-Event-ID` counts as none.
    let mut events = Events::open(&server, LOBBY, &[("last-event-id", "")]).await;
    assert!(events.next().await.id.ends_with(":6"));
    publish(&mut raw, 7..=7).await;
    assert_eq!(events.offsets(1).await, [7]);
}

/// RS-5: a replay from far back in the log joins the live messages without a hole.
#[tokio::test]
async fn a_long_replay_meets_what_comes() {
    let server = TestServer::start(&["--publish-burst", "2000"]).await;
    let mut raw = author(&server).await;
    publish(&mut raw, 1..=700).await;
    let mut events = Events::open(&server, LOBBY, &[]).await;
    let epoch = events.next().await.id.split_once(':').unwrap().0.to_owned();
    let path = format!("{LOBBY}?since={epoch}:0");
    let mut events = Events::open(&server, &path, &[]).await;
    assert_eq!(events.next().await.id, format!("{epoch}:0"));
    let (_, offsets) = tokio::join!(publish(&mut raw, 701..=800), events.offsets(800));
    assert_eq!(offsets, (1..=800).collect::<Vec<_>>());
}

/// RS-6: a gap is an event, never silence.
#[tokio::test]
async fn a_gap_is_an_event() {
    let server = TestServer::start(&["--history", "1"]).await;
    let mut raw = author(&server).await;
    publish(&mut raw, 1..=70).await;
    let mut events = Events::open(&server, LOBBY, &[]).await;
    let epoch = events.next().await.id.split_once(':').unwrap().0.to_owned();
    for since in [
        format!("{epoch}:3"),
        "another:70".to_owned(),
        format!("{epoch}:71"),
    ] {
        let mut events = Events::open(&server, LOBBY, &[("last-event-id", &since)]).await;
        let gap = events.next().await;
        assert_eq!(
            (gap.event.as_str(), &gap.json()["epoch"]),
            ("gap", &json!(epoch)),
            "{since}"
        );
        let from = gap.json()["from"].as_u64().unwrap();
        assert_eq!(gap.id, format!("{epoch}:{from}"));
        let count = usize::try_from(70 - from).unwrap();
        assert_eq!(
            events.offsets(count).await,
            (from + 1..=70).collect::<Vec<_>>()
        );
    }
    for odd in ["3", "x:", ":x", "e:-1", "e:9007199254740992", "ä"] {
        let refused = ask(&server, LOBBY, &[("last-event-id", odd)]).await;
        assert_eq!(refused.status(), 400, "{odd}");
        assert_eq!(
            refused.headers()["content-type"],
            "application/problem+json"
        );
    }
}

/// EO-8: listeners get redactions, also after a break; a redaction does not move the position.
#[tokio::test]
async fn removals_are_events() {
    let guarded = Guarded::start(&[]).await;
    let server = &guarded.server;
    let mut raw = author(server).await;
    publish(&mut raw, 1..=3).await;
    let mut events = Events::open(server, LOBBY, &[]).await;
    let begin = events.next().await;
    let moderator = token_for("mod", &json!({"*": ["moderate"]}));
    let url = format!("http://{}/api/rooms/lobby/messages/2", server.address);
    let request = reqwest::Client::new().delete(url);
    let gone = request.bearer_auth(moderator).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let mut back = Events::open(server, LOBBY, &[("last-event-id", &begin.id)]).await;
    assert_eq!(back.next().await.id, begin.id);
    for events in [&mut events, &mut back] {
        let removed = events.next().await;
        assert_eq!(
            (removed.event.as_str(), removed.id.as_str()),
            ("removed", "")
        );
        let message = removed.json();
        assert_eq!(
            (&message["offset"], &message["body"]),
            (&json!(2), &json!(""))
        );
        assert_eq!(message["removed"], true);
    }
    publish(&mut raw, 4..=4).await;
    for events in [&mut events, &mut back] {
        assert_eq!(events.offsets(1).await, [4]);
    }
}

/// AC-2, AC-5: a listener needs the right to read; its stream ends with its token.
#[tokio::test]
async fn listening_ends_with_the_right_to_it() {
    let options = ["--guest-rooms", "news=r", "--token-grace", "0s"];
    let guarded = Guarded::start(&options).await;
    let server = &guarded.server;
    let reader = token_for("cem", &json!({"news": ["read"], "lobby": ["write"]}));
    let reader = format!("Bearer {reader}");
    for headers in [&[("authorization", &*reader)][..], &[]] {
        let denied = ask(server, LOBBY, headers).await;
        assert_eq!(denied.status(), 403);
        let problem: Value = serde_json::from_str(&denied.text().await.unwrap()).unwrap();
        assert_eq!(problem["code"], "read_denied");
        let allowed = ask(server, "/rooms/news/events", headers).await;
        assert_eq!(allowed.status(), 200);
    }
    let short = sign(&claims("ada", Duration::from_secs(2)));
    let shown = format!("Bearer {short}");
    let mut events = Events::open(server, LOBBY, &[("authorization", &shown)]).await;
    events.next().await;
    assert_eq!(events.next_block().await, None);
}

/// Another site's page is answered without CORS headers: its browser does not let it read the answer.
#[tokio::test]
async fn another_sites_page_hears_nothing() {
    let server = TestServer::start(&[]).await;
    for origin in ["https://evil.example", "null"] {
        let events = ask(&server, LOBBY, &[("origin", origin)]).await;
        assert_eq!(events.status(), 200);
        let headers = events.headers();
        assert!(!headers.contains_key("access-control-allow-origin"));
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
    }
}

/// HB-5: in quiet the server sends comments, so that proxies do not take the connection for dead.
#[tokio::test]
async fn quiet_is_not_silent() {
    let options = [
        "--heartbeat-interval",
        "300ms",
        "--heartbeat-timeout",
        "300ms",
    ];
    let server = TestServer::start(&options).await;
    let mut events = Events::open(&server, LOBBY, &[]).await;
    events.next().await;
    for _ in 0..2 {
        assert!(events.next_block().await.unwrap().comment);
    }
}

/// RC-3: a draining server sends a slot for the reconnect, and ends the answer.
#[tokio::test]
async fn a_drain_ends_it_with_a_slot() {
    let mut server = TestServer::start(&[]).await;
    let mut events = Events::open(&server, LOBBY, &[]).await;
    events.next().await;
    server.terminate();
    let farewell = events.next().await;
    let slot: u64 = farewell.retry.parse().unwrap();
    assert!((200..=400).contains(&slot), "{slot}");
    assert_eq!(events.next_block().await, None);
    server.ended().await;
}

async fn wait_for_connections(server: &TestServer, count: usize) {
    while server.hub.connections() != count {
        sleep(Duration::from_millis(10)).await;
    }
}

/// PU-4: a listener counts as a connection, for the server and for its address, until its stream ends.
#[tokio::test]
async fn who_listens_counts_as_a_connection() {
    let options = ["--connections", "2", "--connections-per-address", "1"];
    let server = TestServer::start(&options).await;
    let far = [("x-forwarded-for", "192.0.2.7")];
    let events = Events::open(&server, LOBBY, &far).await;
    let refused = ask(&server, LOBBY, &far).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let near = Events::open(&server, LOBBY, &[]).await;
    assert_eq!(server.hub.connections(), 2);
    assert_eq!(ask(&server, LOBBY, &[]).await.status(), 503);
    drop(events);
    wait_for_connections(&server, 1).await;
    Events::open(&server, LOBBY, &far).await;
    drop(near);
    wait_for_connections(&server, 0).await;
    assert!(
        ask(&server, "/rooms/lobby/presence", &[])
            .await
            .status()
            .is_success()
    );
}

/// PU-4: a listener that does not read is disconnected, and delays no other.
#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let options = ["--write-timeout", "1s", "--publish-burst", "5000"];
    let server = TestServer::start(&options).await;
    let mut lazy = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /api{LOBBY} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    lazy.write_all(request.as_bytes()).await.unwrap();
    wait_for_connections(&server, 1).await;
    let mut events = Events::open(&server, LOBBY, &[]).await;
    events.next().await;
    let mut raw = author(&server).await;
    let body = "x".repeat(8_000);
    let mut seq = 0;
    // The lazy listener, the other one, and the author: until the first is disconnected.
    while server.hub.connections() == 3 {
        seq += 1;
        raw.publish(seq, &body).await;
        raw.next_of("ack").await;
        assert_eq!(events.next().await.offset(), seq);
        assert!(seq < 5_000, "the lazy listener is still connected");
    }
    assert!(seq > 10);
}

/// A listener holds a connection's permit and no longer counts as a half-open connection.
#[tokio::test]
async fn listeners_leave_the_door() {
    // A write timeout over the 24 days (2^31 ms) that the system counts: the server cuts it for `TCP_USER_TIMEOUT`.
    let options = ["--handshakes", "2", "--write-timeout", "60d"];
    let server = TestServer::start(&options).await;
    let mut listeners = Vec::new();
    for _ in 0..5 {
        let mut events = Events::open(&server, "/rooms/lobby/events", &[]).await;
        events.next_block().await.unwrap();
        listeners.push(events);
    }
    server.raw().await.hello().await;
    assert_eq!(server.limited("handshakes").await, 0.0);
}

/// A listener that hangs up while the log is still read gives its permit up.
#[tokio::test]
async fn places_of_those_who_went_are_free() {
    let server = TestServer::start(&[]).await;
    for number in 0..300 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let ask = format!("GET /api/rooms/room-{number}/events HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
    }
    // The last request is answered last.
    let mut last = Events::open(&server, "/rooms/lobby/events", &[]).await;
    last.next_block().await.unwrap();
    let begun = Instant::now();
    while server.hub.connections() > 1 {
        assert!(begun.elapsed() < PATIENCE, "{}", server.hub.connections());
        tokio::task::yield_now().await;
    }
}
