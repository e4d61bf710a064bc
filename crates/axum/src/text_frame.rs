//! A text as the bytes of a WebSocket frame: framed once, and shared by all its readers.

use tungstenite::Bytes;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::answers::Owed;

/// A whole, unmasked text frame (RFC 6455 section 5.2), as a server sends it. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct TextFrame(Bytes);

impl TextFrame {
    /// Frames a text.
    pub fn new(text: impl Into<String>) -> Self {
        let payload = Bytes::from(text.into());
        let frame = Frame::message(payload, OpCode::Data(Data::Text), true);
        let mut bytes = Vec::with_capacity(frame.len());
        // Writing to a vector does not fail.
        let _ = frame.format(&mut bytes);
        Self(bytes.into())
    }

    /// The number of bytes on the wire.
    #[expect(clippy::len_without_is_empty, reason = "a frame has a header")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The text in the frame.
    pub fn text(&self) -> &str {
        let length = match self.0.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        };
        let text = self.0.get(length..).unwrap_or_default();
        // The frame was made of a text.
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// The same frame, which holds its reservation among the answers until it is written.
    #[must_use]
    pub fn held(self, owed: Owed) -> Self {
        Self(owed.hold(self.0))
    }

    /// The bytes on the wire.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl std::fmt::Debug for TextFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextFrame")
            .field("bytes", &self.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_was_put_in() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let text = "x".repeat(length);
            assert_eq!(TextFrame::new(text.as_str()).text(), text, "{length}");
        }
        assert_eq!(TextFrame::new("ä\u{0}😀").text(), "ä\u{0}😀");
    }
}
