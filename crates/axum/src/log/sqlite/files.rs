//! The database's files: their locks, and whether they are still the ones that were opened.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::OpenError;

/// The mode of the server's files: what is written in rooms is for their readers only.
pub(super) const OWN: u32 = 0o600;

/// The identity of a file: device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// The inode that a path leads to; `None` where it leads to no file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from)
    }
}

impl From<&fs::Metadata> for Inode {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
        }
    }
}

/// The files that SQLite has open. A commit goes into these, even if their paths lead elsewhere by now.
#[derive(Clone, Debug)]
pub(super) struct Files(Vec<(PathBuf, Option<Inode>)>);

impl Files {
    /// The files of an open database: itself, its write-ahead log and the log's index.
    pub(super) fn of(database: &Path) -> Self {
        let names = ["", "-wal", "-shm"].map(|suffix| with_suffix(database, suffix));
        Self(
            names
                .map(|path| {
                    let inode = Inode::of(&path);
                    (path, inode)
                })
                .into(),
        )
    }

    /// The first file that was removed or replaced: what is stored in it now is lost when this process ends.
    pub(super) fn moved(&self) -> Option<&Path> {
        let moved = |(path, inode): &&(PathBuf, Option<Inode>)| Inode::of(path) != *inode;
        self.0.iter().find(moved).map(|(path, _)| path.as_path())
    }
}

/// Two locks that keep a second server away, until this is dropped. The one on a file beside the database works
/// where there is no database yet. The one on the database's own file still holds if the first file is removed.
#[derive(Debug)]
pub(super) struct Lock {
    _beside: File,
    own: Option<File>,
}

impl Lock {
    /// Takes the lock on the file beside a database.
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let lock = with_suffix(database, ".lock");
        loop {
            let mut options = OpenOptions::new();
            let options = options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(OWN);
            let file = options.open(&lock).map_err(|source| OpenError::Directory {
                path: database.to_owned(),
                directory: database.parent().unwrap_or(database).to_owned(),
                source,
            })?;
            try_lock(&file, database, &lock)?;
            // If the file was removed before it was locked, another server would lock a new one.
            let locked = file.metadata().as_ref().map(Inode::from).ok();
            if locked.is_some() && locked == Inode::of(&lock) {
                return Ok(Self {
                    _beside: file,
                    own: None,
                });
            }
        }
    }

    /// Locks the database's own file too; creates it where there is none. SQLite's own locks are of another kind
    /// (fcntl(2), not flock(2)); on Linux the two kinds do not conflict, elsewhere they do.
    ///
    /// To be called before SQLite opens the file: closing any descriptor of it releases SQLite's locks.
    pub(super) fn extend(&mut self, database: &Path) -> Result<(), OpenError> {
        // A file that SQLite creates has the mode that the umask leaves. If this fails, SQLite's own open says why.
        let mut options = OpenOptions::new();
        let made = options.append(true).create(true).mode(OWN).open(database);
        if !cfg!(target_os = "linux") {
            return Ok(());
        }
        self.own = made.or_else(|_| File::open(database)).ok();
        match &self.own {
            Some(own) => try_lock(own, database, database),
            None => Ok(()),
        }
    }

    /// Whether this path still leads to the locked file.
    pub(super) fn is_of(&self, database: &Path) -> bool {
        let own = self.own.as_ref().and_then(|own| own.metadata().ok());
        own.is_none_or(|own| Inode::of(database) == Some(Inode::from(&own)))
    }
}

fn try_lock(file: &File, database: &Path, lock: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: database.to_owned(),
            lock: lock.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(OpenError::Unlockable {
            lock: lock.to_owned(),
            source,
        }),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))
        .and_then(|directory| directory.sync_all())
}
