//! What nodes tell each other of the members of a room, as JSON. It may be lost, doubled, late and out of order.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::text_bytes;
use crate::id::{Generation, Life, Name, NodeName, SessionId};

/// About how many bytes a message has at most: a sixteenth of what a NATS server takes by default (`max_payload`), so
/// that others get their turn between two of them. A single long draft may make it larger.
pub const MESSAGE_BYTES: usize = 64 * 1024;

/// A draft of more bytes is not told: it stays at its author's node.
pub(super) const DRAFT_BYTES: usize = 128 * 1024;

/// A message of more bytes is no message.
const HEARD_BYTES: usize = 256 * 1024;

/// The form of messages that this code writes and reads.
const FORMAT: u32 = 1;

/// Why a message of another node is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HearError {
    /// A message of another format: the other node runs a newer program.
    #[error("presence of format {0}, which this program does not know")]
    Format(u32),
    /// No message at all.
    #[error("presence that cannot be read: {0}")]
    Garbled(String),
    /// Over 256 KiB.
    #[error("presence of {0} bytes")]
    TooLarge(usize),
}

/// A message of one node, about one room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    /// Which node.
    pub(super) node: NodeName,
    /// Its life.
    pub(super) life: Life,
    /// The version of its members: it grows with each change that it tells, over all of that life.
    pub(super) version: u64,
    /// What it says.
    pub(super) said: Said,
}

/// What a node says of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    /// It opened the room: it has no members there, and asks all others for theirs.
    Opened,
    /// It asks this node for all of its members.
    Ask {
        /// Which node.
        of: NodeName,
    },
    /// What changed since the version before.
    Changed(News),
    /// All of its members, and their drafts, in several parts.
    All {
        /// Which part, from 0.
        part: u32,
        /// Of how many.
        parts: u32,
        /// The part.
        #[serde(flatten)]
        news: News,
    },
    /// Nothing new: who missed a change learns it by the version.
    Beat,
}

/// Members of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct News {
    /// The members with their names, connected or away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) here: Vec<(SessionId, Generation, Name)>,
    /// Those that left for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left: Vec<(SessionId, Generation)>,
    /// Those that went to another node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) moved: Vec<(SessionId, Generation)>,
    /// Drafts, each with the author's last number when it was typed; an empty text clears one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) drafts: Vec<(SessionId, String, u64)>,
}

impl News {
    /// About as many bytes as it has in a message.
    pub(super) fn bytes(&self) -> usize {
        // Brackets, commas, quotes and two numbers.
        let entry = |texts: usize| texts.saturating_add(32);
        let here = self.here.iter();
        let here = here.map(|(id, _, name)| entry(id.as_str().len() + text_bytes(name.as_str())));
        let ended = self.left.iter().chain(&self.moved);
        let ended = ended.map(|(id, _)| entry(id.as_str().len()));
        let drafts = self.drafts.iter();
        let drafts = drafts.map(|(id, body, _)| entry(id.as_str().len() + text_bytes(body)));
        here.chain(ended).chain(drafts).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        let ended = self.left.len() + self.moved.len();
        self.here.len() + ended + self.drafts.len() == 0
    }

    /// Adds another part.
    pub(super) fn extend(&mut self, other: Self) {
        self.here.extend(other.here);
        self.left.extend(other.left);
        self.moved.extend(other.moved);
        self.drafts.extend(other.drafts);
    }
}

#[derive(Serialize)]
struct EnvelopeRef<'a> {
    format: u32,
    presence: &'a Message,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Deserialize)]
struct Envelope {
    presence: Message,
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let envelope = EnvelopeRef {
            format: FORMAT,
            presence: self,
        };
        // Texts and numbers, which can always be encoded.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HearError> {
        if bytes.len() > HEARD_BYTES {
            return Err(HearError::TooLarge(bytes.len()));
        }
        let garbled = |error: serde_json::Error| HearError::Garbled(error.to_string());
        // First the format alone: what a newer one holds may be unknown here.
        let Head { format } = serde_json::from_slice(bytes).map_err(garbled)?;
        if format != FORMAT {
            return Err(HearError::Format(format));
        }
        let Envelope { presence } = serde_json::from_slice(bytes).map_err(garbled)?;
        Ok(presence)
    }
}
