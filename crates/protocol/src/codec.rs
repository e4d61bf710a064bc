//! The codec: frames to JSON text and back.

#![allow(clippy::arithmetic_side_effects, reason = "places within a text")]

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::frame::ErrorCode;
use crate::id::Seq;

/// Why a text is not a frame. Errors name the position of the fault, never the content.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Binary where only text is spoken.
    #[error("a binary frame: this subprotocol speaks text only")]
    Binary,
    /// Over the limit.
    #[error("a frame over the limit of {limit} bytes")]
    TooLarge {
        /// The limit in force.
        limit: u32,
    },
    /// Not JSON, not an object, an unknown `type`, a missing field or a value out of its range.
    #[error("not a frame: fault at column {column}")]
    Malformed {
        /// Where reading stopped, in bytes from the start.
        column: u64,
    },
    /// A frame with an invalid text in it, such as a room's name. Only the frame is refused: the connection goes on.
    #[error("a frame that names what cannot be: {code:?}")]
    Unfit {
        /// Why.
        code: ErrorCode,
        /// The number of the message, where it is one: the refusal uses it up (EO-7).
        seq: Option<Seq>,
    },
}

/// Writes a frame as JSON.
pub fn encode<F: Serialize>(frame: &F) -> String {
    // Frames hold only strings, whole numbers, flags and lists of those, under names that are strings: JSON has
    // all of that, and a `String` takes everything that is written to it.
    serde_json::to_string(frame).expect("a frame is made of what JSON has")
}

/// How many bytes a text takes in a frame, as a JSON string without its quotes (RFC 8259 section 7): up to six
/// times as many as by itself.
pub fn text_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        ..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// A value that can be read from JSON text.
pub trait Decode: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] if the text is something else, [`DecodeError::Unfit`] if a text in it is
    /// invalid.
    fn decode(text: &str) -> Result<Self, DecodeError>;
}

/// Reads a frame of at most `limit` bytes. A lone half of a surrogate pair is read as U+FFFD.
///
/// # Errors
/// [`DecodeError::TooLarge`] over the limit, [`DecodeError::Malformed`] for anything that is not a frame,
/// [`DecodeError::Unfit`] for a frame with an invalid text in it.
pub fn decode<F: Decode>(text: &str, limit: u32) -> Result<F, DecodeError> {
    if text.len() > limit as usize {
        return Err(DecodeError::TooLarge { limit });
    }
    // A list could stand for a tagged enum in serde, but a frame is an object.
    if text.trim_start().starts_with('[') {
        return Err(DecodeError::Malformed { column: 1 });
    }
    match F::decode(text) {
        // A rare case, so it costs a second pass; well-formed texts pay nothing for it.
        Err(DecodeError::Malformed { .. }) if text.contains("\\u") => {
            F::decode(&to_well_formed(text))
        }
        read => read,
    }
}

/// JSON in which each lone half of a surrogate pair is replaced by U+FFFD.
///
/// `JSON.stringify` writes such a half, as in `"\ud83d"`, where a text was cut within a character. The
/// grammar of JSON allows it (RFC 8259 section 8.2), but it is not Unicode, so a Rust string cannot hold it. A
/// text that is not JSON stays as it is.
pub fn to_well_formed(json: &str) -> Cow<'_, str> {
    const ESCAPE: usize = r"\ud83d".len();
    let mut mended = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        at += found;
        let is_pair = || matches!(code_unit(json, at + ESCAPE), Some(0xdc00..=0xdfff));
        match code_unit(json, at) {
            Some(0xd800..=0xdbff) if is_pair() => at += 2 * ESCAPE,
            Some(0xd800..=0xdfff) => {
                mended.push_str(&json[copied..at]);
                mended.push_str(r"\ufffd");
                at += ESCAPE;
                copied = at;
            }
            // In another escape the second character may be a backslash too.
            _ => at += 2,
        }
    }
    if mended.is_empty() {
        return Cow::Borrowed(json);
    }
    mended.push_str(&json[copied..]);
    Cow::Owned(mended)
}

/// The code unit of UTF-16 that is written at a place as `\uXXXX`.
fn code_unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// Reads JSON.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| DecodeError::Malformed {
        column: error.column() as u64,
    })
}
