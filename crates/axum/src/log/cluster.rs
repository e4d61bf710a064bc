//! A log over several nodes: each folds the same packs of an engine into its own SQLite.
//!
//! A call becomes a command, which travels in a pack, and is answered once that pack is folded and committed *here*: so
//! whatever was acknowledged before is visible to the answer. Reads are those of the local SQLite. One task, the driver,
//! does the I/O for the machines of [`everbeat_log`], which decide which pack is sent, sent again, fetched and folded
//! next.

#[cfg(feature = "sqlite")]
mod config;
#[cfg(feature = "sqlite")]
mod desk;
#[cfg(feature = "sqlite")]
mod driver;
#[cfg(feature = "sqlite")]
mod erasure;
#[cfg(feature = "sqlite")]
mod leases;
#[cfg(feature = "sqlite")]
mod node;
pub mod status;
#[cfg(feature = "sqlite")]
#[cfg(test)]
mod tests;
#[cfg(feature = "sqlite")]
mod words;

#[cfg(feature = "sqlite")]
pub use self::config::ClusterConfig;
#[cfg(feature = "sqlite")]
pub use self::node::ClusterLog;
