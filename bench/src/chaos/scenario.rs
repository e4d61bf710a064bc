//! The scenarios: the faults of the server, its disk and its connections.

use std::fmt;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use fastrand::Rng;
use protocol::outbox::EntryId;
use tokio::time::sleep;

use super::caller::Caller;
use super::crowd::{Crowd, Habits};
use super::gateway::{self, Gateway};
use super::member::{Account, Outage};
use super::proxy::{Faults, Proxy};
use super::verdict::Verdict;
use super::witness::Witness;
use crate::disk::Disk;
use crate::server::Server;

/// How much later than by the rules a client may notice a dead link, as the machine is busy.
const SLACK: Duration = Duration::from_millis(2500);

/// The number of restarts behind a gateway.
const RESTARTS: u64 = 10;

/// A scenario: what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Every connection is cut within two seconds, in or between frames, again and again
    Drops,
    /// Every connection is stalled, in one direction or both, again and again, on a slow link
    Stalls,
    /// The server is killed at random moments, and pages are reloaded
    Kill,
    /// The power is cut at random moments: the server is killed, and the disk loses what was not synced
    Power,
    /// The disk is full for a while
    FullDisk,
    /// The disk turns read-only
    ReadOnly,
    /// The server's process is stopped for a minute, and goes on
    Frozen,
    /// The server gets SIGTERM and is started again
    Rolling,
    /// The same ten times behind nginx, and all clients are soon live again
    Nginx,
    /// The same behind HAProxy
    Haproxy,
    /// The same without a proxy, with a socket that each server hands to the next: no connection is refused
    HandOver,
    /// The same with two servers on one port while one ends and the other starts
    ReusePort,
}

/// The parts of a scenario: server, proxy, disk and the running crowd.
pub struct Stage {
    /// The server.
    pub server: Server,
    /// The proxy between the clients and the server.
    pub proxy: Proxy,
    /// The log's disk.
    pub disk: Disk,
    /// The gateway that the clients connect to, if there is one.
    pub gateway: Option<Gateway>,
    /// The clients.
    pub crowd: Crowd,
    /// The source of all randomness.
    pub rng: Rng,
    /// Whether it is the short version.
    pub quick: bool,
}

/// What the accounts have to show in this scenario, beside the verdict on all scenarios.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// The time in which no client can have received anything.
    frozen: Option<(Instant, Instant)>,
    /// Whether every client that publishes must have had a message refused for now.
    held: bool,
    /// The number of restarts, and the bound on a client's outages.
    restarts: Option<(u64, Duration)>,
}

impl fmt::Display for Scenario {
    /// Its name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", PossibleValue::get_name))
    }
}

impl Scenario {
    /// The server's options beside those that name its address and data.
    pub const fn server_options(self, quick: bool) -> &'static [&'static str] {
        match self {
            Self::Frozen if quick => &["--heartbeat-interval", "2s", "--heartbeat-timeout", "1s"],
            Self::Nginx | Self::Haproxy | Self::HandOver if quick => &["--drain", "500ms"],
            Self::ReusePort if quick => &["--reuse-port", "--drain", "500ms"],
            Self::ReusePort => &["--reuse-port"],
            _ => &[],
        }
    }

    /// How the clients behave. Where connections seldom live long, the backoff would soon keep most
    /// clients away most of the time; a low ceiling lets them reconnect.
    pub const fn habits(self, quick: bool) -> Habits {
        let come_often = matches!(self, Self::Drops | Self::Stalls | Self::Kill | Self::Power);
        Habits {
            pace: Duration::from_millis(if quick { 250 } else { 1000 }),
            backoff_cap: Duration::from_millis(if come_often { 500 } else { 10_000 }),
            reload: match (self, quick) {
                (Self::Kill, false) => Some(Duration::from_secs(10)),
                (Self::Kill, true) => Some(Duration::from_secs(1)),
                _ => None,
            },
        }
    }

    /// The disk of the scenario. With `lies`, the one whose power is cut loses what it acknowledged.
    ///
    /// # Errors
    /// If there is not even a directory.
    pub async fn disk(self, lies: bool) -> anyhow::Result<Disk> {
        match self {
            Self::Power => Disk::power(lies),
            Self::FullDisk => Disk::small().await,
            Self::ReadOnly => Disk::failing().await,
            _ => Disk::plain(),
        }
    }

    /// The gateway between the clients and the server, if there is one.
    pub const fn gateway(self) -> Option<gateway::Kind> {
        match self {
            Self::Nginx => Some(gateway::Kind::Nginx),
            Self::Haproxy => Some(gateway::Kind::Haproxy),
            _ => None,
        }
    }

    /// Plays it. Afterwards the server runs without faults.
    ///
    /// # Errors
    /// If a step of the scenario failed.
    pub async fn play(self, stage: &mut Stage) -> anyhow::Result<Expected> {
        match self {
            Self::Drops => Ok(stage.harm(false).await),
            Self::Stalls => Ok(stage.harm(true).await),
            Self::Kill => stage.kill().await,
            Self::Power => stage.cut_power().await,
            Self::FullDisk => stage.full_disk().await,
            Self::ReadOnly => stage.read_only().await,
            Self::Frozen => stage.freeze().await,
            Self::Rolling => stage.roll().await,
            Self::Nginx | Self::Haproxy => stage.restart(false).await,
            Self::HandOver => stage.hand_over().await,
            Self::ReusePort => stage.restart(true).await,
        }
    }
}

impl Stage {
    fn pick<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    fn seconds(&self, whole: u64, quick: u64) -> Duration {
        Duration::from_secs(self.pick(whole, quick))
    }

    async fn harm(&self, is_stall: bool) -> Expected {
        self.proxy.harm(Faults {
            harm_after: Some(Duration::from_secs(if is_stall { 4 } else { 2 })),
            is_stall,
            delay: Duration::from_millis(if is_stall { 20 } else { 0 }),
            ..Faults::default()
        });
        sleep(self.seconds(60, 6)).await;
        Expected::default()
    }

    async fn kill(&mut self) -> anyhow::Result<Expected> {
        for _ in 0..self.pick(100, 5) {
            sleep(Duration::from_millis(self.rng.u64(20..1500))).await;
            self.server.kill().await?;
            sleep(Duration::from_millis(self.rng.u64(0..200))).await;
            self.server.start().await?;
        }
        Ok(Expected::default())
    }

    async fn cut_power(&mut self) -> anyhow::Result<Expected> {
        for _ in 0..self.pick(100, 5) {
            sleep(Duration::from_millis(self.rng.u64(20..1500))).await;
            self.disk.cut_power();
            self.server.kill_anyhow().await?;
            self.disk.give_power(&mut self.rng)?;
            sleep(Duration::from_millis(self.rng.u64(0..200))).await;
            self.server.start().await?;
        }
        Ok(Expected::default())
    }

    async fn full_disk(&mut self) -> anyhow::Result<Expected> {
        let mut witness = Witness::connect(self.server.address).await?;
        sleep(self.seconds(8, 2)).await;
        self.disk.fill(self.server.pid()?).await?;
        let held = self.reads_go_on(&mut witness).await;
        self.disk.free(self.server.pid()?).await?;
        self.recovers(&mut witness, held?).await
    }

    async fn read_only(&mut self) -> anyhow::Result<Expected> {
        let mut witness = Witness::connect(self.server.address).await?;
        sleep(self.seconds(8, 2)).await;
        self.disk.turn_read_only(self.server.pid()?).await?;
        let held = self.reads_go_on(&mut witness).await;
        if self.disk.needs_restart() {
            self.server.terminate().await?;
            self.disk.turn_writable(None).await?;
            self.server.start().await?;
        } else {
            self.disk.turn_writable(Some(self.server.pid()?)).await?;
        }
        self.recovers(&mut witness, held?).await
    }

    /// Checks that a message is refused for now, and that requests which store nothing are served for a while:
    /// joins, history, pages.
    async fn reads_go_on(&mut self, witness: &mut Witness) -> anyhow::Result<EntryId> {
        let held = witness.is_refused_for_now("meanwhile").await?;
        let begun = Instant::now();
        let mut turn = 0;
        while begun.elapsed() < self.seconds(20, 4) {
            let room = &self.crowd.rooms()[turn % self.crowd.rooms().len()];
            witness.reads(room).await?;
            let page = self.server.page("/").await?;
            anyhow::ensure!(
                page.starts_with("HTTP/1.1 200"),
                "no page while nothing can be stored"
            );
            self.server.check()?;
            turn += 1;
            sleep(Duration::from_millis(500)).await;
        }
        Ok(held)
    }

    /// Checks that the refused message becomes durable, then lets the load go on.
    async fn recovers(&self, witness: &mut Witness, held: EntryId) -> anyhow::Result<Expected> {
        witness.sees_durable(held, Duration::from_secs(20)).await?;
        sleep(self.seconds(8, 2)).await;
        Ok(Expected {
            held: true,
            ..Expected::default()
        })
    }

    async fn freeze(&self) -> anyhow::Result<Expected> {
        sleep(self.seconds(8, 2)).await;
        let from = Instant::now();
        self.server.freeze()?;
        sleep(self.seconds(60, 9)).await;
        self.server.thaw()?;
        let until = Instant::now();
        sleep(self.seconds(15, 4)).await;
        Ok(Expected {
            frozen: Some((from, until)),
            ..Expected::default()
        })
    }

    async fn roll(&mut self) -> anyhow::Result<Expected> {
        for _ in 0..self.pick(10, 2) {
            sleep(Duration::from_millis(self.rng.u64(1000..8000))).await;
            self.server.terminate().await?;
            self.server.start().await?;
        }
        Ok(Expected::default())
    }

    /// Restarts over a socket that listens all the time: while the servers change, a caller sends request after
    /// request, and none may be refused.
    async fn hand_over(&mut self) -> anyhow::Result<Expected> {
        let caller = Caller::start(self.server.address);
        let expected = self.restart(true).await?;
        let (answered, complaints) = caller.end().await;
        anyhow::ensure!(
            complaints.is_empty(),
            "of {answered} calls, some were not answered: {complaints:?}"
        );
        anyhow::ensure!(answered > RESTARTS, "only {answered} calls were answered");
        Ok(expected)
    }

    /// Restarts the server again and again; `is_overlapped`: starts the next one before this one ends.
    async fn restart(&mut self, is_overlapped: bool) -> anyhow::Result<Expected> {
        if self.gateway.is_some() && !self.quick {
            self.outlives_idle_timeouts().await?;
        }
        let drain = self.pick(Duration::from_secs(2), Duration::from_millis(500));
        let mut down = Duration::ZERO;
        for _ in 0..RESTARTS {
            self.crowd.all_live().await?;
            let load = Duration::from_millis(self.rng.u64(100..self.pick(5000, 500)));
            sleep(load).await;
            let begun = if is_overlapped && self.rng.bool() {
                self.server.replace().await?;
                continue;
            } else {
                self.server.terminate().await?;
                Instant::now()
            };
            self.server.start().await?;
            down = down.max(begun.elapsed());
            if let Some(gateway) = &mut self.gateway {
                gateway.check()?;
            }
        }
        // A slot lies within a drain after the end of the connection. A client that is refused then
        // tries again after RC-1's delays, which do not grow beyond the server's downtime.
        let bound = drain + 2 * down + SLACK;
        Ok(Expected {
            restarts: Some((RESTARTS, bound)),
            ..Expected::default()
        })
    }

    /// Checks that a client with heartbeats alone keeps its connection for longer than gateways keep
    /// an idle one.
    async fn outlives_idle_timeouts(&self) -> anyhow::Result<()> {
        let entrance = self
            .gateway
            .as_ref()
            .map_or(self.proxy.address, |g| g.address);
        let mut witness = Witness::connect(entrance).await?;
        witness.stays(Duration::from_secs(70)).await
    }
}

impl Expected {
    /// Checks the accounts.
    pub fn check(
        self,
        scenario: Scenario,
        quick: bool,
        accounts: &[Account],
        verdict: &mut Verdict,
    ) {
        if let Some((from, until)) = self.frozen {
            for account in accounts {
                let publishes = !account.published.is_empty();
                let bound = notice_bound(scenario, quick, publishes);
                let noticed = account.outages.iter().find(|outage| outage.from >= from);
                match noticed.filter(|outage| outage.from <= until) {
                    Some(outage) if outage.from - from > bound => {
                        let after = outage.from - from;
                        let who = format!("client {}: {after:.1?}, not {bound:?}", account.number);
                        verdict.complain("noticed too late", who);
                    }
                    None => {
                        verdict.complain("did not notice", format!("client {}", account.number))
                    }
                    Some(_) => {}
                }
            }
        }
        if let Some((restarts, bound)) = self.restarts {
            for account in accounts {
                let who = account.number;
                if account.connections <= restarts {
                    let told = format!("client {who}: {} connections", account.connections);
                    verdict.complain("was not there at each restart", told);
                }
                for lasted in account.outages.iter().map(Outage::lasted) {
                    if lasted > bound {
                        let told = format!("client {who}: {lasted:.1?}, not {bound:.1?}");
                        verdict.complain("reconnecting for too long", told);
                    }
                }
            }
        }
        if self.held {
            for account in accounts
                .iter()
                .filter(|a| !a.published.is_empty() && a.held == 0)
            {
                verdict.complain(
                    "never refused for now",
                    format!("client {}", account.number),
                );
            }
        }
    }
}

/// HB-3, HB-6: the time in which a client has to notice that its peer does not answer any more.
fn notice_bound(scenario: Scenario, quick: bool, publishes: bool) -> Duration {
    let (interval, timeout) = if quick { (2, 1) } else { (25, 5) };
    let idle = Duration::from_secs(interval + timeout);
    // The next message is sent at the latest after one and a half times the pace; then follow a second without
    // an answer, and two for the probe.
    let in_use = scenario.habits(quick).pace.mul_f64(1.5) + Duration::from_secs(3);
    let bound = if publishes { in_use.min(idle) } else { idle };
    bound + SLACK
}
