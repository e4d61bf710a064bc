//! The server's machine waits for nothing: slow answers come later, and everything else goes on.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use everbeat_protocol::access::Access;
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::{ClientFrame, ErrorCode, ServerFrame};
use everbeat_protocol::id::Name;
use everbeat_protocol::presence::AWAY_AFTER;
use everbeat_protocol::server::{Config, Input, RequestId, Transmit};
use simulation::pair::Pair;

use crate::solo::{
    Desk, appended, appends, at, hello, lobby, millis, offset, opened, publish, secs, view,
};

fn pulled(id: RequestId, through: u64) -> Input {
    Input::Pulled {
        id,
        room: lobby(),
        through: offset(through),
        version: 1,
    }
}

fn moved(head: u64) -> Input {
    Input::RoomMoved {
        room: lobby(),
        head: offset(head),
        version: 1,
    }
}

fn history() -> ClientFrame {
    ClientFrame::History {
        room: lobby(),
        before: offset(9),
        limit: 5,
    }
}

fn draft(body: &str) -> ClientFrame {
    ClientFrame::Draft {
        room: lobby(),
        body: body.into(),
    }
}

fn drafts(desk: &Desk) -> Vec<&str> {
    let shown = desk.transmits.iter().filter_map(|transmit| match transmit {
        Transmit::Draft { body, .. } => Some(body.as_str()),
        _ => None,
    });
    shown.collect()
}

fn joins(desk: &Desk) -> usize {
    let frames = desk.frames();
    let joined = frames.iter();
    joined
        .filter(|frame| matches!(frame, ServerFrame::Joined(_)))
        .count()
}

/// PU-3: a room that was left and entered again while it was being opened is opened once, by the newer answer.
#[test]
fn a_room_left_and_entered_again_is_opened_once() {
    let mut desk = Desk::live(Config::default());
    desk.join(None);
    let first = desk.asked;
    desk.frame(ClientFrame::Leave { room: lobby() });
    assert!(!desk.machine.awaits(first));
    desk.join(None);
    let second = desk.asked;
    assert!(!desk.machine.awaits(first) && desk.machine.awaits(second));
    for view in [None, Some(view(0))] {
        let room = lobby();
        desk.input(Input::RoomOpened {
            id: first,
            room,
            view,
        });
    }
    assert_eq!(joins(&desk), 0);
    assert!(desk.machine.awaits(second));
    desk.enter(view(0));
    assert_eq!(joins(&desk), 1);
    assert!(!desk.machine.awaits(second));
}

/// RS-6: a reader that was cut off while the room's log cannot be read stays in the room, and its state is looked
/// up once the log can be read: the client asked for nothing, and would wait for ever.
#[test]
fn who_was_cut_off_stays_while_the_log_cannot_tell() {
    let mut desk = Desk::live(Config::default());
    desk.join(None);
    desk.enter(view(0));
    desk.input(moved(3));
    desk.input(Input::CutOff {
        id: desk.asked,
        room: lobby(),
    });
    let looks = |desk: &Desk| {
        let is_look = |transmit: &&Transmit| matches!(transmit, Transmit::OpenRoom { .. });
        desk.transmits.iter().filter(is_look).count()
    };
    for look in 1..=3 {
        desk.transmits.clear();
        desk.input(Input::RoomOpened {
            id: desk.asked,
            room: lobby(),
            view: None,
        });
        assert_eq!(desk.transmits, [], "look {look}");
        desk.run_to(desk.now + Config::default().unavailable_retry);
        assert_eq!(looks(&desk), 1, "look {look}");
    }
    desk.transmits.clear();
    desk.enter(view(3));
    assert_eq!(joins(&desk), 1);
}

/// RS-5, PU-3: a page of the log that was asked for before the room was entered anew moves no cursor,
/// whatever the answer: the new replay begins where it has to.
#[test]
fn an_answer_to_an_older_pull_moves_no_cursor() {
    for answer in [
        |id| pulled(id, 3),
        |id| Input::CutOff { id, room: lobby() },
        |id| Input::PullFailed { id, room: lobby() },
    ] {
        let mut desk = Desk::live(Config::default());
        desk.join(None);
        desk.enter(view(0));
        desk.input(moved(3));
        let older = desk.asked;
        desk.frame(ClientFrame::Leave { room: lobby() });
        desk.join(None);
        desk.enter(view(0));
        desk.transmits.clear();
        assert!(!desk.machine.awaits(older));
        desk.input(answer(older));
        assert_eq!(desk.transmits, []);
        desk.input(moved(3));
        let Transmit::Pull { pull, .. } = desk.transmits[0] else {
            panic!("{:?}", desk.transmits);
        };
        assert_eq!(pull.after, offset(0));
    }
}

/// RS-1, RC-5: after `hello` a client does not wait for ever, neither to be authenticated nor for its session.
#[test]
fn a_welcome_that_does_not_come_has_a_deadline() {
    let config = Config::default();
    for is_admitted in [false, true] {
        let mut desk = Desk::new(config);
        desk.run_to(at(5_000));
        desk.frame(hello());
        if is_admitted {
            desk.run_to(at(7_000));
            desk.input(Input::Admitted(Ok(Access::ANYBODY)));
        }
        let deadline = at(5_000) + config.welcome_timeout;
        assert!(config.welcome_timeout < secs(10), "clients wait for 10 s");
        desk.run_to(deadline + millis(0));
        assert_eq!(desk.closes(), [CloseCode::TRY_AGAIN_LATER]);
        let [ServerFrame::Error(refusal)] = desk.frames()[..] else {
            panic!("{:?}", desk.transmits);
        };
        assert_eq!(refusal.code, ErrorCode::Unavailable);
        // The session that is opened late belongs to no connection.
        desk.input(Input::SessionOpened(Some(opened())));
        assert_eq!((desk.frames().len(), desk.machine.id()), (1, None));
    }
}

/// RS-1: frames that come before `welcome` are served after it, in order; the connection is read, so that
/// its end is noticed.
#[test]
fn what_comes_early_is_served_after_the_welcome() {
    let mut desk = Desk::new(Config::default());
    desk.frame(hello());
    assert!(desk.machine.wants_input(), "its end is to be noticed");
    desk.input(Input::Admitted(Ok(Access::ANYBODY)));
    assert!(desk.machine.wants_input());
    desk.frame(ClientFrame::Ping);
    assert!(!desk.machine.wants_input(), "one frame waits, no more");
    assert_eq!(desk.frames().len(), 0);
    desk.input(Input::SessionOpened(Some(opened())));
    let frames = desk.frames();
    assert!(matches!(frames[0], ServerFrame::Welcome(_)));
    assert_eq!(frames[1..], [&ServerFrame::Pong]);
    assert!(desk.machine.wants_input());
}

/// PU-4: one bound for all answers that the log owes; frames that need no answer of the log are served beyond it.
#[test]
fn one_bound_for_all_that_is_owed() {
    let mut desk = Desk::live(Config {
        pending_max: 3,
        ..Config::default()
    });
    desk.join(None);
    desk.frame(publish(1, "a"));
    desk.frame(history());
    desk.transmits.clear();
    desk.frame(ClientFrame::Ping);
    desk.frame(draft("typed"));
    desk.frame(ClientFrame::Rename {
        name: Name::tidy("Ada"),
    });
    assert_eq!(desk.frames(), [&ServerFrame::Pong]);
    assert!(desk.machine.wants_input());
    desk.frame(publish(2, "b"));
    assert_eq!(appends(&desk), [] as [u64; 0]);
    assert!(!desk.machine.wants_input());
    // Any answer makes room.
    desk.input(Input::HistoryRead {
        room: lobby(),
        page: None,
    });
    assert_eq!(appends(&desk), [2]);
    assert!(desk.machine.wants_input());
    desk.frame(history());
    assert!(!desk.machine.wants_input());
    desk.input(Input::TakenOver);
    assert_eq!(desk.closes(), [CloseCode::TAKEN_OVER]);
}

/// HB-1: a client that is not read, as too much is owed to it, does not count as dead for that.
#[test]
fn who_is_not_listened_to_is_not_dead() {
    let mut desk = Desk::live(Config {
        pending_max: 1,
        ..Config::default()
    });
    desk.frame(publish(1, "a"));
    desk.frame(publish(2, "b"));
    desk.run_to(at(120_000));
    assert_eq!(desk.closes(), []);
    let is_ping = |frame: &&&ServerFrame| ***frame == ServerFrame::Ping;
    assert!(desk.frames().iter().filter(is_ping).count() >= 3);
    // From now on it is read.
    desk.input(appended(1, Ok(1)));
    desk.run_to(at(200_000));
    assert_eq!(desk.closes(), [CloseCode::DEAD]);
}

/// HB-4: a client that has not got what was written to it cannot answer it: that has a deadline of its own. Once it
/// has, it gets a ping at once, and has to answer.
#[test]
fn who_has_not_got_the_ping_is_not_dead() {
    let mut desk = Desk::live(Config::default());
    desk.run_to(at(20_000));
    desk.input(Input::Stalled(true));
    desk.run_to(at(300_000));
    assert_eq!(desk.transmits, []);
    desk.input(Input::Stalled(false));
    desk.run_to(at(304_900));
    assert_eq!(desk.frames(), [&ServerFrame::Ping]);
    assert_eq!(desk.closes(), []);
    desk.run_to(at(305_000));
    assert_eq!(desk.closes(), [CloseCode::DEAD]);
}

/// HB-1, HB-4: that written bytes are taken is no sign of life. A ping has its timeout anew then, until 30 s
/// after it, the stalls not counted.
#[test]
fn who_takes_everything_and_says_nothing_is_dead() {
    let mut desk = Desk::live(Config::default());
    for second in 1..=56 {
        desk.run_to(at(second * 1_000));
        assert_eq!(desk.closes(), [], "after {second} s");
        desk.input(Input::Stalled(true));
        desk.run_to(at(second * 1_000 + 100));
        desk.input(Input::Stalled(false));
    }
    // The ping left at 23.75 s; 33 stalls of 0.1 s since.
    desk.run_to(at(57_040));
    assert_eq!(desk.closes(), []);
    desk.run_to(at(57_060));
    assert_eq!(desk.closes(), [CloseCode::DEAD]);
    assert_eq!(desk.frames(), [&ServerFrame::Ping]);
}

/// PR-2: text typed while the room is being entered is shown then: the latest, and none that was
/// published meanwhile.
#[test]
fn what_is_typed_on_the_way_in_is_shown_inside() {
    let mut desk = Desk::live(Config::default());
    desk.join(None);
    desk.frame(draft("h"));
    desk.frame(draft("he"));
    assert_eq!(drafts(&desk), [] as [&str; 0]);
    desk.enter(view(0));
    assert_eq!(drafts(&desk), ["he"]);

    let mut desk = Desk::live(Config::default());
    desk.join(None);
    desk.frame(draft("hello"));
    desk.frame(publish(1, "hello"));
    desk.enter(view(0));
    assert_eq!(drafts(&desk), [] as [&str; 0]);
}

/// AC-2: the time that a session takes to open is part of the token's.
#[test]
fn a_token_does_not_wait_for_the_log() {
    let config = Config::default();
    let mut desk = Desk::new(config);
    desk.frame(hello());
    desk.input(Input::Admitted(Ok(Access {
        expires_in: Some(secs(100)),
        ..Access::ANYBODY
    })));
    desk.run_to(at(8_000));
    desk.input(Input::SessionOpened(Some(opened())));
    let end = at(0) + secs(100) + config.token_grace;
    while desk.now < end {
        assert_eq!(desk.closes(), []);
        desk.run_to((desk.now + secs(1)).min(end));
        desk.input(Input::SignOfLife);
    }
    assert_eq!(desk.closes(), [CloseCode::TOKEN_EXPIRED]);
}

/// HB-1, PR-1, RS-5: the whole under a log that answers nothing for a minute: connected clients stay, and are
/// answered; members whose connections closed leave in time; clients that reconnect are put off, and are
/// welcome when the log answers.
#[test]
fn a_log_that_hangs_for_a_minute_harms_nobody() {
    let mut pair = Pair::new();
    let (ada, bob) = (pair.lobby_page(), pair.lobby_page());
    pair.run_for(secs(1));
    let sessions = |pair: &Pair| pair.world.members(&lobby()).len();
    let connections = |pair: &Pair| pair.links.opened();
    assert_eq!((sessions(&pair), connections(&pair)), (2, 2));
    pair.world.log.is_frozen = true;
    let id = pair.publish(ada, "into the ice");
    pair.command(ada, |session, now| {
        session.history(now, lobby(), offset(9), 5);
    });
    pair.cut(bob);
    pair.run_for(AWAY_AFTER + millis(500));
    assert_eq!(sessions(&pair), 1, "away members leave in time");
    let closed = pair.clients[bob].closed();
    assert!(
        closed.contains(&Some(CloseCode::TRY_AGAIN_LATER)),
        "{closed:?}"
    );
    pair.run_for(secs(60) - AWAY_AFTER);
    assert!(pair.clients[ada].is_live());
    assert!(!pair.clients[ada].is_durable(id));
    assert_eq!(pair.clients[ada].closed(), []);

    pair.world.log.is_frozen = false;
    pair.run_until("durable", |pair| pair.clients[ada].is_durable(id));
    pair.run_until("back", |pair| pair.clients[bob].is_live());
    pair.run_for(Duration::from_secs(1));
    assert_eq!(sessions(&pair), 2);
}
