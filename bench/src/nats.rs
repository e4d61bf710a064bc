//! NATS servers as processes: a cluster on loopback, each server of which can be killed, frozen and started again.
//!
//! The program is `nats-server` on the PATH, or `$NATS_SERVER`; `scripts/nats.sh` installs it.

mod monitor;

use std::env;
use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use self::monitor::Monitor;
use crate::server::free_address;

/// The deadline of a start and of an election. Elections take 4 to 9 s, and a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// The time between two looks at a server.
const TICK: Duration = Duration::from_millis(25);

/// The settings of the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether they have JetStream.
    pub jetstream: bool,
    /// Whether they sync each write before they acknowledge it (`sync_interval: always`).
    pub sync_always: bool,
    /// The most bytes that JetStream stores on each of them (`max_file`).
    pub max_file: u64,
    /// More lines of the configuration: accounts, TLS.
    pub more: String,
}

impl Default for Settings {
    /// As Everbeat needs them.
    fn default() -> Self {
        Self {
            jetstream: true,
            sync_always: true,
            max_file: 4 << 30,
            more: String::new(),
        }
    }
}

/// A cluster of NATS servers. They are killed on drop.
#[derive(Debug)]
pub struct Servers {
    program: PathBuf,
    servers: Vec<Server>,
}

/// One server, and what a restart needs.
#[derive(Debug)]
struct Server {
    /// Its directory: configuration, journal, and the store.
    home: PathBuf,
    client: SocketAddr,
    cluster: SocketAddr,
    monitor: Monitor,
    child: Option<Child>,
    is_frozen: bool,
    /// Reserve the ports, also while the server is down.
    _reserved: Vec<UdpSocket>,
}

impl Servers {
    /// Starts so many servers as Everbeat needs them, with all their files under this directory, and waits until they
    /// are [ready](Self::ready).
    ///
    /// # Errors
    /// Where the program is missing, no port is free, or one of them does not start in time.
    pub async fn start(dir: &Path, count: usize) -> anyhow::Result<Self> {
        Self::start_with(dir, count, &Settings::default()).await
    }

    /// The same with other settings. One server alone is no cluster.
    ///
    /// # Errors
    /// As [`Servers::start`].
    pub async fn start_with(dir: &Path, count: usize, settings: &Settings) -> anyhow::Result<Self> {
        ensure!(count > 0, "no server is no cluster");
        let program = env::var_os("NATS_SERVER").unwrap_or_else(|| "nats-server".into());
        let mut rng = Rng::with_seed(seed());
        let servers: anyhow::Result<Vec<_>> = (0..count)
            .map(|index| Server::new(dir.join(format!("nats-{index}")), &mut rng))
            .collect();
        let mut servers = Self {
            program: program.into(),
            servers: servers?,
        };
        servers.configure(settings)?;
        for index in 0..count {
            servers.restart(index).await?;
        }
        servers.ready().await?;
        Ok(servers)
    }

    /// Writes the configuration of every server; it counts from each one's next start on.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn configure(&self, settings: &Settings) -> anyhow::Result<()> {
        for index in 0..self.servers.len() {
            let text = self.configuration(index, settings);
            fs::write(self.servers[index].home.join("nats.conf"), text)?;
        }
        Ok(())
    }

    /// How many servers there are, running or not.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// Their addresses for clients, as Everbeat's option takes them: `nats://127.0.0.1:1,nats://127.0.0.1:2`.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = (0..self.servers.len())
            .map(|index| format!("nats://{}", self.address(index)))
            .collect();
        urls.join(",")
    }

    /// A server's address for clients.
    pub fn address(&self, index: usize) -> SocketAddr {
        self.servers[index].client
    }

    /// The address of a server's monitoring, `http://…`.
    pub fn monitor_url(&self, index: usize) -> String {
        format!("http://{}", self.servers[index].monitor.address)
    }

    /// The directory in which a server keeps its streams and Raft logs.
    pub fn store(&self, index: usize) -> PathBuf {
        self.servers[index].home.join("store")
    }

    /// The id of a server's process.
    ///
    /// # Errors
    /// If it is not running.
    pub fn pid(&self, index: usize) -> anyhow::Result<u32> {
        let id = self.servers[index].child.as_ref().and_then(Child::id);
        id.context("the server is not running")
    }

    /// Kills a server (`kill -9`).
    ///
    /// # Errors
    /// If it is not running.
    pub async fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        let server = &mut self.servers[index];
        let mut child = server.child.take().context("the server is not running")?;
        server.is_frozen = false;
        child.kill().await?;
        Ok(())
    }

    /// Ends a server in order (SIGTERM), and waits for its end.
    ///
    /// # Errors
    /// If it is not running, or does not end in time.
    pub async fn terminate(&mut self, index: usize) -> anyhow::Result<()> {
        self.signal(index, Signal::TERM)?;
        let server = &mut self.servers[index];
        let mut child = server.child.take().context("the server is not running")?;
        timeout(PATIENCE, child.wait())
            .await
            .context("a NATS server did not end in time after SIGTERM")??;
        Ok(())
    }

    /// Stops a server (SIGSTOP), as on a paused machine.
    ///
    /// # Errors
    /// If it is not running.
    pub fn freeze(&mut self, index: usize) -> anyhow::Result<()> {
        self.signal(index, Signal::STOP)?;
        self.servers[index].is_frozen = true;
        Ok(())
    }

    /// Continues a server (SIGCONT).
    ///
    /// # Errors
    /// If it is not running.
    pub fn thaw(&mut self, index: usize) -> anyhow::Result<()> {
        self.signal(index, Signal::CONT)?;
        self.servers[index].is_frozen = false;
        Ok(())
    }

    /// Starts a server that does not run, with the store that it left, and waits until it takes connections. Without a
    /// quorum it can do no more than that: see [`Servers::ready`].
    ///
    /// # Errors
    /// If it runs, or does not start in time.
    pub async fn restart(&mut self, index: usize) -> anyhow::Result<()> {
        ensure!(self.servers[index].child.is_none(), "the server is running");
        let journal = self.servers[index].home.join("nats.log");
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&journal)?;
        let mut child = Command::new(&self.program)
            .arg("-c")
            .arg(self.servers[index].home.join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start nats-server: scripts/nats.sh installs it")?;
        let begun = Instant::now();
        let address = self.servers[index].client;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = child.try_wait()? {
                let text = fs::read_to_string(&journal).unwrap_or_default();
                bail!("a NATS server ended at its start: {status}\n{text}");
            }
            ensure!(begun.elapsed() < PATIENCE, "nothing listens on {address}");
            sleep(TICK).await;
        }
        self.servers[index].child = Some(child);
        Ok(())
    }

    /// Waits until all the servers that run, and are not frozen, say that they are well: they have found each other,
    /// JetStream has a leader, and each of them has caught up with its streams.
    ///
    /// # Errors
    /// If that takes longer than 40 s.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        for server in self.awake() {
            while !server.monitor.is_well().await {
                ensure!(
                    begun.elapsed() < PATIENCE,
                    "a NATS server is not ready: see {}",
                    server.home.display()
                );
                sleep(TICK).await;
            }
        }
        Ok(())
    }

    /// The server that leads this stream now; `None` while none of them does.
    pub async fn leader(&self, stream: &str) -> Option<usize> {
        for (index, server) in self.servers.iter().enumerate() {
            let is_awake = server.child.is_some() && !server.is_frozen;
            if is_awake && server.monitor.leads(&name_of(index), stream).await {
                return Some(index);
            }
        }
        None
    }

    /// As [`Servers::leader`], but waits for one.
    ///
    /// # Errors
    /// If there is none within 40 s.
    pub async fn led_by(&self, stream: &str) -> anyhow::Result<usize> {
        let begun = Instant::now();
        loop {
            if let Some(index) = self.leader(stream).await {
                return Ok(index);
            }
            ensure!(begun.elapsed() < PATIENCE, "no server leads {stream}");
            sleep(TICK).await;
        }
    }

    fn awake(&self) -> impl Iterator<Item = &Server> {
        let servers = self.servers.iter();
        servers.filter(|server| server.child.is_some() && !server.is_frozen)
    }

    fn signal(&self, index: usize, signal: Signal) -> anyhow::Result<()> {
        // The process was not reaped yet, so the id is still its own.
        let pid = i32::try_from(self.pid(index)?).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process has this number")?, signal)?;
        Ok(())
    }

    fn configuration(&self, index: usize, settings: &Settings) -> String {
        let server = &self.servers[index];
        let mut text = format!(
            "server_name: {}\nlisten: \"{}\"\nhttp: \"{}\"\n",
            name_of(index),
            server.client,
            server.monitor.address
        );
        if settings.jetstream {
            let sync = if settings.sync_always { "always" } else { "2m" };
            text += &format!(
                "jetstream {{ store_dir: {:?}, max_file: {}, sync_interval: {sync} }}\n",
                server.home.join("store"),
                settings.max_file
            );
        }
        if self.servers.len() > 1 {
            let routes = self.servers.iter().map(|other| other.cluster);
            let routes: Vec<_> = routes
                .map(|address| format!("\"nats://{address}\""))
                .collect();
            // A client keeps to the addresses that it was given: behind a proxy those of the servers go around it.
            text += &format!(
                "cluster {{ name: everbeat, listen: \"{}\", no_advertise: true, routes: [{}] }}\n",
                server.cluster,
                routes.join(", ")
            );
        }
        text + &settings.more
    }
}

impl Drop for Servers {
    /// A frozen process does not see a signal to end itself, but it can be killed; continued, it is reaped sooner.
    fn drop(&mut self) {
        for index in 0..self.servers.len() {
            if self.servers[index].is_frozen {
                let _ = self.signal(index, Signal::KILL);
            }
        }
    }
}

impl Server {
    fn new(home: PathBuf, rng: &mut Rng) -> anyhow::Result<Self> {
        fs::create_dir_all(home.join("store"))?;
        let (client, first) = free_address(rng)?;
        let (cluster, second) = free_address(rng)?;
        let (monitor, third) = free_address(rng)?;
        Ok(Self {
            home,
            client,
            cluster,
            monitor: Monitor { address: monitor },
            child: None,
            is_frozen: false,
            _reserved: vec![first, second, third],
        })
    }
}

/// The name of a server in its cluster.
fn name_of(index: usize) -> String {
    format!("nats-{index}")
}

/// Ports are drawn anew in each run, so that two runs meet seldom; those in use are passed over.
fn seed() -> u64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    now.as_nanos() as u64 ^ u64::from(std::process::id())
}
