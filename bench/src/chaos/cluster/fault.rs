//! The faults, one after the other.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use tokio::time::sleep;

use super::Stage;
use crate::cluster::STREAM;

/// What goes wrong in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// A node is killed, and is started again later
    Node,
    /// The NATS server that leads the stream is killed
    Leader,
    /// A NATS server that does not lead is killed
    Follower,
    /// All NATS servers are killed at once, and started again
    Stream,
    /// Two of the three NATS servers are stopped for a while, the leader among them
    Majority,
    /// A node is parted from the NATS servers, and neither end notices
    Partition,
    /// Every node and every NATS server is restarted, one after the other
    Restarts,
    /// A node is killed, and its data directory is deleted
    Wiped,
}

impl fmt::Display for Fault {
    /// Its name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", PossibleValue::get_name))
    }
}

impl Fault {
    /// Whether the victim reaches the NATS servers by proxies alone.
    pub const fn parts(self) -> bool {
        matches!(self, Self::Partition)
    }

    /// Whether clients of a node must be able to read all the time.
    pub const fn spares(self, node: usize, victim: usize) -> bool {
        match self {
            Self::Leader | Self::Follower | Self::Stream | Self::Majority | Self::Partition => true,
            Self::Node | Self::Wiped => node != victim,
            Self::Restarts => false,
        }
    }
}

impl Stage {
    /// Plays a fault under load. Afterwards nothing is harmed any more.
    pub(super) async fn play(&mut self, fault: Fault) -> anyhow::Result<()> {
        self.load(8, 3).await;
        match fault {
            Fault::Node => self.kill_node(false).await?,
            Fault::Wiped => self.kill_node(true).await?,
            Fault::Leader => self.kill_server(true).await?,
            Fault::Follower => self.kill_server(false).await?,
            Fault::Stream => self.kill_servers().await?,
            Fault::Majority => self.freeze_two().await?,
            Fault::Partition => self.part().await?,
            Fault::Restarts => self.restart_all().await?,
        }
        self.load(8, 3).await;
        Ok(())
    }

    async fn kill_node(&mut self, is_wiped: bool) -> anyhow::Result<()> {
        let node = &mut self.cluster.nodes[self.victim];
        node.server.kill().await?;
        if is_wiped {
            node.wipe()?;
        }
        self.load(10, 4).await;
        let node = &mut self.cluster.nodes[self.victim];
        node.server.start().await?;
        node.ready().await
    }

    async fn kill_server(&mut self, is_leader: bool) -> anyhow::Result<()> {
        let leader = self.cluster.nats.led_by(STREAM).await?;
        let index = if is_leader {
            leader
        } else {
            self.after(leader)
        };
        self.cluster.nats.kill(index).await?;
        self.lead_again().await?;
        self.load(8, 2).await;
        self.cluster.nats.restart(index).await?;
        self.cluster.ready().await
    }

    async fn kill_servers(&mut self) -> anyhow::Result<()> {
        let count = self.cluster.nats.count();
        for index in 0..count {
            self.cluster.nats.kill(index).await?;
        }
        sleep(OUT).await;
        for index in 0..count {
            self.cluster.nats.restart(index).await?;
        }
        self.lead_again().await?;
        self.cluster.ready().await
    }

    async fn freeze_two(&mut self) -> anyhow::Result<()> {
        let leader = self.cluster.nats.led_by(STREAM).await?;
        let frozen = [leader, self.after(leader)];
        for index in frozen {
            self.cluster.nats.freeze(index)?;
        }
        sleep(FROZEN).await;
        for index in frozen {
            self.cluster.nats.thaw(index)?;
        }
        self.lead_again().await?;
        self.cluster.ready().await
    }

    async fn part(&self) -> anyhow::Result<()> {
        let node = &self.cluster.nodes[self.victim];
        node.part(true);
        sleep(PARTED).await;
        node.part(false);
        Ok(())
    }

    async fn restart_all(&mut self) -> anyhow::Result<()> {
        for index in 0..self.cluster.nodes.len() {
            let node = &mut self.cluster.nodes[index];
            node.server.terminate().await?;
            node.server.start().await?;
            node.ready().await?;
            self.crowd.all_live().await?;
            self.load(2, 1).await;
        }
        for index in 0..self.cluster.nats.count() {
            self.cluster.nats.terminate(index).await?;
            self.cluster.nats.restart(index).await?;
            // The next one goes only when this one has caught up.
            self.cluster.ready().await?;
            self.load(2, 1).await;
        }
        self.gateway.check()
    }

    async fn lead_again(&self) -> anyhow::Result<()> {
        self.cluster.nats.led_by(STREAM).await?;
        Ok(())
    }

    fn after(&self, index: usize) -> usize {
        (index + 1) % self.cluster.nats.count()
    }
}

/// How long all NATS servers are down.
pub(super) const OUT: Duration = Duration::from_secs(1);

/// How long two of them are stopped.
pub(super) const FROZEN: Duration = Duration::from_secs(6);

/// How long a node is parted from them: longer than a lease of 5 s.
pub(super) const PARTED: Duration = Duration::from_secs(10);
