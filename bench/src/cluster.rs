//! Several nodes of Everbeat as processes, on NATS servers of their own.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fastrand::Rng;
use futures_util::future::try_join_all;
use protocol::id::RoomName;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::chaos::proxy::{Faults, Proxy};
use crate::disk::Disk;
use crate::http;
use crate::nats::Servers;
use crate::server::{Server, free_address};

/// The stream that the nodes share, by its default name (`--engine-stream`).
pub const STREAM: &str = "EVERBEAT";

/// The names of the nodes.
pub const NAMES: [&str; 3] = ["a", "b", "c"];

/// The number of NATS servers: the fewest of which one may die.
const SERVERS: usize = 3;

/// The deadline of a node to be ready: it may have to wait for an election, and to take a copy from a peer.
const READY: Duration = Duration::from_secs(60);

/// The deadline of one answer of a node.
const ANSWER: Duration = Duration::from_secs(5);

/// The time between two looks at a node.
const TICK: Duration = Duration::from_millis(25);

/// How a cluster is started.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The nodes' binary.
    pub binary: &'a Path,
    /// Options of every node, beside those that make it one.
    pub options: &'a [&'a str],
    /// The node that reaches the NATS servers by proxies alone, so that it can be parted from them.
    pub parted: Option<usize>,
}

/// Three NATS servers, and three nodes on them. All are killed on drop.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes. They end before the servers.
    pub nodes: Vec<Node>,
    /// The NATS servers.
    pub nats: Servers,
    _peers: Peers,
    _home: TempDir,
}

/// What the nodes have in common: their secrets, and the addresses at which they ask each other.
#[derive(Debug)]
struct Peers {
    guest_key: String,
    secret: String,
    addresses: Vec<SocketAddr>,
    /// Reserve the ports, also while a node is down.
    _reserved: Vec<UdpSocket>,
}

impl Peers {
    /// Files with secrets in this directory, and a free address for each node.
    fn new(home: &Path, rng: &mut Rng) -> anyhow::Result<Self> {
        let mut file = |name: &str| -> anyhow::Result<String> {
            let path = home.join(name);
            fs::write(&path, std::array::from_fn::<u8, 32, _>(|_| rng.u8(..)))?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            let path = path.to_str().context("a path that is no text")?;
            Ok(path.to_owned())
        };
        let (guest_key, secret) = (file("guests.key")?, file("peers.secret")?);
        let free = NAMES.map(|_| free_address(rng));
        let free: Vec<_> = free.into_iter().collect::<anyhow::Result<_>>()?;
        let (addresses, reserved) = free.into_iter().unzip();
        Ok(Self {
            guest_key,
            secret,
            addresses,
            _reserved: reserved,
        })
    }

    /// The options of one node.
    fn options(&self, index: usize) -> Vec<String> {
        let peers = self.addresses.iter().map(|peer| format!("http://{peer}"));
        let peers: Vec<_> = peers.collect();
        let options = [
            ["--guest-key-file", &self.guest_key],
            ["--peer-listen", &self.addresses[index].to_string()],
            ["--peer-secret-file", &self.secret],
            ["--peers", &peers.join(",")],
        ];
        options.concat().into_iter().map(str::to_owned).collect()
    }
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: &'static str,
    /// Its process.
    pub server: Server,
    disk: Disk,
    /// The proxies between it and the NATS servers, if there are any.
    links: Vec<Proxy>,
}

/// What a node says of its place in the stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Standing {
    /// The sequence of the last pack that it applied.
    pub applied: u64,
    /// The rolling digest of all that it applied up to there.
    pub digest: String,
}

/// What a node says of the members of a room.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Presence {
    /// How many there are.
    pub count: u32,
    /// Those that are named.
    pub members: BTreeSet<Member>,
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Member {
    /// The id of its session.
    pub session: String,
    /// Its name.
    pub name: String,
}

impl Cluster {
    /// Starts the NATS servers, then all nodes at once, and waits until all of them are ready.
    ///
    /// # Errors
    /// If a program is missing, or one of them is not ready in time.
    pub async fn start(settings: Settings<'_>, rng: &mut Rng) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new()
            .prefix("everbeat-nats-")
            .tempdir()?;
        let nats = Servers::start(home.path(), SERVERS).await?;
        let peers = Peers::new(home.path(), rng)?;
        let mut nodes = Vec::new();
        for (index, name) in NAMES.into_iter().enumerate() {
            let is_parted = settings.parted == Some(index);
            let own = peers.options(index);
            let options: Vec<_> = own.iter().map(String::as_str).collect();
            let settings = Settings {
                options: &[&options, settings.options].concat(),
                ..settings
            };
            nodes.push(Node::new(name, &nats, settings, is_parted, rng).await?);
        }
        let mut cluster = Self {
            nodes,
            nats,
            _peers: peers,
            _home: home,
        };
        try_join_all(cluster.nodes.iter_mut().map(|node| node.server.start())).await?;
        cluster.ready().await?;
        Ok(cluster)
    }

    /// The addresses of all nodes.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.server.address).collect()
    }

    /// The ids of all processes.
    ///
    /// # Errors
    /// If one of them has ended.
    pub fn pids(&self) -> anyhow::Result<Vec<u32>> {
        let nodes = self.nodes.iter().map(|node| node.server.pid());
        let servers = (0..self.nats.count()).map(|index| self.nats.pid(index));
        nodes.chain(servers).collect()
    }

    /// Waits until the NATS servers and all nodes are ready.
    ///
    /// # Errors
    /// If one of them is not ready in time.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        self.nats.ready().await?;
        for node in &mut self.nodes {
            node.ready().await?;
        }
        Ok(())
    }
}

impl Node {
    async fn new(
        name: &'static str,
        nats: &Servers,
        settings: Settings<'_>,
        is_parted: bool,
        rng: &mut Rng,
    ) -> anyhow::Result<Self> {
        let mut links = Vec::new();
        if is_parted {
            for index in 0..nats.count() {
                links.push(Proxy::start(nats.address(index), rng.u64(..)).await?);
            }
        }
        let engine = if links.is_empty() {
            nats.urls()
        } else {
            let urls: Vec<_> = links
                .iter()
                .map(|link| format!("nats://{}", link.address))
                .collect();
            urls.join(",")
        };
        let monitors: Vec<_> = (0..nats.count())
            .map(|index| nats.monitor_url(index))
            .collect();
        let disk = Disk::plain()?;
        let own = ["--engine", &engine, "--node", name];
        let monitor = ["--nats-monitor", &monitors.join(",")];
        let options = [&own[..], &monitor, settings.options].concat();
        let mut server = Server::new(settings.binary, &disk, &options, rng)?;
        server.advertise();
        server.open_admin(rng)?;
        Ok(Self {
            name,
            server,
            disk,
            links,
        })
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// If that takes too long, or it has ended.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let ready = http::get(self.server.address, "/readyz", ANSWER).await;
            if ready.as_ref().is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            self.server.check()?;
            let told = || match &ready {
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => format!("{error:#}"),
            };
            let is_late = begun.elapsed() > READY;
            ensure!(!is_late, "node {} is not ready: {}", self.name, told());
            sleep(TICK).await;
        }
    }

    /// Parts it from all NATS servers: nothing gets through, and no end of a connection arrives. Or ends that.
    pub fn part(&self, is_severed: bool) {
        for link in &self.links {
            link.harm(Faults {
                is_severed,
                ..Faults::default()
            });
        }
    }

    /// Deletes its data directory, while it is down.
    ///
    /// # Errors
    /// If it runs, or the files cannot be deleted.
    pub fn wipe(&self) -> anyhow::Result<()> {
        ensure!(self.server.pid().is_err(), "node {} is running", self.name);
        fs::remove_dir_all(self.disk.data())?;
        fs::create_dir(self.disk.data())?;
        Ok(())
    }

    /// Its place in the stream.
    ///
    /// # Errors
    /// If it does not answer in time.
    pub async fn standing(&self) -> anyhow::Result<Standing> {
        let admin = self.server.admin.context("no operator's listener")?;
        standing_at(admin).await
    }
}

/// The place of a node in the stream, asked of its operator's listener.
///
/// # Errors
/// If it does not answer in time.
pub async fn standing_at(admin: SocketAddr) -> anyhow::Result<Standing> {
    let answer = http::get(admin, "/cluster", ANSWER).await?;
    ensure!(answer.status == 200, "/cluster: {}", answer.status);
    serde_json::from_str(&answer.body).context("not a node's standing")
}

/// The members of a room, as the server at this address knows them.
///
/// # Errors
/// If it does not answer in time.
pub async fn presence_at(address: SocketAddr, room: &RoomName) -> anyhow::Result<Presence> {
    let path = format!("/api/rooms/{room}/presence");
    let answer = http::get(address, &path, ANSWER).await?;
    ensure!(answer.status == 200, "{path}: {}", answer.status);
    Ok(serde_json::from_str(&answer.body)?)
}
