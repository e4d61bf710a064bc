//! Options of a cluster: the engine on which several nodes stand, and this node's place among them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use everbeat_axum::log::engine::nats::{
    NatsConfig, NatsConfigError, NatsCredentials, NatsStream, NatsTls,
};
use protocol::id::NodeName;
use thiserror::Error;
use url::Url;

use super::duration;

/// Many nodes: all of them take the same options here but --node and --advertise.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterOptions {
    /// NATS servers with JetStream, on which several nodes of Everbeat stand: nats://a:4222,b:4222,c:4222, or tls://….
    /// Without it this server stands alone, on its own disk
    #[arg(long, env = "EVERBEAT_ENGINE", requires = "node", value_name = "URL,…")]
    pub engine: Option<Addresses>,

    /// This node's name: 1 to 64 of a-z 0-9 - _. No two nodes have the same one, and it stays with the data directory
    #[arg(long, env = "EVERBEAT_NODE", value_parser = NodeName::new, value_name = "NAME")]
    pub node: Option<NodeName>,

    /// The address at which clients and the other nodes reach this very node, as `https://a.example`. Without it no
    /// client is sent here when another node drains
    #[arg(long, env = "EVERBEAT_ADVERTISE", value_name = "URL")]
    pub advertise: Option<Url>,

    /// Credentials file for the NATS servers, as nsc makes it
    #[arg(
        long,
        env = "EVERBEAT_ENGINE_CREDENTIALS",
        conflicts_with_all = ["engine_user", "engine_token_file"],
        value_name = "FILE"
    )]
    pub engine_credentials: Option<PathBuf>,

    /// User at the NATS servers
    #[arg(
        long,
        env = "EVERBEAT_ENGINE_USER",
        requires = "engine_password_file",
        conflicts_with = "engine_token_file",
        value_name = "NAME"
    )]
    pub engine_user: Option<String>,

    /// File with that user's password
    #[arg(
        long,
        env = "EVERBEAT_ENGINE_PASSWORD_FILE",
        requires = "engine_user",
        value_name = "FILE"
    )]
    pub engine_password_file: Option<PathBuf>,

    /// File with a token for the NATS servers
    #[arg(long, env = "EVERBEAT_ENGINE_TOKEN_FILE", value_name = "FILE")]
    pub engine_token_file: Option<PathBuf>,

    /// File with the certificates that may have issued those of the NATS servers, as PEM; TLS is needed then. Without
    /// it tls://… is checked by the system's
    #[arg(long, env = "EVERBEAT_ENGINE_CA", value_name = "FILE")]
    pub engine_ca: Option<PathBuf>,

    /// File with this node's own certificate for the NATS servers, as PEM
    #[arg(
        long,
        env = "EVERBEAT_ENGINE_CERT",
        requires = "engine_key",
        value_name = "FILE"
    )]
    pub engine_cert: Option<PathBuf>,

    /// File with that certificate's private key, as PEM
    #[arg(
        long,
        env = "EVERBEAT_ENGINE_KEY",
        requires = "engine_cert",
        value_name = "FILE"
    )]
    pub engine_key: Option<PathBuf>,

    /// Name of the stream; a second one, NAME-ERASED, is beside it. Both are made where they are missing
    #[arg(
        long,
        env = "EVERBEAT_ENGINE_STREAM",
        default_value_t = NatsStream::default().name,
        value_name = "NAME"
    )]
    pub engine_stream: String,

    /// First part of all subjects at the NATS servers. Two Everbeats that share them have two streams and two prefixes
    #[arg(
        long,
        env = "EVERBEAT_ENGINE_PREFIX",
        default_value = NatsConfig::PREFIX,
        value_name = "WORD"
    )]
    pub engine_prefix: String,

    /// On how many NATS servers everything is: 3 outlive the death of one, 5 that of two
    #[arg(
        long,
        env = "EVERBEAT_ENGINE_REPLICAS",
        default_value_t = NatsStream::default().replicas,
        value_name = "COUNT"
    )]
    pub engine_replicas: usize,

    /// How long the stream keeps what happened: a node that was away for longer takes a copy from another one. It counts
    /// when the stream is made; an older stream keeps what it was made with
    #[arg(long, env = "EVERBEAT_ENGINE_KEEP", default_value = "3d", value_name = "TIME", value_parser = duration)]
    pub engine_keep: Duration,

    /// The most bytes that the stream keeps, likewise; without it as much as the NATS servers' own max_file allows
    #[arg(long, env = "EVERBEAT_ENGINE_BYTES", value_name = "BYTES")]
    pub engine_bytes: Option<u64>,

    /// Addresses of the NATS servers' monitoring (http in their configuration), as `http://a:8222`: only there it can be
    /// seen whether they sync each write
    #[arg(
        long,
        env = "EVERBEAT_NATS_MONITOR",
        value_delimiter = ',',
        value_name = "URL,…"
    )]
    pub nats_monitor: Vec<Url>,

    /// What to do about a NATS server that does not sync each write (sync_interval: always): with the power of its
    /// machine it may lose what it acknowledged
    #[arg(long, env = "EVERBEAT_ENGINE_SYNC", value_enum, default_value_t = SyncPolicy::Warn)]
    pub engine_sync: SyncPolicy,
}

/// What a server that does not sync each write is met with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncPolicy {
    /// A warning.
    Warn,
    /// It is not used; and one of the servers has to say that it does.
    Require,
}

/// A node's place in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Its name.
    pub node: NodeName,
    /// The address at which it is reached.
    pub advertise: Option<Url>,
    /// The engine.
    pub nats: NatsConfig,
}

impl ClusterOptions {
    /// This node's place in its cluster; `None` where it stands alone.
    ///
    /// # Errors
    /// [`ClusterError`]: it says which option cannot work.
    pub fn cluster(&self) -> Result<Option<ClusterConfig>, ClusterError> {
        let Some(engine) = &self.engine else {
            return match self.without_engine() {
                Some(option) => Err(ClusterError::NeedsEngine(option)),
                None => Ok(None),
            };
        };
        // The parser sees to it that there is one.
        let node = self.node.clone().ok_or(ClusterError::Node)?;
        if let Some(address) = &self.advertise {
            check_address(address)?;
        }
        let config = ClusterConfig {
            nats: self.nats(engine, &node),
            node,
            advertise: self.advertise.clone(),
        };
        config.nats.check().map_err(|error| match error {
            NatsConfigError::NoMonitors => ClusterError::Sync,
            error => ClusterError::Engine(error.to_string()),
        })?;
        Ok(Some(config))
    }

    /// An option that means nothing without an engine.
    fn without_engine(&self) -> Option<&'static str> {
        let given = [
            ("--node", self.node.is_some()),
            ("--advertise", self.advertise.is_some()),
            ("--engine-credentials", self.engine_credentials.is_some()),
            ("--engine-user", self.engine_user.is_some()),
            ("--engine-token-file", self.engine_token_file.is_some()),
            ("--engine-ca", self.engine_ca.is_some()),
            ("--engine-cert", self.engine_cert.is_some()),
            ("--nats-monitor", !self.nats_monitor.is_empty()),
        ];
        let mut given = given.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(option, _)| option)
    }

    fn nats(&self, engine: &Addresses, node: &NodeName) -> NatsConfig {
        let credentials = if let Some(file) = &self.engine_credentials {
            NatsCredentials::File(file.clone())
        } else if let (Some(user), Some(file)) = (&self.engine_user, &self.engine_password_file) {
            NatsCredentials::User(user.clone(), file.clone())
        } else if let Some(file) = &self.engine_token_file {
            NatsCredentials::Token(file.clone())
        } else {
            NatsCredentials::None
        };
        NatsConfig {
            credentials,
            tls: NatsTls {
                required: self.engine_ca.is_some() || self.engine_cert.is_some(),
                ca: self.engine_ca.clone(),
                certificate: self.engine_cert.clone().zip(self.engine_key.clone()),
            },
            stream: NatsStream {
                name: self.engine_stream.clone(),
                replicas: self.engine_replicas,
                max_age: self.engine_keep,
                max_bytes: self.engine_bytes,
            },
            prefix: self.engine_prefix.clone(),
            monitors: self.nats_monitor.clone(),
            needs_sync: self.engine_sync == SyncPolicy::Require,
            name: format!("everbeat {node}"),
            ..NatsConfig::new(engine.0.clone())
        }
    }
}

/// Options of a cluster that do not work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClusterError {
    /// A cluster's option without a cluster.
    #[error("{0} needs --engine: without it this server stands alone")]
    NeedsEngine(&'static str),
    /// No name.
    #[error("--engine needs --node: a name that no other node has")]
    Node,
    /// Not an address at which clients reach a node.
    #[error("--advertise must be an address without a path, as https://a.example")]
    Advertise,
    /// What is required cannot be seen.
    #[error("--engine-sync require needs --nats-monitor: only there it can be seen")]
    Sync,
    /// What the engine says of its options.
    #[error("--engine: {0}")]
    Engine(String),
}

/// Addresses of one scheme, which may be left out after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(Vec<Url>);

/// A text that is no list of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not addresses of servers, as nats://a:4222,b:4222")]
pub struct AddressesError;

impl FromStr for Addresses {
    type Err = AddressesError;

    fn from_str(text: &str) -> Result<Self, AddressesError> {
        let (scheme, _) = text.split_once("://").ok_or(AddressesError)?;
        let address = |part: &str| match part.contains("://") {
            true => part.parse(),
            false => format!("{scheme}://{part}").parse(),
        };
        let addresses: Result<Vec<Url>, _> = text.split(',').map(address).collect();
        Ok(Self(addresses.map_err(|_| AddressesError)?))
    }
}

fn check_address(address: &Url) -> Result<(), ClusterError> {
    let is_web = matches!(address.scheme(), "http" | "https") && address.host_str().is_some();
    let is_bare =
        address.path() == "/" && address.query().is_none() && address.fragment().is_none();
    let is_open = address.username().is_empty() && address.password().is_none();
    (is_web && is_bare && is_open)
        .then_some(())
        .ok_or(ClusterError::Advertise)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Config;

    fn cluster(options: &str) -> Result<Option<ClusterConfig>, String> {
        let options = std::iter::once("everbeat").chain(options.split_whitespace());
        let config = Config::try_parse_from(options).map_err(|error| error.to_string())?;
        config.cluster.cluster().map_err(|error| error.to_string())
    }

    #[test]
    fn a_server_stands_alone_without_an_engine() {
        assert_eq!(cluster(""), Ok(None));
        for option in [
            "--node a",
            "--advertise http://a",
            "--nats-monitor http://a",
        ] {
            let error = cluster(option).unwrap_err();
            assert!(error.contains("needs --engine"), "{error}");
        }
    }

    #[test]
    fn a_node_has_a_name_servers_and_credentials() {
        let found = cluster(
            "--engine nats://a:1,b:2,nats://c:3 --node n-1 --advertise https://n.example --engine-user u \
             --engine-password-file p --engine-keep 7d --engine-ca ca.pem",
        );
        let found = found.unwrap().unwrap();
        let servers: Vec<_> = found.nats.servers.iter().map(Url::as_str).collect();
        assert_eq!(servers, ["nats://a:1", "nats://b:2", "nats://c:3"]);
        assert_eq!(found.node.as_str(), "n-1");
        let user = NatsCredentials::User("u".into(), "p".into());
        assert_eq!(found.nats.credentials, user);
        assert!(found.nats.tls.required);
        assert_eq!(
            found.nats.stream.max_age,
            Duration::from_secs(7 * 24 * 3600)
        );
    }

    /// The defaults are the library's.
    #[test]
    fn the_defaults_are_the_engines() {
        let found = cluster("--engine nats://a --node n").unwrap().unwrap();
        let expected = NatsConfig {
            name: "everbeat n".into(),
            ..NatsConfig::new(vec!["nats://a".parse().unwrap()])
        };
        assert_eq!(found.nats, expected);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (options, part) in [
            ("--engine nats://a", "--node"),
            ("--engine a:4222 --node n", "nats://a:4222"),
            (
                "--engine http://a --node n",
                "not the address of a NATS server",
            ),
            ("--engine nats://u:p@a --node n", "belong into a file"),
            ("--engine nats://a --node N", "a-z 0-9"),
            (
                "--engine nats://a --node n --advertise ftp://a",
                "--advertise",
            ),
            (
                "--engine nats://a --node n --advertise http://a/b",
                "--advertise",
            ),
            ("--engine nats://a --node n --engine-replicas 7", "replicas"),
            ("--engine nats://a --node n --engine-keep 1s", "kept"),
            ("--engine nats://a --node n --engine-prefix a.b", "prefix"),
            (
                "--engine nats://a --node n --engine-sync require",
                "--nats-monitor",
            ),
            (
                "--engine nats://a --node n --engine-user u",
                "--engine-password-file",
            ),
            ("--engine nats://a --node n --engine-cert c", "--engine-key"),
        ] {
            let error = cluster(options).unwrap_err();
            assert!(error.contains(part), "{options}: {error}");
        }
    }
}
