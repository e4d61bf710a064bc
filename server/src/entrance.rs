//! Where connections come in: a port, with TLS or without.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::tls::{Tls, TlsError};

/// A socket that listens, and what is spoken on its connections.
pub struct Entrance {
    /// The socket.
    pub listener: TcpListener,
    /// TLS, if it is spoken here.
    pub tls: Option<Tls>,
}

/// Why there is no entrance.
#[derive(Debug, Error)]
pub enum EntranceError {
    /// The port is not to be had.
    #[error("cannot listen on {address}: is another server running there? See --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate is not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Entrance {
    /// Opens what the options say.
    ///
    /// # Errors
    /// An [`EntranceError`] that says what to do.
    pub async fn open(config: &Config) -> Result<Self, EntranceError> {
        let tls = Tls::open(&config.tls)?;
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| EntranceError::Listen { address, source })?;
        Ok(Self { listener, tls })
    }

    /// The address as people type it.
    ///
    /// # Errors
    /// What the system says where it does not know its own address.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.listener.local_addr()?))
    }
}
