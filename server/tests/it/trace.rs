//! A session's trace over HTTP (`GET /api/sessions/{session}/trace`).

use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::guarded::{Guarded, claims, join, sign, token};
use crate::raw::{PATIENCE, Raw};
use crate::test_server::TestServer;

/// A watcher: the answer, and the part of it that is read but not yet parsed.
struct Trace {
    response: Response,
    read: String,
    /// All lines so far, as they came.
    text: String,
}

impl Trace {
    /// Watches the session of a `welcome`, and reads the first line.
    async fn open(server: &TestServer, session: &Value) -> Self {
        let response = ask(server, session, &[]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut trace = Self {
            response,
            read: String::new(),
            text: String::new(),
        };
        let clock = trace.next().await.unwrap();
        assert_eq!((&clock["kind"], &clock["n"]), (&json!("clock"), &json!(1)));
        trace
    }

    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.read.split_once('\n') {
                let line = serde_json::from_str(line).unwrap();
                self.read = rest.to_owned();
                return Some(line);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.unwrap().ok()??;
            let chunk = std::str::from_utf8(&chunk).unwrap();
            self.text += chunk;
            self.read += chunk;
        }
    }

    /// The lines up to the first one that is so.
    async fn until(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let line = self.next().await.expect("the trace goes on");
            lines.push(line);
            if is_last(&lines[lines.len() - 1]) {
                return lines;
            }
        }
    }
}

fn path(server: &TestServer, id: &str) -> String {
    format!("http://{}/api/sessions/{id}/trace", server.address)
}

async fn ask(server: &TestServer, session: &Value, headers: &[(&str, &str)]) -> Response {
    let path = path(server, session["id"].as_str().unwrap());
    let request = reqwest::Client::new().get(path);
    let key = session["key"].as_str().unwrap();
    let mut request = request.header("everbeat-session-key", key);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// A connection with a session, and the session's credentials.
async fn session(server: &TestServer) -> (Raw, Value) {
    let mut raw = server.raw().await;
    let welcome = raw.hello().await;
    (raw, welcome["session"].clone())
}

async fn resume(server: &TestServer, session: &Value) -> Raw {
    let mut raw = server.raw().await;
    let hello = json!({"type": "hello", "session": session});
    raw.send(&hello.to_string()).await;
    assert_eq!(raw.next_of("welcome").await["resumed"], true);
    raw
}

fn is(line: &Value, kind: &str, frame: &str) -> bool {
    line["kind"] == kind && (frame.is_empty() || line["frame"] == frame)
}

/// Each frame of a session is in its trace, with its ordinal on its connection, and no text of it. The trace goes on
/// over the session's connections, however they end.
#[tokio::test]
async fn a_session_is_watched_over_its_connections() {
    const BODY: &str = "nobody's business";
    let server = TestServer::start(&[]).await;
    let (mut first, session) = session(&server).await;
    let mut trace = Trace::open(&server, &session).await;
    join(&mut first, "lobby").await;
    first.publish(1, BODY).await;
    first.next_of("ack").await;
    let lines = trace.until(|line| is(line, "out", "ack")).await;
    // It was live before: hello and welcome are counted, but not told.
    let open = &lines[0];
    assert_eq!(
        (&open["kind"], &open["in"], &open["out"]),
        (&json!("open"), &json!(1), &json!(1))
    );
    let publish = lines.iter().find(|line| is(line, "in", "publish")).unwrap();
    assert_eq!(publish["ordinal"], 3);
    assert_eq!(
        (&publish["seq"], &publish["bytes"]),
        (&json!(1), &json!(BODY.len()))
    );
    let commit = lines.iter().find(|line| is(line, "commit", "")).unwrap();
    assert_eq!((&commit["seq"], &commit["offset"]), (&json!(1), &json!(1)));
    assert!(commit["took_ms"].as_f64().unwrap() > 0.0, "{commit}");
    for way in ["in", "out"] {
        let ordinals: Vec<u64> = lines
            .iter()
            .filter(|line| line["kind"] == way)
            .filter_map(|line| line["ordinal"].as_u64())
            .collect();
        let expected: Vec<u64> = (2..).take(ordinals.len()).collect();
        assert_eq!(ordinals, expected, "{way}: {lines:?}");
    }

    // Cut off, without a word.
    drop(first);
    let lines = trace.until(|line| line["kind"] == "close").await;
    assert_eq!(lines.last().unwrap()["by"], "line");
    let mut second = resume(&server, &session).await;
    let lines = trace.until(|line| is(line, "out", "welcome")).await;
    let ordinals: Vec<&Value> = lines.iter().map(|line| &line["ordinal"]).collect();
    let kinds: Vec<&Value> = lines.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["open", "in", "out"]);
    assert_eq!(ordinals, [&Value::Null, &json!(1), &json!(1)]);
    assert!(lines[0]["connection"].as_u64() > open["connection"].as_u64());
    // RS-5: what it missed is sent again.
    let since = json!({"epoch": "unknown", "offset": 0});
    let join = json!({"type": "join", "room": "lobby", "since": since});
    second.send(&join.to_string()).await;
    second.next_of("message").await;
    let lines = trace.until(|line| is(line, "out", "message")).await;
    let replay = lines.iter().find(|line| is(line, "replay", "")).unwrap();
    assert_eq!((&replay["from"], &replay["to"]), (&json!(0), &json!(1)));
    // RS-4.
    let _third = resume(&server, &session).await;
    let lines = trace.until(|line| line["kind"] == "close").await;
    assert!(lines.iter().any(|line| line["kind"] == "takeover"));
    assert_eq!(lines.last().unwrap()["code"], 4100);

    let key = session["key"].as_str().unwrap();
    assert!(
        !trace.text.contains(BODY) && !trace.text.contains(key),
        "{}",
        trace.text
    );
    let numbers = trace.text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["n"].as_u64().unwrap()
    });
    assert!(numbers.eq((1..).take(trace.text.lines().count())));
}

/// AC-3: an unknown session, another key and another owner are answered alike; what cannot be asked is a bad request.
#[tokio::test]
async fn another_sessions_trace_is_not_found() {
    let guarded = Guarded::start(&[]).await;
    let server = &guarded.server;
    let (_ada, welcome) = guarded.hello(&token("ada"), &Value::Null).await;
    let (_bob, other) = guarded.hello(&token("bob"), &Value::Null).await;
    let (session, other) = (&welcome["session"], &other["session"]);
    let bearer = |sub: &str| format!("Bearer {}", token(sub));
    let mut refusals = Vec::new();
    for (id, key, sub) in [
        (&session["id"], &other["key"], "ada"),
        (&session["id"], &session["key"], "bob"),
        (&session["id"], &session["key"], ""),
        (&json!("unknown"), &session["key"], "ada"),
        (&json!("%00"), &session["key"], "ada"),
        (&json!("x".repeat(65)), &session["key"], "ada"),
    ] {
        let asked = json!({"id": id, "key": key});
        let bearer = bearer(sub);
        let headers = [("authorization", bearer.as_str())];
        let headers = if sub.is_empty() { &[][..] } else { &headers };
        let response = ask(server, &asked, headers).await;
        assert_eq!(response.status(), 404, "{asked} {sub}");
        refusals.push(response.text().await.unwrap());
    }
    assert!(
        refusals.iter().all(|refusal| *refusal == refusals[0]),
        "{refusals:?}"
    );
    let good = bearer("ada");
    let headers = [("authorization", good.as_str())];
    assert_eq!(ask(server, session, &headers).await.status(), 200);
    let url = path(server, session["id"].as_str().unwrap());
    let client = reqwest::Client::new();
    let without = client.get(&url).header("authorization", &good);
    assert_eq!(without.send().await.unwrap().status(), 400);
    let posted = client.post(&url).header("authorization", &good);
    assert_eq!(posted.send().await.unwrap().status(), 405);
}

/// AC-2: a trace ends with its caller's token and the grace period.
#[tokio::test]
async fn a_trace_ends_with_the_callers_token() {
    let guarded = Guarded::start(&["--token-grace", "100ms"]).await;
    let (_ada, welcome) = guarded.hello(&token("ada"), &Value::Null).await;
    let short = sign(&claims("ada", Duration::from_millis(1_500)));
    let bearer = format!("Bearer {short}");
    let headers = [("authorization", bearer.as_str())];
    let mut response = ask(&guarded.server, &welcome["session"], &headers).await;
    assert_eq!(response.status(), 200);
    let begun = Instant::now();
    while timeout(PATIENCE, response.chunk())
        .await
        .unwrap()
        .unwrap()
        .is_some()
    {}
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// HB-4: a client that falls silent has the machine's verdicts in its trace; in quiet the trace itself gives signs of life.
#[tokio::test]
async fn silence_is_seen() {
    let beat = ["--heartbeat-interval", "1s", "--heartbeat-timeout", "300ms"];
    let server = TestServer::start(&beat).await;
    let (_silent, session) = session(&server).await;
    let mut trace = Trace::open(&server, &session).await;
    let lines = trace.until(|line| line["kind"] == "close").await;
    let told: Vec<&Value> = lines
        .iter()
        .filter(|line| line["kind"] != "clock")
        .map(|line| match line["kind"].as_str() {
            Some("verdict") => &line["verdict"],
            Some("out") => &line["frame"],
            Some("close") => &line["code"],
            _ => &line["kind"],
        })
        .collect();
    assert_eq!(
        told,
        [
            &json!("open"),
            &json!("probe"),
            &json!("ping"),
            &json!("dead"),
            &json!(4000)
        ]
    );
    let clock = trace.next().await.unwrap();
    assert_eq!(
        (&clock["kind"], &clock["idle_ms"]),
        (&json!("clock"), &json!(950))
    );
    assert_eq!(
        (&clock["timeout_ms"], &clock["node"]),
        (&json!(300), &Value::Null)
    );
}

/// Watchers are bounded, of one session and of all; a watcher counts as a connection, and makes room when it leaves.
#[tokio::test]
async fn watchers_are_bounded() {
    let limits = ["--trace-watchers", "2", "--trace-watchers-per-session", "1"];
    let server = TestServer::start(&limits).await;
    let (_ada, ada) = session(&server).await;
    let (_bob, bob) = session(&server).await;
    let (_eve, eve) = session(&server).await;
    let first = Trace::open(&server, &ada).await;
    assert_eq!(server.hub.connections(), 4);
    let refused = ask(&server, &ada, &[]).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"5".parse().unwrap())
    );
    let _second = Trace::open(&server, &bob).await;
    assert_eq!(ask(&server, &eve, &[]).await.status(), 503);
    drop(first);
    let begun = Instant::now();
    // The server finds that it has gone.
    while ask(&server, &ada, &[]).await.status() != 200 {
        assert!(begun.elapsed() < PATIENCE);
    }
    let client = reqwest::Client::new();
    let metrics = client.get(format!("http://{}/metrics", server.admin));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for limit in ["trace_watchers", "trace_watchers_per_session"] {
        let line = metrics
            .lines()
            .find(|line| line.contains(&format!("\"{limit}\"")));
        assert!(
            line.is_some_and(|line| !line.ends_with(" 0")),
            "{limit}: {line:?}"
        );
    }
}

/// RC-3: a drain is in the trace to its end: the slot, the code. Then the trace ends, and with it the server, at once.
#[tokio::test]
async fn a_drain_is_seen_to_its_end() {
    let mut server = TestServer::start(&["--drain", "500ms"]).await;
    let (mut ada, session) = session(&server).await;
    let mut trace = Trace::open(&server, &session).await;
    join(&mut ada, "lobby").await;
    server.terminate();
    ada.next_of("go_away").await;
    let lines = trace.until(|line| line["kind"] == "close").await;
    assert!(
        lines
            .iter()
            .any(|line| line["kind"] == "slot" && line["reconnect_after_ms"].is_u64())
    );
    assert!(lines.iter().any(|line| is(line, "out", "go_away")));
    assert_eq!(lines.last().unwrap()["code"], 1012);
    assert_eq!(trace.next().await, None);
    let begun = Instant::now();
    server.ended().await;
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
}
