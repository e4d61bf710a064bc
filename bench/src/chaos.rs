//! Chaos tests with real faults: the server as a process, a proxy that breaks connections, disks that fail,
//! and a crowd of clients that publish and record all that they receive. Afterwards the records of what was
//! published and what was received are compared with the log.
//!
//! The seed decides when and how a fault happens and what the clients do. Which frame is on its way at that
//! moment depends on the machine.

pub mod caller;
pub mod cluster;
pub mod crowd;
pub mod gateway;
pub mod log;
pub mod mark;
pub mod member;
pub mod proxy;
pub mod scenario;
pub mod table;
pub mod verdict;
pub mod witness;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use fastrand::Rng;

use self::cluster::Fault;
use self::crowd::Crowd;
use self::gateway::Gateway;
use self::proxy::{Faults, Proxy};
use self::scenario::{Expected, Scenario, Stage};
use self::table::Outcome;
use self::verdict::Verdict;
use crate::server::Server;

/// What is played: a scenario of one server, or a fault of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// With one server.
    Server(Scenario),
    /// With three nodes, on three NATS servers.
    Cluster(Fault),
}

/// The name of all faults of a cluster together.
const CLUSTER: &str = "cluster";

impl Play {
    /// All that can be played.
    pub fn all() -> Vec<Self> {
        let scenarios = Scenario::value_variants().iter();
        let faults = Fault::value_variants().iter();
        scenarios
            .map(|scenario| Self::Server(*scenario))
            .chain(faults.map(|fault| Self::Cluster(*fault)))
            .collect()
    }

    /// The names on the command line: one for each, and one for all faults of a cluster together.
    pub fn names() -> Vec<PossibleValue> {
        let all = Self::all().into_iter().filter_map(Self::value);
        let cluster = PossibleValue::new(CLUSTER);
        all.chain([cluster.help("All faults of a cluster, one after the other")])
            .collect()
    }

    /// What a name stands for.
    pub fn named(name: &str) -> Vec<Self> {
        let is_meant = |play: &Self| match play {
            Self::Cluster(_) if name == CLUSTER => true,
            _ => play.value().is_some_and(|value| value.get_name() == name),
        };
        Self::all().into_iter().filter(is_meant).collect()
    }

    /// Plays and judges it.
    ///
    /// # Errors
    /// If it could not begin. Later failures are in the verdict.
    pub async fn run(self, options: &Options) -> anyhow::Result<Outcome> {
        match self {
            Self::Server(scenario) => play(scenario, options).await,
            Self::Cluster(fault) => cluster::play(fault, options).await,
        }
    }

    fn value(self) -> Option<PossibleValue> {
        match self {
            Self::Server(scenario) => scenario.to_possible_value(),
            Self::Cluster(fault) => fault.to_possible_value(),
        }
    }
}

/// The options of a scenario.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's binary.
    pub server: PathBuf,
    /// The number of clients.
    pub clients: u32,
    /// The seed of all randomness.
    pub seed: u64,
    /// Whether to play the short version, for tests.
    pub quick: bool,
    /// In the scenario with power cuts: the disk acknowledges syncs and does nothing, so the verdict must be bad.
    pub lying_disk: bool,
}

impl Options {
    /// The short version of a scenario, for tests.
    pub const fn quick(server: PathBuf) -> Self {
        Self {
            server,
            clients: 12,
            seed: 2026,
            quick: true,
            lying_disk: false,
        }
    }
}

/// Plays one scenario and judges it.
///
/// # Errors
/// If it could not begin: no server, no directory. Later failures are in the verdict.
pub async fn play(scenario: Scenario, options: &Options) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let mut rng = Rng::with_seed(options.seed);
    let disk = scenario.disk(options.lying_disk).await?;
    let note = matches!(
        scenario,
        Scenario::FullDisk | Scenario::ReadOnly | Scenario::Power
    )
    .then(|| disk.kind().to_owned());
    let server_options = scenario.server_options(options.quick);
    let mut server = Server::new(&options.server, &disk, server_options, &mut rng)?;
    if scenario == Scenario::HandOver {
        server.hand_over_socket()?;
    }
    server.start().await?;
    let proxy = Proxy::start(server.address, rng.u64(..)).await?;
    let mut gateway = None;
    if let Some(kind) = scenario.gateway() {
        gateway = Some(Gateway::start(kind, &[server.address], &mut rng).await?);
    }
    let entrance = gateway.as_ref().map_or(proxy.address, |g| g.address);
    let habits = scenario.habits(options.quick);
    let crowd = Crowd::gather(&[entrance.into()], options.clients, habits, &mut rng).await?;
    let mut stage = Stage {
        server,
        proxy,
        disk,
        gateway,
        crowd,
        rng,
        quick: options.quick,
    };
    let played = scenario.play(&mut stage).await;
    Ok(Outcome {
        name: scenario.to_string(),
        verdict: judge(scenario, stage, played).await,
        took: begun.elapsed(),
        note,
    })
}

/// Waits until all clients have settled, and compares their records with the log.
async fn judge(scenario: Scenario, stage: Stage, played: anyhow::Result<Expected>) -> Verdict {
    let Stage {
        mut server,
        proxy,
        disk,
        gateway,
        mut crowd,
        quick,
        ..
    } = stage;
    let mut troubles = Vec::new();
    proxy.harm(Faults::default());
    let expected = played.unwrap_or_else(|error| {
        troubles.push(in_words(error));
        Expected::default()
    });
    let mut note = |result: anyhow::Result<()>| {
        let is_good = result.is_ok();
        troubles.extend(result.err().map(in_words));
        is_good
    };
    // The log is judged also if the scenario failed. Without a server no client can settle.
    let runs = server.check().and_then(|()| server.pid().map(drop));
    let is_up = note(runs) || note(server.start().await);
    let mut logs = None;
    if is_up {
        note(crowd.settle().await);
        let read = log::read(server.address, crowd.rooms()).await;
        logs = read.map_err(|error| note(Err(error))).ok();
    }
    let accounts = crowd.collect(logs.as_ref().map(log::heads)).await;
    let accounts = accounts
        .map_err(|error| note(Err(error)))
        .unwrap_or_default();
    note(server.terminate().await);
    let mut verdict = match &logs {
        Some(logs) => Verdict::of(logs, &accounts),
        None => Verdict::without_logs(&accounts),
    };
    expected.check(scenario, quick, &accounts, &mut verdict);
    for trouble in troubles {
        verdict.complain("did not go as it must", trouble);
    }
    for panic in server.panics() {
        verdict.complain("the server panicked", panic);
    }
    drop(gateway);
    // Only after the server has ended: the disk may be mounted.
    drop(disk);
    verdict
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map`")]
fn in_words(error: anyhow::Error) -> String {
    format!("{error:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_play_or_for_the_whole_cluster() {
        assert_eq!(Play::named("kill"), [Play::Server(Scenario::Kill)]);
        assert_eq!(Play::named("leader"), [Play::Cluster(Fault::Leader)]);
        assert_eq!(Play::named(CLUSTER).len(), Fault::value_variants().len());
        assert_eq!(Play::named("none"), []);
        for name in Play::names() {
            let meant = Play::named(name.get_name());
            assert!(meant.len() == 1 || name.get_name() == CLUSTER, "{meant:?}");
        }
    }
}
