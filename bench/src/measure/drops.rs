//! A workload: connections that are cut again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use protocol::id::RoomName;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{interval_at, sleep, timeout};

use super::results::{Column, Order};
use super::returning::{Heard, Returning};
use super::{About, Subject, Traffic};
use crate::chaos::proxy::{Faults, Proxy};
use crate::peer::{Peer, Programs, Running};
use crate::usage::Usage;

/// The description of the workload.
pub const ABOUT: About = About {
    text: "Clients in one room say a text each second, while a proxy that delays everything by 25 ms cuts each \
           connection 1 to 2 s after its beginning, and loses what is on its way; then 15 s of quiet to catch up. One more, whose connection is not cut, \
           notes what reached the room. Socket.IO has connection state recovery on, and a client with its defaults.",
    columns: &[
        Column::new("said that reached the room, %", 3, Order::MoreIsBetter),
        Column::new("deliveries of it, %", 3, Order::MoreIsBetter),
        Column::new("doubled, %", 3, Order::LessIsBetter),
        Column::new("connections", 0, Order::LessIsBetter),
        Column::new("server's CPU a delivery, us", 2, Order::LessIsBetter),
    ],
    cast: &[
        (Peer::Everbeat, Traffic::Messages),
        (Peer::SocketIo, Traffic::Texts),
    ],
    growing: &[],
    unit: "clients",
    main: 50,
    others: &[],
    seconds: 60,
};

/// The longest life of a connection before the proxy cuts it.
const CUT: Duration = Duration::from_secs(2);

/// The delay of all traffic, one way: what is on its way is lost with a connection.
const DELAY: Duration = Duration::from_millis(25);

/// The time to catch up.
const QUIET: Duration = Duration::from_secs(15);

/// The deadline for all clients to join.
const PATIENCE: Duration = Duration::from_secs(30);

/// The phase of the workload, for all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Gather,
    Talk,
    Quiet,
    Over,
}

/// What one client sent and received.
#[derive(Default)]
struct Account {
    said: BTreeSet<String>,
    /// The others' texts that it received, with their counts.
    heard: BTreeMap<String, u32>,
    entered: u32,
}

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, &[]).await?;
    let proxy = Proxy::start(server.address, 1).await?;
    let (phase, phases) = watch::channel(Phase::Gather);
    let (ready, mut readies) = mpsc::channel(64);
    let mut clients = JoinSet::new();
    for number in 0..=subject.size {
        // The last client is the witness, which sends nothing.
        let is_witness = number == subject.size;
        let address = if is_witness {
            server.address
        } else {
            proxy.address
        };
        let member = member(address, subject.peer, number, is_witness, phases.clone())?;
        let ready = ready.clone();
        clients.spawn(async move { (is_witness, member.run(ready).await) });
    }
    for _ in 0..=subject.size {
        timeout(PATIENCE, readies.recv())
            .await
            .context("a client did not get in")?;
    }
    let pid = server.pid()?;
    let before = Usage::of(pid)?;
    proxy.harm(Faults {
        harm_after: Some(CUT),
        delay: DELAY,
        ..Faults::default()
    });
    phase.send_replace(Phase::Talk);
    sleep(Duration::from_secs(seconds)).await;
    proxy.harm(Faults::default());
    phase.send_replace(Phase::Quiet);
    sleep(QUIET).await;
    phase.send_replace(Phase::Over);
    let (mut witness, mut accounts) = (Account::default(), Vec::new());
    while let Some(client) = clients.join_next().await {
        match client? {
            (true, account) => witness = account?,
            (false, account) => accounts.push(account?),
        }
    }
    let after = Usage::of(pid)?;
    figures(&witness, &accounts, after.cpu - before.cpu)
}

/// Compares what was sent with what was received.
fn figures(witness: &Account, accounts: &[Account], cpu: Duration) -> anyhow::Result<Vec<f64>> {
    let said: u32 = accounts.iter().map(|a| a.said.len() as u32).sum();
    let (mut wanted, mut delivered, mut doubled) = (0_u32, 0_u32, 0_u32);
    for account in accounts.iter().chain([witness]) {
        for text in witness.heard.keys() {
            if account.said.contains(text) {
                continue;
            }
            wanted += 1;
            if let Some(times) = account.heard.get(text) {
                delivered += 1;
                doubled += times - 1;
            }
        }
    }
    ensure!(said > 0 && wanted > 0, "nothing was said");
    let entered: u32 = accounts.iter().map(|account| account.entered).sum();
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole) * 100.0;
    let reached = u32::try_from(witness.heard.len())?;
    Ok(vec![
        share(reached, said),
        share(delivered, wanted),
        share(doubled, wanted),
        f64::from(entered),
        cpu.as_secs_f64() * 1e6 / f64::from(delivered.max(1)),
    ])
}

struct Member {
    returning: Returning,
    number: usize,
    is_witness: bool,
    phase: watch::Receiver<Phase>,
    account: Account,
}

fn member(
    address: SocketAddr,
    peer: Peer,
    number: usize,
    is_witness: bool,
    phase: watch::Receiver<Phase>,
) -> anyhow::Result<Member> {
    Ok(Member {
        returning: Returning::new(address, peer, number as u64, RoomName::lobby())?,
        number,
        is_witness,
        phase,
        account: Account::default(),
    })
}

impl Member {
    async fn run(mut self, ready: mpsc::Sender<()>) -> anyhow::Result<Account> {
        let second = Duration::from_secs(1);
        let offset = second.mul_f64(self.number as f64 * 0.618 % 1.0);
        let mut ticks = interval_at((Instant::now() + offset).into(), second);
        loop {
            tokio::select! {
                heard = self.returning.hear() => match heard? {
                    Some(Heard::Entered) => {
                        self.account.entered += 1;
                        if self.account.entered == 1 {
                            // The receiver is dropped only if the run has failed.
                            let _ = ready.send(()).await;
                        }
                    }
                    Some(Heard::Text(text)) => *self.account.heard.entry(text).or_default() += 1,
                    None => {}
                },
                _ = ticks.tick() => {
                    if *self.phase.borrow() == Phase::Talk && !self.is_witness {
                        let text = format!("{} {}", self.number, self.account.said.len());
                        self.account.said.insert(text.clone());
                        self.returning.say(text).await;
                    }
                }
                changed = self.phase.changed() => {
                    if changed.is_err() || *self.phase.borrow_and_update() == Phase::Over {
                        return Ok(self.account);
                    }
                }
            }
        }
    }
}
