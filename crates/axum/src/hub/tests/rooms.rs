//! One room: its tail, its changes, and which readers are woken.

use std::sync::Arc;

use protocol::frame::Message;
use protocol::presence::DEPARTURES_MAX;

use super::{Place, at, by, message, name, offset, seq, taken, text};
use crate::hub::Rooms;
use crate::hub::room::{Entry, Taken};
use crate::hub::tail::{TAIL_BYTES, TAIL_MESSAGES};
use crate::log::Observer;

/// The messages `numbers`, as they are taken.
fn texts(numbers: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    numbers.map(|n| (n, format!("body {n}"))).collect()
}

fn commit(rooms: &Rooms, room: &str, numbers: std::ops::RangeInclusive<u64>) {
    let messages: Vec<Message> = numbers
        .map(|n| message(room, n, &format!("body {n}")))
        .collect();
    rooms.committed(&messages);
}

/// RS-5: a reader takes the messages after its cursor, and no others; drafts and members once it has all
/// messages.
#[tokio::test]
async fn a_reader_takes_what_follows_its_place() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let version = ada.view.version;
    commit(&place.rooms, "lobby", 1..=5);
    let bob = place.reader("bob", "lobby").await;
    assert_eq!(ada.room.marks(), (offset(5), bob.view.version));

    assert_eq!(
        taken(ada.take(2, 10, version)),
        (texts(3..=5), 5, bob.view.version)
    );
    assert_eq!(
        taken(ada.take(0, 5, version)),
        (texts(1..=5), 5, bob.view.version)
    );
    // Not all messages: changes follow later, in their order.
    assert_eq!(taken(ada.take(0, 4, version)), (texts(1..=4), 4, version));
    let Taken::Entries { changes, .. } = ada.take(0, 4, version) else {
        panic!("the tail reaches back to the start");
    };
    assert!(changes.is_empty());
    assert_eq!(
        taken(ada.take(5, 10, version)),
        (vec![], 5, bob.view.version)
    );
    // A reader ahead of its room, as after a refresh, gets no message either.
    assert_eq!(taken(ada.take(6, 10, version)).0, vec![]);
}

/// A room that was just opened has the head of the log, and none of its messages.
#[tokio::test]
async fn what_is_not_in_the_tail_is_in_the_log() {
    let place = Place::new(100);
    place
        .append("bob", "lobby", &["body 1", "body 2", "body 3"])
        .await;
    let ada = place.reader("ada", "lobby").await;
    assert_eq!((ada.view.head, ada.view.trimmed), (offset(3), offset(0)));
    assert!(matches!(ada.take(0, 10, 0), Taken::InLog));
    assert!(matches!(ada.take(2, 10, 0), Taken::InLog));
    assert_eq!(taken(ada.take(3, 10, 0)).0, vec![]);
    place.append("bob", "lobby", &["body 4"]).await;
    assert!(matches!(ada.take(2, 10, 0), Taken::InLog));
    assert_eq!(taken(ada.take(3, 10, 0)).0, texts(4..=4));
}

/// RS-6: a view says where the log begins.
#[tokio::test]
async fn a_view_shows_what_was_trimmed() {
    let place = Place::new(10);
    let bodies = vec!["hi"; 200];
    place.append("bob", "lobby", &bodies).await;
    let held = crate::log::Log::room(&*place.log, name("lobby"))
        .await
        .unwrap();
    assert!(held.trimmed > offset(0));
    let ada = place.reader("ada", "lobby").await;
    assert_eq!(ada.view.trimmed, held.trimmed);
    assert_eq!(ada.view.epoch, held.epoch);
    assert_eq!(ada.view.head, offset(200));
}

/// PU-4: exactly so many messages are kept.
#[tokio::test]
async fn the_tail_is_bounded_in_messages() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let last = TAIL_MESSAGES as u64 + 1;
    commit(&place.rooms, "lobby", 1..=TAIL_MESSAGES as u64);
    assert_eq!(taken(ada.take(0, 1, 0)).0, texts(1..=1));
    commit(&place.rooms, "lobby", last..=last);
    assert!(matches!(ada.take(0, 10, 0), Taken::InLog));
    assert_eq!(taken(ada.take(1, u32::MAX, 0)).0, texts(2..=last));
}

/// PU-4: exactly so many bytes are kept, and what is dropped makes room.
#[tokio::test]
async fn the_tail_is_bounded_in_bytes() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    // A text is stored twice: in its frame, and bare. A time of one digit more makes an odd size.
    let sized = |number, bytes: usize| {
        let rest = cost(&message("lobby", number, ""));
        let mut message = message("lobby", number, &"x".repeat((bytes - rest) / 2));
        while cost(&message) > bytes {
            if (cost(&message) - bytes) % 2 == 1 {
                message.at_ms = 10;
            }
            message.body.pop();
        }
        assert_eq!(cost(&message), bytes);
        message
    };
    let part = TAIL_BYTES / 4;
    for number in 1..=4 {
        place.rooms.committed(&[sized(number, part)]);
    }
    assert_eq!(taken(ada.take(0, 10, 0)).1, 4);
    // One more of that size drops just one, again and again: the bytes of dropped messages are not counted.
    for number in 5..=9 {
        place.rooms.committed(&[sized(number, part)]);
        assert!(matches!(ada.take(number - 5, 10, 0), Taken::InLog));
        assert_eq!(taken(ada.take(number - 4, 10, 0)).1, number);
    }
}

fn cost(message: &Message) -> usize {
    Entry::message(message.clone()).bytes()
}

/// The log may show another server's messages late: a message that does not follow begins a new tail.
#[tokio::test]
async fn a_tail_has_no_holes() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    commit(&place.rooms, "lobby", 1..=3);
    commit(&place.rooms, "lobby", 5..=6);
    assert!(matches!(ada.take(2, 10, 0), Taken::InLog));
    assert!(matches!(ada.take(3, 10, 0), Taken::InLog));
    assert_eq!(taken(ada.take(4, 10, 0)).0, texts(5..=6));
    assert_eq!(ada.room.marks().0, offset(6));
    // The dropped messages are no longer counted: a full tail fits.
    let last = 6 + TAIL_MESSAGES as u64 - 2;
    commit(&place.rooms, "lobby", 7..=last);
    assert_eq!(taken(ada.take(4, 1, 0)).1, 5);
}

/// A tail that began anew has room for as many bytes as any.
#[tokio::test]
async fn a_tail_that_begins_anew_is_empty() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let large = "x".repeat(TAIL_BYTES / 5);
    for number in [1, 2, 4, 5] {
        place.rooms.committed(&[message("lobby", number, &large)]);
    }
    assert_eq!(taken(ada.take(3, 10, 0)).1, 5);
}

/// A message wakes all readers of its room, once for each batch, and no others.
#[tokio::test]
async fn a_message_wakes_the_readers_of_its_room() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let bob = place.reader("bob", "garden").await;
    let eve = place.reader("eve", "cellar").await;
    let both = place
        .enter(bob.id, bob.mailbox.clone(), bob.session.clone(), "lobby")
        .await;
    for reader in [&ada, &bob, &eve] {
        reader.moved();
        assert!(!reader.is_woken());
    }
    let rooms = ["garden", "nobody", "lobby", "garden"];
    let batch: Vec<Message> = rooms
        .iter()
        .zip([1, 1, 1, 2])
        .map(|(room, n)| message(room, n, "hi"))
        .collect();
    place.rooms.committed(&batch);
    assert!(ada.is_woken() && bob.is_woken() && !eve.is_woken());
    assert_eq!(ada.moved(), ["lobby"]);
    let mut moved = bob.moved();
    moved.sort();
    assert_eq!(moved, ["garden", "lobby"]);
    assert!(eve.moved().is_empty());
    assert_eq!(taken(bob.take(0, 10, 0)).1, 2);
    assert_eq!(taken(both.take(0, 10, 0)).1, 1);
}

/// However often a room changes, its readers are marked once until they look.
#[tokio::test]
async fn marks_do_not_queue() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    ada.moved();
    commit(&place.rooms, "lobby", 1..=1);
    commit(&place.rooms, "lobby", 2..=2);
    assert_eq!(ada.moved(), ["lobby"]);
    assert!(ada.moved().is_empty());
    commit(&place.rooms, "lobby", 3..=3);
    assert_eq!(ada.moved(), ["lobby"]);
}

/// PR-1, PR-2: a member joins, is renamed, types, publishes, fails to, and leaves.
#[tokio::test]
async fn changes_are_told_to_those_who_do_not_have_them() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let alone = ada.view.version;
    assert_eq!(ada.view.members.len(), 1);
    ada.moved();
    let bob = place.reader("bob", "lobby").await;
    assert_eq!(bob.view.members.len(), 2);
    assert_eq!(ada.moved(), ["lobby"]);
    let joined = r#"{"type":"presence","room":"lobby","joined":[{"session":"bob","name":"bob"}]}"#;
    assert_eq!(ada.changes(alone), [joined]);
    let both = bob.view.version;
    assert!(ada.changes(both).is_empty());

    // To join once more changes nothing, and wakes no reader.
    place
        .enter(bob.id, bob.mailbox.clone(), bob.session.clone(), "lobby")
        .await;
    assert!(ada.moved().is_empty());

    let renamed = protocol::id::Name::tidy("Bob B.");
    bob.room.rename(at(0), &bob.session, renamed, by(bob.id));
    assert_eq!(ada.moved(), ["lobby"]);
    assert_eq!(
        ada.changes(both),
        [joined.replace(r#""bob"}"#, r#""Bob B."}"#)]
    );

    let (_, before) = bob.room.marks();
    bob.room.draft(&bob.session, "hel".to_owned(), 0);
    let draft = r#"{"type":"draft","room":"lobby","session":"bob","name":"Bob B.","body":"hel"}"#;
    assert_eq!(ada.changes(before), [draft]);
    assert_eq!(ada.moved(), ["lobby"]);
    let eve = place.reader("eve", "lobby").await;
    assert_eq!(eve.view.drafts.len(), 1);

    // A publish ends its draft without a change once the message is seen; with a change if it fails.
    let (_, before) = bob.room.marks();
    bob.room.published(&bob.session);
    assert!(ada.changes(before).is_empty());
    bob.room.publish_failed(&bob.session, seq(1));
    let cleared = draft.replace("hel", "");
    assert_eq!(ada.changes(before), [cleared]);
    bob.room.draft(&bob.session, "hello".to_owned(), 0);
    bob.room.published(&bob.session);
    let (_, before) = bob.room.marks();
    place.append("bob", "lobby", &["hello"]).await;
    assert!(ada.changes(before).is_empty());
    assert_eq!(place.reader("max", "lobby").await.view.drafts, []);

    let (_, before) = bob.room.marks();
    bob.moved();
    ada.moved();
    bob.room.leave(at(0), &bob.session, bob.id);
    let left = r#"{"type":"presence","room":"lobby","left":["bob"]}"#;
    assert_eq!(ada.changes(before), [left]);
    assert_eq!(ada.moved(), ["lobby"]);
    assert!(bob.moved().is_empty());
}

/// Most readers ask for the same changes: these are encoded once, and shared.
#[tokio::test]
async fn the_same_changes_are_encoded_once() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let since = ada.view.version;
    let entries = |since| match ada.take(0, 1, since) {
        Taken::Entries { changes, .. } => changes,
        other => panic!("no changes but {other:?}"),
    };
    ada.room.draft(&ada.session, "h".to_owned(), 0);
    let first = entries(since);
    assert!(Arc::ptr_eq(&first, &entries(since)));
    // Another cursor or another version gets something else.
    assert!(entries(since + 1).is_empty());
    let first = entries(since);
    ada.room.draft(&ada.session, "he".to_owned(), 0);
    let second = entries(since);
    assert_ne!(first[0].frame, second[0].frame);
    // With the author of the draft, and its bare text for the tutorial's dialect.
    assert_eq!(second[0].author, Some(ada.session.clone()));
    assert_eq!(text(second[0].text.as_ref().unwrap()), "he");
}

/// PR-1: a reader that is behind more departures than are kept takes a new view.
#[tokio::test]
async fn forgotten_departures_cut_a_reader_off() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    for number in 0..=DEPARTURES_MAX {
        let guest = place.reader(&format!("g{number}"), "lobby").await;
        guest.room.leave(at(0), &guest.session, guest.id);
    }
    assert!(matches!(ada.take(0, 1, ada.view.version), Taken::CutOff));
}

/// PR-1: readers hear of a member that is away for a while, and of its departure where it does not reconnect in time.
#[tokio::test]
async fn members_that_are_away_leave_in_time() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let bob = place.reader("bob", "lobby").await;
    let both = bob.view.version;
    ada.moved();
    bob.moved();
    bob.room.disconnect(at(0), &bob.session, bob.id);
    bob.room.handle_timeout(at(4));
    assert!(ada.moved().is_empty());
    bob.room.handle_timeout(at(5));
    assert_eq!(ada.moved(), ["lobby"]);
    bob.room.handle_timeout(at(29));
    assert!(ada.moved().is_empty());
    bob.room.handle_timeout(at(30));
    assert_eq!(ada.moved(), ["lobby"]);
    assert_eq!(ada.changes(both).len(), 1);
    // The reader was dropped with its connection.
    commit(&place.rooms, "lobby", 1..=1);
    assert!(bob.moved().is_empty());
}

#[tokio::test]
async fn a_room_is_idle_when_nobody_reads_and_nobody_is_away() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    assert!(!ada.room.is_idle());
    ada.room.disconnect(at(0), &ada.session, ada.id);
    assert!(!ada.room.is_idle());
    ada.room.handle_timeout(at(30));
    assert!(ada.room.is_idle());
}

/// The head never goes back: a message may be committed while the log is asked.
#[tokio::test]
async fn a_refresh_does_not_move_the_head_back() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    commit(&place.rooms, "lobby", 1..=3);
    ada.room.refresh(&*place.log).await.unwrap();
    assert_eq!(ada.room.marks().0, offset(3));
    place.append("bob", "garden", &["1", "2"]).await;
    let bob = place.reader("bob", "garden").await;
    place.append("bob", "garden", &["3", "4"]).await;
    bob.room.refresh(&*place.log).await.unwrap();
    assert_eq!(bob.room.marks().0, offset(4));
}
