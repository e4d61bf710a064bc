//! The properties of a pure core: time and chance come from outside, everything has a limit.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use protocol::client::{Config, Input, Network, Session, Stored, Transmit};
use protocol::close::CloseCode;
use protocol::codec::{self, DecodeError};
use protocol::frame::{ClientFrame, ErrorCode, Limits, ServerFrame};
use protocol::id::{ConnectionId, RoomName};
use protocol::position::Offset;
use protocol::server;
use protocol::time::Timestamp;

use crate::solo::{Desk, Solo, at, millis, secs, welcome};
use simulation::machine::Step;
use simulation::pair::Pair;

/// Drives a client through a bad hour that begins at `origin`; the times of its transmits are told
/// from there.
fn bad_hour(seed: u64, origin: Timestamp) -> Vec<(u128, Transmit)> {
    let config = Config {
        seed,
        ..Config::default()
    };
    let mut session = Session::new(config, Stored::default());
    let mut transmits = Vec::new();
    session.connect(origin);
    for tick in 0..36_000 {
        let now = origin + millis(tick * 100);
        if session.poll_timeout().is_some_and(|due| due <= now) {
            session.handle_timeout(now);
        }
        if tick == 20_000 {
            session.handle_input(now, Input::Network(Network::Offline));
        }
        while let Some(transmit) = session.poll_transmit() {
            if let Transmit::Open { id } = transmit {
                let frame = Ok(ServerFrame::Welcome(welcome()));
                session.handle_input(now, Input::Opened { id });
                session.handle_input(now, Input::Received { id, frame });
            }
            transmits.push(((now - origin).as_nanos(), transmit));
        }
    }
    transmits
}

/// PU-1: only differences of time count: the same hour at another time goes the same way.
#[test]
fn time_is_an_argument() {
    let here = bad_hour(3, at(0));
    assert!(here.len() > 100);
    assert_eq!(here, bad_hour(3, at(86_400_000)));
}

/// PU-2: chance comes from the seed: the same seed goes the same way, another one does not.
#[test]
fn chance_is_an_argument() {
    assert_eq!(bad_hour(3, at(0)), bad_hour(3, at(0)));
    assert_ne!(bad_hour(3, at(0)), bad_hour(4, at(0)));
}

/// PU-2, PU-7: a whole world with its faults can be played again, step by step.
#[test]
fn a_world_can_be_played_again() {
    let play = || {
        let mut pair = Pair::new();
        let (ada, bob) = (pair.lobby_page(), pair.lobby_page());
        for n in 0..20 {
            pair.publish(ada, &format!("m{n}"));
            pair.draft(bob, &format!("d{n}"));
            pair.run_for(millis(300));
            if n % 7 == 3 {
                pair.cut(bob);
            }
            if n == 10 {
                pair.crash();
                pair.restart();
            }
        }
        pair.run_for(secs(60));
        (
            pair.clients[ada].steps.clone(),
            pair.clients[bob].steps.clone(),
        )
    };
    assert_eq!(play(), play());
}

/// PU-3: what an older connection says is dropped and counted, whatever it is.
#[test]
fn an_older_connection_has_no_say() {
    let mut solo = Solo::live(Config::default());
    let old = solo.id;
    solo.close(None);
    solo.run_to(solo.now + solo.wait());
    solo.greet(welcome());
    assert_ne!(solo.id, old);
    solo.forget();
    let due = solo.session.poll_timeout();
    solo.input(Input::Opened { id: old });
    solo.input(Input::Received {
        id: old,
        frame: Ok(ServerFrame::Ping),
    });
    solo.input(Input::Received {
        id: old,
        frame: Err(DecodeError::Binary),
    });
    solo.input(Input::Closed {
        id: old,
        code: Some(CloseCode::UNSUPPORTED),
    });
    solo.input(Input::Closed {
        id: ConnectionId(99),
        code: None,
    });
    assert_eq!(solo.transmits, []);
    assert_eq!(solo.events, []);
    assert_eq!(solo.session.poll_timeout(), due);
    assert_eq!(solo.session.stats().stale_inputs, 5);
}

/// PU-3: connections are numbered upwards, and at most one is in use.
#[test]
fn connections_are_numbered() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    for _ in 0..5 {
        pair.cut(ada);
        pair.run_for(secs(20));
    }
    let opens: Vec<u64> = pair.clients[ada]
        .steps
        .iter()
        .filter(|(_, _, step)| *step == Step::Open)
        .map(|(_, id, _)| id.0)
        .collect();
    assert_eq!(opens, [1, 2, 3, 4, 5, 6]);
    assert_eq!(pair.world.connections().len(), 1);
    let link = pair.world.connections()[0];
    assert_eq!(pair.world.session(link), pair.clients[ada].session.id());
}

/// PU-4: a frame over the limit, too many rooms, a text over the limit: each has its name.
#[test]
fn every_overflow_has_its_name() {
    let limits = Limits {
        rooms: 2,
        body_bytes: 4,
        frame_bytes: 100,
        ..Limits::default()
    };
    let config = server::Config {
        limits,
        ..server::Config::default()
    };
    let mut desk = Desk::live(config);
    for room in ["a", "b", "c"] {
        let room = RoomName::new(room).unwrap();
        desk.frame(ClientFrame::Join {
            room,
            since: None,
            limit: None,
        });
    }
    let room = RoomName::new("a").unwrap();
    desk.frame(ClientFrame::Draft {
        room,
        body: "12345".into(),
    });
    desk.frame(ClientFrame::Draft {
        room: RoomName::lobby(),
        body: "1".into(),
    });
    let frame = codec::decode(&"x".repeat(101), limits.frame_bytes);
    assert_eq!(frame, Err(DecodeError::TooLarge { limit: 100 }));
    desk.input(server::Input::Received(frame));
    let code = |frame: &&ServerFrame| match frame {
        ServerFrame::Error(refusal) => Some(refusal.code),
        _ => None,
    };
    let frames = desk.frames();
    let codes: Vec<ErrorCode> = frames.iter().filter_map(code).collect();
    let expected = [
        ErrorCode::TooManyRooms,
        ErrorCode::BodyTooLarge,
        ErrorCode::NotJoined,
        ErrorCode::FrameTooLarge,
    ];
    assert_eq!(codes, expected);
    assert_eq!(desk.closes(), [CloseCode::FRAME_TOO_LARGE]);
}

/// PU-4: limits of nothing at all are odd, but no reason to fall over.
#[test]
fn limits_of_zero_are_limits() {
    let limits = Limits {
        frame_bytes: 0,
        body_bytes: 0,
        rooms: 0,
        publishes_per_s: 0,
        drafts_per_s: 0,
        history: 0,
    };
    let mut desk = Desk::live(server::Config {
        limits,
        ..server::Config::default()
    });
    desk.frame(ClientFrame::History {
        room: RoomName::lobby(),
        before: Offset::ZERO,
        limit: 9,
    });
    let is_asked = |transmit: &server::Transmit| {
        matches!(transmit, server::Transmit::History { limit: 1, .. })
    };
    assert!(desk.transmits.iter().any(is_asked), "{:?}", desk.transmits);
}
