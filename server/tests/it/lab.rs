//! The lab (`--lab`): its commands, and which pages may send them.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::json;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::guarded::page;
use crate::process::{PROGRAM, Process, run};
use crate::raw::{PATIENCE, Raw};
use crate::test_server::TestServer;

/// Sends a command as a page of this origin does; `site` is how a browser says that origin and host relate.
async fn command(server: &TestServer, path: &str, origin: &str, site: &str) -> Response {
    let url = format!("http://{}{path}", server.admin);
    let request = Client::new().request(Method::POST, url);
    let request = request
        .header("origin", origin)
        .header("sec-fetch-site", site);
    request.send().await.unwrap()
}

fn own(server: &TestServer) -> String {
    format!("http://{}", server.address)
}

/// The server's own pages may send commands and read the answers, by any name of this machine; other pages may not, and
/// there is no lab unless it is asked for.
#[tokio::test]
async fn only_own_pages_may_use_the_lab() {
    let server = TestServer::start(&["--lab"]).await;
    let port = server.address.port();
    let stall = "/lab/stall?ms=0";
    for (origin, site) in [
        (own(&server), "same-site"),
        (format!("http://localhost:{port}"), "cross-site"),
        (format!("http://[::1]:{port}"), "cross-site"),
    ] {
        let answer = command(&server, stall, &origin, site).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{origin}");
        assert_eq!(answer.headers()["access-control-allow-origin"], origin);
        assert_eq!(answer.headers()["vary"], "Origin");
        let url = format!("http://{}/lab/kill", server.admin);
        let asked = Client::new().request(Method::OPTIONS, url);
        let asked = asked.header("origin", &origin).send().await.unwrap();
        assert_eq!(asked.status(), StatusCode::NO_CONTENT);
        assert_eq!(asked.headers()["access-control-allow-methods"], "POST");
    }
    for origin in ["http://evil.example", "http://127.0.0.1:1", "null"] {
        for path in ["/lab/kill", "/lab/drain", stall] {
            let answer = command(&server, path, origin, "cross-site").await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin} {path}");
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
    }
    // Its pages may do nothing else there.
    let remove = "/status/connections/1/remove";
    let answer = command(&server, remove, &own(&server), "same-site").await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let too_long = command(&server, "/lab/stall?ms=60001", &own(&server), "same-site").await;
    assert_eq!(too_long.status(), StatusCode::BAD_REQUEST);

    let (status, text, _) = page(&server, "/", "").await;
    assert_eq!(status, 200);
    let named = format!(
        "<meta name=\"everbeat-lab\" content=\"http://{}\">",
        server.admin
    );
    assert!(text.contains(&named), "{text}");
    let answer = reqwest::get(format!("http://{}/", server.address))
        .await
        .unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(
        policy.ends_with(&format!("connect-src 'self' http://{}", server.admin)),
        "{policy}"
    );

    let without = TestServer::start(&[]).await;
    for path in ["/lab/kill", "/lab/drain", stall] {
        let answer = command(&without, path, "", "same-origin").await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let (_, text, _) = page(&without, "/", "").await;
    assert!(!text.contains("everbeat-lab"));
}

/// RC-3: a drain is that of SIGTERM.
#[tokio::test]
async fn a_page_drains_the_server() {
    let server = TestServer::start(&["--lab"]).await;
    let mut raw = server.joined().await;
    let answer = command(&server, "/lab/drain", &own(&server), "same-site").await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    raw.next_of("go_away").await;
    assert_eq!(raw.end().await.0, Some(1012));
    timeout(PATIENCE, server.ended()).await.unwrap();
}

/// A stalled server answers nothing for so long, and then all of it; a killed one is gone at once.
#[tokio::test]
async fn a_page_stalls_and_kills_the_server() {
    let mut process = Process::start(&["--lab"]).await;
    let send = async |path: &str| {
        let url = format!("http://{}{path}", process.admin);
        let origin = format!("http://{}", process.address);
        let request = Client::new().post(url).header("origin", origin);
        request.send().await.unwrap().status()
    };
    let mut raw = Raw::connect(process.address).await;
    raw.hello().await;
    assert_eq!(send("/lab/stall?ms=1000").await, StatusCode::ACCEPTED);
    sleep(Duration::from_millis(150)).await;
    let begun = Instant::now();
    raw.send(r#"{"type":"ping"}"#).await;
    raw.next_of("pong").await;
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(500) && took < PATIENCE,
        "{took:?}"
    );
    assert_eq!(send("/lab/kill").await, StatusCode::ACCEPTED);
    assert_eq!(raw.next().await, None, "no closing handshake");
    let ended = timeout(PATIENCE, process.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.code(), None, "by a signal");
}

/// Ports that were free a moment ago.
fn free_ports() -> [SocketAddr; 2] {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}

/// `make lab`: a server that is killed is started again, over the same log, and ends with its supervisor.
#[tokio::test]
async fn a_killed_server_is_started_again() {
    let home = tempfile::tempdir().unwrap();
    let [address, admin] = free_ports();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lab.sh");
    let mut supervisor = Command::new(script)
        .args([
            "--listen",
            &address.to_string(),
            "--admin",
            &admin.to_string(),
        ])
        .env("EVERBEAT", PROGRAM)
        .env("LAB_HOME", home.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let served = async || {
        let begun = Instant::now();
        loop {
            if let Ok(raw) = Raw::open(address, "/ws", Some("everbeat.v1")).await {
                return raw;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not serve");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut raw = served().await;
    let welcome = raw.hello().await;
    assert_eq!(
        welcome["heartbeat"],
        json!({"interval_ms": 6000, "timeout_ms": 2000})
    );
    raw.publish(1, "before the kill").await;
    raw.next_of("ack").await;
    let kill = Client::new().post(format!("http://{admin}/lab/kill"));
    assert_eq!(kill.send().await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(raw.next().await, None);
    let mut raw = served().await;
    let hello = json!({"type": "hello", "session": welcome["session"]});
    raw.send(&hello.to_string()).await;
    let again = raw.next_of("welcome").await;
    assert_eq!(
        (&again["resumed"], &again["last_seq"]),
        (&json!(true), &json!(1))
    );
    let id = supervisor.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().await;
    assert!(sent.unwrap().success());
    raw.next_of("go_away").await;
    timeout(PATIENCE, supervisor.wait()).await.unwrap().unwrap();
    assert!(
        Raw::open(address, "/ws", Some("everbeat.v1"))
            .await
            .is_err()
    );
}

/// A server that others can reach has no lab: it says why, and does not start.
#[tokio::test]
async fn a_lab_is_refused_beyond_this_machine() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let free = "127.0.0.1:0";
    for (listen, admin, why) in [
        (
            "0.0.0.0:0",
            free,
            "--listen must be an address of the loopback",
        ),
        (
            free,
            "0.0.0.0:0",
            "--admin must be an address of the loopback",
        ),
        (free, "off", "--admin is off"),
    ] {
        let options = [
            "--lab", "--listen", listen, "--admin", admin, "--data", data,
        ];
        let (code, told) = run(&options).await;
        assert!(code == Some(1) && told.contains(why), "{told}");
    }
}
