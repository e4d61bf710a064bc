//! The server's program as a process: its errors at the start, and its journal.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{sleep, timeout};

use crate::process::Process;
use crate::raw::{PATIENCE, Raw};

/// Options for a free port, without the operator's listener.
const QUIET: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "off"];

/// Runs the program until it ends by itself; returns its exit code and its output.
async fn says(options: &[&str]) -> (Option<i32>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_everbeat"));
    said_by(program.args(options).stdin(Stdio::null())).await
}

/// The same with a descriptor that is handed over as systemd does it (sd_listen_fds(3)).
async fn says_handed(socket: Stdio, options: &[&str]) -> (Option<i32>, String) {
    let script = r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0 0</dev/null"#;
    let mut program = Command::new("sh");
    program
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_everbeat")])
        .args(["--admin", "off"])
        .args(options)
        .stdin(socket);
    said_by(&mut program).await
}

async fn said_by(program: &mut Command) -> (Option<i32>, String) {
    let output = program.kill_on_drop(true).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        output.status.code(),
        text + &String::from_utf8_lossy(&output.stdout),
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    let (code, said) = says(&["--listen", &address, "--data", text(data.path())]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&address) && said.contains("--listen"),
        "{said}"
    );
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_named() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("not-a-directory");
    std::fs::write(&file, "x").unwrap();
    let (code, said) = says(&[&QUIET[..], &["--data", text(&file)]].concat()).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("not-a-directory"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
}

#[tokio::test]
async fn a_database_of_another_version_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("everbeat.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = std::fs::read(&file).unwrap();
    let (code, said) = says(&[&QUIET[..], &["--data", text(data.path())]].concat()).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("everbeat.db"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn options_that_cannot_work_together_are_named() {
    let (code, said) = says(&["--heartbeat-interval", "1s", "--heartbeat-timeout", "9s"]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("--heartbeat-timeout"), "{said}");
}

/// An option's older name still counts, in the environment too; its newer name takes precedence.
#[tokio::test]
async fn an_option_keeps_its_older_name() {
    for (older, newer, is_refused) in [
        ("9s", None, true),
        ("9s", Some("1s"), false),
        ("1s", Some("9s"), true),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_everbeat"));
        program
            // This error is found last, so that no case starts a server.
            .args(["--frame-bytes", "1"])
            .env("EVERBEAT_HELLO_LINE", older)
            .envs(newer.map(|newer| ("EVERBEAT_HELLO_QUEUE", newer)))
            .stdin(Stdio::null());
        let (code, said) = said_by(&mut program).await;
        assert_eq!(code, Some(1));
        assert_eq!(
            said.contains("--hello-queue"),
            is_refused,
            "{older}, {newer:?}: {said}"
        );
        assert_eq!(said.contains("--frame-bytes"), !is_refused, "{said}");
    }
}

#[tokio::test]
async fn help_tells_each_option_with_its_default() {
    let (code, said) = says(&["--help"]).await;
    assert_eq!(code, Some(0));
    for option in [
        "--listen",
        "--data",
        "--heartbeat-interval",
        "--drain",
        "--history",
    ] {
        assert!(said.contains(option), "{option}");
    }
    assert!(
        said.contains("[default: 25s]") && said.contains("EVERBEAT_LISTEN"),
        "{said}"
    );
}

/// A journal that cannot be written, as on a full disk, does not stop the server.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let data = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_everbeat"))
        .args(["--listen", &address.to_string(), "--admin", "off"])
        .args(["--data", text(data.path())])
        .stdin(Stdio::null())
        .stderr(full)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while TcpStream::connect(address).await.is_err() {
        assert_eq!(server.try_wait().unwrap(), None, "it serves");
        sleep(Duration::from_millis(10)).await;
    }
    let mut raw = Raw::connect(address).await;
    raw.hello().await;
    raw.publish(1, "hello").await;
    raw.next_of("ack").await;
}

/// A handed-over descriptor that is no listening socket is an error at the start.
#[tokio::test]
async fn a_handed_over_file_is_no_entrance() {
    let data = tempfile::tempdir().unwrap();
    let (code, said) = says_handed(Stdio::null(), &["--data", text(data.path())]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("LISTEN_FDS"), "{said}");
}

/// Clients that connect during a drain wait in the handed-over socket: a drain that is longer than their
/// patience gets a warning.
#[tokio::test]
async fn a_drain_too_long_for_a_handed_over_socket_is_told() {
    let data = tempfile::tempdir().unwrap();
    // The log is in use, so the server ends by itself.
    let holder = std::fs::File::create(data.path().join("everbeat.db.lock")).unwrap();
    holder.lock().unwrap();
    for (drain, is_warned) in [("7s", false), ("8s", true)] {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let options = ["--await-log", "0s", "--drain", drain];
        let options = [&options[..], &["--data", text(data.path())]].concat();
        let (code, said) = says_handed(OwnedFd::from(socket).into(), &options).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("everbeat.db"), "{said}");
        assert_eq!(said.contains("a shorter --drain"), is_warned, "{said}");
    }
}

/// A server that shares its port waits for the log, at most for `--await-log`.
#[tokio::test]
async fn a_log_that_stays_in_use_is_named() {
    let data = tempfile::tempdir().unwrap();
    let holder = std::fs::File::create(data.path().join("everbeat.db.lock")).unwrap();
    holder.lock().unwrap();
    let shared = ["--reuse-port", "--await-log", "300ms"];
    let rest = [&QUIET[..], &["--data", text(data.path())]].concat();
    let begun = std::time::Instant::now();
    let (code, said) = says(&[&shared[..], &rest].concat()).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let waits = said.matches("waiting for the server before to end").count();
    assert!(waits == 1 && said.contains("everbeat.db"), "{said}");
    // A server that does not share its port does not wait: it ends at once.
    let (code, said) = says(&rest).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(!said.contains("waiting"), "{said}");
}

/// Servers that share a port must share the data directory: else a client reaches one of two logs by chance.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_port_is_shared_over_the_same_data_only() {
    let first = Process::start(&["--reuse-port"]).await;
    let address = first.address.to_string();
    let other = tempfile::tempdir().unwrap();
    let shared = ["--reuse-port", "--listen", &address, "--admin", "off"];
    let options = [&shared[..], &["--data", text(other.path())]].concat();
    let (code, said) = says(&options).await;
    assert_eq!(code, Some(1), "{said}");
    let directory = other.path().file_name().unwrap().to_str().unwrap();
    assert!(said.contains(&address) && said.contains("--data"), "{said}");
    assert!(
        !said.contains(directory),
        "the error names the other's directory: {said}"
    );
}

/// All journal lines about a session have its id.
#[tokio::test]
async fn a_sessions_life_can_be_followed_in_json() {
    let data = tempfile::tempdir().unwrap();
    let wanted = ("EVERBEAT_LOG", "warn,everbeat=info,server=debug");
    let (_server, mut lines) = run(data.path(), &[], wanted);
    let welcome = visit(lines.address().await, "not for a log").await;
    let mut life = Vec::new();
    while life.last() != Some(&"session end".to_owned()) {
        let line = lines.next().await;
        assert!(!line.to_string().contains("not for a log"), "{line}");
        if line["session.id"] == welcome["session"]["id"] {
            assert!(line["connection.id"].is_string(), "{line}");
            life.push(line["message"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(life, ["session start", "room joined", "session end"]);
}

/// An OpenTelemetry collector gets the spans of a session, and no message's text.
#[tokio::test]
async fn traces_are_sent_where_they_are_wanted() {
    let (told, mut heard) = unbounded_channel();
    let collector = Router::new().route(
        "/v1/traces",
        post(async move |body: Bytes| {
            let _ = told.send(String::from_utf8_lossy(&body).into_owned());
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, collector).await });
    let data = tempfile::tempdir().unwrap();
    let traced = ["--otlp", &url, "--otlp-share", "1"];
    let (_server, mut lines) = run(data.path(), &traced, ("OTEL_BSP_SCHEDULE_DELAY", "50"));
    let welcome = visit(lines.address().await, "not for a trace").await;
    let mut all = String::new();
    let session = welcome["session"]["id"].as_str().unwrap();
    let wanted = [
        "request",
        "admit",
        "open session",
        "join",
        "append",
        session,
    ];
    while !wanted.iter().all(|word| all.contains(word)) {
        let more = timeout(PATIENCE, heard.recv()).await;
        all += &more.expect("the collector hears of each step").unwrap();
    }
    assert!(!all.contains("not for a trace"));
}

/// Runs the program; returns the process and its journal.
fn run(data: &Path, options: &[&str], (variable, value): (&str, &str)) -> (Child, Lines) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_everbeat"))
        .args(QUIET)
        .args(["--data", text(data), "--log-format", "json"])
        .args(options)
        .env(variable, value)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = Lines::of(&mut server);
    (server, lines)
}

/// Joins the lobby, publishes this and disconnects; returns `welcome`.
async fn visit(address: SocketAddr, body: &str) -> Value {
    let mut raw = Raw::connect(address).await;
    let welcome = raw.hello().await;
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    raw.next_of("joined").await;
    raw.publish(1, body).await;
    raw.next_of("ack").await;
    welcome
}

/// The server's journal, lines of JSON.
struct Lines(tokio::io::Lines<BufReader<ChildStderr>>);

impl Lines {
    fn of(server: &mut Child) -> Self {
        Self(BufReader::new(server.stderr.take().unwrap()).lines())
    }

    async fn next(&mut self) -> Value {
        let line = self.0.next_line().await.unwrap().unwrap();
        serde_json::from_str(&line).expect(&line)
    }

    /// The server's address, from its journal.
    async fn address(&mut self) -> SocketAddr {
        loop {
            let line = self.next().await;
            let said = line["message"].as_str().unwrap_or_default();
            if let Some(address) = said.strip_prefix("serving on http://") {
                return address.parse().unwrap();
            }
        }
    }
}
