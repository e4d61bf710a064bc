//! Bodies of messages as values of an application's own type.

use protocol::frame::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Row;

/// A type whose values are bodies of messages. On the wire a body is text (at most
/// [`Limits::body_bytes`](protocol::frame::Limits) of it); the codec belongs to the type. Every type with serde is a
/// body, as JSON.
pub trait Body: Sized {
    /// The value as text.
    ///
    /// # Errors
    /// [`BodyError`] if the value has no text: JSON lacks maps whose keys are no strings, for example.
    fn to_text(&self) -> Result<String, BodyError>;

    /// The value of a text.
    ///
    /// # Errors
    /// [`BodyError`] if the text is no value of this type.
    fn from_text(text: &str) -> Result<Self, BodyError>;
}

/// The error of a value without a text, or of a text without a value. It holds no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError;

/// The body of a message, read as a value. No message is dropped because of its body: another version of the
/// application, or a program over HTTP, may publish what this one cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read<B> {
    /// The value.
    Value(B),
    /// The text of the message was redacted (EO-8).
    Redacted,
    /// A text that is no value of the type.
    Unreadable(String),
}

impl<B: Body> Read<B> {
    /// The value of a text.
    pub fn of(text: &str) -> Self {
        B::from_text(text).map_or_else(|_| Self::Unreadable(text.to_owned()), Self::Value)
    }

    /// The value of a message.
    pub fn of_message(message: &Message) -> Self {
        if message.removed {
            Self::Redacted
        } else {
            Self::of(&message.body)
        }
    }

    /// The value of a row; `None` for a gap.
    pub fn of_row(row: &Row) -> Option<Self> {
        match row {
            Row::Logged(logged) => Some(Self::of_message(&logged.message)),
            Row::Pending(pending) => Some(Self::of(&pending.body)),
            Row::Gap(_) => None,
        }
    }
}

impl<T: Serialize + DeserializeOwned> Body for T {
    fn to_text(&self) -> Result<String, BodyError> {
        serde_json::to_string(self).map_err(|_| BodyError)
    }

    fn from_text(text: &str) -> Result<Self, BodyError> {
        serde_json::from_str(text).map_err(|_| BodyError)
    }
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body is no value of its type")
    }
}

impl std::error::Error for BodyError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::fixtures::message;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum Note {
        Said(String),
        Moved { id: u32, to: [i32; 2] },
    }

    #[test]
    fn a_value_arrives_as_it_was_sent() {
        for note in [Note::Said("hi".into()), Note::Moved { id: 7, to: [1, -2] }] {
            let text = note.to_text().unwrap();
            assert_eq!(Read::of(&text), Read::Value(note));
        }
        let keyed = BTreeMap::from([((1, 2), 3)]);
        assert_eq!(keyed.to_text(), Err(BodyError));
    }

    /// Offsets stay dense: a message that cannot be read is a message.
    #[test]
    fn what_cannot_be_read_is_not_dropped() {
        let plain = message("ada", 1, 1, "by another program");
        let unreadable = Read::<Note>::Unreadable("by another program".to_owned());
        assert_eq!(Read::of_message(&plain), unreadable);
        let mut redacted = plain;
        redacted.removed = true;
        redacted.body.clear();
        assert_eq!(Read::<Note>::of_message(&redacted), Read::Redacted);
        assert_eq!(Read::<Note>::of_row(&Row::Gap(1)), None);
    }
}
