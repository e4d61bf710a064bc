//! Heartbeats: which end pings when, and when the other end counts as dead.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use everbeat_protocol::client::{Cause, Config, Event, Network, Status};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::{Beat, ClientFrame, ServerFrame, Welcome};
use everbeat_protocol::heartbeat::SendQueue;
use everbeat_protocol::id::RoomName;
use everbeat_protocol::server;
use everbeat_protocol::time::Timestamp;

use crate::solo::{Desk, Solo, at, millis, offset, secs, view, welcome};
use simulation::link::Way;
use simulation::pair::Pair;

fn publish(solo: &mut Solo) {
    solo.act(|session, now| session.publish(now, RoomName::lobby(), "a".into()))
        .unwrap();
}

/// How long the answer to the ping sent now may take: in between lies the doubt.
fn verdict_in(solo: &mut Solo) -> Duration {
    let asked = solo.now;
    solo.run_to(asked + solo.wait());
    assert_eq!(solo.events.last(), Some(&Event::Doubt { doubtful: true }));
    solo.now - asked + solo.wait()
}

/// HB-1: sent frames prove nothing: a client that sends into a dead link notices as soon as one
/// that is silent would ping.
#[test]
fn sent_frames_prove_nothing() {
    let mut solo = Solo::live(Config {
        answer_within: secs(3600),
        ..Config::new(0)
    });
    for second in 1..=30 {
        solo.run_to(at(second * 1000));
        publish(&mut solo);
    }
    assert_eq!(solo.closes(), [CloseCode::DEAD]);

    let mut desk = Desk::live(server::Config::default());
    for second in 1..=40 {
        desk.run_to(at(second * 1000));
        desk.input(server::Input::GoAway(secs(100).into()));
    }
    assert_eq!(desk.closes(), [CloseCode::DEAD]);
}

/// HB-1: any received frame is an answer to a ping.
#[test]
fn any_received_frame_is_an_answer() {
    let mut solo = Solo::live(Config::new(0));
    solo.run_to(at(0) + solo.wait());
    assert_eq!(solo.pings(), 1);
    solo.run_to(solo.now + millis(4_900));
    solo.frame(ServerFrame::GoAway {
        reconnect_after_ms: 1_000_000,
        elsewhere: None,
        reason: String::new(),
    });
    solo.run_to(solo.now + secs(24));
    assert_eq!(solo.closes(), []);

    let mut desk = Desk::live(server::Config::default());
    desk.run_to(at(28_000));
    desk.input(server::Input::SignOfLife);
    desk.run_to(at(56_000));
    assert_eq!(desk.closes(), []);
}

/// HB-2: the heartbeat's interval and timeout come from `welcome`; the client has none of its own.
#[test]
fn the_numbers_come_from_the_server() {
    for (interval_ms, timeout_ms) in [(25_000, 5_000), (4_000, 700), (600_000, 60_000)] {
        let mut solo = Solo::new(Config::new(0), Default::default());
        solo.connect();
        let heartbeat = Beat {
            interval_ms,
            timeout_ms,
        };
        solo.greet(Welcome {
            heartbeat,
            ..welcome()
        });
        let first = solo.wait();
        assert!(first >= millis(interval_ms / 2) && first <= millis(interval_ms));
        solo.run_to(at(0) + first);
        assert_eq!(verdict_in(&mut solo), millis(timeout_ms));
        solo.frame(ServerFrame::Pong);
        assert_eq!(solo.wait(), millis(interval_ms));
    }
    let config = server::Config {
        heartbeat_interval: secs(10),
        heartbeat_timeout: secs(3),
        ..server::Config::default()
    };
    let mut pair = Pair::with(Config::new(0), config);
    let ada = pair.lobby_page();
    let told = pair.clients[ada]
        .received()
        .find_map(|(_, frame)| match frame {
            ServerFrame::Welcome(welcome) => Some(welcome.heartbeat),
            _ => None,
        });
    assert_eq!(
        told,
        Some(Beat {
            interval_ms: 10_000,
            timeout_ms: 3_000
        })
    );
}

/// HB-3: a ping after one interval without a frame, dead after the timeout; neither comes earlier.
#[test]
fn silence_means_a_ping_and_then_the_end() {
    let mut solo = Solo::live(Config::new(0));
    solo.run_to(at(0) + solo.wait());
    solo.frame(ServerFrame::Pong);
    solo.forget();
    let start = solo.now;
    solo.run_to(start + millis(24_999));
    assert_eq!(solo.pings(), 0);
    solo.run_to(start + secs(25));
    assert_eq!(solo.pings(), 1);
    solo.run_to(start + millis(29_999));
    assert_eq!(solo.closes(), []);
    solo.run_to(start + secs(30));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
    let is_dead = |event: &Event| {
        matches!(
            event,
            Event::Status(Status::Waiting {
                cause: Cause::NoAnswer,
                ..
            })
        )
    };
    assert!(solo.events.iter().any(is_dead));
}

/// HB-3: the first interval of each connection is drawn uniformly from [1/2, 1] of it.
#[test]
fn first_beats_spread_out() {
    let mut quarters = [0; 4];
    for seed in 0..400 {
        let first = Solo::live(Config::new(seed)).wait();
        assert!(first >= millis(12_500) && first <= secs(25), "{first:?}");
        let quarter = (first - millis(12_500)).as_millis() / 3_126;
        quarters[quarter as usize] += 1;
    }
    assert!(
        quarters.iter().all(|count| (60..140).contains(count)),
        "{quarters:?}"
    );
}

/// HB-4: the server pings shortly before an interval is over, and gives up after the timeout.
#[test]
fn in_quiet_the_server_asks() {
    let mut desk = Desk::live(server::Config::default());
    desk.run_to(at(23_749));
    assert_eq!(desk.transmits, []);
    desk.run_to(at(23_750));
    assert_eq!(desk.frames(), [&ServerFrame::Ping]);
    desk.run_to(at(28_749));
    assert_eq!(desk.closes(), []);
    desk.run_to(at(28_750));
    assert_eq!(desk.closes(), [CloseCode::DEAD]);
}

/// HB-4: pings that are due within a hundredth of an interval leave together, none of them early.
#[test]
fn the_server_asks_many_at_once() {
    let mut desk = Desk::live(server::Config::default());
    for (heard, asked) in [
        (1, 24_000),
        (24_249, 48_000),
        (48_250, 72_000),
        (72_251, 96_250),
    ] {
        desk.run_to(at(heard));
        desk.input(server::Input::SignOfLife);
        desk.transmits.clear();
        desk.run_to(at(asked - 1));
        assert_eq!(desk.transmits, []);
        desk.run_to(at(asked));
        assert_eq!(desk.frames(), [&ServerFrame::Ping]);
    }
}

/// Lets time pass as a driver does whose system tells what it holds: so many bytes in all at first, of which the client
/// takes so many a second.
fn run_with_queue(desk: &mut Desk, end: Timestamp, waiting: u64, bytes_per_s: u64) {
    while let Some(due) = desk.machine.poll_timeout().filter(|due| *due <= end) {
        if desk.machine.wants_send_queue(due) {
            let taken = due.since(at(0)).as_secs().saturating_mul(bytes_per_s);
            let taken = taken.min(waiting);
            let waiting = waiting - taken;
            desk.now = due;
            desk.input(server::Input::SendQueue(SendQueue { taken, waiting }));
        }
        desk.run_to(due);
        if !desk.closes().is_empty() {
            return;
        }
    }
    desk.run_to(end);
}

/// HB-4: a client that takes a long replay slowly and says nothing is served until it has taken it, and then as long as
/// one more ping takes; one that takes nothing is closed after the timeout.
#[test]
fn a_slow_reader_is_not_a_silent_one() {
    for (bytes_per_s, closed_at) in [(3_000, 123_750), (0, 28_750)] {
        let mut desk = Desk::live(server::Config::default());
        desk.input(server::Input::GoAway(secs(600).into()));
        run_with_queue(&mut desk, at(300_000), 347_000, bytes_per_s);
        assert_eq!(desk.closes(), [CloseCode::DEAD]);
        assert_eq!(desk.now, at(closed_at), "{bytes_per_s} B/s");
        let is_ping = |frame: &&&ServerFrame| **frame == &ServerFrame::Ping;
        assert_eq!(desk.frames().iter().filter(is_ping).count(), 1);
    }
}

/// HB-4: a page of the tutorial that reads slowly is not a silent one either.
#[test]
fn a_slow_tutorial_page_is_not_a_silent_one() {
    use server::{Tutorial, TutorialInput, TutorialTransmit};
    let mut page = Tutorial::new(at(0), &server::Config::default());
    page.handle_input(at(0), TutorialInput::RoomOpened(Some(view(0))));
    let (through, version) = (offset(9), 1);
    page.handle_input(at(1), TutorialInput::Pulled { through, version });
    let mut queue = SendQueue {
        taken: 0,
        waiting: 9_000,
    };
    let mut transmits = Vec::new();
    while let Some(due) = page.poll_timeout() {
        if page.wants_send_queue(due) {
            queue.taken += queue.waiting.min(3_000);
            queue.waiting -= queue.waiting.min(3_000);
            page.handle_input(due, TutorialInput::SendQueue(queue));
        }
        page.handle_timeout(due);
        transmits.extend(std::iter::from_fn(|| page.poll_transmit()).map(|what| (due, what)));
    }
    let [.., (_, ping), (end, close)] = &transmits[..] else {
        panic!("{transmits:?}");
    };
    assert_eq!(*ping, TutorialTransmit::Ping);
    assert_eq!(*close, TutorialTransmit::Close(CloseCode::DEAD));
    assert_eq!(*end, at(23_750 + 3 * 5_000));
}

/// HB-4: a client whose timers are throttled answers the server's ping at once, and stays.
#[test]
fn a_throttled_client_stays() {
    let mut solo = Solo::live(Config::new(0));
    for minute in 1..=10 {
        solo.now = at(minute * 60_000);
        solo.events.clear();
        solo.frame(ServerFrame::Ping);
        assert_eq!(solo.events, [Event::Beat { rtt: None }]);
        assert_eq!(solo.frames().last(), Some(&&ClientFrame::Pong));
    }
    assert_eq!(solo.closes(), []);
}

fn beats(pair: &Pair, client: usize) -> (usize, usize) {
    let is_ping = |frame: &ClientFrame| matches!(frame, ClientFrame::Ping | ClientFrame::Pong);
    let is_asked = |frame: &ServerFrame| matches!(frame, ServerFrame::Ping | ServerFrame::Pong);
    let machine = &pair.clients[client];
    (
        machine.sent().filter(|(_, f)| is_ping(f)).count(),
        machine.received().filter(|(_, f)| is_asked(f)).count(),
    )
}

/// HB-5: an idle connection costs one exchange an interval.
#[test]
fn an_idle_connection_costs_one_exchange_an_interval() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.run_for(secs(2500));
    let (sent, received) = beats(&pair, ada);
    assert!(
        (100..=106).contains(&sent) && sent == received,
        "{sent}, {received}"
    );
    assert_eq!(
        pair.clients[ada]
            .times(|s| *s == simulation::machine::Step::Open)
            .len(),
        1
    );
}

/// HB-5: a connection with traffic costs none.
#[test]
fn a_connection_with_traffic_costs_none() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    for n in 0..100 {
        pair.publish(ada, &format!("m{n}"));
        pair.run_for(secs(10));
    }
    assert_eq!(beats(&pair, ada), (0, 0));
}

/// HB-6: a client that uses a dead link notices within 3 s; so does one that becomes visible or online.
#[test]
fn a_dead_link_in_use_is_noticed_within_three_seconds() {
    let uses: [fn(&mut Pair, usize); 4] = [
        |pair, ada| {
            pair.publish(ada, "hello?");
        },
        |pair, ada| pair.draft(ada, "hello?"),
        |pair, ada| pair.network(ada, Network::Visible),
        |pair, ada| pair.network(ada, Network::Online),
    ];
    for way in [Way::Up, Way::Down] {
        for (number, act) in uses.into_iter().enumerate() {
            let mut pair = Pair::new();
            let ada = pair.lobby_page();
            pair.run_for(secs(3));
            pair.deaden(ada, way);
            let start = pair.now;
            act(&mut pair, ada);
            pair.run_until("noticed", |pair| !pair.clients[ada].is_live());
            assert!(
                pair.now - start <= secs(3),
                "use {number}: {:?}",
                pair.now - start
            );
        }
    }
}

/// HB-6: an ack is overdue after max(1 s, 4 round trips): slow links are not probed all the time.
#[test]
fn slow_links_are_given_time() {
    for (latency, pings) in [(millis(20), 0), (millis(450), 0), (secs(2), 0)] {
        let mut pair = Pair::new();
        pair.links.latency = latency;
        let ada = pair.lobby_page();
        pair.run_for(secs(2));
        pair.publish(ada, "a");
        pair.run_for(secs(5));
        assert_eq!(
            pair.clients[ada].session.stats().pings,
            pings,
            "{latency:?}"
        );
    }
    let mut solo = Solo::live(Config::new(0));
    publish(&mut solo);
    assert_eq!(solo.wait(), secs(1));
    solo.run_to(at(1_000));
    assert_eq!((solo.pings(), verdict_in(&mut solo)), (1, secs(2)));
}

/// HB-6: a page that becomes visible pings at once, with 2 s for the answer.
#[test]
fn visible_and_online_ask_at_once() {
    for network in [Network::Visible, Network::Online] {
        let mut solo = Solo::live(Config::new(0));
        solo.run_to(at(5_000));
        solo.input(everbeat_protocol::client::Input::Network(network));
        assert_eq!((solo.pings(), verdict_in(&mut solo)), (1, secs(2)));
        solo.frame(ServerFrame::Pong);
        assert_eq!(solo.wait(), secs(25));
    }
}

/// HB-7: a dead connection is dropped at once, and frames that come from it later are ignored.
#[test]
fn the_dead_are_dropped_without_a_handshake() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.stall(ada, Way::Down);
    pair.publish(ada, "a");
    pair.run_until("noticed", |pair| !pair.clients[ada].is_live());
    assert_eq!(pair.clients[ada].closed(), []);
    pair.run_until("live again", |pair| pair.clients[ada].is_live());
    pair.run_for(secs(10));
    assert_eq!(pair.clients[ada].shown(&RoomName::lobby()).bodies(), ["a"]);
}

/// HB-8: a received frame moves no timer: however many come, the next beat is not later than it was.
#[test]
fn received_frames_move_no_armed_timer() {
    let mut solo = Solo::live(Config::new(0));
    let armed = solo.session.poll_timeout().unwrap();
    for second in 1..10 {
        solo.now = at(second * 1000);
        solo.frame(ServerFrame::Pong);
    }
    // The driver kept the timer that it had armed; firing early has no effect and sends no ping.
    solo.jump_to(armed);
    assert_eq!(solo.pings(), 0);
    assert!(solo.session.poll_timeout() > Some(armed));
}

/// HB-9, HB-6: a computer that slept pings before it gives up: a link that survived goes on.
#[test]
fn a_jump_of_the_clock_is_no_verdict() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.run_for(millis(100));
    pair.sleep(ada);
    pair.run_for(secs(20));
    pair.wake(ada);
    pair.run_for(secs(60));
    assert_eq!(
        pair.clients[ada]
            .times(|s| *s == simulation::machine::Step::Open)
            .len(),
        1
    );

    let mut solo = Solo::live(Config::new(0));
    solo.run_to(at(0) + solo.wait());
    let asked = solo.now;
    solo.jump_to(asked + secs(43_200));
    assert_eq!((solo.closes().len(), solo.pings()), (0, 2));
    assert_eq!(verdict_in(&mut solo), secs(2));
    solo.run_to(solo.now + secs(2));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
}

/// HB-9: a driver whose clock stands still or repeats itself does no harm.
#[test]
fn repeated_timeouts_do_no_harm() {
    let mut solo = Solo::live(Config::new(0));
    for _ in 0..100 {
        solo.jump_to(at(0));
    }
    assert_eq!(solo.transmits, []);
    assert!(solo.session.poll_timeout() > Some(Timestamp::ZERO));
}
