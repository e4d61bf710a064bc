//! Packs: the commands of one node that travel as one message of the engine.
//!
//! A pack is atomic, as it is one message. Each node numbers its packs, so that a pack that was stored twice is folded
//! once, and one that overtook an earlier one is not folded at all.

pub use protocol::id::Life;
use std::fmt;

use protocol::id::{NodeName, Seq, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::command::Command;
use crate::fold::{BodyHash, body_hash};

/// The most bytes of an encoded pack: half of what a NATS server takes by default (`max_payload`).
pub const PACK_BYTES: usize = 512 * 1024;

/// The most commands in a pack: a transaction of so many takes some 10 ms.
pub const PACK_COMMANDS: usize = 450;

/// The form of packs that this code writes and reads.
pub const FORMAT: u32 = 1;

/// The commands of one node that are folded together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// The node that sent it.
    pub node: NodeName,
    /// Its life.
    pub life: Life,
    /// The pack's number in that life, from 1, without gaps.
    pub number: u64,
    /// The sender's Unix time in milliseconds.
    pub at_ms: u64,
    /// The commands, in their order.
    pub commands: Vec<Command>,
}

/// Which pack it is, of all that any node ever sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId {
    /// The node that sent it.
    pub node: NodeName,
    /// Its life.
    pub life: Life,
    /// The pack's number in that life.
    pub number: u64,
}

impl PackId {
    /// A short form of the id.
    pub fn hash(&self) -> PackHash {
        let mut hash = Sha256::new();
        for number in [self.life.count, self.life.nonce, self.number] {
            hash.update(number.to_be_bytes());
        }
        hash.update(self.node.as_str());
        PackHash(hash.finalize().into())
    }
}

/// The SHA-256 hash of a pack's id: the life's count, its nonce and the pack's number, 8 bytes each, big-endian, and the
/// node's name. A life's nonce is its own and a number is used once, so this tells the packs of two streams apart, and
/// it stays where a text is erased (EO-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackHash(pub [u8; 32]);

impl fmt::Display for PackHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a pack cannot be read. No node can skip it: the other nodes may have folded it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PackError {
    /// It is of a newer Everbeat.
    #[error("it has format {0}, this program reads {FORMAT}: upgrade this node")]
    Format(u32),
    /// It has a command that this program does not know, or is garbled.
    #[error("it cannot be read ({0}): upgrade this node, or look who else writes to the stream")]
    Garbled(String),
    /// It is larger than [`PACK_BYTES`] or has more than [`PACK_COMMANDS`] commands.
    #[error("it is too large ({bytes} bytes)")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Pack {
    /// Which pack it is.
    pub fn id(&self) -> PackId {
        PackId {
            node: self.node.clone(),
            life: self.life.clone(),
            number: self.number,
        }
    }

    /// Takes the text of one message out of the pack, and leaves its hash there (EO-8). A post is the first message of
    /// its session. `false` where the pack does not hold that text, or no longer.
    pub fn erase(&mut self, session: &SessionId, seq: Seq) -> bool {
        let mut is_erased = false;
        for command in &mut self.commands {
            let (body, erased) = match command {
                Command::Append(new) if new.session == *session && new.seq == seq => {
                    (&mut new.body, &mut new.erased)
                }
                Command::Post(new) if new.session == *session && seq == Seq::FIRST => {
                    (&mut new.body, &mut new.erased)
                }
                _ => continue,
            };
            is_erased |= erase(body, erased);
        }
        is_erased
    }

    /// The pack as it travels.
    ///
    /// # Errors
    /// [`PackError::TooLarge`]: a sender that counts with [`size_of_command`] makes none.
    pub fn encode(&self) -> Result<Vec<u8>, PackError> {
        let envelope = EnvelopeRef {
            format: FORMAT,
            pack: self,
        };
        let bytes = serde_json::to_vec(&envelope);
        let bytes = bytes.map_err(|error| PackError::Garbled(error.to_string()))?;
        self.check(bytes.len())?;
        Ok(bytes)
    }

    /// Reads a pack.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PackError> {
        if bytes.len() > PACK_BYTES {
            return Err(PackError::TooLarge { bytes: bytes.len() });
        }
        let garbled = |error: serde_json::Error| PackError::Garbled(error.to_string());
        // First the format alone: what a newer one holds may be unknown here.
        let Head { format } = serde_json::from_slice(bytes).map_err(garbled)?;
        if format != FORMAT {
            return Err(PackError::Format(format));
        }
        let Envelope { pack } = serde_json::from_slice(bytes).map_err(garbled)?;
        pack.check(bytes.len())?;
        Ok(pack)
    }

    fn check(&self, bytes: usize) -> Result<(), PackError> {
        if bytes > PACK_BYTES || self.commands.len() > PACK_COMMANDS {
            return Err(PackError::TooLarge { bytes });
        }
        Ok(())
    }
}

fn erase(body: &mut String, erased: &mut Option<BodyHash>) -> bool {
    if erased.is_some() {
        return false;
    }
    *erased = Some(body_hash(body));
    body.clear();
    true
}

/// How many bytes a command takes in a pack, with its comma.
pub fn size_of_command(command: &Command) -> usize {
    // A command is made of texts and numbers, so it can be encoded; were it not, it would fit into no pack.
    serde_json::to_vec(command).map_or(PACK_BYTES, |bytes| bytes.len().saturating_add(1))
}

#[derive(Serialize)]
struct EnvelopeRef<'a> {
    format: u32,
    pack: &'a Pack,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Deserialize)]
struct Envelope {
    pack: Pack,
}

#[cfg(test)]
mod tests {
    use protocol::id::{Generation, Name, RoomName, Seq, SessionId};

    use super::*;
    use crate::command::Append;

    fn pack(commands: Vec<Command>) -> Pack {
        Pack {
            node: NodeName::new("a").unwrap(),
            life: Life { count: 1, nonce: 7 },
            number: 3,
            at_ms: 5,
            commands,
        }
    }

    fn append(body: &str) -> Command {
        Command::Append(Append {
            session: SessionId::new("ada").unwrap(),
            generation: Generation(2),
            seq: Seq::FIRST,
            room: RoomName::lobby(),
            name: Name::tidy("Ada"),
            body: body.into(),
            at_ms: 4,
            is_repeat: false,
            erased: None,
        })
    }

    #[test]
    fn a_pack_comes_back_as_it_was() {
        let sent = pack(vec![append("a \"quote\", \u{0}"), append("")]);
        assert_eq!(Pack::decode(&sent.encode().unwrap()), Ok(sent));
    }

    /// What a newer program wrote is named, so that the operator knows which side to change.
    #[test]
    fn a_newer_format_and_an_unknown_command_are_told_apart() {
        let newer = br#"{"format":2,"pack":{"whatever":1}}"#;
        assert_eq!(Pack::decode(newer), Err(PackError::Format(2)));
        let encoded = String::from_utf8(pack(vec![append("x")]).encode().unwrap()).unwrap();
        let unknown = encoded.replace("\"append\"", "\"teleport\"");
        let error = Pack::decode(unknown.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("teleport"), "{error}");
        for garbled in [&b""[..], b"{", b"[]", b"{\"format\":1}", &[0xff; 4]] {
            let error = Pack::decode(garbled);
            assert!(matches!(error, Err(PackError::Garbled(_))), "{error:?}");
        }
    }

    #[test]
    fn a_pack_is_bounded_in_bytes_and_commands() {
        let many = pack(vec![append("x"); PACK_COMMANDS + 1]);
        assert!(matches!(many.encode(), Err(PackError::TooLarge { .. })));
        let large = pack(vec![append(&"x".repeat(PACK_BYTES))]);
        assert!(matches!(large.encode(), Err(PackError::TooLarge { .. })));
        let error = Pack::decode(&vec![b' '; PACK_BYTES + 1]);
        assert!(matches!(error, Err(PackError::TooLarge { .. })));
    }

    #[test]
    fn a_process_that_was_started_later_is_the_later_life() {
        let ghost = Life::after(None, 1_700_000_000_000, u64::MAX);
        let next = Life::after(None, 1_700_000_000_001, 0);
        assert_eq!((ghost.count, next.count), (1, 1));
        assert!(ghost < next);
        assert_ne!(ghost, Life::after(None, 1_700_000_000_000, 0));
        let after = Life::after(Some(&next), 0, 0);
        assert!(next < after && after.count == 2);
    }

    /// A sender fills packs by this count.
    #[test]
    fn sizes_add_up() {
        let commands = vec![append("one"), append("another")];
        let sizes: usize = commands.iter().map(size_of_command).sum();
        let empty = pack(Vec::new()).encode().unwrap().len();
        assert_eq!(pack(commands).encode().unwrap().len(), empty + sizes - 1);
    }
}
