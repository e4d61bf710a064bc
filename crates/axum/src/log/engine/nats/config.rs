//! The configuration of the engine on NATS, and what can be said of it before anything is reached.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use url::Url;

/// The engine on NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    /// Addresses of NATS servers, `nats://host:port` or `tls://host:port`; others of their cluster are found by
    /// themselves.
    pub servers: Vec<Url>,
    /// How the servers know that it is Everbeat.
    pub credentials: NatsCredentials,
    /// TLS towards the servers.
    pub tls: NatsTls,
    /// The stream of packs.
    pub stream: NatsStream,
    /// The first token of all subjects. Two Everbeats that share NATS servers have two prefixes, and two streams.
    pub prefix: String,
    /// Addresses of the servers' monitoring (`http` in their configuration): only there it can be seen whether they
    /// sync each write.
    pub monitors: Vec<Url>,
    /// Whether servers that do not sync each write are refused; else there is a warning. One of them must say.
    pub needs_sync: bool,
    /// The name of this node's connection, which the servers show.
    pub name: String,
}

impl NatsConfig {
    /// The prefix of subjects by default.
    pub const PREFIX: &'static str = "eb";

    /// The defaults, with the servers at these addresses.
    pub fn new(servers: Vec<Url>) -> Self {
        Self {
            servers,
            credentials: NatsCredentials::None,
            tls: NatsTls::default(),
            stream: NatsStream::default(),
            prefix: Self::PREFIX.to_owned(),
            monitors: Vec::new(),
            needs_sync: false,
            name: "everbeat".to_owned(),
        }
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// [`NatsConfigError`].
    pub fn check(&self) -> Result<(), NatsConfigError> {
        if self.servers.is_empty() {
            return Err(NatsConfigError::NoServers);
        }
        for server in &self.servers {
            check_server(server)?;
        }
        for monitor in &self.monitors {
            let is_plain = monitor.scheme() == "http" && monitor.host_str().is_some();
            if !is_plain || !monitor.username().is_empty() || monitor.password().is_some() {
                return Err(NatsConfigError::Monitor(
                    monitor.host_str().unwrap_or("?").into(),
                ));
            }
        }
        if self.needs_sync && self.monitors.is_empty() {
            return Err(NatsConfigError::NoMonitors);
        }
        if !is_token(&self.prefix) {
            return Err(NatsConfigError::Prefix(self.prefix.clone()));
        }
        self.stream.check()
    }
}

/// How the servers know that it is Everbeat. Secrets are in files, and read once, at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatsCredentials {
    /// They do not ask.
    None,
    /// A credentials file, which `nsc` makes: a JWT and its key.
    File(PathBuf),
    /// A user, and a file with the password.
    User(String, PathBuf),
    /// A file with a token.
    Token(PathBuf),
}

impl NatsCredentials {
    /// Reads the secrets.
    ///
    /// # Errors
    /// [`NatsConfigError::Secret`].
    pub(super) fn read(&self) -> Result<Secrets, NatsConfigError> {
        Ok(match self {
            Self::None => Secrets::None,
            Self::File(path) => Secrets::Credentials(read(path)?),
            Self::User(user, path) => Secrets::Password(user.clone(), read(path)?),
            Self::Token(path) => Secrets::Token(read(path)?),
        })
    }
}

/// What the files of [`NatsCredentials`] hold. Never shown by `Debug`.
#[derive(Clone)]
pub(super) enum Secrets {
    /// Nothing.
    None,
    /// The text of a credentials file.
    Credentials(String),
    /// A user and the password.
    Password(String, String),
    /// A token.
    Token(String),
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// TLS towards the servers. A server that asks for it gets it in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsTls {
    /// Whether servers without TLS are refused.
    pub required: bool,
    /// Certificates of those who may have issued the servers', as PEM; without it those of the system.
    pub ca: Option<PathBuf>,
    /// This node's own certificate and its key, as PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// The stream of packs. It is made with these settings where it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsStream {
    /// Its name.
    pub name: String,
    /// On how many servers each pack is: 3 outlive the death of one, 5 that of two; 1 is for tests.
    pub replicas: usize,
    /// How long packs are kept: a node that was away for longer takes a copy of the database from another one.
    pub max_age: Duration,
    /// The most bytes of packs; the oldest go. `None`: only `max_file` of the servers bounds them, and where that is
    /// reached nothing is stored.
    pub max_bytes: Option<u64>,
}

impl Default for NatsStream {
    /// Three days outlast a weekend.
    fn default() -> Self {
        Self {
            name: "EVERBEAT".to_owned(),
            replicas: 3,
            max_age: Duration::from_secs(3 * 24 * 3600),
            max_bytes: None,
        }
    }
}

/// The least time for which packs are kept: a node that restarts finds what it missed.
const AGE_MIN: Duration = Duration::from_secs(600);

/// The least of `max_bytes`: some hundred of the largest packs.
const BYTES_MIN: u64 = 64 * 1024 * 1024;

impl NatsStream {
    fn check(&self) -> Result<(), NatsConfigError> {
        if !is_token(&self.name) {
            return Err(NatsConfigError::Stream(self.name.clone()));
        }
        if !(1..=5).contains(&self.replicas) {
            return Err(NatsConfigError::Replicas(self.replicas));
        }
        if self.max_age < AGE_MIN {
            return Err(NatsConfigError::Age);
        }
        match self.max_bytes {
            Some(bytes) if bytes < BYTES_MIN => Err(NatsConfigError::Bytes),
            _ => Ok(()),
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, Error)]
pub enum NatsConfigError {
    /// No address.
    #[error("the engine needs the address of a NATS server: nats://HOST:PORT")]
    NoServers,
    /// Not the address of a NATS server.
    #[error("{0} is not the address of a NATS server: nats://HOST:PORT or tls://HOST:PORT")]
    Server(String),
    /// A secret in an address, which many can read.
    #[error("the address of {0} holds a user or a secret: those belong into a file")]
    SecretInAddress(String),
    /// Not an address of monitoring.
    #[error("the monitoring of {0} cannot be asked: its address is http://HOST:PORT")]
    Monitor(String),
    /// What is needed cannot be seen.
    #[error(
        "whether the NATS servers sync each write can be seen only by their monitoring: name its addresses, or do not \
         ask for it"
    )]
    NoMonitors,
    /// Not a token of a subject.
    #[error("{0:?} is no prefix of subjects: 1 to 32 of a-z A-Z 0-9 - _")]
    Prefix(String),
    /// Not a name of a stream.
    #[error("{0:?} is no name of a stream: 1 to 32 of a-z A-Z 0-9 - _")]
    Stream(String),
    /// Not a number of replicas.
    #[error("a stream has 1 to 5 replicas, not {0}")]
    Replicas(usize),
    /// Kept for too short.
    #[error("packs must be kept for {AGE_MIN:?} or longer")]
    Age,
    /// Too few are kept.
    #[error("a stream must have {BYTES_MIN} bytes or more")]
    Bytes,
    /// A secret cannot be read.
    #[error("cannot read the secret for the NATS servers, {path}: {source}")]
    Secret {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn check_server(server: &Url) -> Result<(), NatsConfigError> {
    let host = server.host_str().unwrap_or_default();
    if !matches!(server.scheme(), "nats" | "tls") || host.is_empty() {
        return Err(NatsConfigError::Server(host.to_owned()));
    }
    if !server.username().is_empty() || server.password().is_some() {
        return Err(NatsConfigError::SecretInAddress(host.to_owned()));
    }
    if !matches!(server.path(), "" | "/") || server.query().is_some() {
        return Err(NatsConfigError::Server(host.to_owned()));
    }
    Ok(())
}

/// Whether a text is one token of a subject, and a name of a stream.
fn is_token(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=32).contains(&text.len()) && text.bytes().all(is_plain)
}

fn read(path: &Path) -> Result<String, NatsConfigError> {
    let text = fs::read_to_string(path).map_err(|source| NatsConfigError::Secret {
        path: path.to_owned(),
        source,
    })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(server: &str) -> NatsConfig {
        NatsConfig::new(vec![server.parse().unwrap()])
    }

    #[test]
    fn the_defaults_work() {
        for server in ["nats://a:4222", "tls://a.example", "nats://[::1]:4222"] {
            config(server).check().unwrap();
        }
    }

    /// A secret in an address would be in the list of processes.
    #[test]
    fn addresses_are_those_of_nats_servers_without_secrets() {
        for server in ["http://a", "nats:a", "ws://a", "nats://a/b", "nats://a?b"] {
            let error = config(server).check().unwrap_err();
            assert!(matches!(error, NatsConfigError::Server(_)), "{server}");
        }
        for server in ["nats://ada:pass@a", "nats://token@a"] {
            let error = config(server).check().unwrap_err().to_string();
            assert!(error.contains("belong into a file"), "{error}");
            assert!(
                !error.contains("pass@") && !error.contains("token@"),
                "{error}"
            );
        }
        let error = NatsConfig::new(Vec::new()).check().unwrap_err();
        assert!(matches!(error, NatsConfigError::NoServers));
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_name() {
        let with = |change: fn(&mut NatsConfig)| {
            let mut config = config("nats://a");
            change(&mut config);
            config.check().unwrap_err()
        };
        let refused = [
            with(|config| config.prefix = "a.b".into()),
            with(|config| config.prefix = String::new()),
            with(|config| config.prefix = ">".into()),
            with(|config| config.stream.name = "a b".into()),
            with(|config| config.stream.replicas = 0),
            with(|config| config.stream.replicas = 6),
            with(|config| config.stream.max_age = Duration::from_secs(1)),
            with(|config| config.stream.max_bytes = Some(1)),
            with(|config| config.needs_sync = true),
            with(|config| config.monitors = vec!["https://a".parse().unwrap()]),
        ];
        let names: Vec<_> = refused.iter().map(ToString::to_string).collect();
        for (name, part) in names.iter().zip([
            "prefix",
            "prefix",
            "prefix",
            "name",
            "replicas",
            "replicas",
            "kept",
            "bytes",
            "sync",
            "monitoring",
        ]) {
            assert!(name.contains(part), "{name}");
        }
    }

    #[test]
    fn secrets_are_read_from_files_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let credentials = NatsCredentials::User("ada".into(), path.clone());
        let error = credentials.read().unwrap_err().to_string();
        assert!(error.contains("password"), "{error}");
        fs::write(&path, "hush\n").unwrap();
        let secrets = credentials.read().unwrap();
        assert!(!format!("{secrets:?}").contains("hush"));
        assert!(matches!(secrets, Secrets::Password(_, text) if text == "hush"));
    }
}
