//! What the nodes of one server ask each other: their state, and copies of the log.
//!
//! A listener of its own (`--peer-listen`) answers, which is never the one for clients. All nodes have one secret
//! (`--peer-secret-file`). It is never sent: a question proves it over a number that the asked node drew, and an answer
//! over a number of the asking one, and over itself ([`secret`]). What is sent is not encrypted: the listener belongs on a private network.
//!
//! - `GET /v1/nonce`: a number for one question
//! - `GET /v1/status`: the node's state, a [`NodeStatus`]
//! - `GET /v1/copy`: the log as of one moment, as `everbeat backup` makes it

pub mod ask;
mod nonces;
mod one;
pub mod secret;
mod serve;
pub mod status;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::log::sqlite::CopyError;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub use self::one::OneNode;
pub use self::secret::PeerSecret;
pub use self::serve::begin;

/// How far a node's log has come: the engine's sequence that it applied last, and the rolling digest there. Nodes with equal
/// sequences have equal digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The sequence; 0 where nothing was applied, and where there is one node alone.
    pub sequence: u64,
    /// The digest as hexadecimal digits; empty where there is none.
    pub digest: String,
}

/// The state of a node, as it tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// The version of its program.
    pub version: String,
    /// `ready`, or why it is not.
    pub state: String,
    /// The identity of its log's history (RS-6).
    pub epoch: String,
    /// How far its log has come.
    pub applied: Applied,
    /// The engine's newest sequence, as far as the node knows it.
    pub newest: Option<u64>,
    /// How many clients are connected.
    pub clients: u64,
    /// Its address for clients, where it has one.
    pub address: Option<String>,
    /// The other nodes of which it holds a lease.
    pub hears: Vec<Heard>,
}

/// Another node, as a node hears of it by its lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Its name.
    pub node: String,
    /// How long ago it was heard last, in milliseconds.
    pub age_ms: u64,
    /// How far its log had come then.
    pub applied: Applied,
    /// How many clients it had then.
    pub clients: u64,
}

/// A node that answers its peers.
pub trait Node: Send + Sync + 'static {
    /// Its state now. It does not wait.
    fn status(&self) -> NodeStatus;

    /// Copies its log into a file, as of one moment, and says which. It may take minutes, and blocks.
    ///
    /// # Errors
    /// [`CopyError`].
    fn copy(&self, to: &Path) -> Result<Applied, CopyError>;
}

/// How a copy is announced, in the header [`COPY`] as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announced {
    /// The moment that it is of.
    applied: Applied,
    /// Its size.
    bytes: u64,
    /// The SHA-256 of it, as hexadecimal digits.
    sha256: String,
}

/// The header with the number of the answering node, in a question.
const NONCE: &str = "everbeat-nonce";
/// The header with the number of the asking one.
const CHALLENGE: &str = "everbeat-challenge";
/// The header with a proof of the secret, in questions and answers.
const PROOF: &str = "everbeat-proof";
/// The header that announces a copy.
const COPY: &str = "everbeat-copy";

/// The paths of what can be asked.
const NONCE_PATH: &str = "/v1/nonce";
const STATUS_PATH: &str = "/v1/status";
const COPY_PATH: &str = "/v1/copy";

/// How long a node may take to answer a question; for a copy, how long it may send nothing: it has to make it first, and a
/// large log on a slow disk takes minutes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const COPY_TIMEOUT: Duration = Duration::from_secs(600);

/// What a question proves: the question itself, and both numbers.
fn asked<'a>(path: &'a str, nonce: &'a str, challenge: &'a str) -> [&'a [u8]; 4] {
    let parts = ["everbeat peers ask", path, nonce, challenge];
    parts.map(str::as_bytes)
}

/// What an answer proves: that it is the one to this question.
fn answered<'a>(path: &'a str, challenge: &'a str, answer: &'a [u8]) -> [&'a [u8]; 4] {
    let [who, path, challenge] = ["everbeat peers answer", path, challenge].map(str::as_bytes);
    [who, path, challenge, answer]
}

/// A node's listener for its peers, open.
pub struct PeerDoor {
    /// The socket.
    pub listener: TcpListener,
    /// The secret of all nodes.
    pub secret: Arc<PeerSecret>,
    /// The node that answers.
    pub node: Arc<dyn Node>,
}
