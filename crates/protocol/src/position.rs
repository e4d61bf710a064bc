//! Positions: where a reader stands in a room's log.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{IdError, MAX_SAFE_INTEGER};

/// The identity of a log's history. All rooms of one database share it. A new database has a new epoch, so that an
/// offset of the old one is never taken for one of the new.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// Wraps a text that the log chose.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Epoch {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Epoch {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> Self {
        epoch.as_str().to_owned()
    }
}

/// A message's dense number in its room, from 1; 0 stands before the first message.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Offset(u64);

impl Offset {
    /// Before the first message.
    pub const ZERO: Self = Self(0);

    /// The largest: a `history` before it is of the newest messages.
    pub const MAX: Self = Self(MAX_SAFE_INTEGER);

    /// Checks and wraps a number.
    ///
    /// # Errors
    /// [`IdError::Number`] for numbers of 2^53 and more.
    pub const fn new(number: u64) -> Result<Self, IdError> {
        if number > MAX_SAFE_INTEGER {
            Err(IdError::Number { least: 0 })
        } else {
            Ok(Self(number))
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset of the message that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The offset `count` earlier; the start of the log if there are fewer.
    #[must_use]
    pub const fn back(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl TryFrom<u64> for Offset {
    type Error = IdError;

    fn try_from(number: u64) -> Result<Self, IdError> {
        Self::new(number)
    }
}

impl From<Offset> for u64 {
    fn from(offset: Offset) -> Self {
        offset.0
    }
}

/// A place in a room's log: everything up to `offset` of `epoch` is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which log.
    pub epoch: Epoch,
    /// The newest message known.
    pub offset: Offset,
}
