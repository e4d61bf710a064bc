//! Limits of one connection: frames that come too fast are not read yet.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::frame::{ClientFrame, ServerFrame};
use everbeat_protocol::id::{Name, RoomName, Seq, Token};
use everbeat_protocol::position::{Epoch, Offset};
use everbeat_protocol::server::{AppendError, Config, Input, RoomView, SessionOpened, Transmit};
use everbeat_protocol::time::Timestamp;

use crate::solo::{Desk, appended, appends, at, lobby, millis, offset, opened, publish, secs};
use simulation::pair::Pair;

fn room(number: usize) -> RoomName {
    RoomName::new(&format!("room-{number}")).unwrap()
}

fn join(room: RoomName) -> ClientFrame {
    ClientFrame::Join {
        room,
        since: None,
        limit: None,
    }
}

fn history() -> ClientFrame {
    ClientFrame::History {
        room: lobby(),
        before: offset(9),
        limit: 200,
    }
}

fn draft(body: &str) -> ClientFrame {
    ClientFrame::Draft {
        room: lobby(),
        body: body.into(),
    }
}

fn rename(name: &str) -> ClientFrame {
    ClientFrame::Rename {
        name: Name::tidy(name),
    }
}

fn acks(desk: &Desk) -> usize {
    let frames = desk.frames();
    let acks = frames
        .iter()
        .filter(|f| matches!(f, ServerFrame::Ack { .. }));
    acks.count()
}

/// The names that were announced to rooms.
fn told(desk: &Desk) -> Vec<&str> {
    desk.transmits
        .iter()
        .filter_map(|transmit| match transmit {
            Transmit::Rename { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

/// Sends as much as is read until then; the log answers at once. Returns how much was read.
fn pour(desk: &mut Desk, end: Timestamp, mut next: impl FnMut(usize) -> Input) -> usize {
    let mut read = 0;
    let mut answered = desk.transmits.len();
    while desk.now < end {
        if desk.machine.wants_input() {
            desk.input(next(read));
            read += 1;
        } else if let Some(due) = desk.machine.poll_timeout() {
            desk.run_to(due.min(end));
        } else {
            panic!("nothing is read any more: {desk:?}");
        }
        answered = answer(desk, answered);
    }
    read
}

/// The log answers what was asked since the last call, given how much had been asked by then.
fn answer(desk: &mut Desk, answered: usize) -> usize {
    let asked = desk.transmits.split_off(answered);
    desk.transmits.extend(asked.iter().cloned());
    let done = desk.transmits.len();
    for transmit in asked {
        match transmit {
            Transmit::Append { seq, .. } => desk.input(appended(seq.get(), Ok(seq.get()))),
            Transmit::OpenRoom { id, room } => desk.input(Input::RoomOpened {
                id,
                room,
                view: Some(view()),
            }),
            Transmit::History { room, .. } => desk.input(Input::HistoryRead { room, page: None }),
            _ => {}
        }
    }
    done
}

/// An empty room.
fn view() -> RoomView {
    RoomView {
        epoch: Epoch::new("e"),
        head: Offset::ZERO,
        trimmed: Offset::ZERO,
        members: Vec::new(),
        count: None,
        drafts: Vec::new(),
        redacted: Vec::new(),
        version: 1,
    }
}

/// Makes the nth frame of a kind.
type Made = Box<dyn Fn(usize) -> Input>;

/// PU-4: frames of every kind, sent as fast as they are read, are read at a rate, and cost their sender.
#[test]
fn frames_of_every_kind_have_a_rate() {
    let frame = |frame| Input::Received(Ok(frame));
    let token = Token::new("x.y.z").unwrap();
    let kinds: [(&str, u32, Made); 9] = [
        ("ping", 1, Box::new(move |_| frame(ClientFrame::Ping))),
        ("pong", 1, Box::new(move |_| frame(ClientFrame::Pong))),
        ("control", 1, Box::new(|_| Input::SignOfLife)),
        ("join", 10, Box::new(move |_| frame(join(lobby())))),
        (
            "leave",
            10,
            Box::new(move |_| frame(ClientFrame::Leave { room: lobby() })),
        ),
        ("history", 50, Box::new(move |_| frame(history()))),
        (
            "token",
            50,
            Box::new(move |_| {
                frame(ClientFrame::Token {
                    token: token.clone(),
                })
            }),
        ),
        (
            "rename",
            1,
            Box::new(move |n| frame(rename(&format!("n{n}")))),
        ),
        (
            "draft without a room",
            1,
            Box::new(move |_| frame(draft("x"))),
        ),
    ];
    let config = Config::default();
    for (kind, cost, next) in kinds {
        let mut desk = Desk::live(config);
        let read = pour(&mut desk, at(10_000), next);
        let most = (config.frame_burst + config.frames_per_s * 10) / cost + 1;
        let read = u32::try_from(read).unwrap();
        assert!(read <= most && read >= most - 2, "{kind}: {read} of {most}");
        let points = desk.machine.take_cost().points;
        assert!(points >= read * cost, "{kind}: {points}");
        assert!(desk.closes().is_empty());
    }
}

/// PU-4, PR-2: drafts over their rate are coalesced, and cost like any frame from then on.
#[test]
fn drafts_over_their_rate_are_not_read_for_ever() {
    let config = Config::default();
    let mut desk = Desk::live(config);
    desk.frame(join(lobby()));
    answer(&mut desk, 0);
    let read = pour(&mut desk, at(10_000), |n| {
        Input::Received(Ok(draft(&format!("draft {n}"))))
    });
    let free = (config.limits.drafts_per_s * 11) as usize;
    let paid = (config.frame_burst + config.frames_per_s * 10) as usize;
    assert!(read > paid && read <= free + paid + 1, "{read}");
}

/// PU-4: the cost of a long text for all connections of its sender together grows with it.
#[test]
fn long_texts_cost_more() {
    let mut desk = Desk::live(Config::default());
    desk.frame(join(lobby()));
    desk.machine.take_cost();
    let mut costs = Vec::new();
    for frame in [
        draft("short"),
        draft(&"x".repeat(8_192)),
        publish(1, "short"),
        publish(2, &"x".repeat(8_192)),
    ] {
        desk.frame(frame);
        costs.push(desk.machine.take_cost().points);
    }
    assert_eq!(costs, [1, 17, 1, 17]);
}

/// PU-4: in all of 32 rooms a new name is announced five times in a row, then every 5 s, and so is the last one.
#[test]
fn new_names_are_told_now_and_then() {
    let mut desk = Desk::live(Config::default());
    for number in 0..32 {
        desk.frame(join(room(number)));
    }
    desk.transmits.clear();
    desk.machine.take_cost();
    for n in 1..=200 {
        desk.run_to(at(n * 50));
        desk.frame(rename(&format!("name {n}")));
    }
    assert_eq!(told(&desk).len(), (5 + 1) * 32);
    desk.run_to(at(30_000));
    let names = told(&desk);
    assert_eq!(names.len(), (5 + 2) * 32);
    assert!(names[6 * 32..].iter().all(|name| *name == "name 200"));
    // The same name is not announced again.
    desk.frame(rename("name 200"));
    assert_eq!(told(&desk).len(), 7 * 32);
    assert_eq!(desk.machine.take_cost().points, 201 + 7 * 320);
    // Messages carry the newest name at once.
    desk.frame(rename("another"));
    desk.frame(publish(1, "text"));
    let is_named = |transmit: &Transmit| matches!(transmit, Transmit::Append { name, .. } if name.as_str() == "another");
    assert!(desk.transmits.iter().any(is_named));
}

/// EO-1: a message that was answered on this connection is answered again without the log; the log decides about
/// another text.
#[test]
fn repeats_are_answered_from_memory() {
    let mut desk = Desk::live(Config::default());
    for seq in 1..=40 {
        desk.frame(publish(seq, &format!("text {seq}")));
    }
    desk.frame(publish(40, "text 40"));
    // Not answered yet: the log decides.
    assert_eq!(appends(&desk).len(), 41);
    for seq in 1..=40 {
        desk.input(appended(seq, Ok(seq + 100)));
    }
    desk.transmits.clear();
    for seq in 9..=40 {
        desk.frame(publish(seq, &format!("text {seq}")));
    }
    assert_eq!((acks(&desk), appends(&desk).len()), (32, 0));
    let last = ServerFrame::Ack {
        seq: Seq::new(40).unwrap(),
        room: lobby(),
        offset: offset(140),
    };
    assert_eq!(desk.frames().last(), Some(&&last));
    desk.frame(publish(8, "text 8"));
    desk.frame(publish(40, "another text"));
    assert_eq!(appends(&desk), [8, 40]);
}

/// EO-1, EO-7: after a refusal for now another text may come under the number; only that one is answered.
#[test]
fn a_number_that_was_held_is_remembered_anew() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, "a"));
    desk.input(appended(1, Err(AppendError::Unavailable)));
    desk.frame(publish(1, "b"));
    desk.input(appended(1, Ok(7)));
    desk.transmits.clear();
    desk.frame(publish(1, "a"));
    assert_eq!((acks(&desk), appends(&desk).len()), (0, 1));
    desk.frame(publish(1, "b"));
    assert_eq!((acks(&desk), appends(&desk).len()), (1, 1));
}

/// EO-1: numbers that the log has to look up count as messages do; none is refused for it, and new
/// messages go on.
#[test]
fn repeats_that_the_log_looks_up_count_as_messages() {
    let config = Config::default();
    let mut desk = Desk::new(config);
    desk.open(SessionOpened {
        resumed: true,
        last_seq: 1_000,
        ..opened()
    });
    let read = pour(&mut desk, at(10_000), |n| {
        let seq = n as u64 % 1_000 + 1;
        Input::Received(Ok(publish(seq, "text")))
    });
    let most = (config.publish_burst + config.limits.publishes_per_s * 10 + 1) as usize;
    assert!(read <= most && read >= most - 2, "{read} of {most}");
    assert_eq!((acks(&desk), appends(&desk).len()), (read, read));
    let cost = desk.machine.take_cost();
    assert!(
        cost.is_over && cost.points as usize >= read * 11,
        "{cost:?}"
    );
    desk.run_to(at(20_000));
    desk.frame(publish(1_001, "new"));
    assert_eq!(appends(&desk).last(), Some(&1_001));
}

/// PU-4: a client that reconnects joins all its rooms, sends each draft, repeats what is in flight and scrolls
/// back, and is not slowed down.
#[test]
fn who_comes_back_is_not_held_up() {
    let mut desk = Desk::new(Config::default());
    desk.open(SessionOpened {
        resumed: true,
        last_seq: 500,
        ..opened()
    });
    for number in 0..32 {
        desk.frame(join(room(number)));
    }
    for number in 0..32 {
        desk.frame(ClientFrame::Draft {
            room: room(number),
            body: "typed".into(),
        });
    }
    for seq in 469..=500 {
        desk.frame(publish(seq, "perhaps known"));
        desk.input(appended(seq, Ok(seq)));
    }
    for _ in 0..30 {
        desk.frame(history());
        assert!(desk.machine.wants_input());
    }
}

/// HB-1, HB-6: a client whose address has spent too much is not read for a while, and gets a sign of life from
/// the server; the pause is no longer than the client would wait for a pong.
#[test]
fn a_client_that_is_not_read_hears_a_word() {
    let mut desk = Desk::live(Config::default());
    desk.run_to(at(1_000));
    desk.input(Input::Throttled(secs(60)));
    assert!(!desk.machine.wants_input());
    for ms in [1_000, 1_500, 2_000, 4_000, 5_000] {
        desk.run_to(at(ms));
        let pings = desk
            .frames()
            .iter()
            .filter(|f| ***f == ServerFrame::Ping)
            .count();
        assert_eq!(pings as u64, (ms - 1_000) / 500 + 1, "{ms} ms");
        assert!(!desk.machine.wants_input());
    }
    desk.run_to(at(6_000));
    assert!(desk.machine.wants_input() && desk.closes().is_empty());
    desk.transmits.clear();
    // A short pause needs no sign of life.
    desk.input(Input::Throttled(millis(500)));
    desk.run_to(at(6_499));
    assert!(!desk.machine.wants_input());
    desk.run_to(at(6_500));
    assert!(desk.machine.wants_input() && desk.frames().is_empty());
}

/// EO-7, PU-4: a page with 32 rooms and a full outbox, whose server restarts: everything arrives, at the rate
/// of messages, and the new connection holds.
#[test]
fn a_full_outbox_and_all_rooms_come_through() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    for number in 1..32 {
        pair.join(ada, &room(number), None);
    }
    pair.run_for(secs(1));
    pair.crash();
    let ids: Vec<_> = (0..1_000)
        .map(|n| pair.publish(ada, &format!("text {n}")))
        .collect();
    pair.restart();
    pair.run_for(secs(60));
    assert!(ids.iter().all(|id| pair.clients[ada].is_durable(*id)));
    assert_eq!(pair.world.log.bodies(&lobby()).len(), 1_000);
    let ends = pair.clients[ada].closed();
    assert_eq!(ends.len(), 1, "only the crash: {ends:?}");
    assert!((1..32).all(|number| !pair.clients[ada].shown(&room(number)).joins.is_empty()));
}
