//! The texts that the clients publish: each names its client and its number, and shows any damage.

use std::fmt;

use protocol::frame::Message;

/// One published text: its client, and its number among that client's texts over all rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The client.
    pub client: u32,
    /// The client's own count, from 0.
    pub number: u32,
}

impl Mark {
    /// The text. Its length and characters differ from mark to mark, so that frames never fall into
    /// step with the proxy's reads.
    pub fn body(self) -> String {
        const LENGTH_MAX: u32 = 300;
        let length = self.client.wrapping_mul(31).wrapping_add(self.number * 17) % LENGTH_MAX;
        let padding = "every\u{a0}beat \"quoted\" \u{e9}\u{1f388}\\ "
            .chars()
            .cycle();
        let padding: String = padding.take(length as usize).collect();
        format!("{self} {padding}.")
    }

    /// The mark of a message; `None` for a text that no client published.
    pub fn of(message: &Message) -> Option<Self> {
        let (client, rest) = message.body.split_once('-')?;
        let (number, _) = rest.split_once(' ')?;
        let mark = Self {
            client: client.parse().ok()?,
            number: number.parse().ok()?,
        };
        (mark.body() == message.body).then_some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.client, self.number)
    }
}
