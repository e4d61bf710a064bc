//! Frames whose JSON is sound, but with an invalid text in them: they are read as far as possible, or refused by
//! themselves. The connection lives, and what is in flight on it goes on.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::close::CloseCode;
use everbeat_protocol::codec::{Decode, DecodeError, decode, to_well_formed};
use everbeat_protocol::frame::{ClientFrame, ErrorCode, ServerFrame};
use everbeat_protocol::server::{Config, Input, Transmit};

use crate::solo::{Desk, appended, appends, lobby, publish};

const LIMIT: u32 = 64 * 1024;

fn read<F: Decode>(text: &str) -> F {
    decode(text, LIMIT).unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Desk {
    /// A frame comes as text, as the driver reads it.
    fn text(&mut self, text: &str) {
        self.input(Input::Received(decode(text, LIMIT)));
    }

    /// The last error that was sent: its code, `seq` and `retry_after_ms`.
    fn told(&self) -> (ErrorCode, Option<u64>, Option<u64>) {
        let Some(ServerFrame::Error(refusal)) = self.frames().last().copied() else {
            panic!("no error: {:?}", self.transmits);
        };
        let seq = refusal.seq.map(everbeat_protocol::id::Seq::get);
        (refusal.code, seq, refusal.retry_after_ms)
    }
}

/// EO-7: half of a surrogate pair, as `JSON.stringify` writes a text that was cut within an emoji, is read as
/// U+FFFD, in any text and in both directions; whole pairs and escaped backslashes stay as they are.
#[test]
fn half_a_character_is_read_as_the_replacement_character() {
    for (written, body) in [
        (r"half \ud83d", "half \u{fffd}"),
        (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (r"\uD83D\ud83d\uDE00!", "\u{fffd}\u{1f600}!"),
        (r"\ud83d\ud83d", "\u{fffd}\u{fffd}"),
        (r"\ud83dx\ude00", "\u{fffd}x\u{fffd}"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\u{fffd}"),
        (r"\ud83d\\", "\u{fffd}\\"),
        (r"\ud83d\u0041\u00e9é", "\u{fffd}Aéé"),
    ] {
        let text = format!(r#"{{"type":"draft","room":"lobby","body":"{written}"}}"#);
        let expected = ClientFrame::Draft {
            room: lobby(),
            body: body.to_owned(),
        };
        assert_eq!(read::<ClientFrame>(&text), expected, "{written}");
        let text = format!(
            r#"{{"type":"draft","room":"lobby","session":"s1","name":"{written}","body":"{written}"}}"#
        );
        let ServerFrame::Draft(draft) = read(&text) else {
            panic!("{text}");
        };
        assert_eq!(draft.body, body, "{written}");
    }
    // Names of fields and unknown fields need not be Unicode either.
    let text = r#"{"\ud83d":"\ude00","type":"rename","name":"Ada \ud83d"}"#;
    let ClientFrame::Rename { name } = read(text) else {
        panic!("{text}");
    };
    assert_eq!(name.as_str(), "Ada \u{fffd}");
    let text = r#"{"type":"join","room":"lobby","since":{"epoch":"\ud83d","offset":0}}"#;
    assert!(
        matches!(read(text), ClientFrame::Join { since: Some(since), .. }
        if since.epoch.as_str() == "\u{fffd}")
    );
}

/// PU-4: mending takes one pass and no more room, whatever the text.
#[test]
fn mending_is_cheap() {
    let many = r"\ud83d".repeat(100_000);
    assert_eq!(to_well_formed(&many), r"\ufffd".repeat(100_000));
    for text in [
        "",
        "\\",
        r"\u",
        r"\ud8",
        r"\ud83d\u",
        r"\ud83d\ud",
        "é\\é\\ué",
    ] {
        assert_eq!(to_well_formed(text).len(), text.len(), "{text}");
    }
}

/// EO-7: a draft with half a character is a draft like others: the session goes on, and what is in flight
/// is settled.
#[test]
fn half_a_character_ends_no_session() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, "in flight"));
    desk.text(r#"{"type":"publish","seq":2,"room":"lobby","body":"half \ud83d"}"#);
    desk.input(appended(1, Ok(1)));
    assert_eq!(appends(&desk), [1, 2]);
    assert_eq!(desk.closes(), []);
}

/// EO-7: a message to an impossible room is refused for good with its number, and the next one goes on.
/// Nothing else that was sent is touched.
#[test]
fn a_message_to_no_room_uses_its_number_up() {
    for room in ["Lobby", "", "half \\ud83d", "a b"] {
        let mut desk = Desk::live(Config::default());
        desk.frame(publish(1, "in flight"));
        let text = format!(r#"{{"type":"publish","seq":2,"room":"{room}","body":"b"}}"#);
        desk.text(&text);
        let (seq, code) = (everbeat_protocol::id::Seq::after(1), ErrorCode::BadRoom);
        let refuse = Transmit::Refuse { seq, code };
        assert_eq!(desk.transmits.last(), Some(&refuse), "{room}");
        desk.input(appended(1, Ok(1)));
        let result = Ok(code);
        desk.input(Input::NumberUsed { seq, result });
        assert_eq!(desk.told(), (code, Some(2), None));
        desk.frame(publish(3, "c"));
        assert_eq!(appends(&desk), [1, 3]);
        assert_eq!(desk.closes(), []);
    }
}

/// EO-1, EO-7: the number of such a message counts like any other: it may skip none, waits behind a held
/// one, and is paced.
#[test]
fn an_unfit_message_keeps_its_place() {
    let unfit = |seq: u64| format!(r#"{{"type":"publish","seq":{seq},"room":"?","body":"b"}}"#);
    let mut desk = Desk::live(Config::default());
    desk.text(&unfit(2));
    assert_eq!(desk.closes(), [CloseCode::SEQ_GAP]);

    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, "a"));
    desk.input(appended(
        1,
        Err(everbeat_protocol::server::AppendError::Unavailable),
    ));
    desk.transmits.clear();
    desk.text(&unfit(2));
    assert_eq!(desk.transmits, []);

    let mut desk = Desk::live(Config {
        publish_burst: 1,
        ..Config::default()
    });
    desk.text(&unfit(1));
    desk.text(&unfit(2));
    let (code, seq, wait) = desk.told();
    assert_eq!((code, seq), (ErrorCode::RateLimited, Some(2)));
    assert!(wait.is_some());
}

/// EO-7: another frame that names an impossible room is refused, and the connection goes on.
#[test]
fn what_is_done_in_no_room_is_not_done() {
    for text in [
        r#"{"type":"join","room":"Lobby"}"#,
        r#"{"type":"leave","room":""}"#,
        r#"{"type":"draft","room":"\ud83d","body":"b"}"#,
        r#"{"type":"history","room":"a b","before":1,"limit":1}"#,
    ] {
        let mut desk = Desk::live(Config::default());
        desk.text(text);
        assert_eq!(desk.told(), (ErrorCode::BadRoom, None, None), "{text}");
        assert_eq!(desk.transmits.len(), 1, "{text}");
        // Before `hello` it is not served either (RS-1).
        let mut desk = Desk::new(Config::default());
        desk.text(text);
        assert_eq!(desk.told().0, ErrorCode::HelloExpected);
        assert_eq!(desk.closes(), [CloseCode::BAD_FRAME]);
    }
}

/// RS-2: credentials that no session can have get a fresh one, as wrong ones do.
#[test]
fn credentials_that_cannot_be_resume_nothing() {
    for (id, key) in [
        ("", "k"),
        ("a b", "k"),
        ("é", "k"),
        ("s1", "sword fish"),
        ("s1", ""),
    ] {
        let text = format!(r#"{{"type":"hello","session":{{"id":"{id}","key":"{key}"}}}}"#);
        let hello: ClientFrame = read(&text);
        assert!(
            matches!(hello, ClientFrame::Hello { session: None, .. }),
            "{text}"
        );
    }
}

/// AC-1, AC-2: a text that cannot be a token counts as an unsigned one: the client that shows it gets an error
/// and is not let in, and does not become a guest by accident.
#[test]
fn what_cannot_be_a_token_is_judged_as_one() {
    for token in ["", "a b", "é", "\\ud83d", &"x".repeat(8_193)] {
        let text = format!(r#"{{"type":"hello","token":"{token}"}}"#);
        let hello: ClientFrame = read(&text);
        assert!(
            matches!(hello, ClientFrame::Hello { token: Some(_), .. }),
            "{text}"
        );
        let text = format!(r#"{{"type":"token","token":"{token}"}}"#);
        assert!(matches!(read(&text), ClientFrame::Token { .. }), "{text}");
    }
}

/// PU-4: a count that is too large is cut to the limit, as any count of messages is; a number that is
/// none stays a fault of the frame.
#[test]
fn how_many_is_cut_not_refused() {
    let history =
        |limit: &str| format!(r#"{{"type":"history","room":"a","before":1,"limit":{limit}}}"#);
    for limit in ["4294967296", "9007199254740991"] {
        let frame: ClientFrame = read(&history(limit));
        assert!(matches!(
            frame,
            ClientFrame::History {
                limit: u32::MAX,
                ..
            }
        ));
    }
    for limit in ["-1", "1.0", "1e3", "9007199254740992", "null"] {
        let fault = decode::<ClientFrame>(&history(limit), LIMIT);
        assert!(
            matches!(fault, Err(DecodeError::Malformed { .. })),
            "{limit}"
        );
    }
}

/// PU-4: unknown fields are ignored, however odd: their nesting, their numbers, their names.
#[test]
fn unknown_fields_are_passed_over_whatever_they_are() {
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    for odd in [
        r#""body":1"#,
        r#""seq":"one""#,
        r#""x":1,"x":2"#,
        r#""x":1e999999"#,
        r#""x":"\ud83d""#,
        &format!(r#""x":{deep}"#),
    ] {
        let text = format!(r#"{{"type":"ping",{odd}}}"#);
        assert_eq!(read::<ClientFrame>(&text), ClientFrame::Ping, "{odd}");
    }
    // A known field may come once.
    let twice = r#"{"type":"leave","room":"a","room":"a"}"#;
    assert!(decode::<ClientFrame>(twice, LIMIT).is_err());
    // `null` is like an absent field.
    let nothing = r#"{"type":"hello","session":null,"name":null,"token":null}"#;
    assert_eq!(read::<ClientFrame>(nothing), crate::solo::hello());
}
