//! Messages of the outbox that are found in the log, and how often a message is stored.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::{Config, Event, Fate, Input, Store, Stored, Transmit};
use everbeat_protocol::frame::{ClientFrame, Joined, Message, ServerFrame, Welcome};
use everbeat_protocol::id::{Name, RoomName, Seq, SessionId};
use everbeat_protocol::outbox::{Entry, EntryId, Stage};
use everbeat_protocol::position::Epoch;
use simulation::link::Way;
use simulation::pair::Pair;

use crate::solo::{Solo, credentials, lobby, offset, secs, welcome};

/// A message of the lobby's log.
fn logged(session: &str, number: u64, seq: u64, body: &str) -> Message {
    Message {
        room: lobby(),
        offset: offset(number),
        session: SessionId::new(session).unwrap(),
        seq: Seq::new(seq).unwrap(),
        name: Name::tidy("ada"),
        at_ms: 0,
        body: body.to_owned(),
        removed: false,
    }
}

/// The storage that a page of the session `s1` left: all of these were sent.
fn left(bodies: &[&str]) -> Stored {
    let entry = |(id, body): (u64, &&str)| Entry {
        id: EntryId(id),
        seq: Seq::after(id),
        room: lobby(),
        body: (*body).to_owned(),
        stage: Stage::Sent,
    };
    Stored {
        credentials: Some(credentials("s1")),
        outbox: (0..).zip(bodies).map(entry).collect(),
    }
}

/// A client in the lobby, with a session that is not the one from before.
fn replaced(stored: Stored) -> Solo {
    let mut solo = Solo::new(Config::new(0), stored);
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.connect();
    solo.greet(Welcome {
        session: credentials("s2"),
        ..welcome()
    });
    solo.frame(ServerFrame::Joined(Joined {
        room: lobby(),
        epoch: Epoch::new("e"),
        head: offset(9),
        from: offset(0),
        recovered: true,
        members: Vec::new(),
        count: None,
        drafts: Vec::new(),
        read_only: false,
    }));
    solo.forget();
    solo
}

fn stages(solo: &Solo) -> Vec<(&str, Stage)> {
    let outbox = solo.session.outbox();
    outbox
        .map(|entry| (entry.body.as_str(), entry.stage))
        .collect()
}

fn stores(solo: &Solo) -> Vec<&Store> {
    let mut stores = Vec::new();
    for transmit in &solo.transmits {
        if let Transmit::Store(store) = transmit {
            stores.push(store);
        }
    }
    stores
}

fn durable(id: u64, seq: u64, number: u64) -> Event {
    Event::Fate {
        id: EntryId(id),
        seq: Seq::new(seq).unwrap(),
        fate: Fate::Durable {
            offset: Some(offset(number)),
        },
    }
}

/// RS-9: an uncertain message that comes from the log is durable, and is reported so before it is shown.
#[test]
fn an_uncertain_message_is_found_in_the_log() {
    let mut solo = replaced(left(&["a", "b"]));
    let uncertain = [("a", Stage::Uncertain), ("b", Stage::Uncertain)];
    assert_eq!(stages(&solo), uncertain);
    // Another session's first message, and another text under the number, prove nothing (EO-6).
    for other in [logged("s2", 1, 1, "a"), logged("s1", 2, 1, "c")] {
        solo.frame(ServerFrame::Message(other));
    }
    assert_eq!(stages(&solo), uncertain);
    solo.forget();
    let message = logged("s1", 3, 1, "a");
    solo.frame(ServerFrame::Message(message.clone()));
    assert_eq!(solo.events, [durable(0, 1, 3), Event::Message(message)]);
    assert_eq!(stores(&solo), [&Store::Remove(EntryId(0))]);
    assert_eq!(stages(&solo), [("b", Stage::Uncertain)]);
    // A message that was redacted meanwhile was there all the same (EO-8).
    solo.frame(ServerFrame::Message(Message {
        removed: true,
        ..logged("s1", 4, 2, "")
    }));
    assert_eq!(stages(&solo), []);
}

/// RS-9: it is found among older messages, too, and however many sessions were lost since.
#[test]
fn an_uncertain_message_is_found_among_older_ones() {
    let mut solo = replaced(left(&["a", "b"]));
    solo.close(None);
    solo.run_to(solo.now + solo.wait());
    solo.greet(Welcome {
        session: credentials("s3"),
        ..welcome()
    });
    solo.forget();
    let history = |messages: &[Message]| ServerFrame::History {
        room: lobby(),
        messages: messages.to_vec(),
        more: false,
    };
    solo.frame(history(&[logged("s2", 1, 2, "b"), logged("s1", 2, 2, "b")]));
    assert_eq!(solo.events[0], durable(1, 2, 2));
    assert!(matches!(solo.events[1], Event::History { .. }));
    assert_eq!(stages(&solo), [("a", Stage::Uncertain)]);
}

/// RS-7, RS-9: a message that a page was rendered with is in the log, even before there is any connection.
#[test]
fn a_message_that_the_page_was_rendered_with_is_durable() {
    let mut solo = Solo::new(Config::new(0), left(&["a", "b", "c"]));
    solo.input(Input::Seen(vec![
        logged("s1", 1, 1, "a"),
        logged("s1", 2, 3, "c"),
    ]));
    assert_eq!(solo.events, [durable(0, 1, 1), durable(2, 3, 2)]);
    assert_eq!(stages(&solo), [("b", Stage::Sent)]);
    solo.connect();
    solo.greet(Welcome {
        resumed: true,
        last_seq: 3,
        ..welcome()
    });
    assert_eq!(stages(&solo), []);
    let publishes = solo.frames().into_iter();
    let publishes = publishes.filter(|frame| matches!(frame, ClientFrame::Publish { .. }));
    assert_eq!(publishes.count(), 0);
}

/// RS-9: a message that was seen in the log, its ack lost, is not uncertain when its session is lost.
#[test]
fn a_message_that_came_before_its_ack_is_durable() {
    let mut solo = replaced(Stored::default());
    let id = solo
        .act(|session, now| session.publish(now, lobby(), "a".into()))
        .unwrap();
    solo.forget();
    solo.frame(ServerFrame::Message(logged("s2", 1, 1, "a")));
    assert_eq!(solo.events[0], durable(id.0, 1, 1));
    assert_eq!(stages(&solo), []);
    solo.forget();
    let (seq, room) = (Seq::FIRST, lobby());
    solo.frame(ServerFrame::Ack {
        seq,
        room,
        offset: offset(1),
    });
    assert!(solo.events.is_empty() && stores(&solo).is_empty());
    solo.act(|session, now| session.publish(now, lobby(), "b".into()))
        .unwrap();
    assert_eq!(stages(&solo), [("b", Stage::Sent)]);
}

/// RS-9: end to end: the ack is lost, then the session; the replay brings the message, once.
#[test]
fn a_lost_session_finds_what_had_arrived() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.deaden(ada, Way::Down);
    let arrived = pair.publish(ada, "arrived");
    pair.run_for(secs(1));
    pair.deaden(ada, Way::Up);
    let lost = pair.publish(ada, "lost");
    let session = pair.clients[ada].session.id().cloned().unwrap();
    pair.world.log.forget(&session);
    pair.run_for(secs(60));
    let machine = &pair.clients[ada];
    assert!(machine.is_live());
    assert_eq!(
        machine.fates[&arrived][2..],
        [
            Fate::Waiting,
            Fate::Uncertain,
            Fate::Durable {
                offset: Some(offset(1))
            }
        ]
    );
    assert_eq!(machine.fate(lost), Some(Fate::Uncertain));
    assert_eq!(machine.shown(&lobby()).bodies(), ["arrived"]);
    assert_eq!(machine.storage.outbox.len(), 1);
}

/// EO-4: a message that can be sent at once is stored once, as sent, before its frame; one that waits is stored
/// as it waits.
#[test]
fn a_live_publish_is_stored_once() {
    let mut solo = Solo::live(Config::new(0));
    let publish = |solo: &mut Solo| {
        solo.act(|session, now| session.publish(now, RoomName::lobby(), "a".into()))
            .unwrap()
    };
    publish(&mut solo);
    let stored: Vec<&Transmit> = solo.transmits.iter().collect();
    assert!(matches!(
        stored[..],
        [
            Transmit::Store(Store::Put(Entry {
                stage: Stage::Sent,
                ..
            })),
            Transmit::Frame {
                frame: ClientFrame::Publish { .. },
                ..
            }
        ]
    ));
    solo.close(None);
    solo.forget();
    let id = publish(&mut solo);
    let stage = |store: &Store| match store {
        Store::Put(entry) => entry.stage,
        other => unreachable!("{other:?}"),
    };
    let stages = |solo: &Solo| -> Vec<Stage> { stores(solo).into_iter().map(stage).collect() };
    assert_eq!(stages(&solo), [Stage::Unsent]);
    // Sent again by the user, it counts as a new message.
    let mut solo = replaced(left(&["a"]));
    solo.act(|session, now| session.send_again(now, EntryId(0)));
    assert_eq!(stages(&solo), [Stage::Sent]);
    let mut solo = replaced(left(&["a"]));
    solo.close(None);
    solo.forget();
    solo.act(|session, now| session.send_again(now, EntryId(0)));
    assert_eq!(stages(&solo), [Stage::Unsent]);
    assert_eq!(id, EntryId(1));
}
