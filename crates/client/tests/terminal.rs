//! The example `terminal` as its users run it: beside the real server, through the deaths of both.

#![expect(clippy::unwrap_used, reason = "this whole file is tests")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use everbeat_client::protocol::id::{Name, RoomName};
use everbeat_client::{Client, Options};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

/// How often the server or the terminal is killed, or both. A terminal that starts shows 50 messages: there are fewer.
const ROUNDS: u32 = 9;

/// A server that can be started again where it was.
struct Server {
    address: SocketAddr,
    data: PathBuf,
    options: &'static [&'static str],
    child: Child,
}

impl Server {
    async fn start(data: &Path, options: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let data = data.join("data");
        Self {
            child: serve(address, &data, options).await,
            address,
            data,
            options,
        }
    }

    async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    async fn start_again(&mut self) {
        self.child = serve(self.address, &self.data, self.options).await;
    }
}

async fn serve(address: SocketAddr, data: &Path, options: &[&str]) -> Child {
    let child = Command::new(program("everbeat"))
        .args(["--listen", &address.to_string(), "--admin", "off"])
        .args(["--data", data.to_str().unwrap()])
        .args(options)
        .env("EVERBEAT_LOG", "error")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let serves = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, serves).await.expect("the server starts");
    child
}

/// A program of this workspace, as it was built last, beside the one that runs. `cargo test` builds it where it tests the
/// whole package, as `scripts/test.sh` does for both; with `--test terminal` it does not: then `cargo build` comes first.
fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().with_file_name(name);
    assert!(
        program.exists(),
        "{} is missing: build the example and the server, too",
        program.display()
    );
    program
}

/// A running terminal, and what it shows.
struct Terminal {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// The newest whole picture.
    picture: Vec<String>,
}

impl Terminal {
    fn start(server: &Server, name: &str, file: &Path) -> Self {
        let mut child = Command::new(program("examples/terminal"))
            .args([&format!("ws://{}/ws", server.address), "lobby", name])
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            picture: Vec::new(),
        }
    }

    async fn types(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
    }

    /// Waits until a whole picture is so.
    async fn shows(&mut self, what: &str, is_so: impl Fn(&[String]) -> bool) {
        let search = async {
            while !is_so(&self.picture) {
                self.picture.clear();
                loop {
                    let line = self.output.next_line().await.unwrap();
                    let line = line.unwrap_or_else(|| panic!("it ended before it showed {what}"));
                    let is_last = line.starts_with("-- ");
                    self.picture.push(line);
                    if is_last {
                        break;
                    }
                }
            }
        };
        let shown = timeout(PATIENCE, search).await;
        assert!(shown.is_ok(), "never {what}: {:#?}", self.picture);
    }

    /// Waits until all that was said stands there, each line once and in order, durable or on its way.
    async fn shows_all(&mut self, said: &[String]) {
        self.shows("every line once", |picture| bodies(picture).eq(said))
            .await;
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// The rows of Ada's texts, whatever became of them.
fn bodies(picture: &[String]) -> impl Iterator<Item = &str> {
    let rows = picture.iter().filter(|line| !line.starts_with("-- "));
    rows.map(|row| {
        let row = row.strip_prefix("Ada: ").unwrap_or(row);
        row.split(" (").next().unwrap()
    })
}

/// EO-1, EO-3, EO-4, EO-5: what was shown once is in the room once and in order, though the server and the terminal are
/// killed, each by itself and both at once.
#[tokio::test]
async fn a_line_that_was_shown_is_in_the_room_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path(), &[]).await;
    let file = directory.path().join("ada.session");
    let mut ada = Terminal::start(&server, "Ada", &file);
    let mut bob = Terminal::start(&server, "Bob", &directory.path().join("bob.session"));
    let both = "-- connected, 2 here: Ada, Bob";
    ada.shows("both", |it| it.last().is_some_and(|last| last == both))
        .await;
    let mut said = Vec::new();
    for round in 0..ROUNDS {
        for number in 0..4 {
            said.push(format!("{round}.{number}"));
            ada.types(said.last().unwrap()).await;
        }
        ada.shows_all(&said).await;
        match round % 3 {
            0 => server.kill().await,
            1 => {
                ada.kill().await;
                ada = Terminal::start(&server, "Ada", &file);
                continue;
            }
            _ => {
                server.kill().await;
                said.push(format!("{round}.last"));
                ada.types(said.last().unwrap()).await;
                ada.shows_all(&said).await;
                ada.kill().await;
                ada = Terminal::start(&server, "Ada", &file);
                // What only its file knows, before there is a server.
                let waits = format!("{round}.last (");
                ada.shows("what waits", |it| {
                    it.iter().any(|row| row.starts_with(&waits))
                })
                .await;
            }
        }
        server.start_again().await;
    }
    let durable: Vec<String> = said.iter().map(|body| format!("Ada: {body}")).collect();
    let is_whole = |picture: &[String]| picture.split_last().is_some_and(|it| it.1 == durable);
    ada.shows("every line durable", is_whole).await;
    bob.shows("the same", is_whole).await;
    // Its messages are durable, so it ends at once when its input does.
    drop(ada.input);
    let ended = timeout(PATIENCE, ada.child.wait()).await.unwrap();
    assert!(ended.unwrap().success());
    let mut cid = Terminal::start(&server, "Cid", &directory.path().join("cid.session"));
    cid.shows("the room's log", is_whole).await;
}

/// PR-1, PR-2: members, and what they are typing.
#[tokio::test]
async fn drafts_are_shown_until_they_are_messages() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]).await;
    let mut ada = Terminal::start(&server, "Ada", &directory.path().join("ada.session"));
    let url = format!("ws://{}/ws", server.address);
    let mut bob = everbeat_client::connect(&url, Options::new(1)).unwrap();
    bob.rename(Name::tidy("Bob"));
    bob.join(RoomName::lobby(), None);
    bob.draft(&RoomName::lobby(), "hel\x1blo");
    let typing = ["Bob is typing: hel lo", "-- connected, 2 here: Ada, Bob"];
    beside(&mut bob, ada.shows("the draft", |it| it == typing)).await;
    bob.publish(RoomName::lobby(), "hello").unwrap();
    let said = ["Bob: hello", "-- connected, 2 here: Ada, Bob"];
    beside(&mut bob, ada.shows("the message", |it| it == said)).await;
}

/// Lets a client run while something is awaited.
async fn beside(client: &mut Client, what: impl Future<Output = ()>) {
    let run = async { while client.next().await.is_some() {} };
    tokio::select! {
        () = run => panic!("the client stopped"),
        () = what => {}
    }
}

/// RS-6: what the log no longer holds is shown as missing.
#[cfg(unix)]
#[tokio::test]
async fn a_gap_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path(), &["--history", "20"]).await;
    let mut ada = Terminal::start(&server, "Ada", &directory.path().join("ada.session"));
    let mut bob = Terminal::start(&server, "Bob", &directory.path().join("bob.session"));
    ada.types("early").await;
    bob.shows("it", |it| it.contains(&"Ada: early".to_owned()))
        .await;
    signal(&bob, "-STOP").await;
    server.kill().await;
    server.start_again().await;
    for number in 0..100 {
        ada.types(&number.to_string()).await;
    }
    let is_last = |picture: &[String]| picture.iter().any(|line| line == "Ada: 99");
    ada.shows("the last", is_last).await;
    // A new server has in memory only what the log holds.
    server.kill().await;
    server.start_again().await;
    signal(&bob, "-CONT").await;
    bob.shows("the last", is_last).await;
    let (_, rows) = bob.picture.split_last().unwrap();
    assert_eq!(rows[..2], ["Ada: early", "(messages are missing here)"]);
    let first: u32 = rows[2].strip_prefix("Ada: ").unwrap().parse().unwrap();
    let rest: Vec<String> = (first..100).map(|it| format!("Ada: {it}")).collect();
    assert!((20..=85).contains(&rest.len()), "{rows:#?}");
    assert_eq!(rows[2..], rest);
}

#[cfg(unix)]
async fn signal(terminal: &Terminal, signal: &str) {
    let id = terminal.child.id().unwrap().to_string();
    let sent = Command::new("kill").args([signal, &id]).status().await;
    assert!(sent.unwrap().success());
}
