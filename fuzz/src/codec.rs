//! The codec: any text is refused or understood, and what is understood can be written again.

use std::fmt::Debug;

use arbitrary::Unstructured;
use protocol::codec::{Decode, DecodeError, decode, encode};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::id::MAX_SAFE_INTEGER;
use serde_json::Value;

use crate::frames::Any;

/// A frame of either direction.
pub trait Frame: serde::Serialize + Decode + PartialEq + Debug {}

impl Frame for ClientFrame {}
impl Frame for ServerFrame {}

/// The first byte decides what the others are: a text to read as a frame of the client (`0`) or of the
/// server (`1`), or what a frame of the client (`2`) or of the server (`3`) is drawn from.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let mut u = Unstructured::new(rest);
    match (kind % 4, std::str::from_utf8(rest)) {
        (0, Ok(text)) => read::<ClientFrame>(text),
        (1, Ok(text)) => read::<ServerFrame>(text),
        (2, _) => {
            if let Ok(Any(frame)) = u.arbitrary::<Any<ClientFrame>>() {
                survives(&frame);
            }
        }
        (3, _) => {
            if let Ok(Any(frame)) = u.arbitrary::<Any<ServerFrame>>() {
                survives(&frame);
            }
        }
        _ => {}
    }
}

fn read<F: Frame>(text: &str) {
    let Ok(bytes) = u32::try_from(text.len()) else {
        return;
    };
    if let Some(limit) = bytes.checked_sub(1) {
        let cut = decode::<F>(text, limit);
        assert_eq!(cut, Err(DecodeError::TooLarge { limit }), "over the limit");
    }
    match decode::<F>(text, bytes) {
        Ok(frame) => survives(&frame),
        // Not a frame, or a frame with an invalid text in it.
        Err(DecodeError::Malformed { .. } | DecodeError::Unfit { .. }) => {}
        Err(error) => panic!("{error} about a text within the limit"),
    }
}

/// A frame goes over the wire and comes out unchanged.
///
/// # Panics
/// If it does not.
pub fn survives<F: Frame>(frame: &F) {
    let text = encode(frame);
    let again = decode::<F>(&text, u32::MAX);
    assert_eq!(again.as_ref(), Ok(frame), "{text}");
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(value.is_object(), "not an object: {text}");
    assert!(
        is_safe(&value),
        "a number that not every reader keeps: {text}"
    );
}

/// PROTOCOL.md, "Transport": numbers are whole and below 2^53.
fn is_safe(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_some_and(|n| n <= MAX_SAFE_INTEGER),
        Value::Array(items) => items.iter().all(is_safe),
        Value::Object(fields) => fields.values().all(is_safe),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
