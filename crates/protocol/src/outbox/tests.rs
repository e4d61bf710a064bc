//! Tests of the outbox: what it keeps, numbers, sends again and forgets.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const LIMIT: OutboxLimit = OutboxLimit {
    entries: 3,
    bytes: 10,
};

fn filled(bodies: &[&str]) -> Outbox {
    let mut outbox = Outbox::restore(LIMIT, Vec::new());
    for body in bodies {
        outbox.push(RoomName::lobby(), (*body).to_owned()).unwrap();
    }
    outbox
}

fn seqs(outbox: &Outbox) -> Vec<u64> {
    outbox.iter().map(|entry| entry.seq.get()).collect()
}

/// EO-4, PU-4: a full outbox refuses a message at once, by count and by bytes.
#[test]
fn it_is_bounded() {
    let mut outbox = filled(&["a", "b", "c"]);
    assert_eq!(
        outbox.push(RoomName::lobby(), "d".into()),
        Err(PublishError::OutboxFull)
    );
    let mut outbox = filled(&["123456789"]);
    assert_eq!(
        outbox.push(RoomName::lobby(), "ab".into()),
        Err(PublishError::OutboxFull)
    );
    assert!(outbox.push(RoomName::lobby(), "a".into()).is_ok());
    assert!(outbox.settle(Seq::FIRST).is_some());
    assert!(outbox.push(RoomName::lobby(), "123456789".into()).is_ok());
}

/// EO-4, PU-4: exactly the messages that wait are counted, uncertain and stored ones included.
#[test]
fn what_waits_is_counted() {
    let mut outbox = filled(&["1234", "567"]);
    let push = |outbox: &mut Outbox, bytes: usize| {
        let body = "x".repeat(bytes);
        outbox.push(RoomName::lobby(), body).is_ok()
    };
    assert!(!push(&mut outbox, 4));
    outbox.send_next(1);
    outbox.abandon_session();
    // One is uncertain now, and counts as before.
    assert!(!push(&mut outbox, 4));
    assert!(push(&mut outbox, 3));
    assert!(!push(&mut outbox, 0));
    outbox.settle(Seq::FIRST).unwrap();
    assert!(!push(&mut outbox, 4));
    let stored = outbox.iter().cloned().collect();
    let mut outbox = Outbox::restore(LIMIT, stored);
    assert!(!push(&mut outbox, 4));
    assert!(outbox.discard(EntryId(0)).is_some());
    assert!(!push(&mut outbox, 8));
    assert!(push(&mut outbox, 7));
}

/// RS-3: settled messages go, the rest is sent again with the old numbers, in order.
#[test]
fn the_rest_is_sent_again_in_order() {
    let mut outbox = filled(&["a", "b", "c"]);
    while outbox.send_next(8).is_some() {}
    outbox.disconnected();
    let first = outbox.first_through(1).unwrap();
    assert_eq!(
        outbox.settle(first).map(|entry| entry.body),
        Some("a".into())
    );
    assert_eq!(outbox.first_through(1), None);
    assert!(outbox.continue_after(1));
    assert_eq!(
        outbox.send_next(8).map(|(_, entry)| entry.seq.get()),
        Some(2)
    );
    assert_eq!(
        outbox.send_next(8).map(|(_, entry)| entry.seq.get()),
        Some(3)
    );
    assert_eq!(outbox.send_next(8), None);
}

/// RS-3, EO-4: a reload with an empty outbox, then a message before the server said how far the
/// session had counted: it is numbered to follow, not taken for a settled one.
#[test]
fn what_never_left_the_page_is_never_settled() {
    let mut outbox = filled(&["a"]);
    assert_eq!(outbox.first_through(10), None);
    assert!(outbox.continue_after(10));
    assert_eq!(
        outbox.send_next(8).map(|(_, entry)| entry.seq.get()),
        Some(11)
    );
    assert_eq!(
        outbox
            .push(RoomName::lobby(), "b".into())
            .unwrap()
            .seq
            .get(),
        12
    );
}

/// RS-3: a hole among the sent numbers cannot be continued.
#[test]
fn sent_numbers_must_follow() {
    let mut outbox = filled(&["a", "b"]);
    outbox.send_next(1);
    assert!(!outbox.continue_after(5));
}

#[test]
fn the_window_bounds_what_is_in_flight() {
    let mut outbox = filled(&["a", "b", "c"]);
    assert!(outbox.send_next(2).is_some());
    assert!(outbox.send_next(2).is_some());
    assert_eq!(outbox.send_next(2), None);
    outbox.settle(Seq::FIRST);
    assert_eq!(
        outbox.send_next(2).map(|(_, entry)| entry.seq.get()),
        Some(3)
    );
}

/// RS-9: unsent messages move to the fresh session, sent ones become uncertain.
#[test]
fn a_lost_session_keeps_what_never_left_the_page() {
    let mut outbox = filled(&["a", "b", "c"]);
    outbox.send_next(1);
    outbox.abandon_session();
    assert_eq!(seqs(&outbox), [1, 2, 1]);
    let stages: Vec<_> = outbox.iter().map(|entry| entry.stage).collect();
    assert_eq!(stages, [Stage::Unsent, Stage::Unsent, Stage::Uncertain]);
    assert_eq!(
        outbox.send_again(EntryId(0)).map(|entry| entry.seq.get()),
        Some(3)
    );
    assert_eq!(outbox.waiting(), 3);
}

/// RS-8: the user who loaded the page anew may be another one, and only a resumed session proves the same.
#[test]
fn a_lost_session_holds_what_was_found_in_storage() {
    let mut outbox = Outbox::restore(LIMIT, filled(&["a"]).iter().cloned().collect());
    outbox.push(RoomName::lobby(), "b".into()).unwrap();
    outbox.abandon_session();
    let found: Vec<_> = outbox
        .iter()
        .map(|entry| (entry.id.0, entry.stage))
        .collect();
    assert_eq!(found, [(1, Stage::Unsent), (0, Stage::Held)]);
    assert_eq!(outbox.waiting(), 1);
}

/// EO-7: a text that was refused for good stays, blocks no number, and is dropped when the user says so.
#[test]
fn a_refused_text_waits_for_a_person() {
    let mut outbox = filled(&["a", "b"]);
    while outbox.send_next(8).is_some() {}
    let refused = outbox.refuse(Seq::FIRST, ErrorCode::BodyTooLarge).unwrap();
    assert_eq!(refused.stage, Stage::Refused(ErrorCode::BodyTooLarge));
    assert_eq!((outbox.waiting(), outbox.in_flight().count()), (1, 1));
    let text = serde_json::to_string(&outbox.iter().collect::<Vec<_>>()).unwrap();
    let mut outbox = Outbox::restore(LIMIT, serde_json::from_str(&text).unwrap());
    assert_eq!(outbox.waiting(), 1);
    assert_eq!(outbox.send_again(EntryId(0)), None);
    assert_eq!(
        outbox.discard(EntryId(0)).map(|entry| entry.body),
        Some("a".into())
    );
    assert_eq!(outbox.iter().count(), 1);
}

/// RS-8: where it is unknown which user wrote the messages, none is sent and none is lost.
#[test]
fn orphans_wait_for_a_person() {
    let mut outbox = filled(&["a", "b"]);
    outbox.send_next(1);
    outbox.orphan();
    let stages: Vec<_> = outbox.iter().map(|entry| entry.stage).collect();
    assert_eq!(stages, [Stage::Uncertain, Stage::Held]);
    assert_eq!((outbox.waiting(), outbox.send_next(8)), (0, None));
    let mut heir = filled(&["mine"]);
    for entry in outbox.iter() {
        heir.inherit(entry.clone()).unwrap();
    }
    let found: Vec<_> = heir.iter().map(|entry| (entry.id.0, entry.stage)).collect();
    let expected = [(0, Stage::Unsent), (1, Stage::Uncertain), (2, Stage::Held)];
    assert_eq!(found, expected);
    let sent = heir.send_again(EntryId(2)).unwrap();
    assert_eq!((sent.seq.get(), sent.body.as_str()), (2, "b"));
    // As many as the limit allows.
    let entry = outbox.iter().next().unwrap().clone();
    assert_eq!(heir.inherit(entry), Err(PublishError::OutboxFull));
}

/// EO-4: a reload finds the same numbers and goes on after them.
#[test]
fn it_survives_being_stored() {
    let mut outbox = filled(&["a", "b"]);
    outbox.send_next(1);
    let stored: Vec<Entry> = outbox.iter().cloned().collect();
    let text = serde_json::to_string(&stored).unwrap();
    let mut again = Outbox::restore(LIMIT, serde_json::from_str(&text).unwrap());
    assert_eq!(again.iter().cloned().collect::<Vec<_>>(), stored);
    let next = again.push(RoomName::lobby(), "c".into()).unwrap();
    assert_eq!((next.seq.get(), next.id), (3, EntryId(2)));
}

/// EO-4: a damaged storage may hold the last id of all; no id is given twice even then.
#[test]
fn ids_are_free_whatever_was_stored() {
    let stored = |id: u64| Entry {
        id: EntryId(id),
        seq: Seq::after(id % 7),
        room: RoomName::lobby(),
        body: "a".into(),
        stage: Stage::Unsent,
    };
    let kept = vec![stored(0), stored(u64::MAX)];
    let limit = OutboxLimit {
        entries: 9,
        ..LIMIT
    };
    let mut outbox = Outbox::restore(limit, kept);
    for id in [1, 2] {
        let pushed = outbox.push(RoomName::lobby(), "b".into()).unwrap();
        assert_eq!(pushed.id, EntryId(id));
    }
}

/// EO-7: after a refusal for now, sending goes on from that number.
#[test]
fn rewinding_starts_again_from_a_number() {
    let mut outbox = filled(&["a", "b", "c"]);
    while outbox.send_next(8).is_some() {}
    outbox.rewind(Seq::after(1));
    assert_eq!(
        outbox.send_next(8).map(|(_, entry)| entry.seq.get()),
        Some(2)
    );
}

/// RS-3: a session that does not know a number any more that it had settled is of an older copy of the log.
#[test]
fn a_settled_number_is_not_given_again() {
    let mut outbox = filled(&["a", "b", "c"]);
    while outbox.send_next(3).is_some() {}
    for number in 1..=3 {
        assert!(outbox.settle(Seq::new(number).unwrap()).is_some());
    }
    assert!(outbox.continue_after(3));
    assert!(!outbox.continue_after(2));
    outbox.abandon_session();
    assert!(outbox.continue_after(0), "a fresh session begins anew");
}

/// EO-7: a text that was sent without its characters, as it fits no frame, is too large, not empty.
#[test]
fn a_text_that_was_sent_empty_is_too_large() {
    let refused_as = |body: &str| {
        let mut outbox = filled(&[body]);
        outbox.send_next(1);
        let refused = outbox.refuse(Seq::FIRST, ErrorCode::BodyEmpty);
        refused.map(|entry| entry.stage)
    };
    assert_eq!(
        refused_as("abc"),
        Some(Stage::Refused(ErrorCode::BodyTooLarge))
    );
    assert_eq!(refused_as(""), Some(Stage::Refused(ErrorCode::BodyEmpty)));
}
