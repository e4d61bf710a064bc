//! Native clients of Everbeat, as workloads and scenarios create them.

use std::net::SocketAddr;

use everbeat_client::{Client, Options};
use protocol::id::RoomName;

/// The error of a run whose client was stopped.
pub(crate) const ENDED: &str = "the server ended the session";

/// Where a client finds its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// The server's address, or that of a gateway in front.
    pub address: SocketAddr,
    /// The addresses of further nodes that the client knows (RC-8).
    pub further: Vec<SocketAddr>,
}

impl From<SocketAddr> for Entrance {
    fn from(address: SocketAddr) -> Self {
        let further = Vec::new();
        Self { address, further }
    }
}

impl Entrance {
    /// A client that connects once it is polled.
    pub(crate) fn connect(&self, options: Options) -> anyhow::Result<Client> {
        let further = self.further.iter().map(|address| url(*address));
        Ok(everbeat_client::connect(
            &url(self.address),
            options.addresses(further),
        )?)
    }
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/ws")
}

/// A client of the server at an address, which connects once it is polled.
pub(crate) fn connect(address: SocketAddr, options: Options) -> anyhow::Result<Client> {
    Entrance::from(address).connect(options)
}

/// A fresh client that joins some rooms once it is polled.
pub(crate) fn joining(
    address: SocketAddr,
    seed: u64,
    rooms: &[RoomName],
) -> anyhow::Result<Client> {
    let mut client = connect(address, Options::new(seed))?;
    for room in rooms {
        client.join(room.clone(), None);
    }
    Ok(client)
}
