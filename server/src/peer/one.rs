//! What a server tells its peers and its operator of itself: a node of a cluster, or one alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use everbeat_axum::hub::Hub;
use everbeat_axum::log::cluster;
use everbeat_axum::log::sqlite::{self, CopyError};

use super::{Applied, Heard, Node, NodeStatus};

/// A server, with an engine or alone: then its log has come no further than itself.
pub struct OneNode {
    /// The registry of its connections.
    pub hub: Arc<Hub>,
    /// Its database.
    pub database: PathBuf,
}

impl Node for OneNode {
    fn status(&self) -> NodeStatus {
        let state = |trouble: Option<String>| match trouble {
            _ if self.hub.is_draining() => "draining".to_owned(),
            Some(trouble) => trouble,
            None => "ready".to_owned(),
        };
        let alone = NodeStatus {
            node: "-".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: state(None),
            clients: self.hub.connections() as u64,
            ..NodeStatus::default()
        };
        let Some(cluster) = self.hub.log().cluster() else {
            return alone;
        };
        let is_own = |other: &&cluster::status::NodeStatus| other.name == cluster.node;
        let (own, others): (Vec<_>, Vec<_>) = cluster.nodes.iter().partition(is_own);
        NodeStatus {
            node: cluster.node.to_string(),
            state: state(cluster.trouble.clone()),
            epoch: cluster.epoch.clone().unwrap_or_default(),
            applied: Applied {
                sequence: cluster.applied,
                digest: cluster.digest.clone(),
            },
            newest: Some(cluster.last),
            address: own.first().and_then(|own| own.address.clone()),
            hears: others.into_iter().map(heard).collect(),
            ..alone
        }
    }

    /// The copy may be of a later moment than the announced one, never of an earlier one.
    fn copy(&self, to: &Path) -> Result<Applied, CopyError> {
        let before = self.status().applied;
        sqlite::backup(&self.database, to)?;
        Ok(before)
    }
}

/// Another node, as its lease tells.
fn heard(other: &cluster::status::NodeStatus) -> Heard {
    Heard {
        node: other.name.to_string(),
        age_ms: other.heard_ms,
        applied: Applied {
            sequence: other.applied,
            digest: other.digest.clone(),
        },
        clients: other.connections,
    }
}
