use std::time::Duration;

use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::access::Access;
use crate::close::CloseCode;
use crate::codec::{self, DecodeError};
use crate::frame::{
    Beat, ClientFrame, Draft, ErrorCode, Joined, Limits, Member, Message, Refusal, RoomDraft,
    ServerFrame, Welcome,
};
use crate::heartbeat::Verdict;
use crate::id::{ConnectionId, Credentials, Name, RoomName, Seq, SessionId, SessionKey, Token};
use crate::position::{Epoch, Offset};
use crate::server::{AppendError, Config, Connection, Input, SessionOpened, Slot, Transmit};
use crate::time::Timestamp;

/// What must be in no entry.
const SECRET: &str = "unspeakable";

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn offset(number: u64) -> Offset {
    Offset::new(number).unwrap()
}

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn secret_name() -> Name {
    Name::tidy(SECRET)
}

fn credentials() -> Credentials {
    Credentials {
        id: session("ada"),
        key: SessionKey::new(SECRET).unwrap(),
    }
}

fn message(author: &str, seq: u64, at: u64) -> Message {
    Message {
        room: RoomName::lobby(),
        offset: offset(at),
        session: session(author),
        seq: Seq::new(seq).unwrap(),
        name: secret_name(),
        at_ms: 1,
        body: SECRET.into(),
        removed: false,
    }
}

fn recorder() -> Recorder {
    let mut recorder = Recorder::new(at(1), ConnectionId::new(7), Ordinals::default(), at(1));
    recorder.attach(session("ada"));
    recorder
}

/// The entries of a recorder, as they are sent.
fn entries(recorder: &mut Recorder) -> Vec<Value> {
    std::iter::from_fn(|| recorder.poll_entry())
        .map(|entry| serde_json::to_value(&entry).unwrap())
        .collect()
}

/// All frames of a client, each with texts that no entry may hold.
fn client_frames() -> Vec<ClientFrame> {
    let room = RoomName::lobby();
    vec![
        ClientFrame::Hello {
            session: Some(credentials()),
            name: Some(secret_name()),
            token: Some(Token::new(SECRET).unwrap()),
        },
        ClientFrame::Token {
            token: Token::new(SECRET).unwrap(),
        },
        ClientFrame::Join {
            room: room.clone(),
            since: Some(crate::position::Position {
                epoch: Epoch::new("e"),
                offset: offset(3),
            }),
            limit: None,
        },
        ClientFrame::Leave { room: room.clone() },
        ClientFrame::Publish {
            seq: Seq::new(4).unwrap(),
            room: room.clone(),
            body: SECRET.into(),
        },
        ClientFrame::Draft {
            room: room.clone(),
            body: SECRET.into(),
        },
        ClientFrame::History {
            room,
            before: offset(9),
            limit: 5,
        },
        ClientFrame::Rename {
            name: secret_name(),
        },
        ClientFrame::Ping,
        ClientFrame::Pong,
    ]
}

fn welcome() -> Welcome {
    Welcome {
        session: credentials(),
        resumed: true,
        last_seq: 3,
        refused: Vec::new(),
        vouched: Some(secret_name()),
        heartbeat: Beat {
            interval_ms: 1,
            timeout_ms: 1,
        },
        limits: Limits::default(),
    }
}

/// All frames of a server, each with texts that no entry may hold.
fn server_frames() -> Vec<ServerFrame> {
    let room = RoomName::lobby();
    let member = Member::new(session("bob"), secret_name());
    vec![
        ServerFrame::Welcome(welcome()),
        ServerFrame::Joined(Joined {
            room: room.clone(),
            epoch: Epoch::new("e"),
            head: offset(9),
            from: offset(3),
            recovered: true,
            members: vec![member.clone()],
            count: None,
            drafts: vec![RoomDraft {
                session: session("bob"),
                name: secret_name(),
                body: SECRET.into(),
            }],
            read_only: false,
        }),
        ServerFrame::Message(message("ada", 4, 8)),
        ServerFrame::Message(message("bob", 1, 9)),
        ServerFrame::History {
            room: room.clone(),
            messages: vec![message("bob", 1, 2)],
            more: false,
        },
        ServerFrame::Ack {
            seq: Seq::new(4).unwrap(),
            room: room.clone(),
            offset: offset(8),
        },
        ServerFrame::Draft(Draft {
            room: room.clone(),
            session: session("bob"),
            name: secret_name(),
            body: SECRET.into(),
        }),
        ServerFrame::Presence {
            room,
            joined: vec![member],
            left: Vec::new(),
            count: None,
        },
        ServerFrame::GoAway {
            reconnect_after_ms: 5,
            elsewhere: None,
            reason: SECRET.into(),
        },
        ServerFrame::Renew { within_ms: 7 },
        ServerFrame::Error(Refusal {
            code: ErrorCode::RateLimited,
            message: SECRET.into(),
            seq: Some(Seq::new(5).unwrap()),
            unsettled: None,
            room: None,
            retry_after_ms: Some(1),
        }),
        ServerFrame::Ping,
        ServerFrame::Pong,
    ]
}

/// Each frame is in the trace with its type, its place and its numbers, and with nothing else that it holds.
#[test]
fn an_entry_holds_no_text_name_key_or_token() {
    let mut recorder = recorder();
    let mut told = Vec::new();
    let mut ordinals = Ordinals::default();
    for frame in client_frames() {
        ordinals.count_received();
        recorder.input(at(2), ordinals, &Input::Received(Ok(frame)));
        told.extend(entries(&mut recorder));
    }
    for frame in server_frames() {
        // By the machine, and by a room: they are the same.
        recorder.sent_text(at(3), ordinals, &codec::encode(&frame));
        let by_room = entries(&mut recorder);
        recorder.transmit(at(3), ordinals, &Transmit::Frame(frame));
        ordinals.count_sent();
        assert_eq!(entries(&mut recorder), by_room);
        told.extend(by_room);
    }
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let types: Vec<&str> = told.iter().filter_map(|it| it["frame"].as_str()).collect();
    assert_eq!(types.len(), 10 + 13, "{types:?}");
    let received = |index: usize| {
        let entry = told.iter().filter(|it| it["kind"] == "in").nth(index);
        entry.unwrap().clone()
    };
    assert_eq!(
        received(4),
        json!({
            "ms": 2.0, "connection": 7, "kind": "in", "ordinal": 5, "frame": "publish", "seq": 4, "room": "lobby",
            "bytes": SECRET.len(),
        })
    );
    assert_eq!(received(2)["offset"], 3);
    let sent = |index: usize| {
        let entry = told.iter().filter(|it| it["kind"] == "out").nth(index);
        entry.unwrap().clone()
    };
    assert_eq!(
        (&sent(0)["frame"], &sent(0)["seq"]),
        (&json!("welcome"), &json!(3))
    );
    assert_eq!(
        (&sent(2)["seq"], &sent(2)["offset"]),
        (&json!(4), &json!(8))
    );
    assert_eq!(sent(3)["seq"], Value::Null, "the number of another session");
    assert_eq!(
        (&sent(5)["frame"], &sent(5)["ordinal"]),
        (&json!("ack"), &json!(6))
    );
    assert_eq!(
        (&sent(10)["code"], &sent(10)["seq"]),
        (&json!("rate_limited"), &json!(5))
    );
    let replay = told.iter().find(|it| it["kind"] == "replay").unwrap();
    let expected =
        json!({"ms": 3.0, "connection": 7, "kind": "replay", "room": "lobby", "from": 3, "to": 9});
    assert_eq!(*replay, expected);
}

/// What is not a frame is in the trace, too: a client sent it, and counted it if it was text.
#[test]
fn what_is_no_frame_is_bad() {
    let mut recorder = recorder();
    entries(&mut recorder);
    let ordinals = Ordinals {
        received: 3,
        sent: 0,
    };
    let errors = [
        (DecodeError::Binary, 0, "bad_frame", Value::Null),
        (
            DecodeError::Malformed { column: 1 },
            3,
            "bad_frame",
            Value::Null,
        ),
        (
            DecodeError::TooLarge { limit: 9 },
            3,
            "frame_too_large",
            Value::Null,
        ),
        (
            DecodeError::Unfit {
                code: ErrorCode::BadRoom,
                seq: Seq::new(8).ok(),
            },
            3,
            "bad_room",
            json!(8),
        ),
    ];
    for (error, ordinal, code, seq) in errors {
        recorder.input(at(2), ordinals, &Input::Received(Err(error)));
        let told = entries(&mut recorder).remove(0);
        assert_eq!(
            (
                &told["frame"],
                &told["ordinal"],
                &told["code"],
                &told["seq"]
            ),
            (&json!("bad"), &json!(ordinal), &json!(code), &seq)
        );
    }
}

/// What happens between the frames: the log's answers with the time that they took, a slot, a take-over, the end.
#[test]
fn what_the_server_does_is_told() {
    let mut recorder = Recorder::new(
        at(90),
        ConnectionId::new(7),
        Ordinals {
            received: 12,
            sent: 30,
        },
        at(40),
    );
    let none = Ordinals::default();
    let room = RoomName::lobby();
    let seq = |number| Seq::new(number).unwrap();
    let append = |number| Transmit::Append {
        seq: seq(number),
        room: room.clone(),
        name: secret_name(),
        body: SECRET.into(),
        is_repeat: false,
    };
    let appended = |number, result| Input::Appended {
        seq: seq(number),
        room: room.clone(),
        result,
    };
    recorder.input(at(91), none, &appended(1, Ok(offset(5))));
    recorder.transmit(at(100), none, &append(2));
    recorder.transmit(at(101), none, &append(3));
    let micros = Timestamp::from_origin(Duration::from_micros(102_345));
    recorder.input(micros, none, &appended(2, Ok(offset(6))));
    recorder.input(at(103), none, &appended(3, Err(AppendError::Fenced)));
    recorder.input(
        at(104),
        none,
        &Input::GoAway(Slot::from(Duration::from_secs(2))),
    );
    recorder.input(at(105), none, &Input::TakenOver);
    recorder.verdict(at(106), Verdict::Alive);
    recorder.closed(at(107), CloseCode::TAKEN_OVER, Side::Server);
    let entry = |ms: f64, rest: Value| {
        let mut entry = json!({"ms": ms, "connection": 7});
        entry
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        entry
    };
    assert_eq!(
        entries(&mut recorder),
        [
            entry(
                90.0,
                json!({"kind": "open", "in": 12, "out": 30, "heard_ms": 40.0})
            ),
            entry(91.0, json!({"kind": "commit", "seq": 1, "offset": 5})),
            entry(
                102.345,
                json!({"kind": "commit", "seq": 2, "offset": 6, "took_ms": 2.345})
            ),
            entry(
                103.0,
                json!({"kind": "commit", "seq": 3, "error": "fenced", "took_ms": 2.0})
            ),
            entry(104.0, json!({"kind": "slot", "reconnect_after_ms": 2000})),
            entry(105.0, json!({"kind": "takeover"})),
            entry(
                107.0,
                json!({"kind": "close", "code": 4100, "by": "server"})
            ),
        ]
    );
}

/// HB-4: in silence the trace has the machine's verdicts, each before what the machine does about it.
#[test]
fn verdicts_are_the_machines() {
    let config = Config::default();
    let mut machine = Connection::new(at(0), config);
    let mut recorder = Recorder::new(at(0), ConnectionId::new(1), Ordinals::default(), at(0));
    let mut ordinals = Ordinals::default();
    let hello = ClientFrame::Hello {
        session: None,
        name: None,
        token: None,
    };
    let opened = SessionOpened {
        credentials: credentials(),
        resumed: false,
        last_seq: 0,
        refused: Vec::new(),
    };
    ordinals.count_received();
    for input in [
        Input::Received(Ok(hello)),
        Input::Admitted(Ok(Access::ANYBODY)),
        Input::SessionOpened(Some(opened)),
    ] {
        recorder.input(at(1), ordinals, &input);
        machine.handle_input(at(1), input);
    }
    let mut now = at(1);
    let mut end = None;
    while end.is_none() {
        while let Some(transmit) = machine.poll_transmit() {
            recorder.transmit(now, ordinals, &transmit);
            if matches!(transmit, Transmit::Frame(_)) {
                ordinals.count_sent();
            }
            if let Transmit::Close(code) = transmit {
                end = Some(code);
                recorder.closed(now, code, Side::Server);
            }
        }
        if let Some(due) = machine.poll_timeout() {
            now = now.max(due);
            recorder.verdict(now, machine.handle_timeout(now));
        }
    }
    assert_eq!(end, Some(CloseCode::DEAD));
    let told = entries(&mut recorder);
    let kinds: Vec<String> = told
        .iter()
        .map(|it| {
            let of = ["frame", "verdict", "code"].map(|field| it[field].to_string());
            let what = of.iter().find(|what| *what != "null");
            format!(
                "{} {}",
                it["kind"].as_str().unwrap(),
                what.map_or("", |it| it)
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "open ",
            "in \"hello\"",
            "out \"welcome\"",
            "verdict \"probe\"",
            "out \"ping\"",
            "verdict \"dead\"",
            "close 4000",
        ]
    );
}

/// A connection without a session keeps a few entries, and says how many there was no room for.
#[test]
fn a_recorder_has_a_bound() {
    let mut recorder = recorder();
    for _ in 0..ENTRIES_MAX + 4 {
        recorder.verdict(at(9), Verdict::Ping);
    }
    let told = entries(&mut recorder);
    assert_eq!(told.len(), ENTRIES_MAX + 1);
    let lost = json!({"ms": 9.0, "connection": 7, "kind": "lost", "count": 5});
    assert_eq!(told.last(), Some(&lost));
    assert_eq!(recorder.poll_entry(), None);
}

fn verdict(ms: u64) -> Entry {
    Entry {
        at: at(ms),
        connection: Some(ConnectionId::new(1)),
        fact: Fact::Verdict {
            verdict: Verdict::Ping,
        },
    }
}

/// The lines that a reader gets, and whether each is an object.
fn read(reader: &mut Reader, ring: &Ring) -> Vec<Value> {
    let mut out = String::new();
    reader.read(at(99), ring, usize::MAX, &mut out);
    let lines = out.lines().map(serde_json::from_str);
    lines.map(Result::unwrap).collect()
}

/// A ring keeps the newest entries within its bytes. A reader that is too slow learns how many it missed; its lines are
/// numbered without a gap, lost ones included.
#[test]
fn a_slow_reader_learns_how_much_it_lost() {
    let bytes = 10 * (LINE_BYTES + 64);
    let mut ring = Ring::new(bytes);
    ring.push(&verdict(0));
    let mut reader = ring.reader();
    assert!(!reader.is_behind(&ring), "from now on");
    let mut out = String::new();
    let clock = TraceClock {
        unix_ms: 5,
        idle_ms: 1,
        timeout_ms: 2,
        node: None,
    };
    reader.write(at(1), Fact::Clock(clock), &mut out);
    assert_eq!(
        out,
        "{\"n\":1,\"ms\":1.0,\"connection\":0,\"kind\":\"clock\",\"unix_ms\":5,\"idle_ms\":1,\"timeout_ms\":2}\n"
    );
    ring.push(&verdict(2));
    assert!(reader.is_behind(&ring));
    assert_eq!(read(&mut reader, &ring)[0]["n"], 2);
    for ms in 3..=102 {
        ring.push(&verdict(ms));
        assert!(ring.bytes() <= bytes);
    }
    let lines = read(&mut reader, &ring);
    let kept = lines.len() as u64 - 1;
    assert!((8..=10).contains(&kept), "{kept}");
    let lost = 100 - kept;
    let first = json!({"n": 2 + lost, "ms": 99.0, "connection": 0, "kind": "lost", "count": lost});
    assert_eq!(lines[0], first);
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["n"].as_u64()).collect();
    assert_eq!(numbers, (2 + lost..=102).collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap()["ms"], 102.0);
    assert!(read(&mut reader, &ring).is_empty());
}

/// One entry always fits, however few the bytes; and a reader gets a part at a time.
#[test]
fn a_reader_gets_a_part_at_a_time() {
    let mut small = Ring::new(0);
    let mut reader = small.reader();
    small.push(&verdict(1));
    assert_eq!(read(&mut reader, &small).len(), 1);
    let mut ring = Ring::new(1 << 16);
    let mut reader = ring.reader();
    for ms in 0..10 {
        ring.push(&verdict(ms));
    }
    let mut parts = 0;
    while reader.is_behind(&ring) {
        let mut out = String::new();
        assert_eq!(reader.read(at(99), &ring, 100, &mut out), 0);
        assert!(out.len() < 300, "{out}");
        parts += 1;
    }
    assert!(parts >= 5, "{parts}");
}
