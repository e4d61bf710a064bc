//! Nothing lost and nothing doubled across connections, pages and servers.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::{Event, Fate, Stored};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::ClientFrame;
use everbeat_protocol::id::SessionId;
use everbeat_protocol::outbox::Stage;
use everbeat_protocol::position::{Epoch, Offset, Position};
use everbeat_protocol::server::{Config, Input, Transmit};

use crate::solo::{Desk, lobby, millis, offset, secs, seen, view};
use simulation::link::Way;
use simulation::pair::Pair;

/// RS-3: durable messages leave the outbox at `welcome`, though their acks were lost.
#[test]
fn welcome_settles_what_is_durable() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.stall(ada, Way::Down);
    let ids = ["a", "b", "c"].map(|body| pair.publish(ada, body));
    pair.run_for(millis(500));
    assert_eq!(pair.world.log.bodies(&lobby()), ["a", "b", "c"]);
    assert!(
        ids.iter()
            .all(|id| pair.clients[ada].fate(*id) == Some(Fate::Sent))
    );
    pair.cut(ada);
    pair.run_for(secs(20));
    assert!(ids.iter().all(|id| pair.clients[ada].is_durable(*id)));
    assert_eq!(pair.clients[ada].published(), [1, 2, 3]);
    assert_eq!(seen(&pair, ada), ["a", "b", "c"]);
}

/// RS-3: messages that are not durable are sent again, in order, with their old numbers.
#[test]
fn the_rest_is_sent_again_with_its_numbers() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.publish(ada, "a");
    pair.run_for(millis(500));
    pair.deaden(ada, Way::Up);
    for body in ["b", "c"] {
        pair.publish(ada, body);
    }
    pair.run_for(millis(500));
    pair.cut(ada);
    pair.run_for(secs(20));
    assert_eq!(pair.clients[ada].published(), [1, 2, 3, 2, 3]);
    assert_eq!(pair.world.log.bodies(&lobby()), ["a", "b", "c"]);
}

/// RS-3, EO-4: a page that publishes before its `welcome` gives no number that was used before it
/// was loaded, and loses nothing.
#[test]
fn publishing_before_welcome_after_a_reload_loses_nothing() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    for body in ["a", "b", "c"] {
        pair.publish(ada, body);
    }
    pair.run_for(secs(1));
    let again = pair.reload(ada);
    pair.join(again, &lobby(), None);
    let early = [pair.publish(again, "d"), pair.publish(again, "e")];
    pair.connect(again);
    pair.run_for(secs(20));
    assert_eq!(pair.world.log.bodies(&lobby()), ["a", "b", "c", "d", "e"]);
    assert!(early.iter().all(|id| pair.clients[again].is_durable(*id)));
    assert_eq!(pair.clients[again].published(), [4, 5]);
}

/// RS-3, EO-4: numbers given before `welcome` are stored as they were corrected: one more reload in
/// the middle keeps the order.
#[test]
fn corrected_numbers_are_stored() {
    let mut pair = Pair::new();
    pair.client_config.window = 1;
    let ada = pair.lobby_page();
    pair.publish(ada, "a");
    pair.run_for(secs(1));
    let second = pair.reload(ada);
    for body in ["b", "c"] {
        pair.publish(second, body);
    }
    pair.connect(second);
    pair.run_until("live", |pair| pair.clients[second].is_live());
    let third = pair.reload(second);
    pair.connect(third);
    pair.run_for(secs(20));
    assert_eq!(pair.world.log.bodies(&lobby()), ["a", "b", "c"]);
}

/// RS-5: after a reconnect all messages since come, once and in order, then the live ones follow,
/// whenever the link breaks.
#[test]
fn replay_and_live_meet_without_seam() {
    for cut_at in 0..80 {
        let mut pair = Pair::new();
        let ada = pair.lobby_page();
        let bob = pair.lobby_page();
        let mut sent = Vec::new();
        for n in 0..60 {
            if n * 4 == cut_at * 2 {
                pair.cut(bob);
            }
            sent.push(format!("m{n}"));
            pair.publish(ada, &sent[n as usize]);
            pair.run_for(millis(7));
        }
        pair.run_for(secs(30));
        assert_eq!(seen(&pair, bob), sent, "cut at {cut_at}");
        assert_eq!(pair.clients[bob].shown(&lobby()).gaps, 0);
    }
}

/// RS-5, HB-6: a link that only pauses goes on where it was, or is replaced; either way nothing is lost.
#[test]
fn a_link_that_pauses_loses_nothing() {
    for pause in [millis(500), millis(1_500), secs(4), secs(40)] {
        for way in [Way::Up, Way::Down] {
            let mut pair = Pair::new();
            let (ada, bob) = (pair.lobby_page(), pair.lobby_page());
            pair.stall(bob, way);
            pair.publish(ada, "from ada");
            pair.publish(bob, "from bob");
            pair.run_for(pause);
            pair.unstall(bob, way);
            pair.run_for(secs(60));
            for client in [ada, bob] {
                let mut bodies = seen(&pair, client);
                bodies.sort_unstable();
                assert_eq!(bodies, ["from ada", "from bob"], "{pause:?} {way:?}");
            }
        }
    }
}

/// RS-5: a replay longer than one pull comes whole, and asks for no message twice.
#[test]
fn a_long_replay_comes_whole() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    pair.publish(ada, "first");
    pair.run_for(secs(1));
    pair.half_open(bob);
    for n in 0..200 {
        pair.publish(ada, &format!("m{n}"));
    }
    pair.run_for(secs(90));
    assert_eq!(seen(&pair, bob).len(), 201);
    let since = last_join(&pair, bob).unwrap();
    assert_eq!(since.offset, offset(1));
    assert_eq!(pair.clients[bob].session.stats().repeated_messages, 0);
}

fn last_join(pair: &Pair, client: usize) -> Option<Position> {
    let since = |frame: &ClientFrame| match frame {
        ClientFrame::Join { since, .. } => since.clone(),
        _ => None,
    };
    pair.clients[client]
        .sent()
        .filter_map(|(_, f)| since(f))
        .last()
}

/// RS-5: nothing is lost when the server is killed.
#[test]
fn a_killed_server_loses_nothing() {
    let mut pair = Pair::new();
    pair.world.log.commit_latency = millis(50);
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    let mut sent = Vec::new();
    for n in 0..40 {
        sent.push(format!("m{n}"));
        pair.publish(ada, &sent[n]);
        pair.run_for(millis(10));
        if n % 13 == 5 {
            pair.crash();
            pair.run_for(millis(700));
            pair.restart();
        }
    }
    pair.run_for(secs(60));
    assert_eq!(pair.world.log.bodies(&lobby()), sent);
    assert_eq!(seen(&pair, bob), sent);
    assert_eq!(pair.clients[bob].shown(&lobby()).gaps, 0);
    assert!(pair.clients[ada].storage.outbox.is_empty());
}

/// RS-5: a log that cannot be read for a while delays a replay. The reader gets no gap, and the
/// log is asked again after a wait, not at once.
#[test]
fn a_replay_waits_for_a_log_that_cannot_be_read() {
    let config = Config::default();
    let retry = config.unavailable_retry;
    let mut desk = Desk::live(config);
    desk.frame(ClientFrame::Join {
        room: lobby(),
        since: Some(Position {
            epoch: Epoch::new("e"),
            offset: Offset::ZERO,
        }),
        limit: None,
    });
    desk.enter(view(3));
    let pulls = |desk: &Desk| {
        let is_pull = |transmit: &&Transmit| matches!(transmit, Transmit::Pull { .. });
        desk.transmits.iter().filter(is_pull).count()
    };
    assert_eq!(pulls(&desk), 1);
    let asked = desk.now;
    desk.input(Input::PullFailed {
        id: desk.asked,
        room: lobby(),
    });
    // News of the room is no reason to ask sooner.
    desk.input(Input::RoomMoved {
        room: lobby(),
        head: offset(4),
        version: 1,
    });
    desk.run_to(asked + (retry - millis(1)));
    assert_eq!((pulls(&desk), desk.frames().len()), (1, 1), "joined, once");
    desk.run_to(asked + retry);
    assert_eq!(pulls(&desk), 2);
    desk.input(Input::Pulled {
        id: desk.asked,
        room: lobby(),
        through: offset(4),
        version: 1,
    });
    desk.run_to(asked + retry * 3);
    assert_eq!((pulls(&desk), desk.frames().len()), (2, 1));
}

/// RS-7: a page joins from the position of its snapshot: nothing between the page and the socket is
/// lost, nothing that it shows already comes again.
#[test]
fn joining_from_the_position_of_the_snapshot() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    for body in ["in the page", "also there"] {
        pair.publish(ada, body);
    }
    pair.run_for(secs(1));
    let (epoch, head, _) = pair.world.log.state(&lobby());
    pair.publish(ada, "between");
    pair.run_for(secs(1));
    let bob = pair.page(Stored::default());
    pair.join(
        bob,
        &lobby(),
        Some(Position {
            epoch,
            offset: head,
        }),
    );
    pair.connect(bob);
    pair.run_for(millis(30));
    pair.publish(ada, "after");
    pair.run_for(secs(1));
    assert_eq!(seen(&pair, bob), ["between", "after"]);
    assert_eq!(pair.clients[bob].shown(&lobby()).gaps, 0);
}

/// RS-8: a page that starts without storage has a session and numbers of its own.
#[test]
fn a_page_without_storage_has_a_session_of_its_own() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.half_open(ada);
    pair.publish(ada, "waiting");
    let copy = pair.lobby_page();
    assert_ne!(
        pair.clients[copy].session.id(),
        pair.clients[ada].session.id()
    );
    assert_eq!(pair.clients[copy].session.outbox().count(), 0);
    pair.publish(copy, "mine");
    pair.run_for(secs(60));
    assert_eq!(pair.world.log.bodies(&lobby()), ["mine", "waiting"]);
    assert_eq!(pair.clients[copy].published(), [1]);
}

/// RS-9: a session cannot be resumed: unsent messages are numbered anew and sent, sent ones are uncertain until
/// the user decides.
#[test]
fn a_lost_session_guesses_nothing() {
    let mut pair = Pair::new();
    pair.client_config.window = 2;
    let ada = pair.lobby_page();
    pair.publish(ada, "durable");
    pair.run_for(secs(1));
    pair.deaden(ada, Way::Up);
    let ids = ["sent 1", "sent 2", "unsent 1", "unsent 2"].map(|body| pair.publish(ada, body));
    let session = pair.clients[ada].session.id().cloned().unwrap();
    pair.world.log.forget(&session);
    pair.run_for(secs(20));
    let fates = ids.map(|id| pair.clients[ada].fate(id).unwrap());
    assert_eq!(fates[..2], [Fate::Uncertain, Fate::Uncertain]);
    assert!(pair.clients[ada].is_durable(ids[2]) && pair.clients[ada].is_durable(ids[3]));
    assert_eq!(
        pair.world.log.bodies(&lobby()),
        ["durable", "unsent 1", "unsent 2"]
    );
    assert_ne!(pair.clients[ada].session.id(), Some(&session));

    // They are still uncertain on the next page.
    let again = pair.reload(ada);
    let stages: Vec<Stage> = pair.clients[again]
        .session
        .outbox()
        .map(|e| e.stage)
        .collect();
    assert_eq!(stages, [Stage::Uncertain, Stage::Uncertain]);
    pair.connect(again);
    pair.run_for(secs(20));
    pair.command(again, |session, now| session.send_again(now, ids[0]));
    pair.command(again, |session, now| session.discard(now, ids[1]));
    pair.run_for(secs(20));
    let expected = ["durable", "unsent 1", "unsent 2", "sent 1"];
    assert_eq!(pair.world.log.bodies(&lobby()), expected);
    assert!(pair.clients[again].storage.outbox.is_empty());
}

/// RS-9: a session that expires while it is in use ends with a code of the fresh range.
#[test]
fn a_session_that_expires_in_use_is_replaced() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let session = pair.clients[ada].session.id().cloned().unwrap();
    pair.world.log.forget(&session);
    let id = pair.publish(ada, "a");
    pair.run_for(secs(20));
    assert_eq!(pair.clients[ada].closed(), [Some(CloseCode::SESSION_GONE)]);
    assert_eq!(pair.clients[ada].fate(id), Some(Fate::Uncertain));
    assert!(pair.clients[ada].is_live());
    let fresh = |event: &Event| matches!(event, Event::Welcomed { resumed: false, .. });
    assert_eq!(
        pair.clients[ada]
            .events
            .iter()
            .filter(|(_, e)| fresh(e))
            .count(),
        2
    );
}

/// RS-3, RS-9: an older copy of the log cannot continue the session: no number follows a hole.
#[test]
fn an_older_copy_of_the_log_leads_to_a_fresh_session() {
    use crate::solo::{Solo, credentials, welcome};
    let mut solo = Solo::live(everbeat_protocol::client::Config::new(0));
    for body in ["a", "b", "c"] {
        solo.act(|session, now| session.publish(now, lobby(), body.into()))
            .unwrap();
    }
    solo.frame(everbeat_protocol::frame::ServerFrame::Ack {
        seq: everbeat_protocol::id::Seq::FIRST,
        room: lobby(),
        offset: offset(1),
    });
    solo.close(None);
    solo.run_to(solo.now + solo.wait());
    solo.greet(everbeat_protocol::frame::Welcome {
        session: credentials("s1"),
        resumed: true,
        last_seq: 0,
        ..welcome()
    });
    assert_eq!(solo.session.id(), None::<&SessionId>);
    let stages: Vec<Stage> = solo.session.outbox().map(|e| e.stage).collect();
    assert_eq!(stages, [Stage::Uncertain, Stage::Uncertain]);
    assert_eq!(solo.closes(), [CloseCode::NORMAL]);
}
