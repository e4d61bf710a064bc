//! A node of a cluster: its log over the engine that the options name, and its rooms among those of the others.

use std::sync::Arc;

use everbeat_axum::clock::unix_ms;
use everbeat_axum::hub::Hub;
use everbeat_axum::hub::bus::EngineBus;
use everbeat_axum::log::cluster::{self, ClusterLog};
use everbeat_axum::log::engine::Engine;
use everbeat_axum::log::engine::nats::{NatsConfigError, NatsEngine};
use everbeat_axum::log::sqlite::{OpenError, SqliteConfig, SqliteLog};
use everbeat_axum::log::{LogError, Observer};
use protocol::id::Life;
use thiserror::Error;

use crate::config::{ClusterConfig, Config};

/// Why a node cannot start.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Its database cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The options of its engine do not work.
    #[error("--engine: {0}")]
    Engine(#[from] NatsConfigError),
    /// Its log cannot begin.
    #[error("the node cannot begin: {0}")]
    Begin(#[from] LogError),
}

/// Opens a node's log. It attaches to the engine by itself, for as long as that takes.
pub(crate) fn open_hub(
    config: &Config,
    cluster: ClusterConfig,
    sqlite: SqliteConfig,
) -> Result<Hub, NodeError> {
    let ClusterConfig {
        node,
        advertise,
        nats,
    } = cluster;
    let sqlite = SqliteConfig {
        is_node: true,
        ..sqlite
    };
    Hub::open_over(&config.hub(), |rooms, clock| {
        let observer: Arc<dyn Observer> = rooms.clone();
        // The database first: an older server of this node may still use it.
        let sqlite = SqliteLog::open(&config.database(), sqlite, Arc::clone(&observer))?;
        let engine: Arc<dyn Engine> = Arc::new(NatsEngine::start(nats)?);
        // Later starts of this node have larger ones; where its clock was set back, the others drop what they heard of it
        // when its lease begins anew.
        let life = Life {
            count: unix_ms(),
            nonce: 0,
        };
        let bus = Arc::new(EngineBus::new(Arc::clone(&engine), &rooms));
        rooms.join(clock, node.clone(), life, bus);
        let node = cluster::ClusterConfig {
            node,
            history_per_room: config.history,
            address: advertise.map(String::from),
        };
        Ok(ClusterLog::start(sqlite, engine, node, observer, clock)?)
    })
}
