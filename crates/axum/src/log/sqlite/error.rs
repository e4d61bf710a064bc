//! The errors of opening a database: each says what to do.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use super::format;

/// Why a database could not be opened. No file that was found has been changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No file can be created in the directory.
    #[error(
        "cannot write in the directory {}: {source}; create it, or make it writable for this \
         server, or choose another place for the database {}",
        directory.display(), path.display()
    )]
    Directory {
        /// The database.
        path: PathBuf,
        /// The directory that it would be in.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there but cannot be read.
    #[error("cannot read the database {}: {source}; choose a readable file or a new name", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can be read but not written.
    #[error("the database {} is read-only; make it writable for this server", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// Another server uses it.
    #[error(
        "the database {} is in use by another server, which holds a lock on {}; stop that one or \
         choose another file",
        path.display(), lock.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// The system cannot lock files there.
    #[error(
        "cannot lock {}: {source}; put the database on a local disk",
        lock.display()
    )]
    Unlockable {
        /// The file that was to be locked.
        lock: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another program holds a lock on it.
    #[error(
        "the database {} is locked by another program; end that one (a shell or a backup, say) \
         and start again",
        path.display()
    )]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// The file is no database.
    #[error("{} is not an SQLite database; choose another file or a new name", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database of another application.
    #[error(
        "{} is a database of another application (application id {found:#x}, not {expected:#x}); \
         choose another file or a new name",
        path.display(), expected = format::APPLICATION_ID
    )]
    OtherApplication {
        /// The database.
        path: PathBuf,
        /// The application that it says it belongs to; 0 for none.
        found: i32,
    },
    /// The database of a newer Everbeat.
    #[error(
        "the database {} has format {found}, and this server reads formats up to {expected} only; \
         start the server that wrote it or choose a new name",
        path.display(), expected = format::FORMAT
    )]
    OtherVersion {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i32,
    },
    /// SQLite cannot keep a write-ahead log there.
    #[error(
        "the database {} cannot have a write-ahead log (its journal mode stays {found}); put it on \
         a local disk",
        path.display()
    )]
    NoWriteAheadLog {
        /// The database.
        path: PathBuf,
        /// The journal mode that it has.
        found: String,
    },
    /// The database of an older Everbeat, opened for reading only, which cannot bring it up to date.
    #[error(
        "the database {} has format {found}; start the server once, which brings it to format {expected}",
        path.display(), expected = format::FORMAT
    )]
    Behind {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i32,
    },
    /// Its pages contradict each other.
    #[error(
        "the database {} is damaged: {told}; restore the last copy (everbeat restore), or save what can \
         be read (sqlite3 {} .recover)",
        path.display(), path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite found.
        told: String,
    },
    /// Its pages are of different commits, so no stream of packs leads on from it.
    #[error(
        "the database {} has lost a part of its commits: its disk or a copy is damaged; move it away, so that the \
         node begins anew from the stream, or from a copy of another node",
        path.display()
    )]
    Torn {
        /// The database.
        path: PathBuf,
    },
    /// A cluster's node used it, and this server is none.
    #[error(
        "the database {} is of a node of a cluster, whose other nodes would not learn what a single server stores; \
         start the server as a node, or make a log of its own from a copy (everbeat restore)",
        path.display()
    )]
    OfCluster {
        /// The database.
        path: PathBuf,
    },
    /// There is no database.
    #[error("there is no database {}; see --data", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Any other error of SQLite.
    #[error("cannot open the database {}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system gave no random bytes for an epoch.
    #[error("the system gives no random numbers for the new database: {0}")]
    Random(getrandom::Error),
    /// The writer's or the notifier's thread could not be started.
    #[error("cannot start the log's thread: {0}")]
    Thread(#[source] io::Error),
}

/// The [`OpenError`] that an error of SQLite means for the database in this file.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path },
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged {
            path,
            told: error.to_string(),
        },
        _ => OpenError::Sqlite {
            path,
            source: error,
        },
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_sqlite_says_is_told_in_our_words() {
        let told = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            explain(Path::new("log.db"), error)
        };
        assert!(matches!(told(ffi::SQLITE_BUSY), OpenError::Locked { .. }));
        assert!(matches!(told(ffi::SQLITE_LOCKED), OpenError::Locked { .. }));
        assert!(matches!(
            told(ffi::SQLITE_READONLY),
            OpenError::ReadOnly { .. }
        ));
        assert!(matches!(
            told(ffi::SQLITE_NOTADB),
            OpenError::NotADatabase { .. }
        ));
        assert!(matches!(told(ffi::SQLITE_FULL), OpenError::Sqlite { .. }));
    }
}
