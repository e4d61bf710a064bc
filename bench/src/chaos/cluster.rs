//! Faults of a cluster: three nodes on three NATS servers, under clients in rooms over all nodes, half of which come through
//! HAProxy, and programs that post to any of them.
//!
//! After each fault all accounts are compared with the log, and the nodes with each other.

pub mod agreement;
pub mod bounds;
mod fault;
pub mod poster;
pub mod reader;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep;

use self::agreement::{Digests, same_digests, same_logs, same_presence};
use self::bounds::{Bounds, Measured};
use self::poster::Posters;
use self::reader::Readers;
use super::Options;
use super::crowd::{Crowd, Habits};
use super::gateway::{self, Gateway};
use super::log;
use super::member::Account;
use super::table::Outcome;
use super::verdict::Verdict;
use crate::cluster::{Cluster, NAMES, Settings};
use crate::session::Entrance;

pub use self::fault::Fault;

/// The nodes' options: all clients and programs share one address.
const OPTIONS: &[&str] = &[
    "--requests-per-address",
    "0",
    "--publishes-per-address",
    "0",
    "--frames-per-address",
    "0",
    "--publishes-per-person",
    "0",
];

/// All that a fault can reach, and those that it must not harm.
struct Stage {
    cluster: Cluster,
    gateway: Gateway,
    crowd: Crowd,
    /// The node that the fault is about.
    victim: usize,
    quick: bool,
}

/// Those that watch the stage: they end before the crowd does.
struct Watchers {
    posters: Posters,
    readers: Readers,
    digests: Digests,
}

/// What the watchers saw.
#[derive(Default)]
struct Watched {
    accounts: Vec<Account>,
    reading: Option<Duration>,
}

/// Plays one fault, and judges it.
///
/// # Errors
/// If it could not begin: a program is missing, or the cluster does not start. Later failures are in the verdict.
pub async fn play(fault: Fault, options: &Options) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let mut rng = Rng::with_seed(options.seed);
    let mut stage = Stage::set(fault, options, &mut rng).await?;
    let watchers = Watchers::start(&stage, fault, options, &mut rng).await?;
    let mut troubles = Troubles::default();
    troubles.note(stage.play(fault).await);
    let (verdict, measured) = stage.judge(watchers, troubles).await;
    let bounds = Bounds::of(fault);
    Ok(Outcome {
        name: fault.to_string(),
        verdict: bounds.check(&measured, verdict),
        took: begun.elapsed(),
        note: Some(bounds.beside(&measured)),
    })
}

/// Half of the clients know the gateway alone; the others know all nodes, and begin with one of them (RC-8).
fn entrances(gateway: SocketAddr, nodes: &[SocketAddr]) -> Vec<Entrance> {
    let mut entrances = Vec::new();
    for (first, address) in nodes.iter().enumerate() {
        let further = nodes.iter().cycle().skip(first + 1);
        entrances.push(gateway.into());
        entrances.push(Entrance {
            address: *address,
            further: further.take(nodes.len() - 1).copied().collect(),
        });
    }
    entrances
}

/// The mean time between two messages of a client, or of a program.
const fn pace(quick: bool) -> Duration {
    Duration::from_millis(if quick { 250 } else { 1000 })
}

impl Stage {
    async fn set(fault: Fault, options: &Options, rng: &mut Rng) -> anyhow::Result<Self> {
        let victim = rng.usize(..NAMES.len());
        let settings = Settings {
            binary: &options.server,
            options: OPTIONS,
            parted: fault.parts().then_some(victim),
        };
        let cluster = Cluster::start(settings, rng).await?;
        let gateway = Gateway::start(gateway::Kind::Haproxy, &cluster.addresses(), rng).await?;
        let habits = Habits {
            pace: pace(options.quick),
            backoff_cap: Duration::from_secs(10),
            reload: None,
        };
        let entrances = entrances(gateway.address, &cluster.addresses());
        let crowd = Crowd::gather(&entrances, options.clients, habits, rng).await?;
        Ok(Self {
            cluster,
            gateway,
            crowd,
            victim,
            quick: options.quick,
        })
    }

    /// Waits until all clients have settled, and compares the accounts with the log, and the nodes with each other.
    async fn judge(self, watchers: Watchers, mut troubles: Troubles) -> (Verdict, Measured) {
        let Self {
            mut cluster,
            mut gateway,
            mut crowd,
            ..
        } = self;
        let is_up = troubles.note(heal(&mut cluster).await);
        troubles.note(gateway.check());
        let mut logs = None;
        if is_up {
            troubles.note(crowd.settle().await);
        }
        let watched = watchers.end(&mut troubles).await;
        if is_up {
            troubles.note(same_presence(&cluster.addresses(), &crowd).await);
            troubles.note(same_digests(&cluster.nodes).await);
            logs = troubles.take(same_logs(&cluster.nodes, &crowd).await);
        }
        let collected = crowd.collect(logs.as_ref().map(log::heads)).await;
        let mut accounts = troubles.take(collected).unwrap_or_default();
        accounts.extend(watched.accounts);
        for node in &mut cluster.nodes {
            troubles.note(node.server.terminate().await);
        }
        let mut verdict = match &logs {
            Some(logs) => Verdict::of(logs, &accounts),
            None => Verdict::without_logs(&accounts),
        };
        for trouble in troubles.0 {
            verdict.complain("did not go as it must", trouble);
        }
        for node in &cluster.nodes {
            for panic in node.server.panics() {
                verdict.complain("a node panicked", format!("{}: {panic}", node.name));
            }
        }
        let measured = Measured::of(&accounts, watched.reading);
        (verdict, measured)
    }

    /// Lets the load go on for a while.
    async fn load(&self, whole: u64, quick: u64) {
        sleep(Duration::from_secs(if self.quick { quick } else { whole })).await;
    }
}

impl Watchers {
    async fn start(
        stage: &Stage,
        fault: Fault,
        options: &Options,
        rng: &mut Rng,
    ) -> anyhow::Result<Self> {
        let (nodes, rooms) = (stage.cluster.addresses(), stage.crowd.rooms());
        let spared: Vec<_> = (0..nodes.len())
            .filter(|node| fault.spares(*node, stage.victim))
            .map(|node| nodes[node])
            .collect();
        let admins = stage.cluster.nodes.iter();
        let admins = admins.filter_map(|node| node.server.admin).collect();
        Ok(Self {
            readers: Readers::start(&spared, &rooms[0]).await?,
            posters: Posters::start(&nodes, rooms, options.clients, pace(stage.quick), rng),
            digests: Digests::watch(admins),
        })
    }

    async fn end(self, troubles: &mut Troubles) -> Watched {
        let seen = troubles.take(self.digests.end().await);
        for sequence in seen.map(|seen| seen.conflicts).unwrap_or_default() {
            let error = anyhow::anyhow!("two digests of sequence {sequence}");
            troubles.note(Err(error));
        }
        Watched {
            accounts: troubles.take(self.posters.end().await).unwrap_or_default(),
            reading: troubles.take(self.readers.end().await).flatten(),
        }
    }
}

/// Ends all faults, starts what is down, and waits until all is ready.
async fn heal(cluster: &mut Cluster) -> anyhow::Result<()> {
    for index in 0..cluster.nats.count() {
        // Each is refused where it is not needed; whether all are well is asked below.
        let _ = cluster.nats.thaw(index);
        let _ = cluster.nats.restart(index).await;
    }
    for node in &mut cluster.nodes {
        node.part(false);
        node.server.check()?;
        if node.server.pid().is_err() {
            node.server.start().await?;
        }
    }
    cluster.ready().await
}

/// What did not go as it must, in words.
#[derive(Default)]
struct Troubles(Vec<String>);

impl Troubles {
    fn take<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        let noted = result.map_err(|error| self.0.push(format!("{error:#}")));
        noted.ok()
    }

    fn note(&mut self, result: anyhow::Result<()>) -> bool {
        self.take(result).is_some()
    }
}
