//! Reconnects: quick for one client, gentle for a hundred thousand.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use everbeat_protocol::access::Denied;
use everbeat_protocol::client::{Cause, Config, Event, Input, Network, Status, Stored, Transmit};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::{ErrorCode, Refusal, ServerFrame};
use everbeat_protocol::id::RoomName;
use everbeat_protocol::server;

use crate::solo::{Desk, Solo, at, hello, millis, secs};
use simulation::link::Reach;
use simulation::pair::Pair;

/// Closes the present connection and returns how long the client waits.
fn fail(solo: &mut Solo) -> Duration {
    solo.close(None);
    let wait = solo.wait();
    solo.run_to(solo.now + wait);
    wait
}

fn go_away(ms: u64) -> ServerFrame {
    ServerFrame::GoAway {
        reconnect_after_ms: ms,
        elsewhere: None,
        reason: "restarting".into(),
    }
}

/// RC-1: uniform(0, min(10 s, 250 ms * 2^attempt)), drawn after the clamp; the client never gives up.
#[test]
fn full_jitter_after_the_clamp() {
    let mut sums = [Duration::ZERO; 20];
    let mut least = [Duration::MAX; 20];
    const CLIENTS: u32 = 300;
    for seed in 0..CLIENTS {
        let mut solo = Solo::live(Config::new(u64::from(seed)));
        for attempt in 0..20 {
            let wait = fail(&mut solo);
            let ceiling = millis(250 << attempt.min(10)).min(secs(10));
            assert!(wait <= ceiling, "attempt {attempt}: {wait:?}");
            sums[attempt] += wait;
            least[attempt] = least[attempt].min(wait);
        }
    }
    for attempt in 0..20 {
        let ceiling = millis(250 << attempt.min(10)).min(secs(10));
        let mean = sums[attempt] / CLIENTS;
        assert!(
            mean > ceiling.mul_f64(0.42) && mean < ceiling.mul_f64(0.58),
            "{attempt}: {mean:?}"
        );
        assert!(least[attempt] < ceiling.mul_f64(0.05), "{attempt}");
    }
}

/// RC-1: the client never gives up by itself.
#[test]
fn it_never_gives_up() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.crash();
    pair.run_for(secs(24 * 3600));
    pair.restart();
    pair.run_for(secs(11));
    assert!(pair.clients[ada].is_live());
}

/// RC-1, PU-2: a thousand clients of a server that died do not reconnect in step.
#[test]
fn clients_do_not_come_back_in_step() {
    let mut waits: Vec<Duration> = (0..1000)
        .map(|seed| {
            let mut solo = Solo::live(Config::new(seed));
            solo.close(None);
            solo.wait()
        })
        .collect();
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 990);
    assert!(waits[500] > millis(100) && waits[500] < millis(150));
}

fn attempt(solo: &Solo) -> u32 {
    match solo.session.status() {
        Status::Waiting { attempt, .. } => attempt,
        status => panic!("not waiting: {status:?}"),
    }
}

/// RC-2: the attempt counter goes back only after 10 s of being live; an open connection is not enough.
#[test]
fn a_flapping_server_does_not_reset_the_counter() {
    let mut solo = Solo::live(Config::new(0));
    for round in 1..=6 {
        solo.run_to(solo.now + millis(9_999));
        solo.close(None);
        assert_eq!(attempt(&solo), round);
        solo.run_to(solo.now + solo.wait());
        solo.greet(crate::solo::welcome());
    }
    solo.run_to(solo.now + secs(10));
    solo.close(None);
    assert_eq!(attempt(&solo), 1);
    assert!(solo.wait() <= millis(250));
}

/// RC-2, RC-3: restart after restart, in good order: a server that is not there yet at the slot is tried
/// again soon, however often that was so.
#[test]
fn being_sent_away_is_no_failure() {
    let mut solo = Solo::live(Config::new(0));
    for _ in 0..10 {
        solo.run_to(solo.now + secs(1));
        solo.frame(go_away(500));
        solo.close(Some(CloseCode::SERVICE_RESTART));
        solo.run_to(solo.now + millis(500));
        solo.close(None);
        assert_eq!(attempt(&solo), 1);
        assert!(solo.wait() <= millis(250));
        solo.run_to(solo.now + solo.wait());
        solo.greet(crate::solo::welcome());
    }
}

/// RC-3: the client obeys its slot: it stays until then, and reconnects then, neither earlier nor
/// with a delay of its own.
#[test]
fn the_slot_is_obeyed() {
    for closes_early in [false, true] {
        let mut solo = Solo::live(Config::new(0));
        solo.run_to(at(1_000));
        solo.frame(go_away(7_000));
        if closes_early {
            solo.run_to(at(3_000));
            solo.close(Some(CloseCode::SERVICE_RESTART));
        }
        // Neither a visible page nor a network that is back shortens the wait.
        for network in [Network::Visible, Network::Online] {
            solo.input(Input::Network(network));
            solo.frame(ServerFrame::Pong);
        }
        solo.run_to(at(7_999));
        assert_eq!(solo.opens(), 0);
        solo.run_to(at(8_000));
        assert_eq!((solo.opens(), solo.now), (1, at(8_000)));
    }
}

/// RC-3: being offline for a moment neither shortens the wait for the slot nor stretches it.
#[test]
fn being_offline_does_not_move_the_slot() {
    for slot_ms in [5_000, 60_000] {
        let mut solo = Solo::live(Config::new(0));
        solo.frame(go_away(slot_ms));
        solo.close(Some(CloseCode::SERVICE_RESTART));
        solo.input(Input::Network(Network::Offline));
        solo.run_to(at(1_000));
        solo.input(Input::Network(Network::Online));
        solo.run_to(at(slot_ms - 1));
        assert_eq!(solo.opens(), 0, "slot {slot_ms}");
        solo.run_to(at(slot_ms));
        assert_eq!(solo.opens(), 1, "slot {slot_ms}");
    }
}

/// RC-4: a change of what the browser says of the network is reported, also where the
/// wait itself stays as it is.
#[test]
fn being_offline_is_told() {
    let mut solo = Solo::live(Config::new(0));
    solo.frame(go_away(60_000));
    solo.close(Some(CloseCode::SERVICE_RESTART));
    for network in [Network::Offline, Network::Online] {
        solo.forget();
        solo.input(Input::Network(network));
        let told = Event::Status(solo.session.status());
        assert!(
            solo.events.contains(&told),
            "{network:?}: {:?}",
            solo.events
        );
    }
}

/// RC-3: a drain spreads the clients over its window, and loses nothing.
#[test]
fn a_drain_loses_nothing() {
    let mut pair = Pair::new();
    let clients: Vec<usize> = (0..5).map(|_| pair.lobby_page()).collect();
    for (n, client) in clients.iter().enumerate() {
        let reconnect_after = secs(2 + n as u64);
        pair.tell_server(*client, server::Input::GoAway(reconnect_after.into()));
        pair.publish(*client, &format!("m{n}"));
    }
    pair.run_for(secs(1));
    for client in &clients {
        pair.tell_server(*client, server::Input::Shutdown);
    }
    pair.run_for(secs(1));
    pair.crash();
    pair.restart();
    pair.run_for(secs(10));
    let mut opened = Vec::new();
    for client in &clients {
        let machine = &pair.clients[*client];
        assert_eq!(machine.closed(), [Some(CloseCode::SERVICE_RESTART)]);
        assert_eq!(machine.shown(&RoomName::lobby()).bodies().len(), 5);
        opened.push(machine.times(|step| *step == simulation::machine::Step::Open)[1]);
    }
    assert!(
        opened
            .windows(2)
            .all(|pair| pair[1] - pair[0] >= millis(990)),
        "{opened:?}"
    );
}

/// RC-4: offline, the client tries every 30 s.
#[test]
fn offline_tries_every_thirty_seconds() {
    let mut solo = Solo::live(Config::new(0));
    solo.input(Input::Network(Network::Offline));
    assert_eq!(fail(&mut solo), secs(30));
    assert_eq!(fail(&mut solo), secs(30));
    assert!(matches!(solo.session.status(), Status::Connecting));

    // Offline while it waits already: it waits longer.
    let mut solo = Solo::live(Config::new(0));
    solo.close(None);
    solo.input(Input::Network(Network::Offline));
    assert_eq!(solo.wait(), secs(30));
}

/// RC-4: the browser's report is not reliable: a link that lives is kept while "offline".
#[test]
fn offline_is_only_a_hint() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.network(ada, Network::Offline);
    let id = pair.publish(ada, "still here");
    pair.run_for(secs(120));
    assert!(pair.clients[ada].is_durable(id));
    assert_eq!(pair.clients[ada].closed(), []);
}

/// RC-4: online or visible: the client tries at once, after at most 500 ms of jitter, which is drawn.
#[test]
fn online_and_visible_try_at_once() {
    for network in [Network::Online, Network::Visible] {
        let mut waits = Vec::new();
        for seed in 0..100 {
            let mut solo = Solo::live(Config::new(seed));
            solo.input(Input::Network(Network::Offline));
            solo.close(None);
            solo.run_to(at(10_000));
            solo.input(Input::Network(network));
            assert!(solo.wait() <= millis(500));
            waits.push(solo.wait());
        }
        assert!(waits.iter().max() > Some(&millis(400)));
        assert!(waits.iter().min() < Some(&millis(100)));
    }
}

/// RC-4: a return of network or visibility never makes a wait longer.
#[test]
fn a_shorter_wait_stays() {
    for seed in 0..50 {
        let mut solo = Solo::live(Config::new(seed));
        solo.close(None);
        let due = solo.session.poll_timeout();
        solo.input(Input::Network(Network::Visible));
        assert!(solo.session.poll_timeout() <= due);
    }
}

/// RC-5: connecting has 10 s, `welcome` has 10 s; then the next try follows.
#[test]
fn connecting_has_a_deadline() {
    let mut solo = Solo::new(Config::new(0), Default::default());
    solo.connect();
    solo.run_to(at(9_999));
    assert_eq!(solo.closes(), []);
    solo.run_to(at(10_000));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);

    let mut solo = Solo::new(Config::new(0), Default::default());
    solo.connect();
    solo.input(Input::Opened { id: solo.id });
    solo.run_to(at(10_000));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);

    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.reach(Reach::BlackHole);
    pair.half_open(ada);
    pair.run_for(secs(120));
    assert!(
        pair.clients[ada]
            .times(|s| *s == simulation::machine::Step::Open)
            .len()
            >= 4
    );
    pair.reach(Reach::Open);
    pair.run_until("live", |pair| pair.clients[ada].is_live());
}

/// RC-6: a frozen page drops its connection at once and reconnects as after any other loss.
#[test]
fn a_frozen_page_is_a_lost_connection() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    pair.network(bob, Network::Frozen);
    let cause = match pair.clients[bob].session.status() {
        Status::Waiting { cause, .. } => cause,
        status => panic!("not waiting: {status:?}"),
    };
    assert_eq!(cause, Cause::Frozen);
    pair.sleep(bob);
    pair.publish(ada, "while it slept");
    pair.run_for(secs(600));
    assert_eq!(pair.world.members(&RoomName::lobby()).len(), 1);
    pair.wake(bob);
    pair.network(bob, Network::Visible);
    pair.run_for(secs(2));
    assert_eq!(
        pair.clients[bob].shown(&RoomName::lobby()).bodies(),
        ["while it slept"]
    );
    assert_eq!(pair.clients[bob].shown(&RoomName::lobby()).gaps, 0);
}

/// RC-1: the user's wish comes first: `connect` tries at once, `disconnect` stays away.
#[test]
fn a_person_decides() {
    let mut solo = Solo::live(Config::new(0));
    solo.close(Some(CloseCode::UNSUPPORTED));
    assert_eq!(solo.session.poll_timeout(), None);
    solo.connect();
    assert_eq!(solo.opens(), 1);
    solo.act(|session, now| session.disconnect(now));
    assert_eq!(solo.closes(), [CloseCode::NORMAL]);
    assert_eq!(solo.session.poll_timeout(), None);
    assert!(
        !solo
            .transmits
            .iter()
            .any(|t| matches!(t, Transmit::Store(_)))
    );
}

/// RC-7: a client that is refused because too many come at once reconnects in its slot, whatever happens
/// meanwhile.
#[test]
fn a_busy_server_gives_slots() {
    let mut solo = Solo::new(Config::new(0), Stored::default());
    solo.connect();
    let id = solo.id;
    solo.input(Input::Opened { id });
    solo.frame(ServerFrame::Error(Refusal {
        code: ErrorCode::Busy,
        message: String::new(),
        seq: None,
        unsettled: None,
        room: None,
        retry_after_ms: Some(7_000),
    }));
    solo.close(Some(CloseCode::TRY_AGAIN_LATER));
    solo.input(Input::Network(Network::Visible));
    assert_eq!(solo.wait(), secs(7));
    assert!(
        solo.events
            .iter()
            .all(|event| !matches!(event, Event::Refused(_)))
    );

    let mut desk = Desk::new(server::Config::default());
    desk.frame(hello());
    let busy = Denied::Busy(secs(7));
    desk.input(server::Input::Admitted(Err(busy)));
    assert!(matches!(
        desk.frames()[..],
        [ServerFrame::Error(Refusal {
            code: ErrorCode::Busy,
            retry_after_ms: Some(7_001),
            ..
        })]
    ));
    assert_eq!(desk.closes(), [CloseCode::TRY_AGAIN_LATER]);
}
