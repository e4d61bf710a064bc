//! The server as a process: started, signalled, killed, restarted.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::disk::Disk;

/// The command that hands standard input over to the server as a socket, as in sd_listen_fds(3).
const ACTIVATED: &[&str] = &[
    "sh",
    "-c",
    r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0 0</dev/null"#,
    "sh",
];

/// The journal line of a server that listens already, and waits for the log's lock.
const WAITS: &str = "waiting for the server before to end";

/// The deadline of a start, and of an orderly end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server, and what a restart needs.
#[derive(Debug)]
pub struct Server {
    /// Its address, the same after every start.
    pub address: SocketAddr,
    /// The address of the operator's listener, if it has one.
    pub admin: Option<SocketAddr>,
    binary: PathBuf,
    data: PathBuf,
    log: PathBuf,
    options: Vec<String>,
    launcher: &'static [&'static str],
    /// The socket that each server inherits; it listens also while no server runs.
    socket: Option<TcpListener>,
    child: Option<Child>,
    /// Reserve the ports for this server, also while it is down.
    reserved: Vec<UdpSocket>,
}

impl Server {
    /// A server with its data on this disk. Not started yet.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn new(
        binary: &Path,
        disk: &Disk,
        options: &[&str],
        rng: &mut Rng,
    ) -> anyhow::Result<Self> {
        let (address, reserved) = free_address(rng)?;
        Ok(Self {
            address,
            admin: None,
            binary: binary.to_owned(),
            data: disk.data(),
            log: disk.server_log(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            launcher: disk.launcher(),
            socket: None,
            child: None,
            reserved: vec![reserved],
        })
    }

    /// Lets it tell the other nodes its address, from its next start on.
    pub fn advertise(&mut self) {
        let address = format!("http://{}", self.address);
        self.options.extend(["--advertise".to_owned(), address]);
    }

    /// Gives it an operator's listener from its next start on.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn open_admin(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        let (address, reserved) = free_address(rng)?;
        self.admin = Some(address);
        self.reserved.push(reserved);
        Ok(())
    }

    /// Opens a listening socket, and hands it to each server from now on, as systemd does.
    ///
    /// # Errors
    /// The system's error, if it cannot listen.
    pub fn hand_over_socket(&mut self) -> anyhow::Result<()> {
        self.socket = Some(TcpListener::bind(self.address)?);
        self.launcher = ACTIVATED;
        Ok(())
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// If it ends at once or does not serve in time.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.child = Some(self.spawn()?);
        self.serves().await
    }

    /// Starts the next server, which waits for the log, ends this one, and waits until the next one serves.
    ///
    /// # Errors
    /// If this one does not end in order, or the next one does not serve in time.
    pub async fn replace(&mut self) -> anyhow::Result<()> {
        let waiting = self.times_said(WAITS);
        let mut next = self.spawn()?;
        let begun = Instant::now();
        while self.times_said(WAITS) == waiting {
            if let Some(status) = next.try_wait()? {
                bail!("the next server ended at its start: {status}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("the next server did not get as far as waiting");
            }
            sleep(Duration::from_millis(5)).await;
        }
        self.terminate().await?;
        self.child = Some(next);
        self.serves().await
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut command = match self.launcher {
            [] => Command::new(&self.binary),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        let stdin = match &self.socket {
            Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone()?)),
            None => Stdio::null(),
        };
        let admin = self.admin.map(|admin| admin.to_string());
        command
            .args(["--listen", &self.address.to_string()])
            .args(["--admin", admin.as_deref().unwrap_or("off")])
            .arg("--data")
            .arg(&self.data)
            .args(&self.options)
            // Log the start and the end, but not each session.
            .env("EVERBEAT_LOG", "warn,server=info,server::ws=warn")
            .env("NO_COLOR", "1")
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}: build it first", self.binary.display()))
    }

    /// Whether the server answers. A handed-over socket takes connections all the time, so a request is needed there.
    async fn answers(&self) -> bool {
        if self.socket.is_some() {
            let health = self.page("/healthz").await;
            return health.is_ok_and(|health| health.starts_with("HTTP/1.1 200"));
        }
        TcpStream::connect(self.address).await.is_ok()
    }

    async fn serves(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.answers().await {
            if let Some(status) = self
                .child
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten()
            {
                bail!("the server ended at its start: {status}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("the server does not answer on {}", self.address);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Kills it (`kill -9`).
    ///
    /// # Errors
    /// If it had ended by itself.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.check()?;
        let mut child = self.child.take().context("the server is not running")?;
        child.kill().await?;
        Ok(())
    }

    /// Kills it (`kill -9`) when it may have ended by itself, after its disk failed.
    ///
    /// # Errors
    /// If it is not running, or does not end.
    pub async fn kill_anyhow(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the server is not running")?;
        child.start_kill()?;
        child.wait().await?;
        Ok(())
    }

    /// Sends SIGTERM, and waits for the end of the drain.
    ///
    /// # Errors
    /// If it does not end in time, or not in order.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        self.check()?;
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().context("the server is not running")?;
        let status = timeout(PATIENCE, child.wait())
            .await
            .context("the server did not end in time after SIGTERM")??;
        if !status.success() {
            bail!("the server ended badly after SIGTERM: {status}");
        }
        Ok(())
    }

    /// Stops the process (SIGSTOP), as on a paused machine.
    ///
    /// # Errors
    /// If it is not running.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Continues the process (SIGCONT).
    ///
    /// # Errors
    /// If it is not running.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// The id of its process.
    ///
    /// # Errors
    /// If it is not running.
    pub fn pid(&self) -> anyhow::Result<u32> {
        let id = self.child.as_ref().and_then(Child::id);
        id.context("the server is not running")
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// If it has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.as_mut().map(Child::try_wait).transpose()? {
            Some(Some(status)) => {
                let text = std::fs::read_to_string(&self.log).unwrap_or_default();
                let last = text.lines().next_back().unwrap_or_default();
                bail!("the server ended by itself: {status}; it said: {last}")
            }
            Some(None) | None => Ok(()),
        }
    }

    /// The status line and the text of a page.
    ///
    /// # Errors
    /// If there is no answer in time.
    pub async fn page(&self, path: &str) -> anyhow::Result<String> {
        let get = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        timeout(Duration::from_secs(5), get)
            .await
            .context("no page within 5 s")?
    }

    /// The panics in the server's journal.
    pub fn panics(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains("panicked at"));
        lines.map(str::to_owned).collect()
    }

    /// The number of lines in the servers' journal with this text.
    pub fn times_said(&self, what: &str) -> usize {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter(|line| line.contains(what)).count()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw);
        // The process was not reaped yet, so the id is still its own.
        kill_process(pid.context("no process has this number")?, signal)?;
        Ok(())
    }
}

/// A free port outside of the system's range for outgoing connections: while the server is down, a client
/// that connects to it must not connect to itself, on the server's own port. The UDP port of the same
/// number, which is not used, is bound to reserve it: no other run beside this one may take the port.
pub(crate) fn free_address(rng: &mut Rng) -> anyhow::Result<(SocketAddr, UdpSocket)> {
    for _ in 0..1000 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rng.u16(20_000..30_000)));
        if let (Ok(reserved), Ok(_)) = (UdpSocket::bind(address), TcpListener::bind(address)) {
            return Ok((address, reserved));
        }
    }
    bail!("no free port between 20000 and 30000")
}
