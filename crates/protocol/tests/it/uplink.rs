//! Slow lines: what a client sends ahead of its answers, and what it takes for a dead link.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::{Config, Input};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::codec::encode;
use everbeat_protocol::frame::{ClientFrame, ErrorCode, Message, Refusal, ServerFrame};
use everbeat_protocol::id::Seq;
use simulation::link::Way;
use simulation::machine::Step;
use simulation::pair::Pair;

use crate::solo::{Solo, at, joined, lobby, millis, offset, removed, secs, welcome};

/// The bytes of the drafts that a page sent, and how many there were.
fn drafts(pair: &Pair, client: usize) -> (usize, usize) {
    let drafts = pair.clients[client].sent();
    let drafts = drafts.filter(|(_, frame)| matches!(frame, ClientFrame::Draft { .. }));
    drafts.fold((0, 0), |(bytes, count), (_, frame)| {
        (bytes + encode(frame).len(), count + 1)
    })
}

/// A user with 2,000 characters in the box types ten more a second for 20 s.
fn type_on(pair: &mut Pair, client: usize) {
    let mut text = "x".repeat(2_000);
    for _ in 0..200 {
        text.push('y');
        pair.draft(client, &text);
        pair.run_for(millis(100));
    }
    pair.run_for(secs(10));
    let author = pair.clients[client].session.id().unwrap().clone();
    let other = pair.clients.len() - 1;
    let seen = pair.clients[other].shown(&lobby()).drafts();
    assert_eq!(seen.get(&author), Some(&text), "the latest arrives");
}

/// PR-2, HB-6: on a healthy line of 32 kbit/s, of 96, and on a quick one, however much of what is sent lies
/// in invisible buffers, a client whose user types a long text is not taken for dead, and its drafts take at
/// most a share of what the line carries.
#[test]
fn a_long_draft_leaves_room_on_a_slow_line() {
    for (bytes_per_s, share) in [(4_000, 30_000), (12_000, 90_000)] {
        for hidden in [0, 64 * 1024, u64::MAX] {
            let mut pair = Pair::new();
            pair.links.up_bytes_per_s = Some(bytes_per_s);
            pair.links.hidden_bytes = hidden;
            let ada = pair.lobby_page();
            pair.links.up_bytes_per_s = None;
            pair.lobby_page();
            type_on(&mut pair, ada);
            let (bytes, count) = drafts(&pair, ada);
            assert!(bytes <= share, "{bytes} bytes at {bytes_per_s} a second");
            assert!(count >= 8, "{count} drafts at {bytes_per_s} a second");
            assert_eq!(pair.clients[ada].times(|step| *step == Step::Open).len(), 1);
        }
    }
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.lobby_page();
    type_on(&mut pair, ada);
    assert!(drafts(&pair, ada).1 >= 150, "a quick line shows each key");
}

/// HB-5: short drafts need no pings on a quick line that answers by other frames.
#[test]
fn short_drafts_ask_nothing() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    for key in 1..200 {
        for page in [ada, bob] {
            pair.draft(page, &"x".repeat(key % 50));
        }
        pair.run_for(millis(100));
    }
    assert_eq!(pair.clients[ada].session.stats().pings, 0);
    assert!(drafts(&pair, ada).1 > 150);
}

/// EO-1, EO-5, HB-6: a full outbox goes out over a line of 32 kbit/s without a reconnect, each message once; a
/// message is not behind more than a window.
#[test]
fn an_outbox_passes_a_slow_line() {
    let mut pair = Pair::new();
    pair.links.up_bytes_per_s = Some(4_000);
    pair.links.hidden_bytes = u64::MAX;
    let ada = pair.lobby_page();
    let bodies: Vec<String> = (0..30)
        .map(|n| format!("{n} {}", "x".repeat(4_000)))
        .collect();
    let ids: Vec<_> = bodies.iter().map(|body| pair.publish(ada, body)).collect();
    pair.run_for(secs(60));
    assert!(ids.iter().all(|id| pair.clients[ada].is_durable(*id)));
    assert_eq!(pair.world.log.bodies(&lobby()), bodies);
    assert_eq!(pair.clients[ada].times(|step| *step == Step::Open).len(), 1);
    let published = pair.clients[ada].published();
    assert_eq!(published, Vec::from_iter(1..=30), "none is sent twice");
}

/// HB-6: a link that dies while much is in flight is noticed within 3 s, plus the time that a line of 24
/// kbit/s needs for what was sent and did not arrive.
#[test]
fn a_dead_link_is_noticed_behind_a_backlog() {
    for way in [Way::Up, Way::Down] {
        let mut pair = Pair::new();
        let ada = pair.lobby_page();
        pair.run_for(secs(1));
        pair.deaden(ada, way);
        let start = pair.now;
        for n in 0..20 {
            pair.publish(ada, &format!("{n} {}", "x".repeat(2_000)));
        }
        pair.run_until("noticed", |pair| !pair.clients[ada].is_live());
        let took = pair.now - start;
        assert!(took >= secs(3) && took <= secs(3 + 4), "{took:?}");
    }
}

/// A page of the lobby, with a message of so many bytes.
fn page(bytes: usize) -> ServerFrame {
    ServerFrame::History {
        room: lobby(),
        messages: vec![Message {
            body: "x".repeat(bytes),
            ..removed(1)
        }],
        more: false,
    }
}

fn ask_for_a_page(solo: &mut Solo) {
    solo.act(|session, now| session.history(now, lobby(), offset(100), 50));
}

/// HB-6: a page of history of 256 KiB comes over a line of 30,000 bytes a second, whatever the client does meanwhile,
/// and neither asking for it nor waiting for it ends the connection.
#[test]
fn a_page_of_history_passes_a_slow_line() {
    for quiet in 0..26 {
        for publishes in [false, true] {
            let mut pair = Pair::new();
            let bob = pair.lobby_page();
            for n in 0..31 {
                pair.publish(bob, &format!("{n} {}", "x".repeat(8_100)));
            }
            pair.run_for(secs(10));
            pair.links.down_bytes_per_s = Some(30_000);
            let ada = pair.lobby_page();
            pair.run_for(secs(30));
            pair.run_for(secs(quiet));
            let start = pair.now;
            pair.command(ada, |session, now| {
                session.history(now, lobby(), offset(32), 50);
            });
            if publishes {
                pair.publish(ada, "meanwhile");
            }
            let is_page =
                |(_, frame): &(_, &ServerFrame)| matches!(frame, ServerFrame::History { .. });
            pair.run_until("a page", |pair| {
                pair.clients[ada].received().any(|it| is_page(&it))
            });
            assert!(pair.now - start > secs(8), "{:?}", pair.now - start);
            pair.run_for(secs(5));
            assert_eq!(pair.clients[ada].times(|step| *step == Step::Open).len(), 1);
        }
    }
}

/// HB-6: asking for a page is no use of the link: there is no probe. A link on which it never comes is dead half a minute
/// after the request, if it was probed meanwhile; a ping before the request is not put off.
#[test]
fn a_page_that_never_comes_is_noticed() {
    let mut solo = in_the_lobby(Config::new(0));
    let quiet = solo.wait();
    ask_for_a_page(&mut solo);
    assert_eq!(solo.wait(), quiet, "no probe");
    draft(&mut solo, 10);
    solo.run_to(solo.now + secs(1));
    assert_eq!(solo.pings(), 1);
    solo.run_to(at(29_999));
    assert_eq!((solo.pings(), solo.closes().len()), (1, 0));
    solo.run_to(at(30_000));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);

    let mut solo = in_the_lobby(Config::new(0));
    solo.run_to(solo.now + solo.wait());
    assert_eq!(solo.pings(), 1);
    let asked = solo.now;
    solo.run_to(asked + secs(4));
    ask_for_a_page(&mut solo);
    solo.run_to(asked + secs(5));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
}

/// HB-6: once the page came, or was refused, or one of two that were owed, a verdict falls as ever; the second page has
/// its own time.
#[test]
fn what_came_is_owed_no_more() {
    let refusal = |code| {
        let room = Some(lobby());
        ServerFrame::Error(Refusal {
            room,
            ..Refusal::new(code)
        })
    };
    for answer in [
        page(10),
        refusal(ErrorCode::Unavailable),
        refusal(ErrorCode::ReadDenied),
    ] {
        let mut solo = in_the_lobby(Config::new(0));
        ask_for_a_page(&mut solo);
        solo.run_to(at(2_000));
        solo.frame(answer.clone());
        solo.act(|session, now| session.publish(now, lobby(), "a".into()))
            .unwrap();
        solo.run_to(at(5_000));
        assert_eq!(solo.closes(), [CloseCode::DEAD], "{answer:?}");
    }
    let mut solo = in_the_lobby(Config::new(0));
    ask_for_a_page(&mut solo);
    ask_for_a_page(&mut solo);
    solo.run_to(at(2_000));
    solo.frame(page(10));
    draft(&mut solo, 10);
    solo.run_to(at(31_999));
    assert_eq!(solo.closes(), []);
    solo.run_to(at(32_000));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
    // On the next connection nothing is owed.
    solo.run_to(at(40_000));
    solo.greet(welcome());
    solo.forget();
    let start = solo.now;
    draft(&mut solo, 20);
    solo.run_to(start + secs(4));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
}

fn in_the_lobby(config: Config) -> Solo {
    let mut solo = Solo::live(config);
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.frame(ServerFrame::Joined(joined(0, 0)));
    solo.forget();
    solo
}

fn draft(solo: &mut Solo, bytes: usize) {
    let body = "x".repeat(bytes);
    solo.act(|session, now| session.draft(now, &lobby(), body));
}

fn sent(solo: &Solo) -> Vec<&'static str> {
    let kind = |frame: &&ClientFrame| match frame {
        ClientFrame::Draft { .. } => "draft",
        ClientFrame::Publish { .. } => "publish",
        ClientFrame::Ping => "ping",
        _ => "other",
    };
    solo.frames().iter().map(kind).collect()
}

/// PR-2: a ping follows a large draft, and the next draft waits for the answer: meanwhile the
/// latest wins. After a slow answer drafts leave the line to others three times as long.
#[test]
fn drafts_wait_for_the_one_before() {
    let mut solo = in_the_lobby(Config::new(0));
    draft(&mut solo, 2_500);
    assert_eq!(sent(&solo), ["draft", "ping"]);
    solo.run_to(solo.now + millis(400));
    draft(&mut solo, 2_501);
    draft(&mut solo, 2_502);
    assert_eq!(sent(&solo), ["draft", "ping"]);
    solo.frame(ServerFrame::Pong);
    solo.run_to(solo.now + millis(1_190));
    assert_eq!(sent(&solo), ["draft", "ping"]);
    solo.run_to(solo.now + millis(20));
    assert_eq!(sent(&solo), ["draft", "ping", "draft", "ping"]);
    let is_latest = |frame: &&ClientFrame| matches!(frame, ClientFrame::Draft { body, .. } if body.len() == 2_502);
    assert_eq!(solo.frames().into_iter().filter(is_latest).count(), 1);
    assert_eq!(solo.closes(), []);
}

/// PR-2: drafts wait while the socket holds much of what was sent, and go on by the machine's own timer, as
/// no event tells that it holds less. What another connection holds does not count (PU-3).
#[test]
fn drafts_wait_for_the_socket() {
    let mut solo = in_the_lobby(Config::new(0));
    let id = solo.id;
    let bytes = 50_000;
    solo.input(Input::Buffered { id, bytes });
    draft(&mut solo, 10);
    assert!(sent(&solo).is_empty());
    assert!(solo.wait() <= millis(250));
    solo.run_to(solo.now + millis(900));
    assert!(sent(&solo).is_empty());
    let stale = solo.session.stats().stale_inputs;
    let id = everbeat_protocol::id::ConnectionId::new(99);
    solo.input(Input::Buffered { id, bytes: 0 });
    assert_eq!(solo.session.stats().stale_inputs, stale + 1);
    assert!(sent(&solo).is_empty());
    let id = solo.id;
    solo.input(Input::Buffered { id, bytes: 0 });
    assert_eq!(sent(&solo), ["draft"]);
}

/// HB-6: while the socket still hands on sent bytes, a ping that may be among them is not overdue; once it
/// hands on nothing more, the link is dead after a probe's timeout.
#[test]
fn what_leaves_the_socket_is_no_silence() {
    let mut solo = in_the_lobby(Config::new(0));
    let id = solo.id;
    draft(&mut solo, 10);
    for step in 1..=20 {
        solo.run_to(solo.now + millis(900));
        let bytes = 22_000 - 1_000 * step;
        solo.input(Input::Buffered { id, bytes });
        assert_eq!(solo.closes(), [], "step {step}");
    }
    let last = solo.now;
    while solo.closes().is_empty() {
        solo.run_to(solo.now + millis(100));
    }
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
    assert!(solo.now - last <= secs(3), "{:?}", solo.now - last);
}

/// HB-6: bytes sent after a ping do not put it off by leaving the socket: the buffers of a dead link take them,
/// too. A client that types into one notices within 3 s.
#[test]
fn what_leaves_after_a_ping_proves_nothing() {
    let mut solo = in_the_lobby(Config::new(0));
    let id = solo.id;
    let start = solo.now;
    for key in 1..=100 {
        draft(&mut solo, key % 10);
        for bytes in [100, 0] {
            solo.input(Input::Buffered { id, bytes });
        }
        solo.run_to(solo.now + millis(50));
        if !solo.closes().is_empty() {
            break;
        }
    }
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
    assert!(solo.now - start <= millis(3_500), "{:?}", solo.now - start);
}

/// PU-4: messages in flight are bounded by bytes too: one more is sent when the answers come, and the
/// client pings where no answer is due, as after a refusal for now (EO-7).
#[test]
fn messages_on_their_way_are_bounded_by_bytes() {
    let mut solo = in_the_lobby(Config::new(0));
    for _ in 0..10 {
        let body = "x".repeat(3_000);
        solo.act(|session, now| session.publish(now, lobby(), body))
            .unwrap();
    }
    assert_eq!(sent(&solo), ["publish", "publish", "publish", "ping"]);
    solo.frame(ServerFrame::Ack {
        seq: Seq::FIRST,
        room: lobby(),
        offset: offset(1),
    });
    assert_eq!(sent(&solo)[4..], ["publish"]);
    solo.forget();
    solo.frame(ServerFrame::Pong);
    // What has arrived by a pong need not be in the log yet.
    assert_eq!(sent(&solo), ["publish", "publish", "ping"]);
}
