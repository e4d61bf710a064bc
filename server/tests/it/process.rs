//! The server as a process of its own, and its journal.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_everbeat");

/// Runs a command of the program; returns its exit code and its output.
pub(crate) async fn run(command: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM)
        .args(command)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let told = told + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), told)
}

/// A running server; it ends with the test.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// The operator's listener.
    pub(crate) admin: SocketAddr,
    log: Lines<BufReader<ChildStderr>>,
    /// Removed on drop.
    _data: TempDir,
}

impl Process {
    /// Starts it with these options, and waits until it serves.
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::start_by(Command::new(PROGRAM), options).await
    }

    /// The same, with this limit of open files.
    pub(crate) async fn start_with_files(files: u32, options: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, PROGRAM]);
        Self::start_by(shell, options).await
    }

    /// The same, under a service manager that listens at this socket (sd_notify(3)).
    pub(crate) async fn start_notifying(socket: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.env("NOTIFY_SOCKET", socket);
        Self::start_by(command, options).await
    }

    /// Sends it SIGTERM, as a service manager does.
    pub(crate) async fn terminate(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(sent.unwrap().success());
    }

    async fn start_by(mut command: Command, options: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let fixed = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut child = command
            .args(fixed)
            .args(["--data", data.path().to_str().unwrap()])
            .args(options)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self {
            child,
            address: nowhere,
            admin: nowhere,
            log,
            _data: data,
        };
        process.address = process.tells_address("serving on http").await;
        process.admin = process.tells_address("for the operator: http").await;
        process
    }

    /// Waits for the journal's next line with this text.
    pub(crate) async fn says(&mut self, what: &str) -> String {
        let search = async {
            loop {
                let line = self.log.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it ended and did not say {what:?}"));
                if line.contains(what) {
                    return line;
                }
            }
        };
        timeout(Duration::from_secs(20), search).await.expect(what)
    }

    async fn tells_address(&mut self, before: &str) -> SocketAddr {
        let line = self.says(before).await;
        let url = line.rsplit("://").next().unwrap();
        url.split('/').next().unwrap().parse().unwrap()
    }
}
