//! Opening a database: checks that it is ours and free, or makes a new one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::position::Epoch;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use everbeat_log::order::Applied;

use super::SqliteConfig;
use super::epoch::{random_epoch, store_epoch};
use super::error::{OpenError, explain};
use super::examine::{Found, examine, examine_node};
use super::files::{Files, Lock};
use super::format::{APPLICATION_ID, FORMAT, STEPS};
use super::node::{self, Kept, Progress};
use super::state::State;
use super::watchdog::Calls;
use super::witness::{self, Witness};

/// The first format whose server keeps a witness.
const WITNESSED: i32 = 3;

/// An open database, locked against other servers.
pub(super) struct Database {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    /// What applies to all rooms.
    pub(super) kept: Kept,
    pub(super) state: State,
    /// How far the node has folded; `None` on a single node.
    pub(super) applied: Option<Applied>,
    /// `None` where the file cannot be written.
    pub(super) witness: Option<Witness>,
    pub(super) files: Files,
    /// The calls of the writer, which is connection 0, and of the readers.
    pub(super) calls: Arc<Calls>,
    /// Held for as long as any connection to the database is open.
    pub(super) lock: Arc<Lock>,
}

impl Database {
    /// How far it is, for all who will ask the log.
    pub(super) fn progress(&self) -> Progress {
        Progress::new(self.kept.epoch.clone(), self.applied.clone())
    }
}

/// Opens the database or makes a new one.
pub(super) fn open(path: &Path, config: &SqliteConfig) -> Result<Database, OpenError> {
    // An absolute path is always a file: SQLite gives some relative names a meaning of its own.
    let path = std::path::absolute(path).map_err(|source| OpenError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    check_header(&path)?;
    let mut lock = Lock::take(&path)?;
    lock.extend(&path)?;
    let lock = Arc::new(lock);
    let connection = connect(&path, config).map_err(|error| explain(&path, error))?;
    // Until the database is known to be ours, not even closing the connection may change it.
    let identify = |connection: &Connection| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        identity(connection)
    };
    let found = identify(&connection).map_err(|error| explain(&path, error))?;
    if connection.is_readonly(MAIN_DB).unwrap_or(false) {
        return Err(OpenError::ReadOnly { path });
    }
    let found = if found.is_new() {
        // A cluster gets its epoch from its first pack.
        let epoch = (!config.is_node).then(random_epoch).transpose()?;
        create(&connection, epoch.as_ref()).map_err(|error| explain(&path, error))?;
        Found::Nothing
    } else {
        found.check(&path)?;
        let behind = found.format;
        migrate(&connection, behind).map_err(|error| explain(&path, error))?;
        if behind < WITNESSED {
            Found::Unwitnessed
        } else {
            Found::Witnessed
        }
    };
    configure(&connection, &path, config)?;
    if !lock.is_of(&path) {
        return Err(OpenError::Locked { path });
    }
    let (kept, state, applied) = if config.is_node {
        let state = examine_node(&connection, &path, found)?;
        let joined = node::join(&connection, state.chain).map_err(|error| explain(&path, error))?;
        (joined.0, state, Some(joined.1))
    } else {
        let applied = node::applied(&connection).map_err(|error| explain(&path, error))?;
        if applied.is_some() {
            return Err(OpenError::OfCluster { path });
        }
        let (epoch, state) = examine(&connection, &path, found)?;
        let kept = Kept {
            epoch: Some(epoch),
            history_per_room: config.history_per_room,
        };
        (kept, state, None)
    };
    let witness = Witness::create(&path, witness::word_for(kept.epoch.as_ref()), state.chain);
    let witness = witness.inspect_err(
        |error| tracing::warn!(path = %path.display(), %error, "the witness cannot be written: the next start takes a new epoch"),
    );
    Ok(Database {
        files: Files::of(&path),
        calls: Arc::new(Calls::new(1 + config.readers.max(1))),
        path,
        connection,
        kept,
        state,
        applied,
        witness: witness.ok(),
        lock,
    })
}

/// The newest time of a session, of a post, and of the newest message in the newest rooms. Each message's session was
/// touched an hour before it at most; but all sessions may have been forgotten.
pub(super) fn newest_ms(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT max(at_ms) FROM (
        SELECT max(touched_ms) AS at_ms FROM sessions
        UNION ALL SELECT max(at_ms) FROM posts
        UNION ALL SELECT messages.at_ms
            FROM (SELECT id, head FROM rooms ORDER BY id DESC LIMIT 1000) AS newest
            JOIN messages ON messages.room = newest.id AND messages.offset = newest.head
    )";
    let newest: Option<i64> = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(newest.and_then(|newest| u64::try_from(newest).ok()))
}

/// A further connection, for reading only.
pub(super) fn open_reader(
    database: &Database,
    config: &SqliteConfig,
) -> Result<Connection, OpenError> {
    let open = || {
        let connection = connect(&database.path, config)?;
        connection.pragma_update(None, "query_only", true)?;
        // SQLite opens the write-ahead log at the first read: it must not be another file that has its name by then.
        connection.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
        Ok(connection)
    };
    open().map_err(|error| explain(&database.path, error))
}

/// A read-only connection to a database that a server may be using. The database must be of this format at
/// least.
pub(super) fn open_beside(path: &Path, format: i32) -> Result<Connection, OpenError> {
    let path = std::path::absolute(path).map_err(|source| OpenError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if !path.exists() {
        return Err(OpenError::Missing { path });
    }
    check_header(&path)?;
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(SqliteConfig::default().busy_timeout)?;
        let identity = identity(&connection)?;
        Ok((connection, identity))
    };
    let (connection, identity) = open().map_err(|error| explain(&path, error))?;
    identity.check(&path)?;
    if identity.format < format {
        let found = identity.format;
        return Err(OpenError::Behind { path, found });
    }
    Ok(connection)
}

fn connect(path: &Path, config: &SqliteConfig) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time: SQLite needs no lock of its own around it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(config.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// What a database says of itself: application and format.
struct Identity {
    application: i32,
    format: i32,
    tables: i64,
}

impl Identity {
    fn is_new(&self) -> bool {
        self.application == 0 && self.format == 0 && self.tables == 0
    }

    fn check(&self, path: &Path) -> Result<(), OpenError> {
        let path = path.to_owned();
        if self.application != APPLICATION_ID {
            let found = self.application;
            Err(OpenError::OtherApplication { path, found })
        } else if !(1..=FORMAT).contains(&self.format) {
            let found = self.format;
            Err(OpenError::OtherVersion { path, found })
        } else {
            Ok(())
        }
    }
}

/// Checks a file's first bytes without SQLite, which might change the file: it plays back a journal
/// that it finds, and tidies up when it closes.
pub(super) fn check_header(path: &Path) -> Result<(), OpenError> {
    let unreadable = |source| OpenError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        // There is no database yet. If the directory is missing, taking the lock reports it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut header = Vec::with_capacity(100);
    file.by_ref()
        .take(100)
        .read_to_end(&mut header)
        .map_err(unreadable)?;
    if header.is_empty() {
        return Ok(());
    }
    // The layout is SQLite's "Database File Format", section 1.3.
    let number = |at: usize| {
        let bytes = header.get(at..at + 4)?.try_into().ok()?;
        Some(i32::from_be_bytes(bytes))
    };
    match (number(68), number(60)) {
        (Some(application), Some(format)) if header.starts_with(b"SQLite format 3\0") => {
            let tables = 1;
            let identity = Identity {
                application,
                format,
                tables,
            };
            identity.check(path)
        }
        _ => Err(OpenError::NotADatabase {
            path: path.to_owned(),
        }),
    }
}

fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    Ok(Identity {
        application: connection.pragma_query_value(None, "application_id", |row| row.get(0))?,
        format: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
        tables: connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
    })
}

/// Fills a new database. It becomes ours in one transaction, before it has a write-ahead log:
/// from then on the file's own header says that it is Everbeat's.
fn create(connection: &Connection, epoch: Option<&Epoch>) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    take_steps(&transaction, 0)?;
    if let Some(epoch) = epoch {
        store_epoch(&transaction, epoch)?;
    }
    transaction.commit()
}

/// Brings a database of an older server to today's format, or leaves it as it was.
fn migrate(connection: &Connection, format: i32) -> rusqlite::Result<()> {
    if format == FORMAT {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    take_steps(&transaction, format)?;
    transaction.commit()?;
    tracing::info!(
        from = format,
        to = FORMAT,
        "the database has a newer format now"
    );
    Ok(())
}

fn take_steps(connection: &Connection, format: i32) -> rusqlite::Result<()> {
    let done = usize::try_from(format).unwrap_or_default();
    for step in STEPS.iter().skip(done) {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "user_version", FORMAT)
}

fn configure(connection: &Connection, path: &Path, config: &SqliteConfig) -> Result<(), OpenError> {
    let set = || -> rusqlite::Result<String> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        // EO-2: a commit is on stable storage when it returns. A node's packs are on stable storage in the stream: what
        // its database loses with the power it folds again.
        let synchronous = if config.is_node { "NORMAL" } else { "FULL" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // What is deleted is overwritten on the pages that are written anyway.
        connection.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        // 64 MiB in pages of 4 KiB. Moving pages to the database costs two more syncs, and many
        // pages change again soon: in bulk this is a third faster than a log of 16 MiB.
        connection.pragma_update(None, "wal_autocheckpoint", 16 * 1024)?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        if let Some(bytes) = config.bytes_max {
            let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let pages = (bytes / u64::from(page)).clamp(1, u64::from(u32::MAX - 1));
            connection.pragma_update(None, "max_page_count", super::integer(pages))?;
        }
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
    };
    let journal = set().map_err(|error| explain(path, error))?;
    if journal.eq_ignore_ascii_case("wal") {
        Ok(())
    } else {
        Err(OpenError::NoWriteAheadLog {
            path: path.to_owned(),
            found: journal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite reports no error for a setting that it does not know or does not take.
    #[test]
    fn the_settings_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.db");
        let config = SqliteConfig {
            bytes_max: Some(40_000),
            ..SqliteConfig::default()
        };
        let database = open(&path, &config).unwrap();
        let setting = |name| -> i64 {
            let value = database
                .connection
                .pragma_query_value(None, name, |row| row.get(0));
            value.unwrap()
        };
        assert_eq!(setting("synchronous"), 2, "FULL");
        assert_eq!(setting("secure_delete"), 2, "FAST");
        assert_eq!(setting("cache_size"), -16_384);
        assert_eq!(setting("wal_autocheckpoint"), 16_384);
        assert_eq!(setting("journal_size_limit"), 67_108_864);
        // As many whole pages as fit; but never fewer than there are.
        let pages = setting("max_page_count");
        assert_eq!(pages, setting("page_count").max(40_000 / 4096));
    }

    /// Only a file without anything in it, and without another program's mark, is new.
    #[test]
    fn a_file_is_new_when_nothing_is_in_it() {
        let is_new = |application, format, tables| {
            let identity = Identity {
                application,
                format,
                tables,
            };
            identity.is_new()
        };
        assert!(is_new(0, 0, 0));
        assert!(!is_new(1, 0, 0) && !is_new(0, 1, 0) && !is_new(0, 0, 1));
        assert!(!is_new(1, 1, 0) && !is_new(1, 0, 1) && !is_new(0, 1, 1));
    }
}
