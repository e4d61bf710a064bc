//! Tests of the parts of a text.

use proptest::prelude::*;

use super::*;

/// The parts as text: links in `<>`, code in `[]`, blocks in `[[]]`.
fn shown(text: &str) -> String {
    let part = |part: Part<'_>| match part {
        Part::Plain(text) => text.to_owned(),
        Part::Link(url) => format!("<{url}>"),
        Part::Code { code, is_block, .. } if is_block => format!("[[{code}]]"),
        Part::Code { code, .. } => format!("[{code}]"),
    };
    parts(text).into_iter().map(part).collect()
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(shown(text), *expected, "{text:?}");
    }
}

/// Texts of these show as they are.
fn check_plain(texts: &[&str]) {
    for text in texts {
        assert_eq!(parts(text), [Part::Plain(text)], "{text:?}");
    }
}

#[test]
fn urls_are_links() {
    check(&[
        ("", ""),
        (
            "see https://a.example/b?c=d&e#f there",
            "see <https://a.example/b?c=d&e#f> there",
        ),
        ("HTTP://A.EXAMPLE", "<HTTP://A.EXAMPLE>"),
        (
            "https://a.example https://b.example",
            "<https://a.example> <https://b.example>",
        ),
        ("mailto:ada@example.org", "<mailto:ada@example.org>"),
        ("http://[::1]/", "http://[::1]/"),
        (
            "http://127.0.0.1:8080/r/tea",
            "<http://127.0.0.1:8080/r/tea>",
        ),
    ]);
}

#[test]
fn what_is_around_a_url_is_no_part_of_it() {
    check(&[
        ("Read https://a.example/.", "Read <https://a.example/>."),
        ("(https://a.example)", "(<https://a.example>)"),
        (
            "[x](https://a.example/y)...",
            "[x](<https://a.example/y>)...",
        ),
        ("https://a.example/b_(c) d", "<https://a.example/b_(c)> d"),
        ("<https://a.example>", "<<https://a.example>>"),
        ("\"https://a.example\"", "\"<https://a.example>\""),
        (
            "請看https://a.example/b。謝謝",
            "請看<https://a.example/b>。謝謝",
        ),
        ("https://a.example你好", "<https://a.example>你好"),
        (
            "https://a.example\u{202e}gpj",
            "<https://a.example>\u{202e}gpj",
        ),
        ("mailto:a@b.c?bcc=all@b.c", "<mailto:a@b.c>?bcc=all@b.c"),
    ]);
}

/// No other scheme, and no link that looks like one to another host.
#[test]
fn other_things_are_no_links() {
    check_plain(&[
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a.example",
        "https://",
        "http:// a.example",
        "https:a.example",
        "xhttps://a.example",
        "https://bank.example@evil.example/",
        "https://bank.example:443@evil.example",
        "https:///a.example",
        "https://\u{430}.example",
        "https://.",
        "mailto:",
        "mailto:ada",
        "mailto:@example.org",
        "mailto:a@b@c",
        "a.example",
        "ada@example.org",
    ]);
}

#[test]
fn backticks_hold_code() {
    check(&[
        ("a `b` c", "a [b] c"),
        ("``a ` b``", "[a ` b]"),
        ("```a``` `b`", "[a] [b]"),
        ("`https://a.example`", "[https://a.example]"),
        ("`a` ` `b`", "[a] ` [b]"),
        ("```\na\n```", "[[a]]"),
        ("x\n```rust\nlet a;\n\nb`c\n```\ny", "x\n[[let a;\n\nb`c]]y"),
        ("```\n```\n```", "```\n```\n```"),
        ("```\na\n```b\n```", "[[a\n```b]]"),
        ("```\na\n```\n```\nb\n```", "[[a]][[b]]"),
        ("```\n<b>&amp;\n```", "[[<b>&amp;]]"),
    ]);
}

/// A mark that is not shown hides nothing else.
#[test]
fn backticks_alone_are_text() {
    check_plain(&[
        "`",
        "``",
        "` `",
        "`a",
        "`a``",
        "`a\nb`",
        "````a````",
        "```\n\n```",
        "```\na",
        "```a hidden sentence\nb\n```",
        "```avery_long_word_that_is_not_the_name_of_a_language\nb\n```",
        "a ```\nb\n```",
    ]);
}

#[test]
fn a_block_keeps_its_marks() {
    let [Part::Plain("a\n"), block, Part::Plain("b")] = parts("a\n```c++\nx\n```\nb")[..] else {
        panic!("three parts");
    };
    let expected = Part::Code {
        open: "```c++\n",
        code: "x",
        close: "\n```\n",
        is_block: true,
    };
    assert_eq!(block, expected);
}

/// The pieces of which hostile texts are made.
const PIECES: [&str; 22] = [
    "`",
    "``",
    "```",
    "\n```",
    "```\n",
    "\n",
    " ",
    "h",
    "http://",
    "https://a",
    "mailto:",
    "a@",
    "(",
    ")",
    ".",
    "]",
    "你",
    "<b>",
    "\u{202e}",
    "\0",
    "/",
    "x",
];

fn any_text() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(PIECES.to_vec()).prop_map(str::to_owned);
    let character = any::<char>().prop_map(String::from);
    let any = prop_oneof![4 => piece, 1 => character];
    proptest::collection::vec(any, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_parts_are_the_text(text in any_text()) {
        let mut whole = String::new();
        for part in parts(&text) {
            match part {
                Part::Plain(text) => {
                    prop_assert!(!text.is_empty());
                    whole += text;
                }
                Part::Link(url) => {
                    let lower = url.to_ascii_lowercase();
                    let schemes = ["http://", "https://", "mailto:"];
                    prop_assert!(schemes.iter().any(|scheme| lower.starts_with(scheme)));
                    prop_assert!(url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'));
                    whole += url;
                }
                Part::Code { open, code, close, .. } => {
                    prop_assert!(!code.trim().is_empty());
                    prop_assert!(open.starts_with('`') && close.contains('`'));
                    // What may be hidden is short.
                    prop_assert!(open.len() <= LANGUAGE_MAX + 4 && close.len() <= 5);
                    whole.extend([open, code, close]);
                }
            }
        }
        prop_assert_eq!(whole, text);
    }
}

/// With any search that begins anew in what was searched, this would take minutes.
#[test]
fn hostile_texts_take_linear_time() {
    for first in PIECES {
        for second in ["", "`", "a", "\n```x", "h", "@"] {
            let pair = format!("{first}{second}");
            let text = pair.repeat((64 << 10) / pair.len());
            let length = |part: Part<'_>| match part {
                Part::Plain(text) | Part::Link(text) => text.len(),
                Part::Code {
                    open, code, close, ..
                } => open.len() + code.len() + close.len(),
            };
            assert_eq!(
                parts(&text).into_iter().map(length).sum::<usize>(),
                text.len()
            );
        }
    }
}
