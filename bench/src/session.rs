//! Native clients of Everbeat, as workloads and scenarios create them.

use std::net::SocketAddr;

use everbeat_client::{Client, Options};
use protocol::id::RoomName;

/// The error of a run whose client was stopped.
pub(crate) const ENDED: &str = "the server ended the session";

/// A client of the server at an address, which connects once it is polled.
pub(crate) fn connect(address: SocketAddr, options: Options) -> anyhow::Result<Client> {
    Ok(everbeat_client::connect(
        &format!("ws://{address}/ws"),
        options,
    )?)
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
