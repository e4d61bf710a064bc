//! The database's files: whether they are still those that were opened, and whose they are.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::OpenError;

/// The rights of a file that is ours alone: whatever is said in rooms is for those who may read them.
pub(super) const OWN: u32 = 0o600;

/// Which file a name leads to: device and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// `None` where the name leads nowhere.
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

/// The files that SQLite has open. A commit goes into them, and not to where their names lead.
#[derive(Clone, Debug)]
pub(super) struct Files(Vec<(PathBuf, Option<Inode>)>);

impl Files {
    /// Those of a database that is open, with its write-ahead log and the index of that.
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

    /// The first that was removed or replaced: what is stored now would be gone with this process.
    pub(super) fn moved(&self) -> Option<&Path> {
        let moved = |(path, inode): &&(PathBuf, Option<Inode>)| Inode::of(path) != *inode;
        self.0.iter().find(moved).map(|(path, _)| path.as_path())
    }
}

/// What keeps a second server away: two locks, for as long as this lives. The one on a file beside the
/// database works where there is no database yet. The other is on the database's own file, so that it
/// stays when the first file is removed.
#[derive(Debug)]
pub(super) struct Lock {
    _beside: File,
    own: Option<File>,
}

impl Lock {
    /// Takes the lock beside a database.
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
            // Removed before it was locked: who comes next would lock another file.
            let locked = file.metadata().as_ref().map(Inode::from).ok();
            if locked.is_some() && locked == Inode::of(&lock) {
                return Ok(Self {
                    _beside: file,
                    own: None,
                });
            }
        }
    }

    /// Locks the database's own file too, which is made where there is none. SQLite's own locks are of another
    /// kind (fcntl(2), not flock(2)), and on Linux the two do not meet; elsewhere they do.
    ///
    /// To be called before SQLite opens the file: closing any descriptor of it gives SQLite's locks up.
    pub(super) fn extend(&mut self, database: &Path) -> Result<(), OpenError> {
        // SQLite gives a file of its own the rights that the umask leaves. Where this fails, it says why.
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

    /// Whether this name still leads to the file that is locked.
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

/// Makes a name in a directory stable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))
        .and_then(|directory| directory.sync_all())
}
