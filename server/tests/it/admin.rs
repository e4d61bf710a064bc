//! The operator's listener: health, metrics, the status page and its button.

use reqwest::header::HOST;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::guarded::{Guarded, token};
use crate::metrics::value;
use crate::raw::Raw;
use crate::test_server::TestServer;

impl TestServer {
    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// A page of the operator.
    pub(crate) async fn status(&self, path: &str) -> String {
        let answer = reqwest::get(self.admin_url(path)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    async fn ready(&self) -> (StatusCode, String) {
        let url = format!("http://{}/readyz", self.address);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

/// Each event changes its metrics, by exactly its number.
#[tokio::test]
async fn what_happens_is_counted() {
    let mut server = TestServer::start(&[
        "--heartbeat-interval",
        "200ms",
        "--heartbeat-timeout",
        "200ms",
    ])
    .await;
    let mut ada = server.raw().await;
    let welcome = ada.hello().await;
    ada.send(r#"{"type":"join","room":"lobby"}"#).await;
    ada.next_of("joined").await;
    let mut bob = server.joined().await;
    ada.publish(1, "hi").await;
    assert_eq!(ada.next_of("ack").await["offset"], 1);
    bob.next_of("message").await;
    ada.publish(3, "skips a number").await;
    assert_eq!(ada.end().await, (Some(4103), vec!["seq_gap".to_owned()]));
    // The client reconnects with a position that the log does not know: a gap.
    let mut again = server.raw().await;
    let session = welcome["session"].clone();
    again
        .send(&json!({"type": "hello", "session": session}).to_string())
        .await;
    assert_eq!(again.next_of("welcome").await["resumed"], true);
    again
        .send(r#"{"type":"join","room":"lobby","since":{"epoch":"older","offset":7}}"#)
        .await;
    assert_eq!(again.next_of("joined").await["recovered"], false);
    bob.next_of("ping").await;
    bob.send(r#"{"type":"pong"}"#).await;
    bob.publish(1, "after the pong").await;
    bob.next_of("ack").await;

    let metrics = server.metrics().await;
    for (name, expected) in [
        ("everbeat_connections", 2.0),
        ("everbeat_sessions{state=\"live\"}", 2.0),
        ("everbeat_sessions{state=\"away\"}", 0.0),
        ("everbeat_rooms", 1.0),
        ("everbeat_draining", 0.0),
        ("everbeat_hellos_total{outcome=\"fresh\"}", 2.0),
        ("everbeat_hellos_total{outcome=\"resumed\"}", 1.0),
        ("everbeat_closes_total{code=\"4103\"}", 1.0),
        ("everbeat_publishes_total{outcome=\"stored\"}", 2.0),
        ("everbeat_refusals_total{code=\"seq_gap\"}", 1.0),
        ("everbeat_gaps_total", 1.0),
    ] {
        assert_eq!(
            value(&metrics, name),
            Some(expected),
            "{name} in\n{metrics}"
        );
    }
    for name in [
        "everbeat_heartbeats_sent_total",
        "everbeat_round_trip_seconds_count",
        "everbeat_deliveries_total",
        "everbeat_received_bytes_total",
        "everbeat_sent_bytes_total",
        "everbeat_commit_operations_count",
        "everbeat_commit_seconds_count",
    ] {
        assert!(value(&metrics, name) > Some(0.0), "{name} in\n{metrics}");
    }
    server.terminate();
    server.ended().await;
}

/// A heartbeat without an answer is counted as missed.
#[tokio::test]
async fn a_missed_heartbeat_is_counted() {
    let server = TestServer::start(&[
        "--heartbeat-interval",
        "100ms",
        "--heartbeat-timeout",
        "50ms",
    ])
    .await;
    let mut silent = server.joined().await;
    assert_eq!(silent.end().await.0, Some(4000));
    let metrics = server.metrics().await;
    assert_eq!(
        value(&metrics, "everbeat_heartbeats_missed_total"),
        Some(1.0)
    );
    assert_eq!(
        value(&metrics, "everbeat_closes_total{code=\"4000\"}"),
        Some(1.0)
    );
}

/// Each refusal is counted under the name of its limit.
#[tokio::test]
async fn refusals_are_counted_by_limit() {
    let server = TestServer::start(&["--connections", "1"]).await;
    let _first = server.joined().await;
    let refused = Raw::open(server.address, "/ws", Some("everbeat.v1")).await;
    assert!(refused.is_err());
    let foreign = [("origin", "https://evil.example")];
    let refused = Raw::open_with(server.address, "/ws", Some("everbeat.v1"), &foreign).await;
    assert!(refused.is_err());
    // Server-Sent Events need a connection permit, too; other sites' forms are refused as their sockets are.
    let room = format!("http://{}/api/rooms/lobby", server.address);
    let refused = reqwest::get(format!("{room}/events")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let form = Client::new().post(format!("{room}/messages"));
    let refused = form.header("origin", "https://evil.example").send().await;
    assert_eq!(refused.unwrap().status(), StatusCode::FORBIDDEN);
    for limit in ["connections", "origins"] {
        assert_eq!(server.limited(limit).await, 2.0, "{limit}");
    }
}

/// `/readyz` refuses while the log cannot store and while the server drains; `/healthz` is 200 all the time.
#[tokio::test]
async fn it_is_ready_while_it_can_store() {
    let mut server = TestServer::start_with_little_room(&["--drain", "10s"]).await;
    assert_eq!(server.ready().await, (StatusCode::OK, "ready\n".to_owned()));
    let mut raw = server.joined().await;
    raw.publish_until_refused().await;
    let refused = (
        StatusCode::SERVICE_UNAVAILABLE,
        "the log cannot store\n".to_owned(),
    );
    // An answer of `/readyz` is cached for a second.
    let told = async {
        while server.ready().await != refused {
            tokio::task::yield_now().await;
        }
    };
    timeout(crate::raw::PATIENCE, told).await.unwrap();
    server.terminate();
    raw.next_of("go_away").await;
    let draining = (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    assert_eq!(server.ready().await, draining);
    let alive = reqwest::get(server.admin_url("/healthz")).await.unwrap();
    assert_eq!(alive.status(), StatusCode::OK);
    assert_eq!(
        value(&server.metrics().await, "everbeat_draining"),
        Some(1.0)
    );
    drop(raw);
    server.ended().await;
}

/// The status page lists the sessions, and a button on a session's page disconnects it for good.
#[tokio::test]
async fn an_operator_sees_and_ends_a_connection() {
    let server = TestServer::start(&[]).await;
    let mut raw = server.raw().await;
    raw.send(r#"{"type":"hello","name":"<b>Ada"}"#).await;
    let welcome = raw.next_of("welcome").await;
    raw.send(r#"{"type":"join","room":"kitchen"}"#).await;
    raw.next_of("joined").await;
    let id = welcome["session"]["id"].as_str().unwrap();
    let key = welcome["session"]["key"].as_str().unwrap();
    let other = server.joined().await;
    let all = server.status("/status").await;
    assert!(all.contains(id) && all.contains("kitchen") && all.contains("lobby"));
    assert!(all.contains("&lt;b&gt;Ada") && !all.contains("<b>Ada"));
    assert!(!all.contains(key), "no page shows a key");
    let session = format!("/status/sessions/{id}");
    assert!(all.contains(&format!("href=\"{session}\"")));
    let one = server.status(&session).await;
    assert!(one.contains("kitchen") && !one.contains("lobby") && !one.contains(key));
    let action = format!("{session}/remove");
    assert!(one.contains(&format!("action=\"{action}\"")));
    let action = server.admin_url(&action);
    let client = Client::new();
    // Requests from another site's page in the operator's browser are refused.
    let foreign = client.post(&action).header("sec-fetch-site", "cross-site");
    assert_eq!(
        foreign.send().await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    let rebound = client.post(&action).header(HOST, "evil.example:8090");
    assert_eq!(
        rebound.send().await.unwrap().status(),
        StatusCode::MISDIRECTED_REQUEST
    );
    let pressed = client.post(&action).header("sec-fetch-site", "same-origin");
    assert_eq!(pressed.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(raw.end().await.0, Some(4203));
    let gone = client.post(&action).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert!(gone.text().await.unwrap().contains("has no connection"));
    drop(other);
}

/// DNS rebinding: a request under a host name that is not the listener's gets 421, whatever it asks for.
#[tokio::test]
async fn only_its_own_names_are_answered() {
    let server = TestServer::start(&["--admin-hosts", "metrics.internal"]).await;
    let paths = [
        "/metrics",
        "/status",
        "/status.js",
        "/",
        "/healthz",
        "/readyz",
        "/nowhere",
        "/metrics/",
    ];
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];
    for path in paths {
        for method in methods.clone() {
            for host in [
                "evil.example",
                "evil.example:8090",
                "127.0.0.1.evil.example",
                "",
            ] {
                let request = Client::new().request(method.clone(), server.admin_url(path));
                let answer = request.header(HOST, host).send().await.unwrap();
                let status = answer.status();
                assert_eq!(
                    status,
                    StatusCode::MISDIRECTED_REQUEST,
                    "{method} {path} {host}"
                );
            }
        }
    }
    for host in ["metrics.internal:8090", "localhost", "127.0.0.1", "[::1]:1"] {
        let request = Client::new().get(server.admin_url("/metrics"));
        let answer = request.header(HOST, host).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
}

/// Silent connections to the operator's listener end at its deadline, and do not hold up the operator.
#[tokio::test]
async fn silent_connections_to_the_operator_end() {
    let server = TestServer::start(&["--header-timeout", "400ms"]).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(server.admin).await.unwrap());
    }
    for stream in &mut silent {
        let end = timeout(crate::raw::PATIENCE, stream.read_u8()).await;
        assert!(end.expect("an end within 20 s").is_err());
    }
    let answer = reqwest::get(server.admin_url("/metrics")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(server.limited("header_timeout").await > 0.0);
    // The public listener is not affected.
    server.joined().await.is_served().await;
}

/// A token's claims are escaped on the operator's page, also within an attribute.
#[tokio::test]
async fn a_tokens_words_are_text_for_the_operator() {
    let guarded = Guarded::start(&[]).await;
    let odd = "\"><script>alert(1)</script>";
    let (_raw, welcome) = guarded.hello(&token(odd), &Value::Null).await;
    assert_eq!(welcome["vouched"], odd);
    let url = guarded.server.admin_url("/status");
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(!page.contains("<script>alert"), "{page}");
    let title = "title=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\"";
    assert!(page.contains(title), "{page}");
    // So is the text that the operator searches for.
    let url = guarded
        .server
        .admin_url("/status?find=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("value=\"&quot;&gt;&lt;script"), "{page}");
}

/// The public listener serves none of the operator's paths.
#[tokio::test]
async fn everybody_else_gets_none_of_it() {
    let server = TestServer::start(&[]).await;
    for path in ["/metrics", "/status"] {
        let url = format!("http://{}{path}", server.address);
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
