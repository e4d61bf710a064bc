//! The first frames of a connection, and the session that it gets.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::Stored;
use everbeat_protocol::close::{CloseCode, ReconnectPolicy};
use everbeat_protocol::frame::{ClientFrame, ErrorCode, ServerFrame};
use everbeat_protocol::id::{ConnectionId, Name, RoomName, Seq, SessionKey};
use everbeat_protocol::position::Offset;
use everbeat_protocol::server::{Config, Input, Transmit};

use crate::solo::{Desk, at, hello, secs};
use simulation::machine::{Machine, Step};
use simulation::pair::Pair;

/// RS-1, RC-3: a server that is about to end says so right after `welcome`, as nothing comes before that;
/// the slot stays as it was.
#[test]
fn a_slot_is_told_after_the_welcome() {
    let mut desk = Desk::new(Config::default());
    let reconnect_after = secs(7);
    desk.input(Input::GoAway(reconnect_after.into()));
    assert_eq!(desk.transmits, []);
    desk.now = at(2_000);
    desk.greet();
    let [
        ServerFrame::Welcome(_),
        ServerFrame::GoAway {
            reconnect_after_ms, ..
        },
    ] = desk.frames()[..]
    else {
        panic!("{:?}", desk.transmits);
    };
    assert_eq!(*reconnect_after_ms, 5_000);
}

/// RS-1: any frame before `hello` is refused, and has no other effect.
#[test]
fn nothing_is_served_before_hello() {
    let room = RoomName::lobby;
    let others = [
        ClientFrame::Join {
            room: room(),
            since: None,
            limit: None,
        },
        ClientFrame::Leave { room: room() },
        ClientFrame::Publish {
            seq: Seq::FIRST,
            room: room(),
            body: "a".into(),
        },
        ClientFrame::Draft {
            room: room(),
            body: "a".into(),
        },
        ClientFrame::History {
            room: room(),
            before: Offset::ZERO,
            limit: 1,
        },
        ClientFrame::Rename {
            name: Name::tidy("ada"),
        },
        ClientFrame::Ping,
        ClientFrame::Pong,
    ];
    for frame in others {
        let mut desk = Desk::new(Config::default());
        desk.frame(frame);
        assert_eq!(desk.transmits.len(), 2, "{:?}", desk.transmits);
        assert!(matches!(
            desk.frames()[0],
            ServerFrame::Error(refusal) if refusal.code == ErrorCode::HelloExpected
        ));
        assert_eq!(desk.closes(), [CloseCode::BAD_FRAME]);
    }
}

/// RS-1: `hello` must come within 10 s.
#[test]
fn hello_has_ten_seconds() {
    let mut desk = Desk::new(Config::default());
    desk.run_to(at(9_999));
    assert_eq!(desk.transmits, []);
    desk.run_to(at(10_000));
    assert_eq!(desk.closes(), [CloseCode::HELLO_TIMEOUT]);

    let mut desk = Desk::new(Config::default());
    desk.run_to(at(9_999));
    desk.frame(hello());
    assert_eq!(desk.transmits, [Transmit::Admit { token: None }]);
    desk.run_to(at(10_001));
    assert_eq!(desk.closes(), []);
}

/// RS-1: only the first frame is `hello`.
#[test]
fn a_second_hello_ends_the_connection() {
    let mut desk = Desk::live(Config::default());
    desk.frame(hello());
    assert_eq!(desk.closes(), [CloseCode::BAD_FRAME]);
}

/// RS-1: the client says `hello` first on every connection, and nothing else before `welcome`.
#[test]
fn every_connection_begins_with_hello() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    for round in 0..4 {
        pair.cut(ada);
        pair.publish(ada, &format!("m{round}"));
        pair.draft(ada, "typing");
        pair.run_for(secs(20));
    }
    assert!(pair.clients[ada].is_live());
    for connection in 1..=5 {
        let steps = steps_of(&pair.clients[ada], ConnectionId::new(connection));
        assert!(matches!(
            steps[..4],
            [
                Step::Open,
                Step::Opened,
                Step::Sent(ClientFrame::Hello { .. }),
                Step::Received(ServerFrame::Welcome(_)),
            ]
        ));
    }
}

fn steps_of(machine: &Machine, connection: ConnectionId) -> Vec<Step> {
    let of = machine.steps.iter().filter(|(_, id, _)| *id == connection);
    of.map(|(_, _, step)| step.clone()).collect()
}

/// RS-2: a wrong key gets a fresh session, and does not disturb the owner of the other one.
#[test]
fn a_wrong_key_gets_a_fresh_session() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let mut storage = pair.clients[ada].storage.clone();
    if let Some(credentials) = &mut storage.credentials {
        credentials.key = SessionKey::new("guessed").unwrap();
    }
    let eve = pair.page(storage);
    pair.connect(eve);
    pair.run_until("welcomed", |pair| pair.clients[eve].is_live());
    assert_ne!(
        pair.clients[eve].session.id(),
        pair.clients[ada].session.id()
    );
    let resumed = pair.clients[eve]
        .received()
        .find_map(|(_, frame)| match frame {
            ServerFrame::Welcome(welcome) => Some(welcome.resumed),
            _ => None,
        });
    assert_eq!(resumed, Some(false));
    pair.run_for(secs(60));
    assert_eq!(pair.clients[ada].closed(), []);
    // The key that was wrong is not kept.
    let kept = pair.clients[eve].storage.credentials.as_ref();
    assert_eq!(kept.map(|kept| &kept.id), pair.clients[eve].session.id());
}

/// RS-2: the key goes to its owner only: no frame to another client holds it.
#[test]
fn nobody_else_sees_a_key() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    pair.draft(ada, "hi");
    pair.publish(ada, "hi");
    pair.run_for(secs(1));
    let key = pair.clients[ada].storage.credentials.clone().unwrap().key;
    assert!(pair.clients[bob].received().count() > 3);
    for (_, frame) in pair.clients[bob].received() {
        assert!(!everbeat_protocol::codec::encode(frame).contains(key.expose()));
    }
}

/// RS-4: the older of two connections is closed with a code of the fresh range, and both go on as
/// two sessions, in peace.
#[test]
fn two_copies_end_as_two_sessions() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let copy = pair.page(pair.clients[ada].storage.clone());
    pair.join(copy, &RoomName::lobby(), None);
    pair.connect(copy);
    pair.run_for(secs(300));
    assert_eq!(pair.clients[ada].closed(), [Some(CloseCode::TAKEN_OVER)]);
    assert_eq!(
        CloseCode::TAKEN_OVER.reconnect_policy(),
        ReconnectPolicy::Fresh
    );
    assert_eq!(pair.clients[copy].closed(), []);
    assert_eq!(pair.clients[ada].times(|step| *step == Step::Open).len(), 2);
    assert!(pair.clients[ada].is_live() && pair.clients[copy].is_live());
    assert_ne!(
        pair.clients[ada].session.id(),
        pair.clients[copy].session.id()
    );
    assert_eq!(pair.world.members(&RoomName::lobby()).len(), 2);
}

/// RS-4: the end of the older connection is the end of everything on it.
#[test]
fn a_connection_that_was_taken_over_serves_no_more() {
    let mut desk = Desk::live(Config::default());
    desk.input(Input::TakenOver);
    assert_eq!(desk.transmits, [Transmit::Close(CloseCode::TAKEN_OVER)]);
    desk.frame(ClientFrame::Ping);
    desk.run_to(at(100_000));
    assert_eq!(desk.transmits.len(), 1);
    assert!(!desk.machine.wants_input());
}

/// RS-3: `hello` shows the credentials of the last `welcome`; a log that cannot answer now leads to
/// another try, not to another session.
#[test]
fn an_unavailable_log_does_not_cost_the_session() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let session = pair.clients[ada].session.id().cloned();
    pair.world.log.is_available = false;
    pair.cut(ada);
    pair.run_for(secs(10));
    assert!(
        pair.clients[ada]
            .closed()
            .contains(&Some(CloseCode::TRY_AGAIN_LATER))
    );
    pair.world.log.is_available = true;
    pair.run_until("live", |pair| pair.clients[ada].is_live());
    assert_eq!(pair.clients[ada].session.id().cloned(), session);
}

/// RS-4, RS-9: the range of a close code decides what the client does next.
#[test]
fn the_range_of_a_close_code_decides() {
    for code in [1001, 1006, 1012, 1013, 4000, 4099] {
        assert_eq!(
            CloseCode::new(code).reconnect_policy(),
            ReconnectPolicy::Resume,
            "{code}"
        );
    }
    for code in [4100, 4199] {
        assert_eq!(
            CloseCode::new(code).reconnect_policy(),
            ReconnectPolicy::Fresh,
            "{code}"
        );
    }
    for code in [4200, 4299] {
        assert_eq!(
            CloseCode::new(code).reconnect_policy(),
            ReconnectPolicy::Never,
            "{code}"
        );
    }
    for (code, resumes, opens) in [(1012, true, 1), (4100, false, 1), (4200, true, 0)] {
        let mut solo = crate::solo::Solo::live(everbeat_protocol::client::Config::new(0));
        solo.close(Some(CloseCode::new(code)));
        solo.run_to(at(60_000));
        assert!(
            solo.opens() >= opens && (opens == 1 || solo.opens() == 0),
            "{code}"
        );
        assert_eq!(solo.session.id().is_some(), resumes, "{code}");
    }
}

/// RS-1: a name in `hello` is the name in the room; without one, the server makes one up.
#[test]
fn names_travel_with_hello() {
    let mut pair = Pair::new();
    let ada = pair.page(Stored::default());
    pair.command(ada, |session, now| session.rename(now, Name::tidy("Ada")));
    pair.join(ada, &RoomName::lobby(), None);
    pair.connect(ada);
    let bob = pair.lobby_page();
    let names: Vec<String> = pair.clients[bob]
        .shown(&RoomName::lobby())
        .members()
        .values()
        .cloned()
        .collect();
    assert_eq!(names, ["Ada", "guest s2"]);
}
