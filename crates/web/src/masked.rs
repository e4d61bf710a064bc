//! JSON without what must not leave the page: bodies, keys, tokens.

#![allow(clippy::arithmetic_side_effects, reason = "places within a text")]

/// JSON in which each `body` is the number of its bytes (UTF-8), and each `key` or `token` is `"…"`. The rest stays as it is.
pub fn masked(json: &str) -> String {
    let mut made = String::with_capacity(json.len());
    let mut name = "";
    let mut rest = json;
    while let Some((before, string, after)) = next_string(rest) {
        made.push_str(before);
        let is_name = after.trim_start().starts_with(':');
        match name {
            _ if is_name => {
                name = string;
                put(&mut made, string);
            }
            "body" => made.push_str(&text_bytes(string).to_string()),
            "key" | "token" => put(&mut made, "…"),
            // An escaped name may be one of the above. No program that we know writes one.
            _ if name.contains('\\') => put(&mut made, "…"),
            _ => put(&mut made, string),
        }
        rest = after;
    }
    made.push_str(rest);
    made
}

fn put(made: &mut String, string: &str) {
    made.push('"');
    made.push_str(string);
    made.push('"');
}

/// What is before the next string, what is in it, and what is after it.
fn next_string(json: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = json.split_once('"')?;
    let mut is_escaped = false;
    let end = rest.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    Some((before, rest.get(..end)?, rest.get(end + 1..)?))
}

/// The bytes of the text that a JSON string stands for.
fn text_bytes(string: &str) -> usize {
    let mut parts = string.split('\\');
    let mut bytes = parts.next().map_or(0, str::len);
    while let Some(part) = parts.next() {
        bytes += match part.as_bytes() {
            // `\\`: what follows the second backslash is no escape.
            [] => 1 + parts.next().map_or(0, str::len),
            [b'u', digits @ ..] => {
                let unit = digits.get(..4).and_then(|unit| str::from_utf8(unit).ok());
                let unit = unit.and_then(|unit| u32::from_str_radix(unit, 16).ok());
                let size = match unit {
                    Some(..0x80) => 1,
                    // Half of a pair that takes four bytes.
                    Some(..0x800 | 0xd800..0xe000) => 2,
                    _ => 3,
                };
                size + digits.len().saturating_sub(4)
            }
            rest => rest.len(),
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_keys_and_tokens_are_masked() {
        for (json, expected) in [
            (r#"{"type":"ping"}"#, r#"{"type":"ping"}"#),
            (
                r#"{"type":"publish","seq":7,"room":"tea","body":"hello"}"#,
                r#"{"type":"publish","seq":7,"room":"tea","body":5}"#,
            ),
            (
                r#"{"type":"hello","session":{"id":"s1","key":"secret"},"token":"a.b"}"#,
                r#"{"type":"hello","session":{"id":"s1","key":"…"},"token":"…"}"#,
            ),
            // As other programs write it.
            (
                "{ \"body\" : \"a\" , \"key\"\n:\t\"b\" }",
                "{ \"body\" : 1 , \"key\"\n:\t\"…\" }",
            ),
            // Names within texts are no names, and texts that look like names are none.
            (
                r#"{"room":"body","name":"key","body":"\"body\":\"x\""}"#,
                r#"{"room":"body","name":"key","body":10}"#,
            ),
            (
                r#"{"drafts":[{"name":"a","body":"x"},{"name":"b","body":""}]}"#,
                r#"{"drafts":[{"name":"a","body":1},{"name":"b","body":0}]}"#,
            ),
            (
                r#"{"key":["a","b"],"x":"y"}"#,
                r#"{"key":["…","…"],"x":"y"}"#,
            ),
            (r#"{"b\u006fdy":"a"}"#, r#"{"b\u006fdy":"…"}"#),
            (r#"{"body":"a\\"}"#, r#"{"body":2}"#),
            // What is not JSON keeps what is no string.
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(masked(json), expected);
        }
    }

    /// The bytes are those of the text, whichever way it is written.
    #[test]
    fn bytes_are_those_of_the_text() {
        for text in [
            "",
            "plain",
            "\\",
            "\\\\",
            "\\u0041",
            "\"\\\n\t\u{1}",
            "é漢😀",
            "a\\n\\\\u00e9",
        ] {
            let json = serde_json::to_string(text).unwrap();
            let string = json.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            assert_eq!(text_bytes(string.unwrap()), text.len(), "{json}");
            let escaped: String = text
                .encode_utf16()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect();
            assert_eq!(text_bytes(&escaped), text.len(), "{escaped}");
        }
    }
}
