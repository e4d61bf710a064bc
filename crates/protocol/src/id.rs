//! Ids: of connections, sessions, rooms, users' names and numbers on the wire, and the secrets beside them.

mod name;
mod text;

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

pub use self::name::Name;

/// The largest whole number that every JSON reader keeps exactly: 2^53 - 1 (RFC 8259 section 6).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A text or number that is not a valid id of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not 1 to 64 of `a-z 0-9 - _`.
    #[error("a room's name is 1 to 64 of a-z 0-9 - _")]
    Room,
    /// Not 1 to 64 of `a-z 0-9 - _`.
    #[error("a node's name is 1 to 64 of a-z 0-9 - _")]
    Node,
    /// Not 1 to 64 visible ASCII characters.
    #[error("a session id or key is 1 to 64 visible ASCII characters")]
    Credential,
    /// Not 1 to 8,192 visible ASCII characters.
    #[error("a token is 1 to {max} visible ASCII characters", max = Token::BYTES_MAX)]
    Token,
    /// Not 1 to 255 bytes.
    #[error("a subject is 1 to 255 bytes")]
    Subject,
    /// Zero where numbers start at one, or above [`MAX_SAFE_INTEGER`].
    #[error("the number must lie between {least} and 2^53 - 1")]
    Number {
        /// The smallest number allowed there.
        least: u64,
    },
}

/// One WebSocket, from open to close. The machine that opens connections numbers them (PU-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The id of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The public name of a session: the logical conversation that outlives connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// Checks and wraps a text as a session id.
    ///
    /// # Errors
    /// [`IdError::Credential`] unless it is 1 to 64 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, IdError> {
        check_credential(text)?;
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SessionId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(&text)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.as_str().to_owned()
    }
}

/// The secret that proves that a session is the client's own (RS-2). Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionKey(Box<str>);

impl SessionKey {
    /// Checks and wraps a text as a session key.
    ///
    /// # Errors
    /// [`IdError::Credential`] unless it is 1 to 64 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, IdError> {
        check_credential(text)?;
        Ok(Self(text.into()))
    }

    /// The secret itself: to be sent or hashed, never logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

impl TryFrom<String> for SessionKey {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(&text)
    }
}

impl From<SessionKey> for String {
    fn from(key: SessionKey) -> Self {
        key.0.into()
    }
}

/// The credentials that a client shows to resume its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Which session.
    pub id: SessionId,
    /// The proof that it is the client's own.
    pub key: SessionKey,
}

/// A token: a signed statement of who the user is (AC-1). Only the server reads it. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token(Box<str>);

impl Token {
    /// The longest token, in bytes: what proxies take as one header.
    pub const BYTES_MAX: usize = 8 * 1024;

    /// Checks and wraps a text as a token.
    ///
    /// # Errors
    /// [`IdError::Token`] unless it is 1 to [`Self::BYTES_MAX`] visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if is_visible(text, Self::BYTES_MAX) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Token)
        }
    }

    /// A token without a signature, in place of a text that cannot be a token.
    pub(crate) fn unsigned() -> Self {
        Self("-".into())
    }

    /// The token itself: to be sent or checked, never logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl TryFrom<String> for Token {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(&text)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.0.into()
    }
}

/// A room's name: 1 to 64 of `a-z 0-9 - _`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Checks and wraps a text as a room's name.
    ///
    /// # Errors
    /// [`IdError::Room`] unless it is 1 to 64 of `a-z 0-9 - _`.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if is_plain(text) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Room)
        }
    }

    /// The room in which every user starts.
    pub fn lobby() -> Self {
        Self("lobby".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RoomName {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(&text)
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> Self {
        name.as_str().to_owned()
    }
}

/// The name of one server among several, given by the operator: 1 to 64 of `a-z 0-9 - _`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Checks and wraps a text as a node's name.
    ///
    /// # Errors
    /// [`IdError::Node`] unless it is 1 to 64 of `a-z 0-9 - _`.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if is_plain(text) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Node)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NodeName {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(&text)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.as_str().to_owned()
    }
}

/// How often a session was opened, this time included: the place of one opening in the order of all. What an earlier
/// opening still sends is refused by the log ([`NumberError::Fenced`](crate::server::NumberError::Fenced)).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The opening after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A connection that holds a session, and the opening of the session that it came with. Of two the smaller is the older:
/// the generation comes first in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The opening; the newest one has the session (RS-4).
    pub generation: Generation,
    /// The connection.
    pub connection: ConnectionId,
}

/// One life of a node's process. A later life of the same name fences the earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life {
    /// One more than that of the last life that the node finds in its log.
    pub count: u64,
    /// When it began, and something random: it tells two processes apart that were given one name. The larger one
    /// goes on.
    pub nonce: u64,
}

impl Life {
    /// The life after the last one of that name in the log. `at_ms` is the process's Unix time in milliseconds: a
    /// process that died before its first pack was applied has the same count, and what it sent may still come. Then
    /// the process that was started later has to be the later life.
    pub fn after(last: Option<&Self>, at_ms: u64, random: u64) -> Self {
        const RANDOM_BITS: u32 = 20;
        let count = last.map_or(0, |last| last.count);
        let time = at_ms.checked_shl(RANDOM_BITS).unwrap_or_default();
        Self {
            count: count.saturating_add(1),
            nonce: time | random >> (u64::BITS.saturating_sub(RANDOM_BITS)),
        }
    }
}

/// The client's own number of a message: dense per session, from 1 (EO-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Seq(u64);

impl Seq {
    /// The first number of every session.
    pub const FIRST: Self = Self(1);

    /// Checks and wraps a number.
    ///
    /// # Errors
    /// [`IdError::Number`] for 0 and for numbers of 2^53 and more.
    pub const fn new(number: u64) -> Result<Self, IdError> {
        if number == 0 || number > MAX_SAFE_INTEGER {
            Err(IdError::Number { least: 1 })
        } else {
            Ok(Self(number))
        }
    }

    /// The number that follows `last`, where 0 stands for "none yet".
    ///
    /// The last number of all stays: nothing follows it. No client counts that far, but a server may say
    /// that it did; it then finds the number used twice, and the client gets a fresh session (EO-6).
    pub const fn after(last: u64) -> Self {
        Self(if last < MAX_SAFE_INTEGER {
            last.saturating_add(1)
        } else {
            MAX_SAFE_INTEGER
        })
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number that follows this one, as in [`Seq::after`].
    #[must_use]
    pub const fn next(self) -> Self {
        Self::after(self.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl TryFrom<u64> for Seq {
    type Error = IdError;

    fn try_from(number: u64) -> Result<Self, IdError> {
        Self::new(number)
    }
}

impl From<Seq> for u64 {
    fn from(seq: Seq) -> Self {
        seq.0
    }
}

/// Reads a number from 0 to 2^53 - 1.
pub(crate) fn safe_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number > MAX_SAFE_INTEGER {
        return Err(D::Error::custom(IdError::Number { least: 0 }));
    }
    Ok(number)
}

/// The same where the number may be absent.
pub(crate) fn optional_safe_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let number = Option::<u64>::deserialize(deserializer)?;
    if number.is_some_and(|number| number > MAX_SAFE_INTEGER) {
        return Err(D::Error::custom(IdError::Number { least: 0 }));
    }
    Ok(number)
}

/// Whether a text is 1 to 64 of `a-z 0-9 - _`: fit for paths and subjects without any escape.
fn is_plain(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn check_credential(text: &str) -> Result<(), IdError> {
    if is_visible(text, 64) {
        Ok(())
    } else {
        Err(IdError::Credential)
    }
}

fn is_visible(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn room_names_are_short_and_plain() {
        for good in ["a", "lobby", "r-2_d", &"x".repeat(64)] {
            assert!(RoomName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Lobby", "a b", "é", "../etc", &"x".repeat(65)] {
            assert_eq!(RoomName::new(bad), Err(IdError::Room), "{bad}");
        }
    }

    #[test]
    fn tokens_are_bounded_and_stay_out_of_debug_output() {
        let token = Token::new("aGVsbG8.d29ybGQ.c2ln").unwrap();
        assert!(!format!("{token:?}").contains("aGVsbG8"));
        assert!(Token::new(&"x".repeat(Token::BYTES_MAX)).is_ok());
        for bad in ["", "a b", "é", &"x".repeat(Token::BYTES_MAX + 1)] {
            assert_eq!(Token::new(bad), Err(IdError::Token));
        }
    }

    #[test]
    fn keys_stay_out_of_debug_output() {
        let key = SessionKey::new("swordfish").unwrap();
        assert!(!format!("{key:?}").contains("swordfish"));
    }

    #[test]
    fn seq_starts_at_one_and_fits_53_bits() {
        assert!(Seq::new(0).is_err());
        assert!(Seq::new(MAX_SAFE_INTEGER).is_ok());
        assert!(Seq::new(MAX_SAFE_INTEGER + 1).is_err());
        // The number after the last one is valid on the wire, too.
        let last = Seq::new(MAX_SAFE_INTEGER).unwrap();
        assert_eq!((last.next(), Seq::after(MAX_SAFE_INTEGER)), (last, last));
    }
}
