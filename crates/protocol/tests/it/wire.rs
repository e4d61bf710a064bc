//! The wire: golden texts of every frame, and texts that are not frames.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::fmt::Debug;

use everbeat_protocol::codec::{Decode, DecodeError, decode, encode, text_bytes};
use everbeat_protocol::frame::{ClientFrame, ErrorCode, Limits, Message, SUBPROTOCOL, ServerFrame};
use everbeat_protocol::id::{MAX_SAFE_INTEGER, Name, RoomName, SessionId};
use serde::Serialize;

const LIMIT: u32 = 64 * 1024;

/// Every client frame of the protocol, exactly as it stands on the wire.
const CLIENT: &[&str] = &[
    r#"{"type":"hello"}"#,
    r#"{"type":"hello","session":{"id":"s1","key":"k1"},"name":"Ada"}"#,
    r#"{"type":"join","room":"lobby"}"#,
    r#"{"type":"join","room":"lobby","since":{"epoch":"e1","offset":0},"limit":50}"#,
    r#"{"type":"leave","room":"lobby"}"#,
    r#"{"type":"publish","seq":1,"room":"lobby","body":"hi"}"#,
    r#"{"type":"publish","seq":9007199254740991,"room":"a-z_0","body":"\u0000\"\\é😀"}"#,
    r#"{"type":"draft","room":"lobby","body":""}"#,
    r#"{"type":"history","room":"lobby","before":51,"limit":50}"#,
    r#"{"type":"rename","name":"Ada"}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"pong"}"#,
];

/// Every server frame of the protocol, exactly as it stands on the wire.
const SERVER: &[&str] = &[
    concat!(
        r#"{"type":"welcome","session":{"id":"s1","key":"k1"},"resumed":true,"last_seq":0,"#,
        r#""heartbeat":{"interval_ms":25000,"timeout_ms":5000},"limits":{"frame_bytes":65536,"#,
        r#""body_bytes":8192,"rooms":32,"publishes_per_s":50,"drafts_per_s":20,"history":200}}"#
    ),
    concat!(
        r#"{"type":"welcome","session":{"id":"s1","key":"k1"},"resumed":true,"last_seq":2,"#,
        r#""refused":[{"seq":2,"code":"body_too_large"}],"#,
        r#""heartbeat":{"interval_ms":25000,"timeout_ms":5000},"limits":{"frame_bytes":65536,"#,
        r#""body_bytes":8192,"rooms":32,"publishes_per_s":50,"drafts_per_s":20,"history":200}}"#
    ),
    concat!(
        r#"{"type":"joined","room":"lobby","epoch":"e1","head":7,"from":5,"recovered":true,"#,
        r#""members":[{"session":"s1","name":"Ada"}],"#,
        r#""drafts":[{"session":"s1","name":"Ada","body":"hel"}]}"#
    ),
    concat!(
        r#"{"type":"message","room":"lobby","offset":7,"session":"s1","seq":3,"name":"Ada","#,
        r#""at_ms":1700000000000,"body":"hi"}"#
    ),
    concat!(
        r#"{"type":"message","room":"lobby","offset":7,"session":"s1","seq":3,"name":"Ada","#,
        r#""at_ms":1700000000000,"body":"","removed":true}"#
    ),
    concat!(
        r#"{"type":"history","room":"lobby","messages":[{"room":"lobby","offset":1,"#,
        r#""session":"s1","seq":1,"name":"Ada","at_ms":0,"body":"hi"}],"more":false}"#
    ),
    r#"{"type":"ack","seq":3,"room":"lobby","offset":7}"#,
    r#"{"type":"draft","room":"lobby","session":"s1","name":"Ada","body":"hel"}"#,
    r#"{"type":"presence","room":"lobby","joined":[{"session":"s1","name":"Ada"}],"left":["s2"]}"#,
    r#"{"type":"presence","room":"lobby","left":["s2"]}"#,
    r#"{"type":"go_away","reconnect_after_ms":1500,"reason":"restarting"}"#,
    concat!(
        r#"{"type":"go_away","reconnect_after_ms":1500,"#,
        r#""elsewhere":{"address":"wss://b.example/ws","after_ms":20},"reason":"restarting"}"#
    ),
    r#"{"type":"error","code":"bad_frame","message":"why"}"#,
    concat!(
        r#"{"type":"error","code":"rate_limited","message":"why","seq":3,"room":"lobby","#,
        r#""retry_after_ms":20}"#
    ),
    r#"{"type":"error","code":"seq_gap","message":"why","unsettled":3}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"pong"}"#,
];

fn is_golden<F: Serialize + Decode + Debug>(texts: &[&str]) {
    for text in texts {
        let frame: F = decode(text, LIMIT).unwrap();
        assert_eq!(encode(&frame), *text);
        // Unknown fields are ignored, wherever they stand.
        let with_more = text.replacen('{', r#"{"x":[{"type":1}],"#, 1);
        let more: F = decode(&with_more, LIMIT).unwrap();
        assert_eq!(encode(&more), *text);
        // Every cut of it is not a frame, and nothing panics.
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert!(
                decode::<F>(&text[..end], LIMIT).is_err(),
                "{}",
                &text[..end]
            );
        }
    }
}

/// RS-1, RS-3, RS-5, EO-1, HB-1: every frame of a client has one text, and that text is the frame.
#[test]
fn client_frames_are_golden() {
    is_golden::<ClientFrame>(CLIENT);
    assert_eq!(SUBPROTOCOL, "everbeat.v1");
}

/// RS-3, RS-6, EO-1, EO-7, EO-8, HB-2, RC-3, RC-8: every frame of the server has one text, and that text is the
/// frame.
#[test]
fn server_frames_are_golden() {
    is_golden::<ServerFrame>(SERVER);
}

/// EO-7: an unknown code is still a refusal; each known one has its own name.
#[test]
fn unknown_codes_are_still_refusals() {
    let text = r#"{"type":"error","code":"from_the_future","message":"why"}"#;
    let frame = decode::<ServerFrame>(text, LIMIT).unwrap();
    assert!(matches!(frame, ServerFrame::Error(refusal) if refusal.code == ErrorCode::Unknown));
    let unknown = serde_json::to_value(ErrorCode::Unknown).unwrap();
    assert_eq!(unknown, ErrorCode::Unknown.as_str());
    assert_eq!(ErrorCode::parse("from_the_future"), ErrorCode::Unknown);
    let codes = "bad_frame bad_room body_empty body_too_large busy frame_too_large hello_expected not_joined \
                 rate_limited read_denied seq_conflict seq_gap token_expired token_invalid token_required \
                 too_many_rooms unavailable write_denied";
    for code in codes.split(' ') {
        let read: ErrorCode = serde_json::from_value(code.into()).unwrap();
        assert_ne!(read, ErrorCode::Unknown, "{code}");
        assert_eq!(serde_json::to_value(read).unwrap(), code);
        assert_eq!((read.as_str(), ErrorCode::parse(code)), (code, read));
        assert!(!read.message().is_empty());
    }
}

fn refused(text: &str) {
    assert!(decode::<ClientFrame>(text, LIMIT).is_err(), "{text}");
    assert!(decode::<ServerFrame>(text, LIMIT).is_err(), "{text}");
}

/// PU-4: what is not a frame is refused, and nothing panics.
#[test]
fn what_is_no_frame_is_refused() {
    let texts = [
        "",
        " ",
        "\0",
        "null",
        "true",
        "0",
        "\"ping\"",
        "[]",
        "{}",
        "{",
        "}",
        "[\"ping\"]",
        r#"[{"type":"ping"}]"#,
        r#"["leave","lobby"]"#,
        r#"["leave",{"room":"lobby"}]"#,
        r#"{"type":null}"#,
        r#"{"type":1}"#,
        r#"{"type":["ping"]}"#,
        r#"{"type":{"ping":1}}"#,
        r#"{"type":""}"#,
        r#"{"type":"Ping"}"#,
        r#"{"type":"nope"}"#,
        r#"{"type":"ping "}"#,
        r#"{"type":"ping"}{"type":"ping"}"#,
        r#"{"type":"ping"},"#,
        "\u{feff}{\"type\":\"ping\"}",
        r#"{'type':'ping'}"#,
        r#"{"type":"ping",}"#,
        r#"{"type":"leave"}"#,
        r#"{"type":"leave","room":null}"#,
        r#"{"type":"leave","room":["lobby"]}"#,
        r#"{"type":"draft","room":"lobby"}"#,
        r#"{"type":"draft","room":"lobby","body":1}"#,
        r#"{"type":"hello","session":{"id":"s1"}}"#,
        r#"{"type":"hello","session":"s1"}"#,
        r#"{"type":"rename","name":7}"#,
        r#"{"type":"leave","room":"lobby","room":"b"}"#,
    ];
    for text in texts {
        refused(text);
    }
}

/// EO-1: a `seq` is a whole number from 1 to 2^53 - 1, written as such.
#[test]
fn a_seq_is_a_whole_number() {
    let huge = "9".repeat(400);
    let bad = [
        "0",
        "-1",
        "-0",
        "1.5",
        "1.0",
        "1e0",
        "\"1\"",
        "null",
        "[1]",
        "true",
        "NaN",
        "01",
        "+1",
        "0x1",
        "9007199254740992",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "-1e400",
        &huge,
    ];
    for number in bad {
        refused(&format!(
            r#"{{"type":"publish","seq":{number},"room":"a","body":"b"}}"#
        ));
        refused(&format!(
            r#"{{"type":"ack","seq":{number},"room":"a","offset":1}}"#
        ));
    }
    for number in ["-1", "1.5", "\"1\"", "9007199254740992", "1e3", &huge] {
        refused(&format!(
            r#"{{"type":"history","room":"a","before":{number},"limit":1}}"#
        ));
        refused(&format!(
            r#"{{"type":"history","room":"a","before":1,"limit":{number}}}"#
        ));
        refused(&format!(
            r#"{{"type":"ack","seq":1,"room":"a","offset":{number}}}"#
        ));
    }
}

/// RS-3: `last_seq` fits 53 bits like every number, or a client could not count on from it.
#[test]
fn last_seq_fits_53_bits() {
    for (number, is_read) in [
        ("0", true),
        ("9007199254740990", true),
        ("9007199254740992", false),
        ("18446744073709551615", false),
        ("-1", false),
    ] {
        let text = SERVER[0].replace(r#""last_seq":0"#, &format!(r#""last_seq":{number}"#));
        assert_eq!(
            decode::<ServerFrame>(&text, LIMIT).is_ok(),
            is_read,
            "{number}"
        );
    }
    assert_eq!(MAX_SAFE_INTEGER, 9_007_199_254_740_991);
}

/// HB-2, RC-3, RC-8, EO-7: times fit 53 bits too.
#[test]
fn times_fit_53_bits() {
    let times = [
        (SERVER[0], r#""interval_ms":25000"#),
        (SERVER[0], r#""timeout_ms":5000"#),
        (SERVER[3], r#""at_ms":1700000000000"#),
        (SERVER[10], r#""reconnect_after_ms":1500"#),
        (SERVER[11], r#""after_ms":20"#),
        (SERVER[13], r#""retry_after_ms":20"#),
    ];
    for (text, time) in times {
        let (name, _) = time.split_once(':').unwrap();
        let is_read = |number: u64| {
            let text = text.replace(time, &format!("{name}:{number}"));
            decode::<ServerFrame>(&text, LIMIT).is_ok()
        };
        assert!(text.contains(time) && is_read(MAX_SAFE_INTEGER), "{name}");
        assert!(!is_read(MAX_SAFE_INTEGER + 1), "{name}");
    }
}

/// PU-4: a room's name is 1 to 64 of `a-z 0-9 - _`.
#[test]
fn bad_room_names_are_refused() {
    let long = "x".repeat(65);
    let bad = [
        "",
        " ",
        "Lobby",
        "a b",
        "a/b",
        "..",
        "a.b",
        "é",
        "ａ",
        "%61",
        "\u{202e}a",
        "a\u{200d}",
        "a\u{0}",
        "😀",
        "lobby\n",
        &long,
    ];
    for room in bad {
        let room = serde_json::to_string(room).unwrap();
        refused(&format!(r#"{{"type":"leave","room":{room}}}"#));
        refused(&format!(
            r#"{{"type":"ack","seq":1,"room":{room},"offset":1}}"#
        ));
    }
    let longest = RoomName::new(&"x".repeat(64)).unwrap();
    let text = encode(&ClientFrame::Leave { room: longest });
    assert!(decode::<ClientFrame>(&text, LIMIT).is_ok());
}

/// PU-4: deep nesting costs nothing and breaks nothing, known field or not. Unknown fields are passed
/// over.
#[test]
fn deep_nesting_is_no_danger() {
    for depth in [200, 30_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        refused(&deep);
        refused(&format!(r#"{{"type":"error","message":{deep}}}"#));
        for ping in [
            format!(r#"{{"type":"ping","x":{deep}}}"#),
            format!(r#"{{"x":{deep},"type":"ping"}}"#),
        ] {
            assert_eq!(
                decode::<ClientFrame>(&ping, LIMIT).unwrap(),
                ClientFrame::Ping
            );
            assert_eq!(
                decode::<ServerFrame>(&ping, LIMIT).unwrap(),
                ServerFrame::Ping
            );
        }
        refused(&r#"{"type":"#.repeat(depth / 10));
        refused(&"[".repeat(depth));
    }
}

/// EO-6: text is kept as it is, NUL, right-to-left marks and all.
#[test]
fn text_is_kept_as_it_is() {
    let texts = [
        "\u{0}",
        "\u{202e}evil",
        "\u{feff}",
        "a\r\n\tb",
        "😀",
        "\u{10ffff}",
        "e\u{301}",
        "\u{7f}",
    ];
    for body in texts {
        let frame = ClientFrame::Draft {
            room: RoomName::lobby(),
            body: body.into(),
        };
        assert_eq!(decode(&encode(&frame), LIMIT), Ok(frame));
    }
    for escape in [r"\u12", r"\ud83", r"\u+83d", r"\ud83d\", r"\x41", "\u{1}"] {
        refused(&format!(
            r#"{{"type":"draft","room":"lobby","body":"{escape}"}}"#
        ));
    }
    let text = r#"{"type":"draft","room":"lobby","body":"\ud83d\ude00"}"#;
    let frame = decode::<ClientFrame>(text, LIMIT).unwrap();
    assert!(matches!(frame, ClientFrame::Draft { body, .. } if body == "😀"));
}

/// RS-1: odd names are tidied, not refused.
#[test]
fn odd_names_are_tidied() {
    let text = format!(
        r#"{{"type":"rename","name":" \u0000{}\u0007 "}}"#,
        "é".repeat(100)
    );
    let frame = decode::<ClientFrame>(&text, LIMIT).unwrap();
    let expected = Name::tidy(&"é".repeat(40));
    assert_eq!(frame, ClientFrame::Rename { name: expected });
}

/// PU-4: the limit counts bytes, is exact, and comes before any reading.
#[test]
fn the_limit_is_exact() {
    let text = r#"{"type":"draft","room":"lobby","body":"é"}"#;
    let bytes = u32::try_from(text.len()).unwrap();
    assert!(decode::<ClientFrame>(text, bytes).is_ok());
    let limit = bytes - 1;
    assert_eq!(
        decode::<ClientFrame>(text, limit),
        Err(DecodeError::TooLarge { limit })
    );
    let garbage = "\u{0}".repeat(100);
    assert_eq!(
        decode::<ClientFrame>(&garbage, 99),
        Err(DecodeError::TooLarge { limit: 99 })
    );
}

/// PU-4: the largest message within the limits is a frame within the limits, escapes included.
#[test]
fn the_largest_message_fits_the_frame() {
    let limits = Limits::default();
    let frame = ClientFrame::Publish {
        seq: MAX_SAFE_INTEGER.try_into().unwrap(),
        room: RoomName::new(&"x".repeat(64)).unwrap(),
        body: "\u{1}".repeat(limits.body_bytes as usize),
    };
    assert!(encode(&frame).len() <= limits.frame_bytes as usize);
}

/// PU-4: what a message takes in a frame is known without writing it, and never less than that.
#[test]
fn the_size_of_a_message_is_known() {
    for (name, body, removed) in [
        ("Ada", String::new(), true),
        ("\"\\\"", "plain".repeat(1000), false),
        ("é😀", (0..0x80).map(char::from).collect(), false),
        ("Bob", "\u{1}\u{7f}\u{2028}😀</script>\n".repeat(100), false),
    ] {
        let message = Message {
            room: RoomName::new(&"r".repeat(64)).unwrap(),
            offset: MAX_SAFE_INTEGER.try_into().unwrap(),
            session: SessionId::new(&"s".repeat(64)).unwrap(),
            seq: MAX_SAFE_INTEGER.try_into().unwrap(),
            name: Name::tidy(name),
            at_ms: MAX_SAFE_INTEGER,
            body: body.clone(),
            removed,
        };
        assert_eq!(text_bytes(&body) + 2, encode(&body).len());
        let known = message.wire_bytes();
        let taken = encode(&ServerFrame::Message(message)).len();
        assert!((taken..taken + 64).contains(&known), "{known} {taken}");
    }
}

/// PU-4: an error names the position of a fault, never the content.
#[test]
fn faults_do_not_repeat_the_content() {
    let text = r#"{"type":"hello","session":{"id":"s1","key":{"sword":"fish"}}}"#;
    let fault = decode::<ClientFrame>(text, LIMIT).unwrap_err();
    assert!(!format!("{fault} {fault:?}").contains("fish"));
}
