//! Redacted texts leave all files, also if another program reads them, or the server is killed meanwhile.

use std::collections::BTreeSet;

use rusqlite::Connection;
use tokio::time::timeout;

use super::*;
use crate::log::Redaction;

/// How long a test waits before it concludes that nothing will happen.
const A_WHILE: Duration = Duration::from_millis(300);

const PATIENCE: Duration = Duration::from_secs(10);

const SECRET: &str = "treacherous";

/// How often the secret stands in the directory's files.
fn traces(directory: &Path) -> usize {
    let files = fs::read_dir(directory).unwrap();
    let count = |file: fs::DirEntry| {
        let bytes = fs::read(file.path()).unwrap();
        let secret = SECRET.as_bytes();
        bytes.windows(secret.len()).filter(|w| *w == secret).count()
    };
    files.map(|file| count(file.unwrap())).sum()
}

/// All texts in angle brackets, as the bodies of these tests are.
fn marks(bytes: &[u8]) -> Vec<String> {
    let pieces = bytes.split(|byte| *byte == b'<').skip(1);
    let marks = pieces.filter_map(|piece| {
        let end = piece.iter().take(16).position(|byte| *byte == b'>')?;
        let mark = std::str::from_utf8(&piece[..end]).ok()?;
        Some(format!("<{mark}>"))
    });
    marks.collect()
}

/// A log with the secret in it, redacted while another program holds the write-ahead log.
async fn removed_under_a_reader(place: &Place) -> (SqliteLog, Connection) {
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    let said = log.append(append("ada", 1, "lobby", SECRET)).await;
    assert_eq!(said, Ok(offset(1)));
    let reader = Connection::open(place.path("log.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let read = "SELECT count(*) FROM messages";
    reader.query_row(read, [], |_| Ok(())).unwrap();
    let removed = log.redact(room("lobby"), offset(1), 1).await;
    assert_eq!(removed, Ok(Redaction::Done));
    (log, reader)
}

/// EO-8: the reader's end is enough; no later commit is needed.
#[tokio::test]
async fn a_text_removed_under_a_reader_goes_when_that_ends() {
    let place = Place::new();
    let (log, reader) = removed_under_a_reader(&place).await;
    assert!(timeout(A_WHILE, log.scrubbed()).await.is_err());
    assert!(traces(place.directory.path()) > 0);
    // A second redaction gets the same answer.
    let again = log.redact(room("lobby"), offset(1), 2).await;
    assert_eq!(again, Ok(Redaction::Before));
    assert!(timeout(A_WHILE, log.scrubbed()).await.is_err());
    drop(reader);
    timeout(PATIENCE, log.scrubbed()).await.unwrap().unwrap();
    assert_eq!(traces(place.directory.path()), 0);
}

/// EO-8: that a scrub is due is part of the commit that redacts; so the next server knows.
#[tokio::test]
async fn a_text_removed_under_a_reader_goes_after_a_kill() {
    let place = Place::new();
    let (log, reader) = removed_under_a_reader(&place).await;
    // The state of the disk at this moment is what the next server would find.
    let killed = Place::new();
    for name in ["log.db", "log.db-wal", "log.db.witness"] {
        fs::copy(place.path(name), killed.path(name)).unwrap();
    }
    drop((log, reader));
    assert!(traces(killed.directory.path()) > 0);
    let reader = Connection::open(killed.path("log.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let read = "SELECT count(*) FROM messages";
    reader.query_row(read, [], |_| Ok(())).unwrap();

    let log = killed.open("log.db");
    assert!(timeout(A_WHILE, log.scrubbed()).await.is_err());
    drop(log);
    // An orderly end of the log does not change that.
    let log = killed.open("log.db");
    assert!(timeout(A_WHILE, log.scrubbed()).await.is_err());
    drop(reader);
    timeout(PATIENCE, log.scrubbed()).await.unwrap().unwrap();
    assert_eq!(traces(killed.directory.path()), 0);
    assert_eq!(head(&log, "lobby").await, 1);
}

/// A database of an older server may hold redacted texts in its write-ahead log.
#[tokio::test]
async fn what_an_older_server_left_is_seen_to() {
    let place = Place::new();
    let (log, reader) = removed_under_a_reader(&place).await;
    let killed = Place::new();
    for name in ["log.db", "log.db-wal"] {
        fs::copy(place.path(name), killed.path(name)).unwrap();
    }
    drop((log, reader));
    let older = Connection::open(killed.path("log.db")).unwrap();
    older
        .execute_batch(
            "DROP TABLE state; DROP INDEX sessions_unused;
             ALTER TABLE refusals DROP COLUMN count;
             ALTER TABLE sessions DROP COLUMN generation; DROP TABLE nodes;
             ALTER TABLE messages DROP COLUMN sequence; PRAGMA user_version = 2",
        )
        .unwrap();
    // As if the older server had been killed, too: else SQLite tidies up.
    let left = Place::new();
    for name in ["log.db", "log.db-wal"] {
        fs::copy(killed.path(name), left.path(name)).unwrap();
    }
    drop(older);
    assert!(traces(left.directory.path()) > 0);
    let log = left.open("log.db");
    timeout(PATIENCE, log.scrubbed()).await.unwrap().unwrap();
    assert_eq!(traces(left.directory.path()), 0);
}

/// `everbeat rooms clear` reports that a reader keeps the texts, and the next server scrubs the files.
#[tokio::test]
async fn a_room_cleared_under_a_reader_leaves_the_files_later() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    let said = log.append(append("ada", 1, "lobby", SECRET)).await;
    assert_eq!(said, Ok(offset(1)));
    drop(log);
    let reader = Connection::open(place.path("log.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let read = "SELECT count(*) FROM messages";
    reader.query_row(read, [], |_| Ok(())).unwrap();

    let cleared = clear(&place.path("log.db"), &room("lobby"))
        .unwrap()
        .unwrap();
    assert_eq!((cleared.messages, cleared.is_scrubbed), (1, false));
    let log = place.open("log.db");
    assert!(timeout(A_WHILE, log.scrubbed()).await.is_err());
    drop(reader);
    timeout(PATIENCE, log.scrubbed()).await.unwrap().unwrap();
    assert_eq!(traces(place.directory.path()), 0);
}

/// EO-8: SQLite moves rows from page to page, and leaves copies behind where no row is. Redacted texts leave those,
/// too.
#[tokio::test]
async fn a_removed_text_leaves_no_copy_on_any_page() {
    for seed in 0..12 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let place = Place::new();
        let log = place.open("log.db");
        log.open_session(fresh("ada", 1)).await.unwrap();
        let rooms = [1, 3, 12, 40][rng.usize(..4)];
        let mut heads = vec![0; rooms];
        let mut calls = Vec::new();
        for n in 1..=1_500_u64 {
            let of = rng.usize(..rooms);
            heads[of] += 1;
            let times = match rng.u8(..10) {
                0..5 => 1,
                5..9 => rng.usize(1..30),
                _ => rng.usize(30..400),
            };
            let body = format!("<{of}:{}>", heads[of]).repeat(times);
            calls.push(log.append(append("ada", n, &format!("room-{of}"), &body)));
            // In groups of different sizes.
            if rng.u8(..5) == 0 {
                for answer in join_all(calls.drain(..)).await {
                    answer.unwrap();
                }
            }
        }
        for answer in join_all(calls).await {
            answer.unwrap();
        }
        let mut gone = Vec::new();
        for (of, &head) in heads.iter().enumerate() {
            let name = room(&format!("room-{of}"));
            let trimmed = log.room(name.clone()).await.unwrap().trimmed.get();
            for at in (trimmed + 1..=head).filter(|_| rng.u8(..10) == 0) {
                let removed = log.redact(name.clone(), offset(at), 1).await;
                assert_eq!(removed, Ok(Redaction::Done));
                gone.push(format!("<{of}:{at}>"));
            }
        }
        timeout(PATIENCE, log.scrubbed()).await.unwrap().unwrap();
        let left: BTreeSet<String> = ["log.db", "log.db-wal"]
            .iter()
            .flat_map(|name| marks(&fs::read(place.path(name)).unwrap()))
            .collect();
        for text in gone {
            assert!(!left.contains(&text), "{text} is there, seed {seed}");
        }
        let connection = Connection::open(place.path("log.db")).unwrap();
        let told: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(told, "ok", "seed {seed}");
    }
}
