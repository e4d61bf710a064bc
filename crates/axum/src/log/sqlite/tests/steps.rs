//! Databases of older servers, brought to today's format; redacted texts that leave no trace.

use protocol::id::Generation;
use rusqlite::Connection;

use super::*;
use crate::log::Redaction;

/// A database of format 1, with messages in it.
fn of_format_1(place: &Place) {
    let connection = Connection::open(place.path("log.db")).unwrap();
    let application = format::APPLICATION_ID;
    connection
        .pragma_update(None, "application_id", application)
        .unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection.execute_batch(format::FORMAT_1).unwrap();
    connection
        .execute_batch(
            "INSERT INTO meta VALUES ('epoch', 'e1');
             INSERT INTO rooms VALUES (1, 'lobby', 2, 0);
             INSERT INTO sessions VALUES ('ada', zeroblob(32), 4, 1);
             INSERT INTO refusals VALUES ('ada', 3, 'body_empty'), ('ada', 4, 'body_empty');
             INSERT INTO messages VALUES (1, 1, 'ada', 1, 'Ada', 1, 'body 1'), (1, 2, 'ada', 2, 'Ada', 2, 'body 2');",
        )
        .unwrap();
    connection.close().unwrap();
}

/// An older server's messages are there, and the database can do what is new.
#[tokio::test]
async fn an_older_format_is_brought_up_to_now() {
    let place = Place::new();
    of_format_1(&place);
    for _ in 0..2 {
        let log = place.open("log.db");
        let held = log.room(room("lobby")).await.unwrap();
        assert_eq!((held.epoch.as_str(), held.head), ("e1", offset(2)));
        let read = log
            .read(room("lobby"), Offset::ZERO, 10)
            .await
            .unwrap()
            .messages;
        assert_eq!(read[1].body, "body 2");
    }
    let log = place.open("log.db");
    let removed = log.redact(room("lobby"), offset(1), 5).await;
    assert_eq!(removed, Ok(Redaction::Done));
    drop(log);
    let log = place.open("log.db");
    let removed = log.room(room("lobby")).await.unwrap().redacted;
    assert_eq!(removed.len(), 1);
    let refused = log.refuse(refuse("ada", 5, ErrorCode::BodyEmpty)).await;
    assert_eq!(refused, Ok(ErrorCode::BodyEmpty));
    let open = OpenSession {
        resume: Some((id("ada"), vec![[0; 32]])),
        ..fresh("bob", 6)
    };
    let opened = log.open_session(open).await.unwrap();
    let refused: Vec<u64> = opened.refused.iter().map(|one| one.seq.get()).collect();
    assert_eq!((opened.last_seq, refused), (5, vec![3, 4, 5]));
    // A session of an older server was opened once, as far as that is known.
    assert_eq!(opened.generation, Generation(2));
}

/// EO-7: a client that is refused all the time does not fill the disk.
#[tokio::test]
async fn refusals_in_a_row_share_a_row() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    log.open_session(fresh("bob", 1)).await.unwrap();
    let rows = || -> i64 {
        let connection = Connection::open(place.path("log.db")).unwrap();
        let count = "SELECT count(*) FROM refusals";
        connection.query_row(count, [], |row| row.get(0)).unwrap()
    };
    for n in 1..=500 {
        for session in ["ada", "bob"] {
            let refused = log.refuse(refuse(session, n, ErrorCode::BodyEmpty)).await;
            refused.unwrap();
        }
    }
    assert_eq!(rows(), 2);
    let refused = log.refuse(refuse("ada", 501, ErrorCode::WriteDenied)).await;
    refused.unwrap();
    assert_eq!(rows(), 3);
}

/// A step that fails leaves the database as it was.
#[tokio::test]
async fn a_step_that_fails_changes_nothing() {
    let place = Place::new();
    of_format_1(&place);
    let connection = Connection::open(place.path("log.db")).unwrap();
    connection.execute_batch("CREATE TABLE posts (x)").unwrap();
    connection.close().unwrap();
    let error = place.try_open("log.db").unwrap_err();
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error}");
    let connection = Connection::open(place.path("log.db")).unwrap();
    let format: i32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(format, 1);
    let columns = "SELECT count(*) FROM pragma_table_info('messages') WHERE name = 'removed_ms'";
    let columns: i32 = connection.query_row(columns, [], |row| row.get(0)).unwrap();
    assert_eq!(columns, 0);
}

/// EO-8: a redacted text stands nowhere in the files any more, whether it was short or long, alone on its
/// pages or not, stored long ago or just now.
#[tokio::test]
async fn a_removed_text_leaves_no_trace_in_the_files() {
    let place = Place::new();
    let large = SqliteConfig {
        history_per_room: 10_000,
        ..config()
    };
    let log = place.open_with(large, Arc::<Recorder>::default());
    log.open_session(fresh("ada", 1)).await.unwrap();
    let secrets = [(40, 1), (200, 20), (500, 800), (501, 1)];
    for n in 1..=501 {
        let secret = secrets.iter().find(|(at, _)| *at == n);
        let body = secret.map_or_else(
            || format!("body {n} {}", "x".repeat(80)),
            |(_, times)| format!("treacherous{n:09}").repeat(*times),
        );
        log.append(append("ada", n, "lobby", &body)).await.unwrap();
    }
    let found = || {
        let files = ["log.db", "log.db-wal"].map(|name| fs::read(place.path(name)).unwrap());
        let count = |bytes: &Vec<u8>| bytes.windows(11).filter(|w| *w == b"treacherous").count();
        files.iter().map(count).sum::<usize>()
    };
    assert!(found() > 800);
    for (at, _) in secrets {
        let removed = log.redact(room("lobby"), offset(at), 1).await;
        assert_eq!(removed, Ok(Redaction::Done));
    }
    log.scrubbed().await.unwrap();
    assert_eq!(found(), 0);
    drop(log);
    assert_eq!(head(&place.open("log.db"), "lobby").await, 501);
}
