//! What only a log on disk can do: outlive its process, fill the disk, lock out another server.

mod adopted;
mod files;
mod many;
mod nodes;
mod opening;
mod scrub;
mod steps;
mod witness;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use protocol::frame::{ErrorCode, Message};
use protocol::position::Offset;
use protocol::server::NumberError;
use tempfile::TempDir;

use super::*;
use crate::log::PATIENCE;
use crate::log::tests::support::{
    HISTORY, Recorder, append, append_many, fresh, id, is_unavailable, lines_of, offset, offsets,
    refuse, resume, room,
};

/// A directory for databases, removed after the test.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, name: &str) -> SqliteLog {
        self.try_open(name).unwrap()
    }

    fn try_open(&self, name: &str) -> Result<SqliteLog, OpenError> {
        SqliteLog::open(&self.path(name), config(), Arc::<Recorder>::default())
    }

    fn open_with(&self, config: SqliteConfig, observer: Arc<dyn Observer>) -> SqliteLog {
        SqliteLog::open(&self.path("log.db"), config, observer).unwrap()
    }
}

fn config() -> SqliteConfig {
    SqliteConfig {
        history_per_room: HISTORY,
        // No test gives a lock up while another connection waits for it.
        busy_timeout: Duration::ZERO,
        ..SqliteConfig::default()
    }
}

/// The path of a file beside a database, with SQLite's suffix.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

async fn head(log: &SqliteLog, name: &str) -> u64 {
    log.room(room(name)).await.unwrap().head.get()
}

/// Blocks the writer in the middle of a batch, until the returned sender is dropped.
fn hold(log: &SqliteLog) -> Sender<()> {
    let (entered, entries) = channel();
    let (go_on, gone_on) = channel();
    let wait = Work::Call(Box::new(move || {
        entered.send(()).unwrap();
        gone_on.recv().unwrap_or_default();
    }));
    drop(log.queue.push(None, wait));
    entries.recv().unwrap();
    go_on
}

/// Notes how many messages each batch had.
#[derive(Default)]
struct BatchSizes(Mutex<Vec<usize>>);

impl Observer for BatchSizes {
    fn wakes(&self, _: &[Message]) -> usize {
        0
    }

    fn committed(&self, messages: &[Message]) {
        self.0.lock().push(messages.len());
    }

    fn redacted(&self, _: &Message) {}

    fn trimmed(&self, _: &RoomName, _: Offset) {}
}

/// EO-1, EO-2, EO-6, EO-7, RS-2, RS-3: everything is as it was before.
#[tokio::test]
async fn a_reopened_log_has_kept_everything() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 300).await;
    let refusal = log.refuse(refuse("ada", 301, ErrorCode::BodyTooLarge));
    refusal.await.unwrap();
    let held = log.room(room("lobby")).await.unwrap();
    let messages = log
        .read(room("lobby"), Offset::ZERO, 1_000)
        .await
        .unwrap()
        .messages;
    assert!(held.trimmed > Offset::ZERO);
    drop(log);

    let log = place.open("log.db");
    assert_eq!(log.room(room("lobby")).await.unwrap(), held);
    let read = log.read(room("lobby"), Offset::ZERO, 1_000).await;
    assert_eq!(read.unwrap().messages, messages);
    let resumed = log.open_session(resume("ada", 2)).await.unwrap();
    assert_eq!((resumed.resumed, resumed.last_seq), (true, 301));
    assert_eq!(resumed.refused[0].code, ErrorCode::BodyTooLarge);
    for (n, body, answer) in [
        (1, "body 1", Ok(offset(1))),
        (1, "body 2", Err(LogError::Number(NumberError::Conflict))),
        (300, "body 300", Ok(offset(300))),
        (
            301,
            "x",
            Err(LogError::Number(NumberError::Refused(
                ErrorCode::BodyTooLarge,
            ))),
        ),
        (302, "x", Ok(offset(301))),
    ] {
        let append = append("ada", n, "lobby", body);
        assert_eq!(log.append(append).await, answer, "{n} {body}");
    }
}

/// EO-2: an operation that fails at the very end of its transaction is neither acked nor shown, and leaves
/// nothing behind.
#[tokio::test]
async fn a_commit_that_fails_is_not_acked() {
    let place = Place::new();
    let observer = Arc::<Recorder>::default();
    let log = place.open_with(config(), observer.clone());
    log.open_session(fresh("ada", 1)).await.unwrap();
    // A foreign key that leads nowhere, and that SQLite checks when the transaction ends.
    let other = rusqlite::Connection::open(place.path("log.db")).unwrap();
    other
        .execute_batch(
            "CREATE TABLE known (id INTEGER PRIMARY KEY);
             CREATE TABLE broken (id REFERENCES known DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER break AFTER INSERT ON messages WHEN new.body = 'break'
             BEGIN INSERT INTO broken VALUES (1); END",
        )
        .unwrap();
    let failed = log.append(append("ada", 1, "lobby", "break")).await;
    assert!(is_unavailable(&failed), "{failed:?}");
    assert!(observer.seen().is_empty());
    assert_eq!(head(&log, "lobby").await, 0);
    let stored = log.append(append("ada", 1, "lobby", "hold")).await;
    assert_eq!(stored, Ok(offset(1)));
}

/// RS-6: the old database's offsets mean nothing in a new one.
#[tokio::test]
async fn a_new_file_has_a_new_epoch() {
    let place = Place::new();
    let old = place.open("old.db").room(room("lobby")).await.unwrap();
    let new = place.open("new.db").room(room("lobby")).await.unwrap();
    let again = place.open("old.db").room(room("lobby")).await.unwrap();
    assert_ne!(old.epoch, new.epoch);
    assert_eq!(old.epoch, again.epoch);
    assert_eq!(old.epoch.as_str().len(), 32);
}

/// EO-2: every message that was acked is on disk, whenever the server is killed.
#[tokio::test]
async fn a_killed_server_loses_nothing_that_was_answered() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    for n in 1..=20 {
        let body = format!("body {n}");
        let append = append("ada", n, "lobby", &body);
        log.append(append.clone()).await.unwrap();
        // The state of the disk at this moment is what the next server would find.
        let (here, there) = (place.path("log.db"), place.path(&format!("copy{n}.db")));
        fs::copy(&here, &there).unwrap();
        for suffix in ["-wal", ".witness"] {
            fs::copy(beside(&here, suffix), beside(&there, suffix)).unwrap();
        }

        let copy = place.open(&format!("copy{n}.db"));
        let found = copy
            .read(room("lobby"), Offset::ZERO, 100)
            .await
            .unwrap()
            .messages;
        assert_eq!(offsets(&found), (1..=n).collect::<Vec<_>>());
        assert_eq!(head(&copy, "lobby").await, n);
        assert_eq!(copy.append(append).await, Ok(offset(n)));
        let resumed = copy.open_session(resume("ada", 2)).await.unwrap();
        assert_eq!((resumed.resumed, resumed.last_seq), (true, n));
    }
}

/// EO-7: a full disk refuses for now. Reads go on, and so do writes when there is room again.
#[tokio::test]
async fn a_full_database_refuses_reads_on_and_recovers() {
    let place = Place::new();
    let config = SqliteConfig {
        bytes_max: Some(400 * 1024),
        ..config()
    };
    let observer = Arc::<Recorder>::default();
    let log = place.open_with(config, observer.clone());
    for (person, at_ms) in [("old", 1), ("ada", 9)] {
        log.open_session(fresh(person, at_ms)).await.unwrap();
    }
    // Of two kinds in turn, as consecutive ones of one kind would share a row.
    let codes = [ErrorCode::BodyTooLarge, ErrorCode::BodyEmpty];
    let refuse = |n: u64| log.refuse(refuse("old", n, codes[usize::from(n.is_multiple_of(2))]));
    for answer in join_all((1..=4_000).map(refuse)).await {
        answer.unwrap();
    }
    let body = "x".repeat(8 * 1024);
    let append = |n| log.append(append("ada", n, "lobby", &body));
    let mut stored = 0;
    while let Ok(at) = append(stored + 1).await {
        stored = at.get();
        assert!(stored < 100, "the limit does not hold");
    }
    assert!(is_unavailable(&append(stored + 1).await));
    assert!(stored > 0);

    assert_eq!(head(&log, "lobby").await, stored);
    let read = log
        .read(room("lobby"), Offset::ZERO, 1_000)
        .await
        .unwrap()
        .messages;
    assert_eq!(read, observer.seen());
    assert_eq!(
        append(1).await,
        Ok(offset(1)),
        "repeated numbers need no room"
    );

    assert_eq!(log.expire(9).await, Ok(1));
    assert_eq!(append(stored + 1).await, Ok(offset(stored + 1)));
    assert_eq!(observer.seen().len() as u64, stored + 1);
}

/// EO-2, EO-7: a batch that cannot be committed leaves no trace.
#[tokio::test]
async fn a_batch_that_fails_leaves_no_trace() {
    let place = Place::new();
    let observer = Arc::<Recorder>::default();
    let log = place.open_with(config(), observer.clone());
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 1).await;

    let other = rusqlite::Connection::open(place.path("log.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let calls = (2..=9).map(|n| log.append(append("ada", n, "new", "x")));
    for answer in join_all(calls).await {
        assert!(is_unavailable(&answer));
    }
    assert!(is_unavailable(&log.open_session(fresh("bob", 1)).await));
    assert_eq!(head(&log, "lobby").await, 1);
    assert_eq!(head(&log, "new").await, 0);

    other.execute_batch("ROLLBACK").unwrap();
    let stored = log.append(append("ada", 2, "new", "y")).await;
    assert_eq!(stored, Ok(offset(1)));
    assert_eq!(observer.seen().len(), 2);
}

/// EO-7: a fault in the middle of a batch takes back what came before it in the batch.
#[tokio::test]
async fn a_fault_within_a_batch_takes_all_of_it_back() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    log.open_session(fresh("bob", 1)).await.unwrap();
    let other = rusqlite::Connection::open(place.path("log.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER broken BEFORE INSERT ON messages WHEN NEW.body = 'bad'
             BEGIN SELECT RAISE(ABORT, 'broken'); END",
        )
        .unwrap();
    append_many(&log, "ada", "lobby", 1).await;
    // These wait together, and so become one batch.
    let held = hold(&log);
    let good = log.append(append("ada", 2, "lobby", "two"));
    let bad = log.append(append("bob", 1, "lobby", "bad"));
    let after = log.refuse(refuse("ada", 3, ErrorCode::BodyEmpty));
    drop(held);
    assert!(is_unavailable(&good.await));
    assert!(is_unavailable(&bad.await));
    assert!(is_unavailable(&after.await));

    let again = log.append(append("ada", 2, "lobby", "two")).await;
    assert_eq!(again, Ok(offset(2)));
    assert_eq!(head(&log, "lobby").await, 2);
}

/// EO-2: commits are grouped, up to the limit.
#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let place = Place::new();
    let sizes = Arc::<BatchSizes>::default();
    let config = SqliteConfig {
        batch_max: 8,
        ..config()
    };
    let log = place.open_with(config, sizes.clone());
    log.open_session(fresh("ada", 1)).await.unwrap();
    let held = hold(&log);
    let append_one = |n| log.append(append("ada", n, "lobby", "x"));
    let waiting: Vec<_> = (1..=20).map(append_one).collect();
    drop(held);
    for answer in join_all(waiting).await {
        answer.unwrap();
    }
    // The operation that blocked the writer was the eighth of the first batch.
    assert_eq!(*sizes.0.lock(), [7, 8, 5]);
}

/// PU-4: the queues have limits, and an operation over them is refused at once.
#[tokio::test]
async fn too_many_waiting_operations_are_unavailable() {
    let place = Place::new();
    let config = SqliteConfig {
        queue_max: 3,
        ..config()
    };
    let log = place.open_with(config, Arc::<Recorder>::default());
    log.open_session(fresh("ada", 1)).await.unwrap();
    let append_one = |n| log.append(append("ada", n, "lobby", "x"));
    append_one(1).await.unwrap();
    let held = hold(&log);
    let waiting: Vec<_> = (2..=4).map(append_one).collect();
    assert_eq!(append_one(5).await, Err(overloaded()));

    let reads: Vec<_> = (0..3).map(|_| log.room(room("lobby"))).collect();
    assert_eq!(log.room(room("lobby")).await, Err(overloaded()));
    drop(reads);
    assert_eq!(head(&log, "lobby").await, 1);

    drop(held);
    for answer in join_all(waiting).await {
        answer.unwrap();
    }
    assert_eq!(append_one(5).await, Ok(offset(5)));
}

/// A read that hangs on the disk is answered all the same, and so is one that waits for it; the readers are free
/// again once the disk answers.
#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_is_answered_in_time() {
    let place = Place::new();
    let log = place.open("log.db");
    let (go_on, gone_on) = channel::<()>();
    let gone_on = Arc::new(Mutex::new(gone_on));
    let hang = || {
        let gone_on = Arc::clone(&gone_on);
        let hang = move |_: &rusqlite::Connection| {
            gone_on.lock().recv().unwrap_or_default();
            Ok(())
        };
        tokio::spawn(log.read_with(hang))
    };
    let hanging = [hang(), hang()];
    let waiting = tokio::spawn(log.room(room("lobby")));
    tokio::task::yield_now().await;
    tokio::time::advance(PATIENCE).await;
    for answer in hanging {
        assert!(is_unavailable(&answer.await.unwrap()));
    }
    assert!(is_unavailable(&waiting.await.unwrap()));
    drop(go_on);
    assert_eq!(head(&log, "lobby").await, 0);
}

/// EO-2: dropping the log waits for what is queued, closing it also empties the write-ahead log.
#[tokio::test]
async fn the_end_of_a_log_commits_what_is_queued() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    let append_one = |log: &SqliteLog, n: u64| log.append(append("ada", n, "lobby", "x"));
    let unanswered: Vec<_> = (1..=50).map(|n| append_one(&log, n)).collect();
    drop(log);
    drop(unanswered);

    let log = place.open("log.db");
    assert_eq!(head(&log, "lobby").await, 50);
    let unanswered: Vec<_> = (51..=99).map(|n| append_one(&log, n)).collect();
    // Also where another program (a backup, say) still has it open.
    let other = rusqlite::Connection::open(place.path("log.db")).unwrap();
    let count = "SELECT count(*) FROM messages";
    other.query_row(count, [], |_| Ok(())).unwrap();
    log.close().await.unwrap();
    drop(unanswered);
    fs::copy(place.path("log.db"), place.path("copy.db")).unwrap();
    assert_eq!(head(&place.open("copy.db"), "lobby").await, 99);

    // The database is free again, although the closed log still exists.
    assert_eq!(head(&place.open("log.db"), "lobby").await, 99);
    assert!(is_unavailable(&log.room(room("lobby")).await));
}

/// EO-2: no other server opens the database while a connection to it is open.
#[tokio::test]
async fn a_read_under_way_keeps_the_database_in_use() {
    let place = Place::new();
    let log = place.open("log.db");
    let reading = log.room(room("lobby"));
    drop(log);
    let error = place.try_open("log.db").unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert_eq!(reading.await.unwrap().head, Offset::ZERO);
    place.open("log.db");

    // A closed log releases it even so.
    let log = place.open("log.db");
    let reading = log.room(room("lobby"));
    log.close().await.unwrap();
    place.open("log.db");
    assert!(is_unavailable(&reading.await));
}

/// EO-1: a lower limit takes effect step by step, and loses no number.
#[tokio::test]
async fn a_lower_limit_trims_what_is_there() {
    let place = Place::new();
    let large = SqliteConfig {
        history_per_room: 10_000,
        ..config()
    };
    let log = place.open_with(large, Arc::<Recorder>::default());
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 5_000).await;
    assert_eq!(log.room(room("lobby")).await.unwrap().trimmed, Offset::ZERO);
    drop(log);

    let log = place.open("log.db");
    for (n, trimmed) in [(5_001, 4_096), (5_002, 4_902), (5_003, 4_902)] {
        log.append(append("ada", n, "lobby", "x")).await.unwrap();
        let held = log.room(room("lobby")).await.unwrap();
        assert_eq!(held.trimmed, offset(trimmed));
    }
    for n in [1, 4_096, 4_097, 4_902, 4_903] {
        let again = append("ada", n, "lobby", &format!("body {n}"));
        assert_eq!(log.append(again).await, Ok(offset(n)));
    }
}

/// EO-7: each code is read as it was stored, under its name on the wire.
#[test]
fn codes_are_stored_by_their_names() {
    use ErrorCode::*;
    for code in [
        BadFrame,
        BodyEmpty,
        BodyTooLarge,
        FrameTooLarge,
        HelloExpected,
        NotJoined,
        RateLimited,
        SeqConflict,
        SeqGap,
        TooManyRooms,
        Unavailable,
        Unknown,
    ] {
        assert_eq!(ErrorCode::parse(code.as_str()), code);
    }
    assert_eq!(BodyTooLarge.as_str(), "body_too_large");
    assert_eq!(ErrorCode::parse("of a later server"), Unknown);
    assert_eq!(ErrorCode::parse("\""), Unknown);
}

/// RS-9, EO-2: a forgotten session takes along the rows that only it needed.
#[tokio::test]
async fn a_forgotten_session_leaves_only_its_messages() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 300).await;
    log.refuse(refuse("ada", 301, ErrorCode::BodyEmpty))
        .await
        .unwrap();
    let rows = |table: &str| {
        let connection = rusqlite::Connection::open(place.path("log.db")).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        connection
            .query_row(&sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(rows("receipts"), 300);
    let messages = rows("messages");
    assert!((100..300).contains(&messages), "{messages} are left");
    log.expire(u64::MAX).await.unwrap();
    assert_eq!(rows("messages"), messages);
    for table in ["sessions", "receipts", "refusals"] {
        assert_eq!(rows(table), 0, "{table}");
    }
}
