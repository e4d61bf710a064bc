//! The properties of a pure core: time and randomness are arguments, everything has a limit.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use everbeat_protocol::admission::{Admission, Turn};
use everbeat_protocol::client::{Config, End, Event, Input, Network, Session, Stored, Transmit};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::codec::{self, DecodeError};
use everbeat_protocol::frame::{ClientFrame, ErrorCode, Limits, Refusal, ServerFrame, Welcome};
use everbeat_protocol::id::{ConnectionId, Generation, Holder, Name, RoomName};
use everbeat_protocol::position::Offset;
use everbeat_protocol::presence::{AWAY_TOLD_AFTER, Presence};
use everbeat_protocol::server::{self, Feed, FeedConfig, FeedInput, Tutorial, TutorialInput};
use everbeat_protocol::time::Timestamp;

use crate::solo::{Desk, Solo, appends, at, credentials, millis, publish, secs, welcome};
use simulation::machine::Step;
use simulation::pair::Pair;

/// Drives a client through a bad hour that begins at `origin`; the times of its transmits are relative to
/// that.
fn bad_hour(seed: u64, origin: Timestamp) -> Vec<(u128, Transmit)> {
    let config = Config::new(seed);
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
            if let Transmit::Open { id, .. } = transmit {
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

/// PU-1: time never goes back for a machine, whatever its driver says: what is due is not due sooner, a rate
/// does not refill twice, and a silence is not counted for a time that did not pass.
#[test]
fn time_never_goes_back() {
    let mut solo = Solo::live(Config::new(0));
    solo.now = at(100_000);
    solo.frame(ServerFrame::Ping);
    let due = solo.session.poll_timeout();
    solo.now = at(0);
    solo.frame(ServerFrame::Ping);
    assert_eq!(solo.session.poll_timeout(), due);

    let mut desk = Desk::live(server::Config {
        publish_burst: 1,
        ..server::Config::default()
    });
    desk.now = at(100_000);
    let due = {
        desk.frame(publish(1, "a"));
        desk.machine.poll_timeout()
    };
    desk.now = at(0);
    desk.frame(publish(2, "b"));
    desk.now = at(100_000);
    desk.frame(publish(2, "b"));
    assert_eq!(appends(&desk), [1], "the rate refilled twice");
    assert_eq!(desk.machine.poll_timeout(), due);

    let mut page = Tutorial::new(at(100_000), &server::Config::default());
    let due = page.poll_timeout();
    page.handle_input(at(0), TutorialInput::SignOfLife);
    assert_eq!(page.poll_timeout(), due);

    let mut feed = Feed::new(FeedConfig {
        since: None,
        behind: false,
        ends: None,
        open_by: at(200_000),
        unavailable_retry: secs(2),
    });
    let view = crate::solo::view(1);
    feed.handle_input(at(100_000), FeedInput::RoomOpened(Some(view)));
    feed.handle_input(at(100_000), FeedInput::PullFailed);
    let due = feed.poll_timeout();
    feed.handle_input(at(0), FeedInput::PullFailed);
    assert_eq!(feed.poll_timeout(), due);

    let mut presence = Presence::new(100);
    let (session, connection) = (credentials("s1").id, ConnectionId::new(1));
    presence.handle_timeout(at(100_000));
    let generation = Generation::default();
    let holder = Holder {
        connection,
        generation,
    };
    presence.enter(at(0), session.clone(), Name::tidy("Ada"), holder);
    presence.disconnect(at(0), &session, connection);
    assert_eq!(presence.poll_timeout(), Some(at(100_000) + AWAY_TOLD_AFTER));

    let mut line = Admission::new(10, secs(2));
    assert_eq!(line.take(at(100_000)), Turn::After(Duration::ZERO));
    assert_eq!(line.take(at(0)), Turn::After(millis(100)));
}

/// PU-4: a client holds no more rooms than the server allows: a further one is refused at once, as the server
/// would; a room that a server of smaller limits refuses is no longer held.
#[test]
fn rooms_are_bounded() {
    let mut solo = Solo::new(Config::new(0), Stored::default());
    let room = |n: u32| RoomName::new(&format!("room-{n}")).unwrap();
    let refused = |solo: &Solo| -> Vec<RoomName> {
        let room = |event: &Event| match event {
            Event::Refused(refusal) if refusal.code == ErrorCode::TooManyRooms => {
                refusal.room.clone()
            }
            _ => None,
        };
        solo.events.iter().filter_map(room).collect()
    };
    let rooms_max = Limits::default().rooms;
    for n in 0..=rooms_max {
        solo.act(|session, now| session.join(now, room(n), None));
    }
    assert_eq!(refused(&solo), [room(rooms_max)]);
    // A room that is held may be joined again, and one that is left makes room.
    solo.act(|session, now| session.join(now, room(0), None));
    solo.act(|session, now| session.leave(now, &room(0)));
    solo.act(|session, now| session.join(now, room(rooms_max), None));
    assert_eq!(refused(&solo), [room(rooms_max)]);

    solo.connect();
    let limits = Limits {
        rooms: 2,
        ..Limits::default()
    };
    solo.greet(Welcome {
        limits,
        ..welcome()
    });
    solo.forget();
    for n in 3..=rooms_max {
        solo.frame(ServerFrame::Error(Refusal {
            code: ErrorCode::TooManyRooms,
            message: String::new(),
            seq: None,
            unsettled: None,
            room: Some(room(n)),
            retry_after_ms: None,
        }));
    }
    assert_eq!(refused(&solo).len(), 30);
    solo.act(|session, now| session.join(now, room(3), None));
    assert_eq!(refused(&solo).len(), 31);
    solo.close(None);
    solo.run_to(solo.now + solo.wait());
    solo.forget();
    solo.greet(welcome());
    let joins = solo.frames().into_iter();
    let joins = joins.filter(|frame| matches!(frame, ClientFrame::Join { .. }));
    assert_eq!(joins.count(), 2);
}

/// PU-2: randomness comes from the seed: the same seed behaves the same, another one does not.
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

/// PU-3: inputs of an older connection are dropped and counted, whatever they are.
#[test]
fn an_older_connection_has_no_say() {
    let mut solo = Solo::live(Config::new(0));
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
        end: End::Closed(CloseCode::UNSUPPORTED),
    });
    solo.input(Input::Closed {
        id: ConnectionId::new(99),
        end: End::Lost,
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
        .map(|(_, id, _)| id.get())
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

/// PU-4: limits of zero are unusual, but make no machine panic.
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
