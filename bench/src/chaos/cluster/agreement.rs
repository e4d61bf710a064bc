//! Whether all nodes agree: on what they applied, on the members of rooms, and on the logs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::chaos::crowd::Crowd;
use crate::chaos::log::{self, Logs};
use crate::cluster::{Node, Standing, presence_at, standing_at};

/// The time between two looks at all nodes.
const TICK: Duration = Duration::from_millis(100);

/// The deadline of equal places in the stream, once nothing is published any more.
const SETTLE: Duration = Duration::from_secs(30);

/// The deadline of equal members: a lease of 5 s, then 30 s until a member that is away has left (PR-1).
const PRESENCE: Duration = Duration::from_secs(45);

/// Compares the nodes' digests all the time, wherever two of them were seen at the same sequence.
#[derive(Debug)]
pub struct Digests {
    stop: watch::Sender<bool>,
    watching: JoinHandle<Seen>,
}

/// The digests that were seen.
#[derive(Debug, Default)]
pub struct Seen {
    digests: BTreeMap<u64, String>,
    /// The sequences at which two digests differed.
    pub conflicts: Vec<u64>,
}

impl Digests {
    /// Begins to ask the operators' listeners.
    pub fn watch(admins: Vec<SocketAddr>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let watching = tokio::spawn(async move {
            let mut seen = Seen::default();
            while !*stopped.borrow() {
                for admin in &admins {
                    // A node may be down, or about to start.
                    if let Ok(standing) = standing_at(*admin).await {
                        seen.note(standing);
                    }
                }
                sleep(TICK).await;
            }
            seen
        });
        Self { stop, watching }
    }

    /// Stops; returns what was seen.
    ///
    /// # Errors
    /// If the task died, or no node ever answered.
    pub async fn end(self) -> anyhow::Result<Seen> {
        self.stop.send_replace(true);
        let seen = self.watching.await?;
        ensure!(!seen.digests.is_empty(), "no node ever told its digest");
        Ok(seen)
    }
}

impl Seen {
    fn note(&mut self, Standing { applied, digest }: Standing) {
        let known = self
            .digests
            .entry(applied)
            .or_insert_with(|| digest.clone());
        if *known != digest && !self.conflicts.contains(&applied) {
            self.conflicts.push(applied);
        }
    }
}

/// Waits until all nodes have applied the same, and compares their digests.
///
/// # Errors
/// If that is not so in time.
pub async fn same_digests(nodes: &[Node]) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let standings = try_join_all(nodes.iter().map(Node::standing)).await?;
        let [first, others @ ..] = &*standings else {
            return Ok(());
        };
        if others.iter().all(|other| other.applied == first.applied) {
            let is_same = others.iter().all(|other| other == first);
            ensure!(is_same, "equal sequences, other digests: {standings:?}");
            return Ok(());
        }
        let is_late = begun.elapsed() > SETTLE;
        ensure!(!is_late, "the nodes stay apart: {standings:?}");
        sleep(TICK).await;
    }
}

/// Waits until the servers at these addresses name the same members of each room, as many as there are clients in it.
///
/// # Errors
/// If that is not so in time.
pub async fn same_presence(addresses: &[SocketAddr], crowd: &Crowd) -> anyhow::Result<()> {
    for room in crowd.rooms() {
        let begun = Instant::now();
        loop {
            let told = addresses.iter().map(|address| presence_at(*address, room));
            let told = try_join_all(told).await?;
            let expected = crowd.members_of(room);
            if told
                .iter()
                .all(|one| *one == told[0] && one.count == expected)
            {
                break;
            }
            let counts: Vec<u32> = told.iter().map(|told| told.count).collect();
            let is_late = begun.elapsed() > PRESENCE;
            ensure!(
                !is_late,
                "of {expected} members of {room} the servers name {counts:?}, or others"
            );
            sleep(TICK).await;
        }
    }
    Ok(())
}

/// Reads all logs from every node, and compares them.
///
/// # Errors
/// If a node does not answer, or has another log.
pub async fn same_logs(nodes: &[Node], crowd: &Crowd) -> anyhow::Result<Logs> {
    let read = nodes
        .iter()
        .map(|node| log::read(node.server.address, crowd.rooms()));
    let mut all = try_join_all(read).await?;
    for (node, logs) in nodes.iter().zip(&all) {
        for (room, log) in logs {
            ensure!(
                all[0].get(room) == Some(log),
                "the log of {room} on node {} is another one than on node {}",
                node.name,
                nodes[0].name
            );
        }
    }
    Ok(all.swap_remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digests_of_one_sequence_are_a_conflict() {
        let mut seen = Seen::default();
        for (applied, digest) in [(7, "x"), (8, "y"), (7, "x"), (8, "z"), (8, "z")] {
            let digest = digest.to_owned();
            seen.note(Standing { applied, digest });
        }
        assert_eq!(seen.conflicts, [8]);
    }
}
