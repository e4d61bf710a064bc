//! The crowd: all clients of one scenario.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use fastrand::Rng;
use protocol::client::Config;
use protocol::id::RoomName;
use protocol::position::Offset;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::member::{self, Account, Phase, Plan, Progress};
use crate::session::Entrance;

/// The number of clients in a room, more or less; each client is in two.
const PER_ROOM: u32 = 25;

/// One in so many clients only reads, and shows how an idle client fares.
const READERS: u32 = 10;

/// One in so many clients reloads its page, where there are reloads.
const RELOADERS: u32 = 4;

/// The deadline for all clients to join their rooms.
const JOIN: Duration = Duration::from_secs(60);

/// The deadline for all clients to settle after the faults.
const SETTLE: Duration = Duration::from_secs(90);

/// How all clients of a scenario behave.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// The mean time between two messages of one client.
    pub pace: Duration,
    /// The ceiling of the backoff (RC-1).
    pub backoff_cap: Duration,
    /// The mean time between two reloads of one page.
    pub reload: Option<Duration>,
}

/// A running crowd.
#[derive(Debug)]
pub struct Crowd {
    rooms: Vec<RoomName>,
    phase: watch::Sender<Phase>,
    progress: mpsc::Receiver<Progress>,
    members: JoinSet<anyhow::Result<Account>>,
    live: watch::Receiver<u32>,
    count: u32,
}

impl Crowd {
    /// Connects all clients, to the entrances in turn, waits until they have joined their rooms, and lets them publish.
    ///
    /// # Errors
    /// If a client does not join its rooms in time.
    pub async fn gather(
        entrances: &[Entrance],
        count: u32,
        habits: Habits,
        rng: &mut Rng,
    ) -> anyhow::Result<Self> {
        let rooms: Vec<RoomName> = (0..(count / PER_ROOM).max(2))
            .map(|number| RoomName::new(&format!("chaos-{number}")))
            .collect::<Result<_, _>>()?;
        let (phase, phases) = watch::channel(Phase::Gather);
        let (tell, mut progress) = mpsc::channel(64);
        let (live, lives) = watch::channel(0);
        let mut members = JoinSet::new();
        for number in 0..count {
            let room = |step: u32| rooms[(number + step) as usize % rooms.len()].clone();
            let plan = Plan {
                number,
                rooms: vec![room(0), room(1)],
                pace: (number % READERS != 0).then_some(habits.pace),
                reload: habits.reload.filter(|_| number % RELOADERS == 1),
                live: live.clone(),
            };
            let config = Config {
                backoff_cap: habits.backoff_cap,
                join_limit: 0,
                ..Config::new(rng.u64(..))
            };
            let (phases, tell) = (phases.clone(), tell.clone());
            let entrance = entrances[number as usize % entrances.len()].clone();
            members.spawn(member::run(entrance, config, plan, phases, tell));
        }
        wait_for(&mut progress, Progress::Joined, count, JOIN).await?;
        phase.send_replace(Phase::Load);
        Ok(Self {
            rooms,
            phase,
            progress,
            members,
            live: lives,
            count,
        })
    }

    /// Waits until all clients are live.
    ///
    /// # Errors
    /// If one of them is not in time.
    pub async fn all_live(&mut self) -> anyhow::Result<()> {
        let count = self.count;
        let all = timeout(SETTLE, self.live.wait_for(|live| *live == count)).await;
        match all.map(|seen| seen.is_ok()) {
            Ok(true) => Ok(()),
            _ => bail!(
                "{} of {count} clients were live within {SETTLE:?}",
                *self.live.borrow()
            ),
        }
    }

    /// The clients' rooms.
    pub fn rooms(&self) -> &[RoomName] {
        &self.rooms
    }

    /// The number of clients in a room.
    pub fn members_of(&self, room: &RoomName) -> u32 {
        let rooms = self.rooms.len();
        let is_in = |&number: &u32| {
            (0..2).any(|step| self.rooms[(number as usize + step) % rooms] == *room)
        };
        u32::try_from((0..self.count).filter(is_in).count()).unwrap_or(u32::MAX)
    }

    /// Ends the load and waits until all clients are live and all messages are settled.
    ///
    /// # Errors
    /// If a client does not settle in time. The accounts then say which one and why.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        self.phase.send_replace(Phase::Settle);
        wait_for(&mut self.progress, Progress::Settled, self.count, SETTLE).await
    }

    /// Waits until all clients have every message up to these heads; returns their accounts, in the order
    /// of the clients' numbers. A client that takes too long notes that in its account. Without heads it does
    /// not wait.
    ///
    /// # Errors
    /// If a client's task died.
    pub async fn collect(
        mut self,
        heads: Option<BTreeMap<RoomName, Offset>>,
    ) -> anyhow::Result<Vec<Account>> {
        self.phase
            .send_replace(heads.map_or(Phase::GiveUp, Phase::Collect));
        let mut accounts = Vec::new();
        let all = async {
            while let Some(account) = self.members.join_next().await {
                accounts.push(account??);
            }
            anyhow::Ok(())
        };
        if let Ok(done) = timeout(SETTLE, all).await {
            done?;
        }
        self.phase.send_replace(Phase::GiveUp);
        while let Some(account) = self.members.join_next().await {
            let mut account = account??;
            let late = || "did not receive everything in time".to_owned();
            account.unsettled.get_or_insert_with(late);
            accounts.push(account);
        }
        accounts.sort_by_key(|account| account.number);
        Ok(accounts)
    }
}

async fn wait_for(
    progress: &mut mpsc::Receiver<Progress>,
    what: Progress,
    count: u32,
    patience: Duration,
) -> anyhow::Result<()> {
    let mut there = 0;
    let all = async {
        while there < count {
            let told = progress.recv().await.context("the clients died")?;
            there += u32::from(told == what);
        }
        anyhow::Ok(())
    };
    match timeout(patience, all).await {
        Ok(done) => done,
        Err(_) => bail!("{there} of {count} clients were {what:?} within {patience:?}"),
    }
}
