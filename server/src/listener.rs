//! The listener: a port, with TLS or without, of this server alone or handed from one
//! server to the next.

#[cfg(target_os = "linux")]
mod claim;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use protocol::client::CONNECT_TIMEOUT;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};

#[cfg(target_os = "linux")]
use self::claim::{Claim, Claimed};
use crate::data;
use crate::tls::{Tls, TlsError};

/// The most connections that wait in the socket's queue.
const BACKLOG: u32 = 1024;

/// How long the next server may take to start, generously.
const NEXT_START: Duration = Duration::from_secs(2);

/// The configuration of a listener.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether other servers may take connections at this port, too.
    pub reuse_port: bool,
    /// How long the server drains.
    pub drain: Duration,
    /// The data directory, for which a shared port is claimed.
    pub data: PathBuf,
    /// The certificate, where TLS is spoken.
    pub tls: Option<CertificateFiles>,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The certificate as PEM, and those that lead to its issuer after it.
    pub cert: PathBuf,
    /// Its private key as PEM.
    pub key: PathBuf,
    /// How often both are looked at.
    pub look_every: Duration,
}

/// A listener: its socket, and whether its connections speak TLS.
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// TLS, if connections speak it.
    pub tls: Option<Tls>,
    /// Whether another server takes connections at this port.
    pub shared: Shared,
    /// The claim on a shared port for our data.
    #[cfg(target_os = "linux")]
    pub(crate) claim: Option<Claim>,
}

/// Whether the port is this server's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// It is; while the server is down, no client can connect.
    No,
    /// The next server has a socket of its own at the same port (`SO_REUSEPORT`). Connections in this
    /// socket's queue are lost when it is closed.
    Port,
    /// The next server gets this very socket, with the connections in its queue.
    Socket,
}

impl Shared {
    /// Whether another server takes connections from now on.
    pub const fn is_shared(self) -> bool {
        !matches!(self, Self::No)
    }
}

/// Why the server cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The port cannot be had.
    #[error("cannot listen on {address}: is another server running there? See {option}")]
    Listen {
        /// The option that names it.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Another server over other data takes connections there: users would see one of two worlds by chance.
    #[error(
        "at {address} connections go to another server, too, whose data directory is another one ({data}): \
         servers that share a port have one --data"
    )]
    OtherData {
        /// The address.
        address: SocketAddr,
        /// The end of the other directory's path.
        data: String,
    },
    /// The socket that was handed over is of no use.
    #[error(
        "the socket that was handed over (LISTEN_FDS) cannot be used: one that listens for TCP is needed"
    )]
    HandedOver(#[source] io::Error),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Listener {
    /// Opens the listener of this configuration; or takes a socket that was handed over (as by systemd), whatever the
    /// configuration says of the port.
    ///
    /// # Errors
    /// [`ListenError`]: it says what to do.
    pub async fn open(config: ListenerConfig) -> Result<Self, ListenError> {
        let files = config.tls;
        let tls = files.map(|files| Tls::open(files.cert, files.key, files.look_every));
        let tls = tls.transpose()?;
        let (listener, shared) = match handed_over().map_err(ListenError::HandedOver)? {
            Some(listener) => {
                warn_of_long(config.drain);
                (listener, Shared::Socket)
            }
            None => {
                let (address, reuse) = (config.address, config.reuse_port);
                let listener = listen(address, reuse, "--listen")?;
                (listener, if reuse { Shared::Port } else { Shared::No })
            }
        };
        Ok(Self {
            #[cfg(target_os = "linux")]
            claim: claim(&listener, shared, &config.data)?,
            socket: listener,
            tls,
            shared,
        })
    }

    /// A listener for the operator, without TLS.
    pub fn of_operator(listener: TcpListener) -> Self {
        Self {
            socket: listener,
            tls: None,
            shared: Shared::No,
            #[cfg(target_os = "linux")]
            claim: None,
        }
    }

    /// The address as a user types it.
    ///
    /// # Errors
    /// The system's error, if the socket has no address.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.socket.local_addr()?))
    }
}

/// Claims a shared port for our data. If the system does not let us, the server serves all the same.
#[cfg(target_os = "linux")]
fn claim(
    listener: &TcpListener,
    shared: Shared,
    directory: &Path,
) -> Result<Option<Claim>, ListenError> {
    if !shared.is_shared() {
        return Ok(None);
    }
    data::make_directory(directory);
    let claimed = listener
        .local_addr()
        .and_then(|address| Ok((address, Claim::make(address, directory)?)));
    match claimed {
        Ok((_, Claimed::Alone(claim))) => Ok(Some(claim)),
        Ok((address, Claimed::OtherData(data))) => Err(ListenError::OtherData { address, data }),
        Err(error) => {
            tracing::warn!(%error, "cannot tell whether servers of other data share this port");
            Ok(None)
        }
    }
}

/// While a server that was handed its socket drains, new clients wait for the drain's end and the next
/// server's start. Clients wait only so long (RC-5).
fn warn_of_long(drain: Duration) {
    if drain + NEXT_START >= CONNECT_TIMEOUT {
        tracing::warn!(
            ?drain,
            patience = ?CONNECT_TIMEOUT,
            "clients give up before the next server takes them from the socket that was handed over: \
             a shorter --drain serves them better"
        );
    }
}

/// The socket that the service manager opened (sd_listen_fds(3)).
fn handed_over() -> io::Result<Option<TcpListener>> {
    let mut sockets = ListenFd::from_env();
    if sockets.len() > 1 {
        tracing::warn!("several sockets were handed over: the first is used");
    }
    let Some(listener) = sockets.take_tcp_listener(0)? else {
        return Ok(None);
    };
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener).map(Some)
}

/// Listens at an address that an option names; with `reuse_port`, beside another server.
///
/// # Errors
/// [`ListenError::Listen`].
pub fn listen(
    address: SocketAddr,
    reuse_port: bool,
    option: &'static str,
) -> Result<TcpListener, ListenError> {
    bound(address, reuse_port).map_err(|source| ListenError::Listen {
        option,
        address,
        source,
    })
}

fn bound(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // The port can be taken again at once, though the system still remembers its old connections.
    socket.set_reuseaddr(true)?;
    if reuse_port {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
