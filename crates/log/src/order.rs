//! The order of packs: which of them are applied, and what all nodes must then agree on.
//!
//! An engine puts packs in one order, but it may store a pack twice, and one that was sent later first. So each node
//! numbers its packs, and the fold applies each number once, in order, and only those of a name's newest life. Every
//! node comes to the same [`Verdict`].

use std::fmt;

use protocol::frame::ErrorCode;
use protocol::id::NodeName;
use protocol::server::{NumberError, Posted, Redaction};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::command::{CommandError, OpenedSession, Outcome};
use crate::fold::{Changes, Fault, Store, apply};
use crate::pack::{Life, Pack, PackHash, PackId};

/// A store that also keeps how far it is in the order of packs.
pub trait PackStore: Store {
    /// How far the packs are applied; [`Applied::default`] for an empty store.
    fn applied(&mut self) -> Result<Applied, Self::Error>;

    /// Keeps how far the packs are applied.
    fn set_applied(&mut self, applied: &Applied) -> Result<(), Self::Error>;

    /// The last pack of a node that was applied; `None` if there was none.
    fn last_pack(&mut self, node: &NodeName) -> Result<Option<LastPack>, Self::Error>;

    /// Keeps the last pack of a node that was applied.
    fn set_last_pack(&mut self, node: &NodeName, last: &LastPack) -> Result<(), Self::Error>;
}

/// How far a store is in the order of packs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The engine's sequence of the last pack that was folded, whatever its verdict; 0 for none.
    pub sequence: u64,
    /// The rolling digest up to it.
    pub digest: Digest,
    /// Which pack that was: compared with the stream's own at a start.
    pub pack: PackHash,
}

/// The last pack of one node that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPack {
    /// The newest life of that node.
    pub life: Life,
    /// The pack's number in that life.
    pub number: u64,
}

/// What became of a pack. Every node comes to the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its commands were applied; their results, in order.
    Applied(Vec<Result<Outcome, CommandError>>),
    /// It was applied before: the engine stored it twice.
    Repeat,
    /// An earlier pack of that life is missing: its sender has to send both again.
    Gap,
    /// A later life of that name was applied: its sender is a process that should not run any more.
    Fenced,
}

/// Why a pack was not folded. Nothing of the transaction may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FoldError<E> {
    /// It is not the next one: a fault of the caller.
    #[error("pack {sequence} cannot be folded after {applied}")]
    Sequence {
        /// The last sequence that was folded.
        applied: u64,
        /// That of the pack.
        sequence: u64,
    },
    /// The store could not do it.
    #[error("the store: {0}")]
    Store(E),
}

impl<E> From<E> for FoldError<E> {
    fn from(error: E) -> Self {
        Self::Store(error)
    }
}

/// Folds the pack that the engine stored under this sequence. All of it is one transaction of the store.
///
/// # Errors
/// [`FoldError`].
pub fn fold_pack<S: PackStore>(
    store: &mut S,
    sequence: u64,
    pack: Pack,
    changes: &mut Changes,
) -> Result<Verdict, FoldError<S::Error>> {
    let before = store.applied()?;
    if before.sequence.checked_add(1) != Some(sequence) {
        let applied = before.sequence;
        return Err(FoldError::Sequence { applied, sequence });
    }
    let id = pack.id();
    let verdict = match admit(store.last_pack(&id.node)?, &id) {
        Admission::Next => {
            let mut results = Vec::with_capacity(pack.commands.len());
            for command in pack.commands {
                results.push(match apply(store, command, changes) {
                    Ok(outcome) => Ok(outcome),
                    Err(Fault::Command(error)) => Err(error),
                    Err(Fault::Store(error)) => return Err(FoldError::Store(error)),
                });
            }
            let last = LastPack {
                life: id.life.clone(),
                number: id.number,
            };
            store.set_last_pack(&id.node, &last)?;
            Verdict::Applied(results)
        }
        Admission::Repeat => Verdict::Repeat,
        Admission::Gap => Verdict::Gap,
        Admission::Fenced => Verdict::Fenced,
    };
    store.set_applied(&Applied {
        sequence,
        digest: before.digest.after(sequence, &id, &verdict),
        pack: id.hash(),
    })?;
    Ok(verdict)
}

enum Admission {
    Next,
    Repeat,
    Gap,
    Fenced,
}

/// Where a pack stands after the last one of its node.
fn admit(last: Option<LastPack>, id: &PackId) -> Admission {
    let number = match last {
        Some(last) if id.life < last.life => return Admission::Fenced,
        Some(last) if id.life == last.life => last.number,
        // A life begins with number 1.
        Some(_) | None => 0,
    };
    if id.number <= number {
        Admission::Repeat
    } else if number.checked_add(1) == Some(id.number) {
        Admission::Next
    } else {
        Admission::Gap
    }
}

/// A rolling digest of what was folded: nodes with the same sequence must have the same one.
///
/// It is SHA-256 over the digest before (32 bytes; zeros at first), the sequence, the pack's node, life (count, nonce)
/// and number, and the verdict: one byte, and after [`Verdict::Applied`] the results, their number first. A number is 8
/// bytes, big-endian; a text its length as a number, then its UTF-8; a variant one byte. Texts of messages are never
/// part of it, so a pack whose texts were erased gives the same digest (EO-8). As it is stored and compared between
/// versions, the encoding may not change; a new variant takes a new byte.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    fn after(&self, sequence: u64, id: &PackId, verdict: &Verdict) -> Self {
        let mut encoder = Encoder(Sha256::new());
        encoder.0.update(self.0);
        encoder.number(sequence);
        encoder.text(id.node.as_str());
        encoder.number(id.life.count);
        encoder.number(id.life.nonce);
        encoder.number(id.number);
        encoder.verdict(verdict);
        Self(encoder.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes: Option<Vec<u8>> = digits.collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .filter(|bytes| Self(*bytes).to_string() == text)
            .map(Self)
            .ok_or_else(|| D::Error::custom("a digest is 64 of 0-9 a-f"))
    }
}

struct Encoder(Sha256);

impl Encoder {
    fn byte(&mut self, byte: u8) {
        self.0.update([byte]);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text);
    }

    fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    fn verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Applied(results) => {
                self.byte(1);
                self.count(results.len());
                for result in results {
                    match result {
                        Ok(outcome) => self.outcome(outcome),
                        Err(error) => self.error(*error),
                    }
                }
            }
            Verdict::Repeat => self.byte(2),
            Verdict::Gap => self.byte(3),
            Verdict::Fenced => self.byte(4),
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Opened(opened) => {
                self.byte(1);
                self.opened(opened);
            }
            Outcome::Appended(offset) => {
                self.byte(2);
                self.number(offset.get());
            }
            Outcome::Refused(code) => {
                self.byte(3);
                self.code(*code);
            }
            Outcome::Posted(posted) => {
                let Posted {
                    epoch,
                    offset,
                    is_repeat,
                } = posted;
                self.byte(4);
                self.text(epoch.as_str());
                self.number(offset.get());
                self.flag(*is_repeat);
            }
            Outcome::Redacted(redaction) => {
                self.byte(5);
                self.byte(match redaction {
                    Redaction::Done => 1,
                    Redaction::Before => 2,
                    Redaction::Missing => 3,
                });
            }
            Outcome::Done => self.byte(6),
            Outcome::Forgotten(count) => {
                self.byte(7);
                self.count(*count);
            }
            Outcome::Trimmed(trimmed) => {
                self.byte(8);
                self.number(trimmed.count);
                let after = trimmed.next.as_ref().and_then(|next| next.after.as_ref());
                self.flag(after.is_some());
                self.text(after.map_or("", |room| room.as_str()));
            }
        }
    }

    fn opened(&mut self, opened: &OpenedSession) {
        let OpenedSession {
            resumed,
            generation,
            last_seq,
            refused,
        } = opened;
        self.flag(*resumed);
        self.number(generation.0);
        self.number(*last_seq);
        self.count(refused.len());
        for one in refused {
            self.number(one.seq.get());
            self.code(one.code);
        }
    }

    fn error(&mut self, error: CommandError) {
        match error {
            CommandError::Number(NumberError::Conflict) => self.byte(101),
            CommandError::Number(NumberError::OutOfOrder) => self.byte(102),
            CommandError::Number(NumberError::Refused(code)) => {
                self.byte(103);
                self.code(code);
            }
            CommandError::Number(NumberError::UnknownSession) => self.byte(104),
            CommandError::Number(NumberError::Fenced) => self.byte(105),
            CommandError::SessionTaken => self.byte(106),
            CommandError::NotFounded => self.byte(107),
        }
    }

    fn code(&mut self, code: ErrorCode) {
        self.text(code.as_str());
    }
}

#[cfg(test)]
mod tests;
