//! The disk of the log: how much is free, and how large the log is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// How old a reading may be that is shown. A disk that hangs gives no newer one.
const FRESH: Duration = Duration::from_secs(10);

/// What is known of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The bytes that are free for the server's user.
    pub free: u64,
    /// The bytes of the file system.
    pub total: u64,
    /// The bytes of the log's files.
    pub log: u64,
}

impl Reading {
    /// Whether so little is free that an operator should look: less than a twentieth.
    pub(super) const fn is_low(&self) -> bool {
        self.free < self.total / 20
    }
}

/// The disk that holds the log. Its questions are asked on a thread of their own, one at a time, as a disk may hang.
#[derive(Debug)]
pub(super) struct Disk {
    database: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    latest: Arc<Mutex<Option<(Instant, Reading)>>>,
    asking: Option<JoinHandle<()>>,
}

impl Disk {
    /// The disk of this database.
    pub(super) fn new(database: PathBuf) -> Self {
        Self {
            database,
            state: Mutex::default(),
        }
    }

    /// The latest reading; `None` while the disk hangs. Begins a new one where none is under way.
    pub(super) fn look(&self) -> Option<Reading> {
        let mut state = self.state.lock();
        if state.asking.as_ref().is_none_or(JoinHandle::is_finished) {
            let (database, latest) = (self.database.clone(), Arc::clone(&state.latest));
            state.asking = Some(spawn_blocking(move || {
                if let Some(reading) = read(&database) {
                    *latest.lock() = Some((Instant::now(), reading));
                }
            }));
        }
        let latest = *state.latest.lock();
        let (at, reading) = latest?;
        (at.elapsed() < FRESH).then_some(reading)
    }
}

fn read(database: &Path) -> Option<Reading> {
    let system = rustix::fs::statvfs(database.parent()?).ok()?;
    let length = |suffix: &str| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        fs::metadata(path).map_or(0, |metadata| metadata.len())
    };
    Some(Reading {
        free: system.f_bavail.saturating_mul(system.f_frsize),
        total: system.f_blocks.saturating_mul(system.f_frsize),
        log: length("") + length("-wal"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first look begins a reading; a later one has it.
    #[tokio::test]
    async fn a_disk_is_read() {
        let data = tempfile::tempdir().unwrap();
        let database = data.path().join("everbeat.db");
        fs::write(&database, [0; 4096]).unwrap();
        let disk = Disk::new(database);
        let reading = loop {
            match disk.look() {
                Some(reading) => break reading,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(reading.log, 4096);
        assert!(0 < reading.total && reading.free <= reading.total);
        let low = Reading { free: 4, ..reading };
        assert!(low.is_low());
    }
}
