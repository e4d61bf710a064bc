//! The program's commands (backup, restore, rooms), beside a running server and without one; and retention.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use server::config::Config;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::process;
use crate::raw::Raw;
use crate::test_server::TestServer;

/// A temporary directory for data directories, copies and exports.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Starts a server on the data directory of this name.
    async fn serve(&self, data: &str) -> TestServer {
        let config = Config::parse_from(["everbeat", "--data", &self.path(data)]);
        TestServer::start_over(&["--publish-burst", "2000"], |_| {
            server::open_hub(&config).unwrap()
        })
        .await
    }

    /// Runs a command on the data directory of this name; returns its exit code and its output.
    async fn run(&self, data: &str, command: &[&str]) -> (Option<i32>, String) {
        let data = self.path(data);
        process::run(&[command, &["--data", &data]].concat()).await
    }

    async fn done(&self, data: &str, command: &[&str]) -> String {
        let (code, told) = self.run(data, command).await;
        assert_eq!(code, Some(0), "{told}");
        told
    }

    async fn refused(&self, data: &str, command: &[&str], words: &[&str]) {
        let (code, told) = self.run(data, command).await;
        assert_eq!(code, Some(1), "{told}");
        for word in words {
            assert!(told.contains(word), "{word} is missing in: {told}");
        }
    }
}

async fn end(mut server: TestServer) {
    server.terminate();
    server.ended().await;
}

async fn publish(raw: &mut Raw, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        raw.publish(seq, &format!("body {seq}")).await;
        raw.next_of("ack").await;
    }
}

/// Joins the lobby, from a position if there is one; returns the connection and `joined`.
async fn join(server: &TestServer, since: Option<(&Value, u64)>) -> (Raw, Value) {
    let mut raw = server.raw().await;
    raw.hello().await;
    let mut join = json!({"type": "join", "room": "lobby"});
    if let Some((epoch, offset)) = since {
        join["since"] = json!({"epoch": epoch, "offset": offset});
    }
    raw.send(&join.to_string()).await;
    let joined = raw.next_of("joined").await;
    (raw, joined)
}

/// The permission bits of a file.
fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Other users of the machine cannot read the data, whatever the umask.
#[tokio::test]
async fn data_is_the_servers_own() {
    let place = Place::new();
    let server = place.serve("new/data").await;
    server.joined().await.publish(1, "for few").await;
    assert_eq!(mode(&place.path("new/data")), 0o700);
    for file in ["everbeat.db", "everbeat.db-wal", "everbeat.db.lock"] {
        assert_eq!(
            mode(&place.path(&format!("new/data/{file}"))),
            0o600,
            "{file}"
        );
    }
    end(server).await;
}

/// EO-2, RS-6: a backup that is made while the server writes has every durable message. After a restore
/// each client with a position gets a gap, also where its offset exists again.
#[tokio::test]
async fn a_backup_is_made_while_the_server_runs_and_brought_back() {
    let place = Place::new();
    let server = place.serve("data").await;
    let (mut raw, joined) = join(&server, None).await;
    let old_epoch = joined["epoch"].clone();
    publish(&mut raw, 1..=300).await;
    let copy = place.path("copy.db");
    let command = ["backup", &copy];
    let (told, ()) = tokio::join!(place.done("data", &command), publish(&mut raw, 301..=600));
    assert_eq!(told.trim(), copy);
    assert_eq!(mode(&copy), 0o600);
    assert!(!Path::new(&format!("{copy}-wal")).exists());
    // The server still stores.
    publish(&mut raw, 601..=601).await;
    end(server).await;

    let told = place.done("restored/data", &["restore", &copy]).await;
    assert!(told.contains("restored/data/everbeat.db"), "{told}");
    let server = place.serve("restored/data").await;
    let (_, joined) = join(&server, None).await;
    let (head, epoch) = (joined["head"].as_u64().unwrap(), &joined["epoch"]);
    assert!((300..=600).contains(&head), "{head}");
    assert_ne!(*epoch, old_epoch);
    for offset in [1, 300, head, 601] {
        let (_, joined) = join(&server, Some((&old_epoch, offset))).await;
        assert_eq!(joined["recovered"], false, "{offset}");
    }
    let (mut raw, joined) = join(&server, Some((epoch, head - 2))).await;
    assert_eq!(joined["recovered"], true);
    assert_eq!(
        raw.next_of("message").await["body"],
        format!("body {}", head - 1)
    );
}

/// Neither a backup nor a restore overwrites a file.
#[tokio::test]
async fn copies_overwrite_nothing() {
    let place = Place::new();
    let server = place.serve("data").await;
    let (mut raw, _) = join(&server, None).await;
    publish(&mut raw, 1..=3).await;
    let copy = place.path("copy.db");
    place.done("data", &["backup", &copy]).await;
    let bytes = fs::read(&copy).unwrap();
    place
        .refused("data", &["backup", &copy], &["copy.db", "is there already"])
        .await;
    assert_eq!(fs::read(&copy).unwrap(), bytes);
    // Neither the log of a running server, nor that of one that has ended, is overwritten.
    place
        .refused("data", &["restore", &copy], &["in use"])
        .await;
    end(server).await;
    let before = fs::read(place.path("data/everbeat.db")).unwrap();
    place
        .refused(
            "data",
            &["restore", &copy],
            &["everbeat.db", "is there already"],
        )
        .await;
    assert_eq!(fs::read(place.path("data/everbeat.db")).unwrap(), before);
    // Into a directory, under a name of its own.
    fs::create_dir(place.path("copies")).unwrap();
    let told = place.done("data", &["backup", &place.path("copies")]).await;
    assert!(
        told.contains("copies/everbeat-2") && Path::new(told.trim()).exists(),
        "{told}"
    );
}

/// A file that is no backup, or a damaged one, is not restored; the refusal leaves no files.
#[tokio::test]
async fn what_is_no_copy_is_refused() {
    let place = Place::new();
    let server = place.serve("data").await;
    let (mut raw, _) = join(&server, None).await;
    publish(&mut raw, 1..=200).await;
    end(server).await;
    let copy = place.path("copy.db");
    place.done("data", &["backup", &copy]).await;

    place
        .refused(
            "none",
            &["backup", &place.path("x.db")],
            &["no database", "--data"],
        )
        .await;
    place
        .refused(
            "new",
            &["restore", &place.path("missing.db")],
            &["no database", "missing.db"],
        )
        .await;
    fs::write(place.path("text"), "hello ".repeat(100)).unwrap();
    place
        .refused(
            "new",
            &["restore", &place.path("text")],
            &["not an SQLite database"],
        )
        .await;
    let mut bytes = fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_000].fill(0x5a);
    fs::write(place.path("damaged.db"), &bytes).unwrap();
    place
        .refused(
            "new",
            &["restore", &place.path("damaged.db")],
            &["damaged.db"],
        )
        .await;
    bytes.truncate(middle);
    fs::write(place.path("short.db"), &bytes).unwrap();
    place
        .refused("new", &["restore", &place.path("short.db")], &["short.db"])
        .await;
    let left: Vec<_> = fs::read_dir(place.path("new"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["everbeat.db.lock"]);
    place.done("new", &["restore", &copy]).await;
}

/// RS-6: rooms are listed and exported beside a running server; a cleared one goes on with its next offset.
#[tokio::test]
async fn rooms_are_listed_exported_and_cleared() {
    let place = Place::new();
    let server = place.serve("data").await;
    let (mut raw, joined) = join(&server, None).await;
    let epoch = joined["epoch"].clone();
    publish(&mut raw, 1..=5).await;
    let listed = place.done("data", &["rooms", "list", "--json"]).await;
    let room: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&room["room"], &room["head"], &room["messages"]),
        (&json!("lobby"), &json!(5), &json!(5))
    );
    assert_eq!((&room["bytes"], &room["removed"]), (&json!(30), &json!(0)));
    let listed = place.done("data", &["rooms", "list"]).await;
    assert!(
        listed.starts_with("room ") && listed.contains("\nlobby "),
        "{listed}"
    );
    let exported = place.done("data", &["rooms", "export", "lobby"]).await;
    let messages: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (messages.len(), &messages[4]["body"]),
        (5, &json!("body 5"))
    );
    place
        .refused("data", &["rooms", "export", "attic"], &["no room attic"])
        .await;
    place
        .refused("data", &["rooms", "clear", "lobby"], &["in use"])
        .await;
    let (code, told) = place.run("data", &["rooms", "export", "../etc"]).await;
    assert_eq!(code, Some(2), "{told}");
    end(server).await;

    place
        .refused("data", &["rooms", "clear", "attic"], &["no room attic"])
        .await;
    place
        .refused("none", &["rooms", "clear", "lobby"], &["no database"])
        .await;
    let told = place.done("data", &["rooms", "clear", "lobby"]).await;
    assert!(told.contains("5 messages of lobby"), "{told}");
    let exported = place.done("data", &["rooms", "export", "lobby"]).await;
    assert_eq!(exported, "");
    for name in ["everbeat.db", "everbeat.db-wal"] {
        let bytes = fs::read(place.path(&format!("data/{name}"))).unwrap_or_default();
        assert!(
            !bytes.windows(6).any(|window| window == b"body 3"),
            "{name}"
        );
    }
    let server = place.serve("data").await;
    let (mut raw, joined) = join(&server, Some((&epoch, 3))).await;
    assert_eq!(
        (&joined["recovered"], &joined["head"]),
        (&json!(false), &json!(5))
    );
    publish(&mut raw, 1..=1).await;
    let (_, joined) = join(&server, Some((&epoch, 5))).await;
    assert_eq!(
        (&joined["recovered"], &joined["head"]),
        (&json!(true), &json!(6))
    );
}

/// RS-6: messages over `--history-age` are removed from log and memory; clients that miss them get a gap.
#[tokio::test]
async fn old_messages_go_by_themselves() {
    let server = TestServer::start(&["--history-age", "3s"]).await;
    let (mut raw, joined) = join(&server, None).await;
    let epoch = joined["epoch"].clone();
    publish(&mut raw, 1..=3).await;
    let (_, joined) = join(&server, Some((&epoch, 1))).await;
    assert_eq!(joined["recovered"], true);
    let url = format!("http://{}/api/rooms/lobby/messages?after=0", server.address);
    let read = async || -> Value {
        let answer = reqwest::get(&url).await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    // They may be removed one after the other.
    while read().await["messages"] != json!([]) {
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(read().await["gap"], true);
    let (mut late, joined) = join(&server, Some((&epoch, 1))).await;
    assert_eq!(
        (&joined["recovered"], &joined["from"], &joined["head"]),
        (&json!(false), &json!(3), &json!(3))
    );
    publish(&mut raw, 4..=4).await;
    assert_eq!(late.next_of("message").await["offset"], 4);
    // A client that had all of them has no gap.
    let (_, joined) = join(&server, Some((&epoch, 3))).await;
    assert_eq!(joined["recovered"], true);
}
