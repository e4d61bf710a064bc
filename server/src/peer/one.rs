//! One node alone, as its operator may ask it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use everbeat_axum::hub::Hub;
use everbeat_axum::log::sqlite::{self, CopyError};

use super::{Applied, Node, NodeStatus};

/// A server without an engine: its log has come no further than itself.
pub struct OneNode {
    /// The registry of its connections.
    pub hub: Arc<Hub>,
    /// Its database.
    pub database: PathBuf,
}

impl Node for OneNode {
    fn status(&self) -> NodeStatus {
        let state = if self.hub.is_draining() {
            "draining"
        } else {
            "ready"
        };
        NodeStatus {
            node: "-".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: state.to_owned(),
            clients: self.hub.connections() as u64,
            ..NodeStatus::default()
        }
    }

    fn copy(&self, to: &Path) -> Result<Applied, CopyError> {
        sqlite::backup(&self.database, to)?;
        Ok(Applied::default())
    }
}
