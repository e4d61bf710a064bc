//! The stream of a connection, and how the connection counts until it is a WebSocket.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use protocol::heartbeat::SendQueue;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::address::Network;
use crate::limits::{Handshake, Limits};
use crate::metrics::Limit;

/// The stream of a connection: TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// How to read the send queue of a TCP socket from the system: `None` where the system does not say. No library offers
/// it without `unsafe`, so the program brings it. By default it is not known.
#[derive(Clone, Copy, Debug)]
pub struct SendQueueReader(pub fn(BorrowedFd<'_>) -> Option<SendQueue>);

impl Default for SendQueueReader {
    fn default() -> Self {
        Self(|_| None)
    }
}

/// A TCP connection on which no WebSocket has begun. It counts among the handshakes until it closes, whatever
/// becomes of its requests; only while one of these has a permit of its own does that count instead.
/// Its requests have a handle on it.
pub struct HalfOpen {
    limits: Arc<Limits>,
    /// The network, where it counts for its address, too.
    network: Option<Network>,
    /// `None` while it is [`Placed`].
    handshake: Mutex<Option<Handshake>>,
    /// Whether a whole request has come.
    has_asked: AtomicBool,
}

/// A request of the connection with a permit of its own. When the request ends, in any way, the connection
/// counts as half open again.
pub struct Placed(Arc<HalfOpen>);

impl HalfOpen {
    /// Counts a new connection.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub fn begin(limits: &Arc<Limits>, network: Option<Network>) -> Result<Self, Limit> {
        let handshake = limits.handshake(network)?;
        Ok(Self {
            limits: Arc::clone(limits),
            network,
            handshake: Mutex::new(Some(handshake)),
            has_asked: AtomicBool::new(false),
        })
    }

    /// Notes that a whole request came.
    pub fn note_request(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
    }

    /// Whether a whole request came.
    pub fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// Gives a request a place of its own, until what is returned is dropped.
    pub fn place(self: Arc<Self>) -> Placed {
        self.handshake.lock().take();
        Placed(self)
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        let again = self.0.limits.handshake_again(self.0.network);
        *self.0.handshake.lock() = Some(again);
    }
}
