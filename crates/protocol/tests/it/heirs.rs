//! The outbox that a closed page left: its messages are sent once, or wait for the user's decision.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::{Config, Event, Stored};
use everbeat_protocol::frame::{ClientFrame, Welcome};
use everbeat_protocol::id::{Name, Seq};
use everbeat_protocol::outbox::{Entry, EntryId, PublishError, Stage};

use crate::solo::{Solo, credentials, lobby, millis, secs, welcome};
use simulation::link::Way;
use simulation::pair::Pair;

/// A machine that takes up what a closed page left.
fn heir(pair: &mut Pair, left: Stored) -> usize {
    pair.client_config.inherits = true;
    let heir = pair.page(left);
    pair.client_config.inherits = false;
    pair.connect(heir);
    heir
}

fn stages(pair: &Pair, client: usize) -> Vec<(String, Stage)> {
    let outbox = pair.clients[client].session.outbox();
    outbox
        .map(|entry| (entry.body.clone(), entry.stage))
        .collect()
}

/// RS-8, EO-1: two pages are closed, one with messages that never arrived and one whose acks were lost:
/// their sessions are resumed, and every message is in the log once, each session's in order.
#[test]
fn what_dead_pages_left_arrives_once() {
    let mut pair = Pair::new();
    let (ada, bob) = (pair.lobby_page(), pair.lobby_page());
    pair.deaden(ada, Way::Up);
    pair.deaden(bob, Way::Down);
    for number in 1..=3 {
        pair.publish(ada, &format!("ada {number}"));
        pair.publish(bob, &format!("bob {number}"));
    }
    pair.run_for(millis(500));
    pair.close(ada);
    pair.close(bob);
    for dead in [ada, bob] {
        let left = pair.clients[dead].storage.clone();
        assert_eq!(left.outbox.len(), 3);
        let heir = heir(&mut pair, left);
        pair.run_for(secs(30));
        assert!(!pair.clients[heir].session.is_owing());
        assert!(pair.clients[heir].storage.outbox.is_empty());
    }
    let expected = ["bob 1", "bob 2", "bob 3", "ada 1", "ada 2", "ada 3"];
    assert_eq!(pair.world.log.bodies(&lobby()), expected);
}

/// RS-8, AC-3: if the session is not resumed (it expired, or is another subject's), nothing is sent
/// under the name that this page has: the user decides.
#[test]
fn without_its_session_nothing_is_sent() {
    let mut pair = Pair::new();
    pair.client_config.window = 1;
    let ada = pair.lobby_page();
    pair.deaden(ada, Way::Up);
    let ids = ["sent", "unsent"].map(|body| pair.publish(ada, body));
    let session = pair.clients[ada].session.id().cloned().unwrap();
    pair.close(ada);
    pair.world.log.forget(&session);
    let left = pair.clients[ada].storage.clone();
    let heir = heir(&mut pair, left);
    pair.run_for(secs(30));
    assert_eq!(pair.world.log.bodies(&lobby()), [""; 0]);
    let expected = [
        ("sent".to_owned(), Stage::Uncertain),
        ("unsent".to_owned(), Stage::Held),
    ];
    assert_eq!(stages(&pair, heir), expected);
    assert!(!pair.clients[heir].session.is_owing());

    // The living page takes them into its own outbox; they are sent when the user says so.
    let page = pair.lobby_page();
    for entry in pair.clients[heir].storage.outbox.clone() {
        pair.command(page, |session, now| session.inherit(now, entry))
            .unwrap();
    }
    pair.run_for(secs(5));
    assert_eq!(stages(&pair, page), expected);
    pair.command(page, |session, now| session.send_again(now, ids[1]));
    pair.command(page, |session, now| session.discard(now, ids[0]));
    pair.run_for(secs(5));
    assert_eq!(pair.world.log.bodies(&lobby()), ["unsent"]);
    assert!(pair.clients[page].storage.outbox.is_empty());
}

/// RS-8: for messages from before there was a session, it is unknown which user wrote them: they are held.
#[test]
fn without_any_session_nothing_is_sent() {
    let entry = Entry {
        id: EntryId(7),
        seq: Seq::FIRST,
        room: lobby(),
        body: "early".into(),
        stage: Stage::Unsent,
    };
    let left = Stored {
        credentials: None,
        outbox: vec![entry.clone()],
    };
    let config = Config {
        inherits: true,
        ..Config::new(0)
    };
    let heir = Solo::new(config, left);
    assert!(!heir.session.is_owing());
    let held: Vec<_> = heir.session.outbox().cloned().collect();
    assert_eq!(held[0].stage, Stage::Held);

    // EO-4: as everywhere else, a full outbox takes nothing, and a message that is not taken stays where it is.
    let mut page = Solo::live(Config::new(0));
    let mine = page.act(|session, now| session.inherit(now, entry.clone()));
    assert_eq!(mine, Ok(EntryId(0)));
    let told = |event: &Event| matches!(event, Event::Queued(entry) if entry.stage == Stage::Held);
    assert!(page.events.iter().any(told));
    let mut config = Config::new(0);
    config.outbox.entries = 0;
    let mut page = Solo::live(config);
    let full = page.act(|session, now| session.inherit(now, entry));
    assert_eq!(full, Err(PublishError::OutboxFull));
}

/// RS-8, AC-3: another user signs in while a page is open and has no connection: messages written
/// before are not sent in their session.
#[test]
fn another_person_in_front_of_the_page_decides() {
    let signed_in = |session: &str, name: &str| Welcome {
        session: credentials(session),
        vouched: Some(Name::tidy(name)),
        ..welcome()
    };
    let mut solo = Solo::new(Config::new(0), Stored::default());
    solo.connect();
    solo.greet(signed_in("s1", "Ada"));
    solo.close(None);
    solo.act(|session, now| session.publish(now, lobby(), "of Ada".into()))
        .unwrap();
    solo.run_to(solo.now + solo.wait());
    solo.forget();
    solo.greet(signed_in("s2", "Bob"));
    let stages: Vec<Stage> = solo.session.outbox().map(|entry| entry.stage).collect();
    assert_eq!(stages, [Stage::Held]);
    let is_publish = |frame: &&ClientFrame| matches!(frame, ClientFrame::Publish { .. });
    assert!(!solo.frames().into_iter().any(|frame| is_publish(&frame)));
    // Bob's own text is sent.
    solo.act(|session, now| session.publish(now, lobby(), "of Bob".into()))
        .unwrap();
    let sent: Vec<_> = solo.frames().into_iter().filter(is_publish).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
}
