//! A frame that begins with its `type` is read in one pass, any other one in two. Both read the same.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::codec::{DecodeError, decode};
use everbeat_protocol::frame::ClientFrame;
use fastrand::Rng;

const LIMIT: u32 = 64 * 1024;

#[rustfmt::skip]
const TYPES: &[&str] = &[
    "hello", "token", "join", "leave", "publish", "draft", "history", "rename", "ping", "pong", "nothing", "",
    r"pub\u006cish", "publish ",
];

#[rustfmt::skip]
const KEYS: &[&str] = &[
    "type", r"t\u0079pe", "seq", "room", "body", "name", "token", "session", "since", "limit", "before", "other",
    "bödy", r"r\u006fom",
];

#[rustfmt::skip]
const VALUES: &[&str] = &[
    "1", "0", "9007199254740992", "1e3", "-1", "null", "true", r#""lobby""#, r#""no room""#, r#""""#, r#""a\nb""#,
    r#""\ud83d""#, r#""\ud83d\ude00""#, r#""\x""#, r#""publish""#, "[]", "{}", "[", r#"{"epoch":"e1","#,
    r#"{"id":"s1","key":"k1"}"#, r#"{"id":"?","key":"k1"}"#, r#"{"epoch":"e1","offset":3}"#,
    r#"{"epoch":"e1","offset":3,"offset":4}"#,
];

const ENDS: &[&str] = &["}", "", "} ", "}}", "} x", ",}", "\u{feff}}"];

/// The fields that a frame of this kind needs.
fn needed(kind: &str) -> &'static [(&'static str, &'static str)] {
    match kind {
        "publish" => &[("seq", "1"), ("room", r#""lobby""#), ("body", r#""hello""#)],
        "draft" => &[("room", r#""lobby""#), ("body", r#""h\u00e9""#)],
        "join" | "leave" => &[("room", r#""lobby""#)],
        "history" => &[("room", r#""lobby""#), ("before", "3"), ("limit", "2")],
        "rename" => &[("name", r#""ada""#)],
        "token" => &[("token", r#""t.t.t""#)],
        _ => &[],
    }
}

fn one_of(rng: &mut Rng, texts: &'static [&'static str]) -> &'static str {
    texts[rng.usize(..texts.len())]
}

/// A valid frame, or one with other values, up to two more fields and any end; without its first brace.
fn draw(rng: &mut Rng) -> String {
    let kind = one_of(rng, TYPES);
    let mut fields = needed(kind).to_vec();
    for (_, value) in &mut fields {
        if rng.u8(..8) == 0 {
            *value = one_of(rng, VALUES);
        }
    }
    for _ in 0..rng.usize(..6).saturating_sub(3) {
        fields.push((one_of(rng, KEYS), one_of(rng, VALUES)));
    }
    rng.shuffle(&mut fields);
    let mut text = format!(r#""type":"{kind}""#);
    for (key, value) in fields {
        text += &format!(r#","{key}":{value}"#);
    }
    let end = if rng.u8(..4) > 0 {
        "}"
    } else {
        one_of(rng, ENDS)
    };
    text + end
}

/// PU-7: a space makes no difference, whatever follows: repeated keys, escapes in names and texts, fields that are
/// missing, of another kind or unknown, ends that come too soon or too late.
#[test]
fn one_pass_reads_what_two_passes_read() {
    let mut rng = Rng::with_seed(1);
    let (mut frames, mut unfit) = (0, 0);
    for _ in 0..100_000 {
        let rest = draw(&mut rng);
        let once = decode::<ClientFrame>(&format!("{{{rest}"), LIMIT);
        let twice = decode::<ClientFrame>(&format!("{{ {rest}"), LIMIT);
        frames += usize::from(once.is_ok());
        unfit += usize::from(matches!(once, Err(DecodeError::Unfit { .. })));
        // The space moves what follows it.
        let once = once.map_err(|fault| match fault {
            DecodeError::Malformed { column } => DecodeError::Malformed { column: column + 1 },
            other => other,
        });
        assert_eq!(once, twice, "{rest}");
    }
    assert!(frames > 20_000 && unfit > 50, "{frames} {unfit}");
}
