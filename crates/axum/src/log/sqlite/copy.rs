//! Copies of a database: a backup while a server uses it, the restore where there is no database, and a peer's copy in the
//! place of a database that is behind.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use thiserror::Error;

use super::OpenError;
use super::epoch::{begin_anew, random_epoch, stored_epoch};
use super::error::explain;
use super::files::{Lock, OWN, sync_directory};
use super::node;
use super::open::{check_header, open_beside};
use super::state::{self, Chain};
use super::witness::{self, Witness};

/// How long to wait for a program that holds a lock on the database, and how often to try.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a copy was not made. What was there is unchanged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The database that is to be copied cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is a file at the copy's path already.
    #[error("{} is there already; choose another name, or move it away first", path.display())]
    Exists {
        /// Where the copy would be.
        path: PathBuf,
    },
    /// The copy cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Where the copy would be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database that was to be copied is not whole.
    #[error("{} is damaged: {told}; take another copy", path.display())]
    Damaged {
        /// That database.
        path: PathBuf,
        /// What SQLite found.
        told: String,
    },
}

/// Copies the database as it is at one moment, also while a server uses it and goes on writing. The copy is
/// one file that appears when it is whole and on stable storage.
///
/// # Errors
/// [`CopyError`]: each names the file and what to do.
pub fn backup(database: &Path, to: &Path) -> Result<(), CopyError> {
    let source = open_beside(database, 1)?;
    copy(&source, database, to, |_| Ok(()))
}

/// Restores a copy as the database of a server that is not started yet. Its rooms get a new epoch: clients may have
/// seen messages that are newer than the copy, and new ones will take the same offsets, so every position from before
/// is a gap (RS-6). Sessions begin anew, as clients may have acks for messages that the copy lacks.
///
/// # Errors
/// [`CopyError`]; also where there is a database already.
pub fn restore(from: &Path, database: &Path) -> Result<(), CopyError> {
    if let Some(directory) = database.parent() {
        fs::create_dir_all(directory).map_err(|source| CopyError::Write {
            path: directory.to_owned(),
            source,
        })?;
    }
    check_header(database)?;
    // No server may start here meanwhile.
    let _lock = Lock::take(database)?;
    let beside = |suffix: &str| with_suffix(database, suffix);
    for path in [database.to_owned(), beside("-wal"), beside("-journal")] {
        if path.exists() {
            return Err(CopyError::Exists { path });
        }
    }
    // The witness is of a database that is no longer here.
    let _ = fs::remove_file(witness::path_of(database));
    let epoch = random_epoch()?;
    let source = open_beside(from, 1)?;
    // A copy of an older server has no history yet; the next start gives it this one.
    let chain = state::load(&source).map_or_else(|_| Chain::default(), |state| state.chain);
    copy(&source, from, database, |copy| {
        begin_anew(copy, &epoch)?;
        node::leave(copy)
    })?;
    // So that the next start recognises the database as the one to serve.
    let written = Witness::create(database, epoch, chain);
    let written = written.map(|mut witness| witness.note(chain, true));
    written.map_err(|source| CopyError::Write {
        path: witness::path_of(database),
        source,
    })
}

/// Makes a copy that another node made the database of this one, in place of one that is there: the same log, with its
/// epoch and its sessions, as of the moment of the copy. No server may be running here. The copy's file is in the
/// directory of the database, and becomes the database in one step: whenever this ends, there is the old database, or
/// none, or the whole new one.
///
/// # Errors
/// [`CopyError`]: each names the file and what to do. What cannot be a database stays where it is.
pub fn adopt(copy: &Path, database: &Path) -> Result<(), CopyError> {
    check_header(database)?;
    let _lock = Lock::take(database)?;
    let source = open_beside(copy, 1)?;
    let explained = |error| CopyError::from(explain(copy, error));
    let told: String = source
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(explained)?;
    if told != "ok" {
        let path = copy.to_owned();
        return Err(CopyError::Damaged { path, told });
    }
    let epoch = stored_epoch(&source).map_err(explained)?;
    let epoch = epoch.ok_or_else(|| CopyError::Damaged {
        path: copy.to_owned(),
        told: "it has no epoch".to_owned(),
    })?;
    let chain = state::load(&source).map_err(explained)?.chain;
    source.close().map_err(|(_, error)| explained(error))?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CopyError::Write { path, source }
    };
    File::open(copy)
        .and_then(|file| file.sync_all())
        .map_err(failed(copy))?;
    let before = with_suffix(database, ".before");
    // First of all, so that nothing that belongs to the old one ever stands beside the new one.
    moved(fs::rename(database, &before)).map_err(failed(database))?;
    for suffix in ["-wal", "-shm", "-journal"] {
        let path = with_suffix(database, suffix);
        moved(fs::remove_file(&path)).map_err(failed(&path))?;
    }
    // Before the database is there, so that its first start knows it as the one to serve, under the same epoch.
    let written = Witness::create(database, epoch, chain);
    let written = written.map(|mut witness| witness.note(chain, true));
    written.map_err(failed(&witness::path_of(database)))?;
    fs::rename(copy, database).map_err(failed(database))?;
    sync_directory(database).map_err(failed(database))?;
    // It is in no one's way: the next copy replaces it.
    let _ = fs::remove_file(&before);
    Ok(())
}

/// The result of moving a file away that need not be there.
fn moved(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Copies into a file beside the target, applies `change` there, and renames it to the target.
fn copy(
    source: &Connection,
    from: &Path,
    to: &Path,
    change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), CopyError> {
    if to.exists() {
        let path = to.to_owned();
        return Err(CopyError::Exists { path });
    }
    let part = with_suffix(to, ".part");
    let failed = |source| CopyError::Write {
        path: part.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(OWN);
    options.open(&part).map_err(failed)?;
    let copied = (|| {
        let mut copy = Connection::open(&part).map_err(|error| explain(&part, error))?;
        step(source, &mut copy).map_err(|error| explain(from, error))?;
        let told: String = copy
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| explain(from, error))?;
        if told != "ok" {
            let path = from.to_owned();
            return Err(CopyError::Damaged { path, told });
        }
        // One file, without a write-ahead log beside it.
        let journal = copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()));
        let changed = journal.and_then(|()| change(&copy));
        changed.map_err(|error| explain(&part, error))?;
        copy.close().map_err(|(_, error)| explain(&part, error))?;
        File::open(&part)
            .and_then(|file| file.sync_all())
            .map_err(failed)?;
        fs::rename(&part, to).map_err(failed)?;
        // A name is durable once its directory is synced.
        sync_directory(to).map_err(failed)
    })();
    if copied.is_err() {
        // The first error says more than a failure to remove the part.
        let _ = fs::remove_file(&part);
    }
    copied
}

/// Copies all pages in one step: the database at one moment. Its writer need not wait.
fn step(source: &Connection, copy: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(source, copy)?;
    let mut waited = Duration::ZERO;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ if waited >= PATIENCE => {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None));
            }
            _ => {
                sleep(LOOK_EVERY);
                waited += LOOK_EVERY;
            }
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
