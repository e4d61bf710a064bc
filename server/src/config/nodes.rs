//! Options of a server of several nodes: the addresses of all of them.

use app::Nodes;
use clap::Args;
use protocol::address::{Address, AddressError, Addresses};

/// Other nodes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Nodes")]
pub struct NodeOptions {
    /// The WebSocket addresses of all nodes, as clients reach them: wss://a.example.org/ws,wss://b.example.org/ws. The
    /// page goes from one that does not answer, or that restarts, to another one of them. Each node has to allow the
    /// pages of the others (--allowed-origins)
    #[arg(
        long,
        env = "EVERBEAT_ADDRESSES",
        value_delimiter = ',',
        value_parser = Address::new,
        value_name = "URL,…"
    )]
    pub addresses: Vec<Address>,
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
