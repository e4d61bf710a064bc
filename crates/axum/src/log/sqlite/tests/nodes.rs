//! The database of a cluster's node: it folds packs, and what it loses it folds again.

use everbeat_log::command::{Command, Outcome, Settings};
use everbeat_log::order::{Applied, Verdict};
use everbeat_log::pack::{Life, Pack};
use protocol::id::NodeName;
use protocol::position::Epoch;
use rusqlite::Connection;

use super::*;
use crate::log::tests::support::seq;

/// The log of a node, and its observer.
pub(super) fn open_node(place: &Place) -> (SqliteLog, Arc<Recorder>) {
    let (opened, observer) = try_node(place);
    (opened.unwrap(), observer)
}

fn try_node(place: &Place) -> (Result<SqliteLog, OpenError>, Arc<Recorder>) {
    let config = SqliteConfig {
        is_node: true,
        ..config()
    };
    let observer = Arc::<Recorder>::default();
    let opened = SqliteLog::open(&place.path("log.db"), config, observer.clone());
    (opened, observer)
}

/// A pack of node `a`, in its first life.
pub(super) fn pack(number: u64, commands: Vec<Command>) -> Pack {
    Pack {
        node: NodeName::new("a").unwrap(),
        life: Life {
            count: 1,
            nonce: u64::MAX,
        },
        number,
        at_ms: 1,
        commands,
    }
}

fn settings(epoch: &str) -> Command {
    Command::Settings(Settings {
        epoch: Epoch::new(epoch),
        history_per_room: 1_000,
    })
}

/// The packs with these numbers: the first one founds the log and opens a session, each appends a message.
fn packs(numbers: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Pack> {
    numbers.map(|number| {
        let mut commands = Vec::new();
        if number == 1 {
            commands.extend([settings("e1"), Command::Open(fresh("ada", 1))]);
        }
        let body = format!("body {number}");
        commands.push(Command::Append(append("ada", number, "lobby", &body)));
        pack(number, commands)
    })
}

/// Folds the packs with these numbers, as if the stream held nothing else.
async fn fold(log: &SqliteLog, numbers: std::ops::RangeInclusive<u64>) {
    for pack in packs(numbers) {
        let folded = log.fold(pack.number, pack).await.unwrap();
        let Verdict::Applied(results) = folded else {
            panic!("{folded:?}");
        };
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
}

fn sequence(log: &SqliteLog) -> u64 {
    log.applied().unwrap().sequence
}

/// What the files of a node are after a loss of power: the write-ahead log has lost its end.
fn torn(place: &Place, left: impl Fn(u64) -> u64) -> Place {
    let torn = Place::new();
    for name in ["log.db", "log.db-wal", "log.db.witness"] {
        fs::copy(place.path(name), torn.path(name)).unwrap();
    }
    let wal = fs::OpenOptions::new()
        .write(true)
        .open(torn.path("log.db-wal"));
    let wal = wal.unwrap();
    wal.set_len(left(wal.metadata().unwrap().len())).unwrap();
    torn
}

/// Each pack is one transaction: its observer is notified before it is answered, and the next start goes on after it.
#[tokio::test]
async fn packs_are_folded_in_their_order_and_once() {
    let place = Place::new();
    let (log, observer) = open_node(&place);
    assert_eq!(
        (log.epoch(), log.applied()),
        (None, Some(Applied::default()))
    );
    assert!(
        is_unavailable(&log.room(room("lobby")).await),
        "no epoch yet"
    );
    let mut last = None;
    for pack in packs(1..=3) {
        let number = pack.number;
        let folded = log.fold(number, pack).await.unwrap();
        let Verdict::Applied(results) = folded else {
            panic!("{folded:?}");
        };
        assert_eq!(results.last(), Some(&Ok(Outcome::Appended(offset(number)))));
        assert_eq!(observer.seen().len() as u64, number);
        let applied = log.applied().unwrap();
        assert_eq!(applied.sequence, number);
        assert_ne!(Some(applied.digest), last);
        last = Some(applied.digest);
    }
    assert_eq!(observer.opened().len(), 1);
    let first = log.room(room("lobby")).await.unwrap();
    assert_eq!((first.epoch.as_str(), first.head), ("e1", offset(3)));
    let places = [(1, Some(1)), (3, Some(3)), (4, None)];
    for (at, expected) in places {
        let found = log.source(room("lobby"), offset(at)).await.unwrap();
        let expected = expected.map(|sequence| MessageSource {
            sequence,
            session: id("ada"),
            seq: seq(at),
        });
        assert_eq!(found, expected);
    }
    // A pack that the engine stored twice.
    let repeat = log.fold(4, packs(3..=3).next().unwrap()).await;
    assert_eq!(repeat, Ok(Verdict::Repeat));
    // Neither a sequence again, nor one that skips some.
    for wrong in [4, 6] {
        let refused = log.fold(wrong, packs(4..=4).next().unwrap()).await;
        assert!(is_unavailable(&refused), "{wrong}");
    }
    let before = log.applied();
    drop(log);
    let (log, observer) = open_node(&place);
    assert_eq!((log.applied(), log.epoch()), (before, Some(first.epoch)));
    let other = pack(4, vec![settings("e2")]);
    assert_eq!(
        log.fold(5, other).await,
        Ok(Verdict::Applied(vec![Ok(Outcome::Done)]))
    );
    assert_eq!(log.epoch().unwrap().as_str(), "e1", "the first one counts");
    assert_eq!(observer.seen(), []);
}

/// Packs that wait together are transactions of their own all the same.
#[tokio::test]
async fn packs_that_wait_are_not_batched() {
    let place = Place::new();
    let (log, _) = open_node(&place);
    let held = hold(&log);
    let waiting: Vec<_> = packs(1..=5)
        .map(|pack| log.fold(pack.number, pack))
        .collect();
    let probed = log.probe();
    drop(held);
    for answer in join_all(waiting).await {
        assert!(matches!(answer, Ok(Verdict::Applied(_))), "{answer:?}");
    }
    assert_eq!(probed.await, Ok(()));
    let commits = "SELECT commits FROM state";
    let connection = Connection::open(place.path("log.db")).unwrap();
    let commits: i64 = connection.query_row(commits, [], |row| row.get(0)).unwrap();
    assert_eq!(commits, 6, "five packs and a probe");
}

/// A node that took a command of its own would come apart from the others; a single server has no packs.
#[tokio::test]
async fn a_node_takes_packs_only() {
    let place = Place::new();
    let (log, _) = open_node(&place);
    fold(&log, 1..=1).await;
    let appended = log.append(append("ada", 2, "lobby", "x")).await;
    assert!(is_unavailable(&appended));
    assert!(is_unavailable(&log.open_session(fresh("bob", 1)).await));
    assert_eq!(log.probe().await, Ok(()));
    fold(&log, 2..=2).await;
    let single = Place::new();
    let log = single.open("log.db");
    assert_eq!(log.applied(), None);
    let folded = log.fold(1, packs(1..=1).next().unwrap()).await;
    assert!(is_unavailable(&folded));
    log.open_session(fresh("ada", 1)).await.unwrap();
}

/// A loss of power takes the newest packs from a node, as its commits are not synced. It folds them again, under the same
/// epoch and with the same digest.
#[tokio::test]
async fn a_lost_tail_is_folded_again() {
    let place = Place::new();
    let (log, _) = open_node(&place);
    fold(&log, 1..=20).await;
    let whole = log.applied().unwrap();
    let held = log.room(room("lobby")).await.unwrap();
    for part in [1, 2, 3] {
        let torn = torn(&place, |length| length * part / 4);
        let (log, _) = open_node(&torn);
        let kept = sequence(&log);
        assert!((1..20).contains(&kept), "{kept}");
        assert_eq!(log.epoch().as_ref(), Some(&held.epoch));
        fold(&log, kept + 1..=20).await;
        assert_eq!(log.applied().as_ref(), Some(&whole));
        assert_eq!(log.room(room("lobby")).await.as_ref(), Ok(&held));
    }
    // All of it, also the table's rows of this node: it begins anew.
    let torn = torn(&place, |_| 0);
    let (log, _) = open_node(&torn);
    fold(&log, sequence(&log) + 1..=20).await;
    assert_eq!(log.applied(), Some(whole));
}

/// An older copy, or another node's, is as good as the own database: the rest is folded.
#[tokio::test]
async fn a_copy_of_another_node_is_folded_on() {
    let place = Place::new();
    let (log, _) = open_node(&place);
    fold(&log, 1..=5).await;
    let other = Place::new();
    backup(&place.path("log.db"), &other.path("log.db")).unwrap();
    fold(&log, 6..=8).await;
    let (copy, _) = open_node(&other);
    assert_eq!((sequence(&copy), copy.epoch()), (5, log.epoch()));
    fold(&copy, 6..=8).await;
    assert_eq!(copy.applied(), log.applied());
}

/// A database whose pages are of different commits leads nowhere, and is left as it is.
#[tokio::test]
async fn a_database_that_contradicts_itself_is_refused() {
    for harm in [
        "UPDATE rooms SET head = head - 1",
        "DELETE FROM messages WHERE offset = 3",
        "UPDATE sessions SET last_seq = last_seq + 1",
        "DELETE FROM rooms",
    ] {
        let place = Place::new();
        let (log, _) = open_node(&place);
        fold(&log, 1..=5).await;
        drop(log);
        let connection = Connection::open(place.path("log.db")).unwrap();
        connection.execute_batch(harm).unwrap();
        // As if the witness had seen more.
        let lost = "UPDATE state SET commits = commits - 1";
        connection.execute_batch(lost).unwrap();
        drop(connection);
        for _ in 0..2 {
            let error = try_node(&place).0.unwrap_err();
            assert!(matches!(error, OpenError::Torn { .. }), "{harm}: {error}");
        }
    }
}

/// What a single server stored no other node would get. A copy of the database is a log of its own.
#[tokio::test]
async fn a_single_server_does_not_go_on_with_a_nodes_database() {
    let place = Place::new();
    let (log, _) = open_node(&place);
    fold(&log, 1..=3).await;
    let epoch = log.epoch().unwrap();
    assert_eq!(log.stream().await, Ok(None));
    log.keep_stream("first".into()).await.unwrap();
    drop(log);
    let error = place.try_open("log.db").unwrap_err();
    assert!(matches!(error, OpenError::OfCluster { .. }), "{error}");
    assert!(error.to_string().contains("everbeat restore"), "{error}");
    let error = clear(&place.path("log.db"), &room("lobby")).unwrap_err();
    assert!(matches!(error, OpenError::OfCluster { .. }), "{error}");
    assert_eq!(
        sequence(&open_node(&place).0),
        3,
        "it is a node's as before"
    );
    let stream = open_node(&place).0.stream().await;
    assert_eq!(stream.unwrap().as_deref(), Some("first"));

    let single = Place::new();
    restore(&place.path("log.db"), &single.path("log.db")).unwrap();
    let log = single.open("log.db");
    assert_eq!(log.applied(), None);
    assert_eq!(log.stream().await, Ok(None), "it may found another stream");
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!(held.head, offset(3));
    assert_ne!(held.epoch, epoch);
    assert_eq!(log.source(room("lobby"), offset(3)).await, Ok(None));
    log.open_session(fresh("ada", 1)).await.unwrap();
    let next = log.append(append("ada", 1, "lobby", "x")).await;
    assert_eq!(next, Ok(offset(4)));
}

/// A single server becomes a cluster with what it holds. Nodes that begin with different databases have different digests
/// from the first pack on.
#[tokio::test]
async fn a_single_servers_database_joins() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 3).await;
    let epoch = log.room(room("lobby")).await.unwrap().epoch;
    drop(log);
    let copy = Place::new();
    backup(&place.path("log.db"), &copy.path("log.db")).unwrap();
    let joined = || Command::Append(append("ada", 4, "lobby", "joined"));
    let first = pack(1, vec![settings("another"), joined()]);
    let mut digests = Vec::new();
    for place in [&place, &copy, &Place::new()] {
        for _ in 0..2 {
            // Also after a restart without a pack.
            assert_eq!(sequence(&open_node(place).0), 0);
        }
        let (log, _) = open_node(place);
        log.fold(1, first.clone()).await.unwrap();
        digests.push(log.applied().unwrap().digest);
    }
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
    let (log, _) = open_node(&place);
    assert_eq!(log.epoch(), Some(epoch), "positions stay valid");
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!(held.head, offset(4));
    let before = log.source(room("lobby"), offset(3)).await;
    assert_eq!(before, Ok(None));
}
