//! Access: a client's identity, name and rights, and when they end (PROTOCOL.md, "Access").
//!
//! A driver reads tokens and cookies, and hands the machine what they say as an [`Access`]. The machine decides
//! what follows from it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::frame::ErrorCode;
use crate::id::{IdError, Name, RoomName, SessionId};
use crate::time::Timestamp;

/// The access of a client, by its token or as a guest: who it is, and what it may do for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether the client is a guest or the subject of a token, and which.
    pub identity: Identity,
    /// The name of the session, and where it comes from (AC-4).
    pub naming: Naming,
    /// What the client may do in which rooms (AC-5).
    pub rights: Rights,
    /// How long this access lasts, from now (AC-2). None: without an end.
    pub expires_in: Option<Duration>,
}

impl Access {
    /// The access of every client of a server without tokens: a guest with all rights, without an end.
    pub const ANYBODY: Self = Self {
        identity: Identity::Guest(None),
        naming: Naming::Own {
            usual: None,
            is_marked: false,
        },
        rights: Rights::ALL,
        expires_in: None,
    };

    /// When this access ends, if it is given at this moment (AC-2). None: never.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        self.expires_in.map(|expires_in| now + expires_in)
    }
}

/// A guest or the subject of a token: the author of messages, and the owner of sessions (AC-3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A guest: no token was shown. A session of guests is resumed by any guest who shows its key. The subject is
    /// that of the guest's cookie, if there is one; it owns nothing.
    Guest(Option<Subject>),
    /// The subject of a token, which alone may resume its sessions.
    Subject(Subject),
}

impl Identity {
    /// The subject, if there is one.
    pub const fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Guest(subject) => subject.as_ref(),
            Self::Subject(subject) => Some(subject),
        }
    }

    /// Whether a session of this identity may be resumed by another one that shows its key.
    pub fn admits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Guest(_), Self::Guest(_)) => true,
            (Self::Subject(own), Self::Subject(other)) => own == other,
            _ => false,
        }
    }
}

/// Why a client is refused (AC-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Denied {
    /// Guests are not taken, and no token was shown.
    #[error("this server takes no guests, and no token was shown")]
    TokenRequired,
    /// The token is not one of this server's.
    #[error("the token is not good here")]
    TokenInvalid,
    /// The token has ended.
    #[error("the token has ended")]
    TokenExpired,
    /// The token cannot be checked now: its keys cannot be read, say.
    #[error("tokens cannot be checked now")]
    Unavailable,
    /// Too many clients come at once: this is the client's slot (RC-7).
    #[error("too many come at once")]
    Busy(Duration),
}

impl Denied {
    /// The code that says so on the wire.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::TokenRequired => ErrorCode::TokenRequired,
            Self::TokenInvalid => ErrorCode::TokenInvalid,
            Self::TokenExpired => ErrorCode::TokenExpired,
            Self::Unavailable => ErrorCode::Unavailable,
            Self::Busy(_) => ErrorCode::Busy,
        }
    }
}

/// The name of a user in tokens (`sub`): the same over all of their sessions. Never shown to other users.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The longest subject, in bytes (OpenID Connect Core 1.0, section 2: 255 ASCII characters).
    pub const BYTES_MAX: usize = 255;

    /// Checks and wraps a text as a subject.
    ///
    /// # Errors
    /// [`IdError::Subject`] unless it has 1 to [`Self::BYTES_MAX`] bytes.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if (1..=Self::BYTES_MAX).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Subject)
        }
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Subject {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for Subject {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

/// The name of a session: the client's own choice, or vouched for by a token (AC-4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Naming {
    /// A token vouches for the name: the client cannot change it.
    Vouched(Name),
    /// The client's own choice.
    Own {
        /// The name of a client that chose none. None: the name is made of the session's id.
        usual: Option<Name>,
        /// Whether others see that no token vouches for the name.
        is_marked: bool,
    },
}

/// The end of a name for which no token vouches, where other names are vouched for.
const MARK: &str = " (guest)";

impl Naming {
    /// The name under which a session appears to others.
    pub fn name(&self, wish: Option<&Name>, session: &SessionId) -> Name {
        match self {
            Self::Vouched(name) => name.clone(),
            Self::Own { usual, is_marked } => match (wish.filter(|wish| is_free(wish)), usual) {
                (Some(wish), _) if *is_marked => wish.marked(MARK),
                (Some(wish), _) => wish.clone(),
                (None, Some(usual)) => usual.clone(),
                (None, None) => Name::guest(session),
            },
        }
    }
}

/// The names by which pages call their own user, in the languages that they are written in: "You", and every way to
/// write it in Chinese (to a man, to a woman, to a god, politely, and in older and regional characters).
const OWN: [&str; 7] = ["you", "你", "您", "妳", "祢", "伱", "儞"];

/// Whether a guest may choose this name: pages call only their own user so (AC-4).
fn is_free(wish: &Name) -> bool {
    let is_own = |own: &&str| wish.as_str().eq_ignore_ascii_case(own);
    !wish.is_empty() && !OWN.iter().any(is_own)
}

/// A right in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Right {
    /// To join it, and to read its messages.
    Read,
    /// To publish messages and drafts.
    Write,
    /// To redact the messages of others (EO-8). Only a token gives this right.
    Moderate,
}

/// A client's rights in rooms: all of them everywhere, or those that were granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights(Option<Arc<Grants>>);

impl Rights {
    /// To read and write in every room, and not to moderate any.
    pub const ALL: Self = Self(None);

    /// Whether this right holds in that room.
    pub fn allow(&self, room: &RoomName, right: Right) -> bool {
        match &self.0 {
            Some(grants) => grants.allow(room, right),
            None => right != Right::Moderate,
        }
    }

    /// AC-5: whether the messages of a room may be read: by a frame, a request, a page or the tutorial's dialect.
    ///
    /// # Errors
    /// The code that says so on the wire.
    pub fn may_read(&self, room: &RoomName) -> Result<(), ErrorCode> {
        let may = self.allow(room, Right::Read);
        may.then_some(()).ok_or(ErrorCode::ReadDenied)
    }

    /// AC-5: whether messages and drafts may be written in a room.
    ///
    /// # Errors
    /// The code that says so on the wire.
    pub fn may_write(&self, room: &RoomName) -> Result<(), ErrorCode> {
        let may = self.allow(room, Right::Write);
        may.then_some(()).ok_or(ErrorCode::WriteDenied)
    }
}

impl From<Grants> for Rights {
    fn from(grants: Grants) -> Self {
        Self(Some(Arc::new(grants)))
    }
}

/// Rights to rooms, by patterns of their names. What no pattern allows is not allowed.
///
/// As JSON (the claim `rooms` of a token): `{"team-*": ["read", "write"], "news": ["read", "moderate"]}`.
/// As text (an option about guests, who never moderate): `team-*=rw,news=r`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, Vec<Right>>")]
pub struct Grants(Vec<Grant>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    pattern: Pattern,
    rights: Vec<Right>,
}

/// Why a text or a claim does not describe rights to rooms.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GrantsError {
    /// Not a room's name, with or without stars.
    #[error("{0:?} is no pattern of rooms: 1 to 64 of a-z 0-9 - _ and *")]
    Pattern(String),
    /// More than [`Grants::PATTERNS_MAX`].
    #[error("more than {max} patterns", max = Grants::PATTERNS_MAX)]
    TooMany,
    /// Not `PATTERN=r`, `=w` or `=rw`.
    #[error("{0:?} should look like team-*=rw, news=r or drop=w")]
    Text(String),
}

impl Grants {
    /// The most patterns: each of them is tried for each room.
    pub const PATTERNS_MAX: usize = 100;

    fn allow(&self, room: &RoomName, right: Right) -> bool {
        self.0
            .iter()
            .any(|grant| grant.rights.contains(&right) && grant.pattern.matches(room.as_str()))
    }

    fn add(&mut self, pattern: &str, rights: Vec<Right>) -> Result<(), GrantsError> {
        if self.0.len() >= Self::PATTERNS_MAX {
            return Err(GrantsError::TooMany);
        }
        let pattern = Pattern::new(pattern)?;
        self.0.push(Grant { pattern, rights });
        Ok(())
    }
}

impl TryFrom<BTreeMap<String, Vec<Right>>> for Grants {
    type Error = GrantsError;

    fn try_from(rooms: BTreeMap<String, Vec<Right>>) -> Result<Self, GrantsError> {
        let mut grants = Self::default();
        for (pattern, rights) in rooms {
            grants.add(&pattern, rights)?;
        }
        Ok(grants)
    }
}

impl FromStr for Grants {
    type Err = GrantsError;

    fn from_str(text: &str) -> Result<Self, GrantsError> {
        let mut grants = Self::default();
        for part in text.split(',').map(str::trim) {
            let rights = match part.split_once('=') {
                Some((_, "r")) => vec![Right::Read],
                Some((_, "w")) => vec![Right::Write],
                Some((_, "rw")) => vec![Right::Read, Right::Write],
                _ => return Err(GrantsError::Text(part.to_owned())),
            };
            grants.add(part.split('=').next().unwrap_or_default(), rights)?;
        }
        Ok(grants)
    }
}

/// A pattern of rooms' names, in which `*` stands for any characters, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(Box<str>);

impl Pattern {
    fn new(text: &str) -> Result<Self, GrantsError> {
        // Without its stars a pattern is a room's name, or empty.
        let plain = text.replace('*', "");
        let is_plain = plain.is_empty() || RoomName::new(&plain).is_ok();
        if is_plain && (1..=64).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(GrantsError::Pattern(text.chars().take(80).collect()))
        }
    }

    /// The parts between the stars must follow each other. Each is matched at its first place: a later one would
    /// leave less room for the rest.
    fn matches(&self, name: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else {
            return *self.0 == *name;
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(mut name) = name
            .strip_prefix(head)
            .and_then(|name| name.strip_suffix(tail))
        else {
            return false;
        };
        for part in middle.split('*') {
            match name.split_once(part) {
                Some((_, after)) => name = after,
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName::new(name).unwrap()
    }

    #[test]
    fn subjects_are_bounded() {
        assert_eq!(Subject::new(""), Err(IdError::Subject));
        assert!(Subject::new(&"x".repeat(Subject::BYTES_MAX)).is_ok());
        let long = "x".repeat(Subject::BYTES_MAX + 1);
        assert_eq!(long.parse::<Subject>(), Err(IdError::Subject));
        assert!(
            IdError::Subject
                .to_string()
                .contains(&Subject::BYTES_MAX.to_string())
        );
    }

    /// AC-4
    #[test]
    fn nobody_is_called_you() {
        let session = SessionId::new("s1").unwrap();
        let own = |usual, is_marked| Naming::Own { usual, is_marked };
        let called = |naming: &Naming, wish: &str| naming.name(Some(&Name::tidy(wish)), &session);
        for wish in ["You", " yOU ", "你", "您", " 妳", "祢", "伱", "儞"] {
            assert_eq!(called(&own(None, false), wish), Name::guest(&session));
            let usual = Name::tidy("guest 7");
            assert_eq!(called(&own(Some(usual.clone()), true), wish), usual);
        }
        for wish in ["Youri", "你好", "小妳"] {
            assert_eq!(called(&own(None, false), wish).as_str(), wish);
        }
    }

    #[test]
    fn stars_stand_for_anything() {
        let cases = [
            ("lobby", &["lobby"][..], &["lobbyy", "obby", "l"][..]),
            ("*", &["a", "lobby"], &[]),
            ("team-*", &["team-", "team-a"], &["team", "a-team-a"]),
            ("*-log", &["a-log", "-log"], &["a-logs"]),
            ("a*b*c", &["abc", "a-b-c", "abbcc"], &["acb", "ab", "bc"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("**", &["a"], &[]),
            ("x*ab*ab*y", &["xababy", "x-ab-ab-y"], &["xaby", "xabay"]),
        ];
        for (pattern, good, bad) in cases {
            let pattern = Pattern::new(pattern).unwrap();
            for name in good {
                assert!(pattern.matches(name), "{pattern} {name}");
            }
            for name in bad {
                assert!(!pattern.matches(name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn patterns_hold_what_names_hold() {
        for bad in ["", "Team", "a b", "../*", &"*".repeat(65)] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_no_pattern_allows_is_not_allowed() {
        let json = r#"{"team-*": ["read", "write"], "news": ["read"], "*": []}"#;
        let grants: Grants = serde_json::from_str(json).unwrap();
        assert!(grants.allow(&room("team-a"), Right::Write));
        assert!(grants.allow(&room("news"), Right::Read));
        assert!(!grants.allow(&room("news"), Right::Write));
        assert!(!grants.allow(&room("lobby"), Right::Read));
        let text: Grants = "news=r,team-*=rw".parse().unwrap();
        for name in ["team-a", "news", "lobby"] {
            for right in [Right::Read, Right::Write] {
                let (one, other) = (
                    grants.allow(&room(name), right),
                    text.allow(&room(name), right),
                );
                assert_eq!(one, other, "{name} {right:?}");
            }
        }
        assert!(!Grants::default().allow(&room("lobby"), Right::Read));
    }

    /// EO-8: only a token grants the right to moderate.
    #[test]
    fn nobody_moderates_by_default() {
        assert!(!Rights::ALL.allow(&room("lobby"), Right::Moderate));
        let json = r#"{"team-*": ["read", "write"], "news": ["moderate"]}"#;
        let rights = Rights::from(serde_json::from_str::<Grants>(json).unwrap());
        assert!(rights.allow(&room("news"), Right::Moderate));
        assert!(!rights.allow(&room("news"), Right::Read));
        assert!(!rights.allow(&room("team-a"), Right::Moderate));
        assert!("*=m".parse::<Grants>().is_err() && "*=rwm".parse::<Grants>().is_err());
    }

    #[test]
    fn grants_that_are_none_are_refused() {
        for bad in [
            r#"["lobby"]"#,
            r#"{"lobby": ["admin"]}"#,
            r#"{"Lobby": ["read"]}"#,
            r#"{"lobby": "read"}"#,
        ] {
            assert!(serde_json::from_str::<Grants>(bad).is_err(), "{bad}");
        }
        for bad in ["", "lobby", "lobby=x", "lobby=r,,", "A=r"] {
            assert!(bad.parse::<Grants>().is_err(), "{bad}");
        }
        let many: Vec<String> = (0..=Grants::PATTERNS_MAX)
            .map(|n| format!("r{n}=r"))
            .collect();
        assert_eq!(many.join(",").parse::<Grants>(), Err(GrantsError::TooMany));
        assert!(many[1..].join(",").parse::<Grants>().is_ok());
    }

    /// AC-4: a vouched name stays; a guest's name is marked where others are vouched for.
    #[test]
    fn names_are_vouched_for_or_marked() {
        let session = SessionId::new("abcdef").unwrap();
        let ada = Name::tidy("Ada");
        let vouched = Naming::Vouched(Name::tidy("Grace"));
        assert_eq!(vouched.name(Some(&ada), &session).as_str(), "Grace");
        let own = |usual: Option<&str>, is_marked| Naming::Own {
            usual: usual.map(Name::tidy),
            is_marked,
        };
        assert_eq!(own(None, false).name(Some(&ada), &session), ada);
        assert_eq!(
            own(None, true).name(Some(&ada), &session).as_str(),
            "Ada (guest)"
        );
        let none = Name::tidy(" ");
        assert_eq!(
            own(None, true).name(Some(&none), &session).as_str(),
            "guest abcd"
        );
        let usual = own(Some("guest 7"), false).name(Some(&none), &session);
        assert_eq!(usual.as_str(), "guest 7");
        // The mark is never cut off.
        let long = Name::tidy(&"x".repeat(60));
        let marked = own(None, true).name(Some(&long), &session);
        assert!(marked.as_str().ends_with("x (guest)"));
        assert_eq!(marked.as_str().chars().count(), Name::CHARS_MAX);
    }
}
