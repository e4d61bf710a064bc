//! The servers beside which Everbeat is measured, and how to start each of them.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::cluster::{Cluster, Settings};
use crate::disk::Disk;
use crate::line::Dialect;
use crate::server::{Server, free_address};

/// The deadline of a start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// This project's server.
    Everbeat,
    /// Three nodes of it, on three NATS servers.
    Cluster,
    /// uWebSockets, in Bun.
    Bun,
    /// ws, in Node.
    Ws,
    /// Socket.IO, in Node.
    SocketIo,
    /// Socket.IO's protocol on Axum.
    Socketioxide,
    /// Axum's WebSocket as it comes.
    Axum,
}

impl Peer {
    /// Its usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Everbeat => "Everbeat",
            Self::Cluster => "Everbeat, three nodes",
            Self::Bun => "uWebSockets (Bun)",
            Self::Ws => "ws (Node)",
            Self::SocketIo => "Socket.IO (Node)",
            Self::Socketioxide => "socketioxide",
            Self::Axum => "Axum's WebSocket",
        }
    }

    /// How plain texts are wrapped for it.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Everbeat | Self::Cluster | Self::Bun | Self::Ws | Self::Axum => Dialect::Bare,
            Self::SocketIo | Self::Socketioxide => Dialect::SocketIo,
        }
    }

    /// The same for the other servers; none for Everbeat.
    pub fn foreign(self) -> Option<Dialect> {
        let is_ours = matches!(self, Self::Everbeat | Self::Cluster);
        (!is_ours).then_some(self.dialect())
    }
}

/// The paths of the programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Everbeat's binary.
    pub server: PathBuf,
    /// The directory `bench/peers`, with its programs installed and built.
    pub peers: PathBuf,
    /// The directory `end2end`, with its packages installed.
    pub end2end: PathBuf,
}

impl Programs {
    fn command(&self, peer: Peer) -> anyhow::Result<Command> {
        let node = self.peers.join("node");
        let script = |program: PathBuf, script: &str| {
            let mut command = Command::new(program);
            command.arg(node.join(script));
            command
        };
        let built = |name: &str| Command::new(self.peers.join("rust/target/release").join(name));
        Ok(match peer {
            Peer::Everbeat | Peer::Cluster => bail!("Everbeat is not a peer of itself"),
            Peer::Bun => script(node.join("node_modules/.bin/bun"), "bun.js"),
            Peer::Ws => script("node".into(), "ws.js"),
            Peer::SocketIo => script("node".into(), "socket-io.js"),
            Peer::Socketioxide => built("socketioxide"),
            Peer::Axum => built("axum"),
        })
    }
}

/// A running peer. It is killed on drop.
#[derive(Debug)]
pub struct Running {
    /// Its address; of several nodes, the first one's.
    pub address: SocketAddr,
    process: Process,
}

#[derive(Debug)]
enum Process {
    Everbeat {
        server: Server,
        _disk: Disk,
    },
    Cluster(Box<Cluster>),
    Other {
        peer: Peer,
        programs: Programs,
        child: Child,
        _reserved: UdpSocket,
    },
}

impl Running {
    /// Starts a peer and waits until it serves. `options` are for Everbeat alone, for each of its nodes.
    ///
    /// # Errors
    /// If it ends at once, does not serve in time, or is not installed.
    pub async fn start(peer: Peer, programs: &Programs, options: &[&str]) -> anyhow::Result<Self> {
        let mut rng = Rng::new();
        if peer == Peer::Everbeat {
            let disk = Disk::plain()?;
            let mut server = Server::new(&programs.server, &disk, options, &mut rng)?;
            server.start().await?;
            let address = server.address;
            let process = Process::Everbeat {
                server,
                _disk: disk,
            };
            return Ok(Self { address, process });
        }
        if peer == Peer::Cluster {
            let settings = Settings {
                binary: &programs.server,
                options,
                parted: None,
            };
            let cluster = Cluster::start(settings, &mut rng).await?;
            return Ok(Self {
                address: cluster.nodes[0].server.address,
                process: Process::Cluster(Box::new(cluster)),
            });
        }
        let (address, reserved) = free_address(&mut rng)?;
        let child = spawn(peer, programs, address).await?;
        let process = Process::Other {
            peer,
            programs: programs.clone(),
            child,
            _reserved: reserved,
        };
        Ok(Self { address, process })
    }

    /// Kills it (`kill -9`) and starts it again at the same address.
    ///
    /// # Errors
    /// As for [`Running::start`], or if it had ended by itself.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        match &mut self.process {
            Process::Everbeat { server, .. } => {
                server.kill().await?;
                server.start().await
            }
            Process::Cluster(_) => bail!("several nodes are not restarted at once"),
            Process::Other {
                peer,
                programs,
                child,
                ..
            } => {
                child.kill().await?;
                *child = spawn(*peer, programs, self.address).await?;
                Ok(())
            }
        }
    }

    /// The addresses of all its nodes.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match &self.process {
            Process::Cluster(cluster) => cluster.addresses(),
            Process::Everbeat { .. } | Process::Other { .. } => vec![self.address],
        }
    }

    /// The id of its process.
    ///
    /// # Errors
    /// If it has ended, or is more than one.
    pub fn pid(&self) -> anyhow::Result<u32> {
        match *self.pids()? {
            [pid] => Ok(pid),
            _ => bail!("it is not one process"),
        }
    }

    /// The ids of its processes, those of the NATS servers too.
    ///
    /// # Errors
    /// If one of them has ended.
    pub fn pids(&self) -> anyhow::Result<Vec<u32>> {
        match &self.process {
            Process::Everbeat { server, .. } => Ok(vec![server.pid()?]),
            Process::Cluster(cluster) => cluster.pids(),
            Process::Other { child, .. } => Ok(vec![child.id().context("it has ended")?]),
        }
    }
}

/// Starts a peer other than Everbeat, and waits until it serves.
async fn spawn(peer: Peer, programs: &Programs, address: SocketAddr) -> anyhow::Result<Child> {
    let mut child = programs
        .command(peer)?
        .arg(address.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}: see scripts/bench.sh", peer.name()))?;
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("{} ended at its start: {status}", peer.name());
        }
        if begun.elapsed() > PATIENCE {
            bail!("{} does not answer on {address}", peer.name());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(child)
}
