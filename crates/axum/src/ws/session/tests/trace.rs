//! What a connection's task does where its session is watched, and where it is not.

use protocol::trace::LINE_BYTES;

use super::*;
use crate::hub::trace::{TraceConfig, Watch};

fn id(session: &Value) -> SessionId {
    SessionId::new(session["id"].as_str().unwrap()).unwrap()
}

impl Server {
    fn watch(&self, session: &Value) -> Watch {
        self.hub
            .watch(&id(session), TraceConfig::default())
            .unwrap()
    }

    /// The lines that a watcher has not read yet.
    fn lines(&self, watch: &mut Watch) -> Vec<Value> {
        let mut out = String::new();
        watch.read(self.hub.clock().now(), usize::MAX, &mut out);
        let lines = out.lines().map(serde_json::from_str);
        lines.map(Result::unwrap).collect()
    }
}

/// Lines in short: connection, kind, and what the kind is about.
fn short(lines: &[Value]) -> Vec<String> {
    let of = |line: &Value| {
        let field = |name: &str| match &line[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let parts = [
            "connection",
            "kind",
            "ordinal",
            "frame",
            "verdict",
            "code",
            "by",
        ];
        let parts: Vec<String> = parts.into_iter().filter_map(field).collect();
        parts.join(" ")
    };
    lines.iter().map(of).collect()
}

/// A task has a recorder as long as its session is watched, and no longer. Its ordinals are those of the whole
/// connection.
#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_watches_is_not_recorded() {
    let server = Server::new().await;
    let (mut ada, session) = server.joined().await;
    assert!(!server.hub.is_watched() && server.hub.ring(&id(&session)).is_none());
    let mut watch = server.watch(&session);
    ada.is_answered().await;
    // hello and join; welcome and joined.
    let lines = server.lines(&mut watch);
    assert_eq!(short(&lines), ["1 open", "1 in 3 ping", "1 out 3 pong"]);
    assert_eq!((&lines[0]["in"], &lines[0]["out"]), (&json!(2), &json!(2)));
    let ring = Arc::downgrade(&server.hub.ring(&id(&session)).unwrap());
    let second = server.watch(&session);
    drop(watch);
    ada.is_answered().await;
    assert!(ring.upgrade().is_some(), "another one still watches");
    drop(second);
    ada.is_answered().await;
    assert!(ring.upgrade().is_none(), "the task has let go of it");
    assert!(!server.hub.is_watched() && server.hub.ring(&id(&session)).is_none());
    // A connection that opens while other sessions are watched is recorded until it is known whose it is.
    let (_bob, other) = server.joined().await;
    let _watch = server.watch(&other);
    let (mut eve, _) = server.joined().await;
    eve.is_answered().await;
}

/// RS-4: a trace goes over all connections of its session, from `hello` on; each ends with its code.
#[tokio::test(start_paused = true)]
async fn a_trace_spans_connections() {
    let server = Server::new().await;
    let (mut ada, session) = server.joined().await;
    let mut watch = server.watch(&session);
    ada.is_answered().await;
    server.lines(&mut watch);
    let mut newer = server.connect(1 << 20).await;
    newer
        .send(json!({"type": "hello", "session": session}))
        .await;
    newer.next_of("welcome").await;
    assert_eq!(ada.end().await, Some(CloseCode::TAKEN_OVER.get()));
    let lines = server.lines(&mut watch);
    let of = |connection: u64| {
        let mut short = short(&lines);
        short.retain(|line| line.starts_with(&format!("{connection} ")));
        short
    };
    assert_eq!(of(1), ["1 takeover", "1 close 4100 server"]);
    assert_eq!(of(2), ["2 open", "2 in 1 hello", "2 out 1 welcome"]);
    // The client says good-bye; the line breaks; the server ends it.
    newer.socket.close(None).await.unwrap();
    assert_eq!(newer.end().await, None);
    let mut third = server.connect(1 << 20).await;
    third
        .send(json!({"type": "hello", "session": session}))
        .await;
    third.next_of("welcome").await;
    drop(third);
    sleep(Duration::from_secs(1)).await;
    let lines = short(&server.lines(&mut watch));
    let ends: Vec<&String> = lines.iter().filter(|line| line.contains("close")).collect();
    assert_eq!(ends, ["2 close 1006 line", "3 close 1006 line"]);
    assert!(server.hub.connections() == 0 && server.hub.is_watched());
}

/// HB-4: a verdict is the machine's, before what the machine does about it, also while the log hangs.
#[tokio::test(start_paused = true)]
async fn a_silent_client_has_its_verdicts() {
    let server = Server::new().await;
    let (_ada, session) = server.joined().await;
    let mut watch = server.watch(&session);
    sleep(Duration::from_secs(60)).await;
    let lines = server.lines(&mut watch);
    let silence = short(&lines);
    let expected = [
        "1 open",
        "1 verdict probe",
        "1 out 3 ping",
        "1 verdict dead",
        "1 close 4000 server",
    ];
    assert_eq!(silence, expected);
    let ms = |index: usize| lines[index]["ms"].as_f64().unwrap();
    let idle = ms(1) - lines[0]["heard_ms"].as_f64().unwrap();
    assert!((23_750.0..24_100.0).contains(&idle), "{idle}");
    assert!((4_990.0..5_100.0).contains(&(ms(3) - ms(1))));
}

/// The log's answer has the time that it took.
#[tokio::test(start_paused = true)]
async fn a_commit_has_its_time() {
    let server = Server::new().await;
    let (mut ada, session) = server.joined().await;
    let mut watch = server.watch(&session);
    server.log.freeze(true);
    ada.publish(1, "into the ice").await;
    ada.is_answered().await;
    sleep(Duration::from_secs(2)).await;
    server.log.freeze(false);
    ada.next_of("ack").await;
    let lines = server.lines(&mut watch);
    let commit = lines.iter().find(|line| line["kind"] == "commit").unwrap();
    assert_eq!((&commit["seq"], &commit["offset"]), (&json!(1), &json!(1)));
    let took = commit["took_ms"].as_f64().unwrap();
    assert!((1_990.0..2_500.0).contains(&took), "{took}");
    let ack = lines.iter().find(|line| line["frame"] == "ack").unwrap();
    assert_eq!((&ack["seq"], &ack["offset"]), (&json!(1), &json!(1)));
    let text = serde_json::to_string(&lines).unwrap();
    let key = session["key"].as_str().unwrap();
    assert!(
        !text.contains("into the ice") && !text.contains(key),
        "{text}"
    );
}

/// A watcher that does not read costs the ring and no more, holds the session up in nothing, and learns what it lost.
#[tokio::test(start_paused = true)]
async fn a_watcher_that_does_not_read_loses_the_oldest() {
    let server = Server::new().await;
    let (mut ada, session) = server.joined().await;
    let config = TraceConfig {
        bytes: 20 * (LINE_BYTES + 100),
        ..TraceConfig::default()
    };
    let mut watch = server.hub.watch(&id(&session), config).unwrap();
    for _ in 0..200 {
        ada.is_answered().await;
    }
    let lines = server.lines(&mut watch);
    assert!((15..40).contains(&lines.len()), "{}", lines.len());
    assert_eq!(lines[0]["kind"], "lost");
    // Of `open` and 200 pairs.
    let lost = lines[0]["count"].as_u64().unwrap();
    assert_eq!(lost + lines.len() as u64 - 1, 401);
    assert_eq!(lines[0]["n"], lost);
    assert_eq!(lines.last().unwrap()["n"], 401);
    assert_eq!(lines.last().unwrap()["ordinal"], 2 + 200);
}

/// So many may watch, one session and all together.
#[tokio::test(start_paused = true)]
async fn watchers_have_a_bound() {
    let server = Server::new().await;
    let (_ada, session) = server.joined().await;
    let (_bob, other) = server.joined().await;
    let config = TraceConfig {
        watchers: 3,
        watchers_per_session: 2,
        ..TraceConfig::default()
    };
    let watch = |session: &Value| server.hub.watch(&id(session), config);
    let first = watch(&session).unwrap();
    let _second = watch(&session).unwrap();
    assert_eq!(watch(&session).err(), Some(Limit::TraceWatchersPerSession));
    let _third = watch(&other).unwrap();
    assert_eq!(watch(&other).err(), Some(Limit::TraceWatchers));
    drop(first);
    assert!(watch(&session).is_ok());
}

/// RC-3: a drain gives a slot, which is in the trace; the trace is over once the session has no connection here.
#[tokio::test(start_paused = true)]
async fn a_trace_ends_with_the_server() {
    let server = Server::new().await;
    let (mut ada, session) = server.joined().await;
    let mut watch = server.watch(&session);
    ada.is_answered().await;
    server.hub.go_away(Duration::from_secs(2), &[]);
    ada.next_of("go_away").await;
    assert!(!watch.is_over());
    server.hub.shut_down();
    assert_eq!(ada.end().await, Some(1012));
    assert!(watch.is_over());
    let lines = server.lines(&mut watch);
    let slot = lines.iter().find(|line| line["kind"] == "slot").unwrap();
    assert_eq!(slot["reconnect_after_ms"], 2500);
    assert_eq!(short(&lines).last().unwrap(), "1 close 1012 server");
}
