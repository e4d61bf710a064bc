//! Options of a server of several nodes: their addresses for clients, and for each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use app::{Nodes, SOCKET};
use clap::Args;
use protocol::address::{Address, AddressError, Addresses};
use url::Url;

/// Other nodes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Nodes")]
pub struct NodeOptions {
    /// The addresses of all nodes, as clients reach them: `https://a.example.org,https://b.example.org`, or those of
    /// their WebSockets, `wss://a.example.org/ws`. The page goes from one that does not answer, or that restarts, to
    /// another one of them. Each node has to allow the pages of the others (--allowed-origins)
    #[arg(
        long,
        env = "EVERBEAT_ADDRESSES",
        value_delimiter = ',',
        value_parser = node_address,
        value_name = "URL,…"
    )]
    pub addresses: Vec<Address>,

    /// Address and port at which other nodes ask this one for its state and for copies of the log, on a private network: what
    /// it sends is not encrypted. Never the one for clients
    #[arg(
        long,
        env = "EVERBEAT_PEER_LISTEN",
        value_name = "ADDR:PORT",
        requires = "peer_secret_file"
    )]
    pub peer_listen: Option<SocketAddr>,

    /// File with the secret of all nodes, of 32 bytes or more (openssl rand -hex 32): it proves that another one is a node
    #[arg(
        long,
        global = true,
        env = "EVERBEAT_PEER_SECRET_FILE",
        value_name = "FILE"
    )]
    pub peer_secret_file: Option<PathBuf>,

    /// The --peer-listen of all nodes: `http://10.0.0.1:8091,http://10.0.0.2:8091`
    #[arg(
        long,
        global = true,
        env = "EVERBEAT_PEERS",
        value_delimiter = ',',
        value_parser = peer,
        value_name = "URL,…"
    )]
    pub peers: Vec<Url>,
}

/// The address at which clients reach a node, by the URL of its WebSocket, or of its page: `https://a.example.org` is
/// `wss://a.example.org/ws`.
///
/// # Errors
/// [`AddressError::Malformed`].
pub fn node_address(text: &str) -> Result<Address, AddressError> {
    for (page, socket) in [("https://", "wss://"), ("http://", "ws://")] {
        if let Some(rest) = text.strip_prefix(page) {
            let host = rest.trim_end_matches('/');
            return Address::new(&[socket, host, SOCKET].concat());
        }
    }
    Address::new(text)
}

/// The URL of a node's listener for peers.
pub(crate) fn peer(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http");
    url.filter(Url::has_host)
        .ok_or_else(|| "it should look like http://10.0.0.1:8091".to_owned())
}

impl NodeOptions {
    /// Refuses addresses that no client would take together.
    pub(super) fn check(&self) -> Result<(), AddressError> {
        if let Some((own, others)) = self.addresses.split_first() {
            Addresses::new(own.clone(), others.iter().cloned())?;
        }
        Ok(())
    }

    /// The addresses as the page takes them; `None` where there are none.
    pub(crate) fn addresses_text(&self) -> Option<Nodes> {
        let texts: Vec<&str> = self.addresses.iter().map(Address::as_str).collect();
        (!texts.is_empty()).then(|| Nodes(texts.join(" ").into()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::config::{Config, ConfigError};

    use super::*;

    fn config(options: &[&str]) -> Result<Config, String> {
        let options = [&["everbeat"], options].concat();
        Config::try_parse_from(options).map_err(|error| error.to_string())
    }

    /// RC-8: a page gets addresses that it takes together, in one form.
    #[test]
    fn addresses_are_those_of_sockets() {
        let pages = "https://A.example.org:443/,https://b.example.org:8443,wss://c.example.org/x";
        let config = config(&["--addresses", pages]).unwrap();
        assert_eq!(config.check(), Ok(()));
        let Nodes(told) = config.nodes.addresses_text().unwrap();
        let expected = "wss://a.example.org/ws wss://b.example.org:8443/ws wss://c.example.org/x";
        assert_eq!(&*told, expected);
    }

    #[test]
    fn addresses_that_no_client_takes_are_refused() {
        let mixed = config(&["--addresses", "https://a,http://b"]).unwrap();
        let mixed = mixed.check();
        assert_eq!(mixed, Err(ConfigError::Addresses(AddressError::Mixed)));
        for odd in [
            "a.example",
            "https://",
            "ftp://a",
            "https://u:p@a",
            "https://a?b",
        ] {
            let error = config(&["--addresses", odd]).unwrap_err();
            assert!(error.contains("not an address of a WebSocket"), "{error}");
        }
        assert!(config(&[]).unwrap().nodes.addresses_text().is_none());
    }

    #[test]
    fn peers_need_a_secret() {
        let error = config(&["--peer-listen", "127.0.0.1:1"]).unwrap_err();
        assert!(error.contains("--peer-secret-file"), "{error}");
        for odd in ["10.0.0.1:8091", "https://10.0.0.1:8091", "http://"] {
            assert!(config(&["--peers", odd]).is_err(), "{odd}");
        }
        let peers = config(&["--peers", "http://a:1,http://[::1]:2"]).unwrap();
        assert_eq!(peers.nodes.peers.len(), 2);
    }
}
