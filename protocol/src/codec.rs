//! Frames to text and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why a text is not a frame. The position of the fault is told, never the content.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
}

/// Writes a frame.
pub fn encode<F: Serialize>(frame: &F) -> String {
    // Frames hold only strings, whole numbers, flags and lists of those: nothing that JSON lacks.
    serde_json::to_string(frame).unwrap_or_default()
}

/// What can be read from a text.
pub trait Decode: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] if the text is something else.
    fn decode(text: &str) -> Result<Self, DecodeError>;
}

/// Reads a frame of at most `limit` bytes.
///
/// # Errors
/// [`DecodeError::TooLarge`] over the limit, [`DecodeError::Malformed`] for anything that is not a frame.
pub fn decode<F: Decode>(text: &str, limit: u32) -> Result<F, DecodeError> {
    if text.len() > limit as usize {
        return Err(DecodeError::TooLarge { limit });
    }
    // A list could stand for a tagged enum in serde, but a frame is an object.
    if text.trim_start().starts_with('[') {
        return Err(DecodeError::Malformed { column: 1 });
    }
    F::decode(text)
}

/// Reads JSON.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| DecodeError::Malformed {
        column: error.column() as u64,
    })
}
