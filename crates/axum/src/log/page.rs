//! Pages: bounded reads of the log, the same for every log.

use protocol::frame::Message;

/// The most bytes that the messages of a page take in frames, by default: a page of ordinary messages is full
/// long before that, and a slow reader holds no more.
pub const PAGE_BYTES: u32 = 256 * 1024;

/// A page of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// Whether the log holds more, further on in the direction of reading.
    pub more: bool,
}

/// A page that is being read, in either direction.
#[derive(Debug)]
pub(super) struct Gathering {
    page: Page,
    messages: usize,
    bytes: usize,
}

impl Gathering {
    /// A page of at most so many messages and so many bytes; but always of one message.
    pub(super) fn new(messages: u32, bytes: u32) -> Self {
        Self {
            page: Page::default(),
            messages: messages as usize,
            bytes: bytes as usize,
        }
    }

    /// Takes the next message, if it fits. If not, the page is complete, and the log holds more.
    pub(super) fn take(&mut self, message: Message) -> bool {
        let taken = self.page.messages.len();
        let left = self.bytes.checked_sub(message.wire_bytes());
        if taken >= self.messages || (left.is_none() && taken > 0) {
            self.page.more = true;
            return false;
        }
        self.bytes = left.unwrap_or_default();
        self.page.messages.push(message);
        true
    }

    /// The page, in the order in which it was read.
    pub(super) fn page(self) -> Page {
        self.page
    }
}
