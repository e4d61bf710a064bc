//! Storage: what outlives a connection, a client or the process, the session's credentials and the outbox (EO-4).

#[cfg(feature = "file-store")]
mod file;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::client::{Store, Stored};

#[cfg(feature = "file-store")]
pub use self::file::FileStorage;

/// A storage keeps a session for the client that resumes it.
///
/// One storage belongs to one client at a time: two clients of one session end each other's connections (RS-4).
pub trait Storage: Send {
    /// Everything that is kept.
    ///
    /// # Errors
    /// If it cannot be read. No client is made then.
    fn load(&mut self) -> io::Result<Stored>;

    /// Keeps a change. It must survive by the time that this returns, since frames that rely on it leave next; the client
    /// waits meanwhile, so this must be quick.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn apply(&mut self, change: &Store) -> io::Result<()>;

    /// Forgets everything. The client calls it after the first error of [`Storage::apply`], and nothing after it: a
    /// message that is kept as unsent, but was sent since, would be doubled by a fresh session (RS-9).
    fn clear(&mut self);
}

/// A storage in memory. Clones share what they keep.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Arc<Mutex<Stored>>);

impl MemoryStorage {
    /// A copy of what is kept now.
    pub fn stored(&self) -> Stored {
        self.with(|stored| stored.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Stored) -> T) -> T {
        // A panic of another holder leaves a consistent value: each change is one step.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Continues with what another storage kept.
impl From<Stored> for MemoryStorage {
    fn from(stored: Stored) -> Self {
        Self(Arc::new(Mutex::new(stored)))
    }
}

impl Storage for MemoryStorage {
    fn load(&mut self) -> io::Result<Stored> {
        Ok(self.stored())
    }

    fn apply(&mut self, change: &Store) -> io::Result<()> {
        self.with(|stored| stored.apply(change.clone()));
        Ok(())
    }

    fn clear(&mut self) {
        self.with(|stored| *stored = Stored::default());
    }
}
