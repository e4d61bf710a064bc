//! What a connection runs over, and how it counts until it is a WebSocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::address::Network;
use crate::limits::{Handshake, Limits};
use crate::metrics::Limit;

/// What a connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// How a TCP connection stands on which no WebSocket has begun. It counts as long as it is there, whatever
/// becomes of its requests; only while one of them holds a place of its own does that count in its stead.
/// Its requests know it.
pub struct HalfOpen {
    limits: Arc<Limits>,
    /// Where it counts for its address, too.
    network: Option<Network>,
    /// None while it is [`Placed`].
    handshake: Mutex<Option<Handshake>>,
    /// Whether there was a whole request.
    has_asked: AtomicBool,
}

/// A request of a connection that holds a place of its own. When it ends, however it does, the connection
/// is half open again.
pub struct Placed(Arc<HalfOpen>);

impl HalfOpen {
    /// A connection begins.
    ///
    /// # Errors
    /// Which limit it would exceed.
    pub(crate) fn begin(limits: &Arc<Limits>, network: Option<Network>) -> Result<Self, Limit> {
        let handshake = limits.handshake(network)?;
        Ok(Self {
            limits: Arc::clone(limits),
            network,
            handshake: Mutex::new(Some(handshake)),
            has_asked: AtomicBool::new(false),
        })
    }

    /// A whole request came.
    pub(crate) fn note_request(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
    }

    /// Whether a whole request came.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// A request of it has a place of its own now, for as long as what is returned lives.
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
