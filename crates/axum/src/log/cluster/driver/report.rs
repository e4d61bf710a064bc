//! What the operator sees of a node.

use super::{Driver, Phase, STUCK_AFTER, Start};
use crate::log::cluster::status::ClusterStatus;

impl Driver {
    /// Tells the operator how things stand.
    pub(super) fn note(&mut self) {
        if self.is_over {
            return;
        }
        let (waiting, in_flight, is_live) = self.shared.desk(|desk| desk.counts());
        let lag = self.follower.lag();
        let nodes = self.leases.statuses(self.clock.now());
        let is_connected = self.engine.state().borrow().is_ready();
        self.shared.note(|status: &mut ClusterStatus| {
            status.waiting = waiting;
            status.in_flight = in_flight;
            status.is_connected = is_connected;
            status.last = status.applied.saturating_add(lag);
            if status.phase != Phase::Closing {
                status.phase = match self.start {
                    Start::Attaching => Phase::Attaching,
                    Start::Begun if is_live => Phase::Live,
                    _ => Phase::CatchingUp,
                };
            }
            status.trouble = self.trouble(status, lag);
            if let Some(nodes) = nodes {
                status.nodes = nodes;
            }
            if status.epoch.is_none() {
                status.epoch = self.sqlite.epoch().map(String::from);
            }
        });
    }

    fn trouble(&self, status: &ClusterStatus, lag: u64) -> Option<String> {
        if let Some(sequence) = self.hole {
            return Some(format!("the engine's stream lacks pack {sequence}"));
        }
        if self.fold_trouble.is_some() {
            return Some("the database cannot take a pack".to_owned());
        }
        if let Some(stuck) = self.stuck() {
            return Some(stuck);
        }
        match (&self.failure, status.phase) {
            (Some(failure), _) => Some(failure.to_string()),
            (None, Phase::Live) => None,
            (None, Phase::CatchingUp) => Some(format!("catching up: {lag} packs behind")),
            (None, phase) => Some(phase.to_string()),
        }
    }

    /// Why nothing is stored, where a pack of this node has been under way for too long.
    fn stuck(&self) -> Option<String> {
        let waits = self.clock.now().since(self.sent_at?);
        let is_stuck = waits >= STUCK_AFTER;
        is_stuck.then(|| match &self.not_stored {
            Some(error) => error.to_string(),
            None => "the engine does not say whether it stored what this node sent: it may have no majority, or no room"
                .to_owned(),
        })
    }
}
