//! What nodes ask each other, between real processes: their state, and copies of the log.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use clap::Parser;
use serde_json::Value;
use server::config::Config;
use server::peer::PeerSecret;
use server::peer::ask::copy_of_furthest;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::process::{self, Process};
use crate::raw::Raw;
use crate::test_server::TestServer;

/// Directories for nodes, and the secrets.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for (name, byte) in [("secret", "5e"), ("other", "0f")] {
            let path = place.path(name);
            fs::write(&path, byte.repeat(32)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn files(&self, name: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(name)) else {
            return Vec::new();
        };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// Starts a node that answers its peers.
    async fn node(&self) -> Node {
        let secret = self.path("secret");
        let options = [
            "--peer-listen",
            "127.0.0.1:0",
            "--peer-secret-file",
            &secret,
        ];
        let mut process = Process::start(&options).await;
        let line = process.says("for other nodes").await;
        let url = line.rsplit(' ').next().unwrap().to_owned();
        Node { process, url }
    }

    /// Runs a command with a secret; returns its exit code and its output.
    async fn run(&self, secret: &str, command: &[&str]) -> (Option<i32>, String) {
        let secret = self.path(secret);
        process::run(&[command, &["--peer-secret-file", &secret]].concat()).await
    }

    async fn copy(&self, from: &str, data: &str) -> (Option<i32>, String) {
        let data = self.path(data);
        self.run("secret", &["cluster", "copy", from, "--data", &data])
            .await
    }

    /// A copy that must fail with these words, and leave no database.
    async fn no_copy(&self, from: &str, data: &str, words: &str) {
        let (code, told) = self.copy(from, data).await;
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(words), "{words} is missing in: {told}");
        let left = self.files(data);
        assert!(
            left.iter().all(|name| name == "everbeat.db.lock"),
            "{left:?}"
        );
    }
}

struct Node {
    process: Process,
    /// Where its peers ask it.
    url: String,
}

impl Node {
    /// Stores messages, and returns the epoch of their room.
    async fn publish(&self, count: u64) -> Value {
        let mut raw = Raw::connect(self.process.address).await;
        raw.hello().await;
        raw.send(r#"{"type":"join","room":"lobby"}"#).await;
        let joined = raw.next_of("joined").await;
        for seq in 1..=count {
            raw.publish(seq, &format!("body {seq}")).await;
            raw.next_of("ack").await;
        }
        joined["epoch"].clone()
    }
}

/// A server between a node and those that ask it, which changes what it passes on.
async fn between(
    node: &str,
    change: impl Fn(&str, &mut Vec<u8>) + Clone + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<HeaderMap>>>) {
    let heard = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let (node, noted) = (node.trim_end_matches('/').to_owned(), heard.clone());
    let pass = move |request: Request<Body>| {
        let (node, noted, change) = (node.clone(), noted.clone(), change.clone());
        async move {
            let path = request.uri().path().to_owned();
            noted.lock().unwrap().push(request.headers().clone());
            let mut headers = request.headers().clone();
            headers.remove("host");
            let url = format!("{node}{path}");
            let sent = reqwest::Client::new().get(url).headers(headers).send();
            let answer = sent.await.unwrap();
            let mut response = Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                if name.as_str().starts_with("everbeat-") {
                    response = response.header(name, value);
                }
            }
            let mut body = answer.bytes().await.unwrap().to_vec();
            change(&path, &mut body);
            response.body(Body::from(body)).unwrap()
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(pass)).await });
    (url, heard)
}

/// Joins the lobby of a server on this data directory; returns `joined`.
async fn joined_at(data: &str) -> Value {
    let config = Config::parse_from(["everbeat", "--data", data]);
    let mut server = TestServer::start_over(&[], |_| server::open_hub(&config).unwrap()).await;
    let mut raw = server.raw().await;
    raw.hello().await;
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    let joined = raw.next_of("joined").await;
    server.terminate();
    server.ended().await;
    joined
}

/// RS-6: a new node has the log of the one that it asked, with its epoch; so has one that had an older log of its own. Neither
/// keeps a file of the copy.
#[tokio::test]
async fn a_node_takes_a_copy_of_another_ones_log() {
    let place = Place::new();
    let node = place.node().await;
    let epoch = node.publish(30).await;
    joined_at(&place.path("late")).await;
    for data in ["new/data", "late"] {
        let (code, told) = place.copy(&node.url, data).await;
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("everbeat.db is a copy"), "{told}");
        let files = place.files(data);
        let of_a_copy = |name: &&String| name.contains("copy") || name.contains("before");
        assert_eq!(files.iter().find(of_a_copy), None);
        let database = Path::new(&place.path(data)).join("everbeat.db");
        let mode = fs::metadata(database).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        let joined = joined_at(&place.path(data)).await;
        assert_eq!((&joined["epoch"], &joined["head"]), (&epoch, &30.into()));
    }
    // The node that was asked serves on.
    node.publish(1).await;
}

/// A wrong secret, a missing one, one that others can read: each in its own words, on the side that can mend it.
#[tokio::test]
async fn a_wrong_secret_is_told() {
    let place = Place::new();
    let mut node = place.node().await;
    let data = place.path("data");
    let copy = ["cluster", "copy", &node.url, "--data", &data];
    let (code, told) = place.run("other", &copy).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("has another secret than this node"), "{told}");
    node.process.says("a peer has another secret").await;
    let (_, told) = place.run("nothing", &copy).await;
    assert!(told.contains("cannot read"), "{told}");
    fs::write(place.path("short"), "short").unwrap();
    fs::set_permissions(place.path("short"), fs::Permissions::from_mode(0o600)).unwrap();
    let (_, told) = place.run("short", &copy).await;
    assert!(told.contains("32 bytes or more"), "{told}");
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let (_, told) = place.run("secret", &copy).await;
    assert!(told.contains("chmod 600"), "{told}");
    assert_eq!(place.files("data"), [""; 0]);
}

/// A question without a proof, with a wrong one, or one that was asked before gets nothing; clients and the operator have no such
/// routes at all.
#[tokio::test]
async fn only_nodes_are_answered() {
    let place = Place::new();
    let node = place.node().await;
    node.publish(1).await;
    let http = reqwest::Client::new();
    let status = async |url: String, headers: HeaderMap| {
        let answer = http.get(url).headers(headers).send().await.unwrap();
        let status = answer.status();
        (status, answer.text().await.unwrap())
    };
    let copy = format!("{}v1/copy", node.url);
    assert_eq!(
        status(copy.clone(), HeaderMap::new()).await.0,
        StatusCode::UNAUTHORIZED
    );
    let mut guessed = HeaderMap::new();
    let digits = "0".repeat(64);
    for name in ["everbeat-nonce", "everbeat-challenge", "everbeat-proof"] {
        guessed.insert(name, digits.parse().unwrap());
    }
    assert_eq!(status(copy.clone(), guessed).await.0, StatusCode::FORBIDDEN);
    for other in [node.process.address, node.process.admin] {
        for path in ["nonce", "status", "copy"] {
            let (status, text) =
                status(format!("http://{other}/v1/{path}"), HeaderMap::new()).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{text}");
        }
    }

    let (url, heard) = between(&node.url, |_, _| {}).await;
    let (code, told) = place.copy(&url, "data").await;
    assert_eq!(code, Some(0), "{told}");
    let asked = heard.lock().unwrap().last().cloned().unwrap();
    assert!(asked.contains_key("everbeat-proof"));
    let mut again = asked.clone();
    again.remove("host");
    let (code, text) = status(copy, again.clone()).await;
    assert_eq!(code, StatusCode::CONFLICT, "{text}");
    // Nor is a proof for one question good for another one.
    let other = status(format!("{}v1/status", node.url), again).await;
    assert_eq!(other.0, StatusCode::FORBIDDEN);
}

/// A copy that was changed or cut off on its way, one of a server that does not know the secret, one that the disk does not hold:
/// none becomes a database, and each is reported.
#[tokio::test]
async fn half_a_copy_never_becomes_the_database() {
    let place = Place::new();
    let node = place.node().await;
    node.publish(20).await;
    let is_copy = |path: &str| path == "/v1/copy";
    let (flipped, _) = between(&node.url, move |path, body| {
        if is_copy(path) {
            let middle = body.len() / 2;
            body[middle] ^= 1;
        }
    })
    .await;
    let (cut, _) = between(&node.url, move |path, body| {
        if is_copy(path) {
            body.truncate(body.len() - 1);
        }
    })
    .await;
    let (longer, _) = between(&node.url, move |path, body| {
        if is_copy(path) {
            body.push(0);
        }
    })
    .await;
    for url in [flipped, cut, longer] {
        place
            .no_copy(&url, "data", "was changed or cut off on its way")
            .await;
    }
    // Its numbers are changed, so it proves nothing of what was asked.
    let (stranger, _) = between(&node.url, |path, body| {
        if path == "/v1/nonce" {
            body.reverse();
        }
    })
    .await;
    place.no_copy(&stranger, "data", "409 Conflict").await;
    let public = format!("http://{}/", node.process.address);
    place.no_copy(&public, "data", "404 Not Found").await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = unused.local_addr().unwrap();
    drop(unused);
    place
        .no_copy(&format!("http://{address}"), "data", "does not answer")
        .await;

    fs::create_dir(place.path("full")).unwrap();
    symlink("/dev/full", place.path("full/everbeat.db.copy")).unwrap();
    place
        .no_copy(&node.url, "full", "No space left on device")
        .await;
}

/// A status that was changed on its way, or that another program made up, is not believed.
#[tokio::test]
async fn a_status_is_proven() {
    let place = Place::new();
    let node = place.node().await;
    let (url, _) = between(&node.url, |path, body| {
        if path == "/v1/status" {
            let text = String::from_utf8(body.clone()).unwrap();
            *body = text.replace("\"clients\":0", "\"clients\":9").into_bytes();
        }
    })
    .await;
    let (code, told) = place
        .run("secret", &["cluster", "status", "--peers", &url])
        .await;
    assert_eq!(code, Some(1));
    assert!(told.contains("does not know the secret"), "{told}");
}

/// A server does not lose its database under itself.
#[tokio::test]
async fn a_copy_does_not_replace_the_log_of_a_server_that_runs() {
    let place = Place::new();
    let node = place.node().await;
    let data = place.path("data");
    let config = Config::parse_from(["everbeat", "--data", &data]);
    let server = TestServer::start_over(&[], |_| server::open_hub(&config).unwrap()).await;
    server.joined().await.publish(1, "mine").await;
    let (code, told) = place.copy(&node.url, "data").await;
    assert_eq!(code, Some(1));
    assert!(told.contains("in use"), "{told}");
    assert!(
        place
            .files("data")
            .iter()
            .all(|name| !name.contains("copy"))
    );
    server.joined().await.publish(1, "still mine").await;
}

/// Of several nodes those that do not answer are passed over; where none has come far enough, or none answers, that is the error.
#[tokio::test]
async fn the_furthest_node_gives_the_copy() {
    let place = Place::new();
    let node = place.node().await;
    let epoch = node.publish(5).await;
    let gone = {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/", unused.local_addr().unwrap())
    };
    let data = place.path("data");
    let copy = async |peers: &str| {
        let command = ["cluster", "copy", "--data", &data, "--peers", peers];
        place.run("secret", &command).await
    };
    let (code, told) = copy(&gone).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("does not answer"), "{told}");
    let (code, told) = copy(&format!("{gone},{}", node.url)).await;
    assert_eq!(code, Some(0), "{told}");
    let joined = joined_at(&data).await;
    assert_eq!((&joined["epoch"], &joined["head"]), (&epoch, &5.into()));

    let secret = PeerSecret::read(Path::new(&place.path("secret"))).unwrap();
    let peers = [node.url.parse().unwrap()];
    let database = Path::new(&place.path("other")).join("everbeat.db");
    let behind = copy_of_furthest(&peers, &secret, 9, &database).await;
    let told = behind.unwrap_err().to_string();
    assert!(told.contains("is at 0, and 9 is needed"), "{told}");
}

/// The operator sees all nodes, and what is wrong with them.
#[tokio::test]
async fn the_operator_sees_all_nodes() {
    let place = Place::new();
    let (first, second) = tokio::join!(place.node(), place.node());
    let both = format!("{},{}", first.url, second.url);
    let status = ["cluster", "status", "--peers", &both];
    let (code, told) = place.run("secret", &status).await;
    assert_eq!(code, Some(0), "{told}");
    let ready = told.lines().filter(|line| line.contains(" ready "));
    assert_eq!(ready.count(), 2, "{told}");

    let (code, told) = place.run("secret", &["cluster", "status"]).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("name the nodes: --peers"), "{told}");

    let gone = second.url.clone();
    drop(second);
    let (code, told) = place
        .run("secret", &[&status[..], &["--json"]].concat())
        .await;
    assert_eq!(code, Some(1));
    let lines: Vec<Value> = told
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert_eq!(lines[0]["status"]["state"], "ready");
    assert_eq!(
        (&lines[1]["peer"], &lines[1]["status"]),
        (&gone.as_str().into(), &Value::Null)
    );
    let alarm = lines[2]["alarms"][0].as_str().unwrap();
    assert!(alarm.contains("does not answer"), "{alarm}");
}
