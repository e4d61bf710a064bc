//! The disk of the log: how much is free, and how large the log is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

/// How old a reading may be that is shown. A disk that hangs gives no newer one.
const FRESH: Duration = Duration::from_secs(10);

/// How long a look waits for a new reading: a disk that works needs a small part of that.
const PATIENCE: Duration = Duration::from_millis(200);

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
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The latest reading, and when it was made.
    latest: watch::Sender<Option<(Instant, Reading)>>,
    /// Whether a question is under way.
    is_asking: AtomicBool,
}

impl Disk {
    /// The disk of this database.
    pub(super) fn new(database: PathBuf) -> Self {
        let shared = Arc::default();
        Self { database, shared }
    }

    /// A reading of now, or the latest one; `None` while the disk hangs.
    pub(super) async fn look(&self) -> Option<Reading> {
        let mut latest = self.shared.latest.subscribe();
        if !self.shared.is_asking.swap(true, Ordering::AcqRel) {
            let (database, shared) = (self.database.clone(), Arc::clone(&self.shared));
            spawn_blocking(move || {
                let reading = read(&database).map(|reading| (Instant::now(), reading));
                shared.is_asking.store(false, Ordering::Release);
                shared.latest.send_replace(reading);
            });
        }
        // A disk that hangs leaves the reading before.
        let _ = timeout(PATIENCE, latest.changed()).await;
        let (at, reading) = (*latest.borrow())?;
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

    #[tokio::test]
    async fn a_disk_is_read() {
        let data = tempfile::tempdir().unwrap();
        let database = data.path().join("everbeat.db");
        fs::write(&database, [0; 4096]).unwrap();
        let disk = Disk::new(database);
        let reading = disk.look().await.unwrap();
        assert_eq!(reading.log, 4096);
        assert!(0 < reading.total && reading.free <= reading.total);
        let low = Reading { free: 4, ..reading };
        assert!(low.is_low());
    }

    /// A question that is not answered is not asked again, and what it told before is not shown for ever.
    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_unknown() {
        let disk = Disk::new(PathBuf::from("/nowhere/everbeat.db"));
        disk.shared.is_asking.store(true, Ordering::Release);
        let reading = Reading {
            free: 1,
            total: 2,
            log: 0,
        };
        disk.shared
            .latest
            .send_replace(Some((Instant::now(), reading)));
        assert_eq!(disk.look().await, Some(reading));
        tokio::time::advance(FRESH).await;
        let begun = Instant::now();
        assert_eq!(disk.look().await, None);
        assert_eq!(begun.elapsed(), PATIENCE);
    }
}
