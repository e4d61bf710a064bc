//! The page's addresses, and what a page is rendered from.

use std::sync::Arc;

use protocol::id::RoomName;
use serde::Deserialize;
use view::{Snapshot, as_sent};

use crate::markup::html;
use crate::words::{Word, Words};

/// The place to which an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A room.
    Room(RoomName),
    /// A room's path with a name that no room can have.
    InvalidRoom,
    /// A path without a page.
    Nowhere,
}

impl Place {
    /// The path that takes a room's name as the user typed it, in `?room=`.
    pub const ROOMS: &str = "/r";

    /// The room that a typed text most likely means: names of rooms have no capitals and no spaces.
    pub fn meant(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let name = words.join("-").to_ascii_lowercase();
        RoomName::new(&name).map_or(Self::InvalidRoom, Self::Room)
    }

    /// The place of a URL's path.
    pub fn at(path: &str) -> Self {
        match path.strip_prefix("/r/") {
            Some(name) if !name.contains('/') => {
                RoomName::new(name).map_or(Self::InvalidRoom, Self::Room)
            }
            None if path == "/" => Self::Room(RoomName::lobby()),
            _ => Self::Nowhere,
        }
    }

    /// The canonical path of a room, for a path that means the room in another form: with capitals, with extra
    /// slashes, or percent-encoded. `decoded` is the path without percent-encoding.
    pub fn canonical(path: &str, decoded: &str) -> Option<String> {
        let lower = decoded.to_ascii_lowercase();
        let mut names = lower
            .split('/')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let room = match (names.next(), names.next(), names.next()) {
            (None, ..) => RoomName::lobby(),
            (Some("r"), Some(name), None) => RoomName::new(name).ok()?,
            _ => return None,
        };
        // The lobby has two addresses.
        let is_one = Self::at(path).room() == Some(&room);
        (!is_one).then(|| self::path(&room))
    }

    /// The room, if it is one.
    pub const fn room(&self) -> Option<&RoomName> {
        if let Self::Room(room) = self {
            Some(room)
        } else {
            None
        }
    }

    /// The page's heading.
    pub fn heading(&self, words: Words) -> &str {
        match self {
            Self::Room(room) => room.as_str(),
            Self::InvalidRoom => words.text(Word::NoRoom),
            Self::Nowhere => words.text(Word::NoPage),
        }
    }
}

/// The document's title, from the page's heading.
pub(crate) fn title(heading: &str) -> String {
    format!("{heading} · Everbeat")
}

/// The path of a room's address.
pub fn path(room: &RoomName) -> String {
    if *room == RoomName::lobby() {
        "/".to_owned()
    } else {
        format!("/r/{room}")
    }
}

/// The id of the element that holds the whole page.
pub const PAGE_ID: &str = "page";

/// The id of the element that holds the [`Snapshot`] as JSON.
pub(crate) const SNAPSHOT_ID: &str = "snapshot";

/// A snapshot as the content of a `script` element: JSON that does not end the element, and that an HTML
/// parser does not change.
pub(crate) fn snapshot_data(snapshot: &Snapshot) -> String {
    // It cannot fail: JSON has strings, numbers and lists, and a snapshot holds nothing else.
    let json = serde_json::to_string(snapshot).unwrap_or_default();
    // In JSON `<` only occurs within strings.
    json.replace('<', "\\u003c")
}

/// The snapshot that the page came with; `None` if its text was changed on the way.
pub fn snapshot_of(data: &str) -> Option<Snapshot> {
    serde_json::from_str(data).ok()
}

/// What a room's page is rendered from. The server and the browser's entry give it through the context.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// The room of the page's address.
    pub room: RoomName,
    /// Its newest messages; `None` where the log cannot be read now.
    pub snapshot: Option<Snapshot>,
}

impl Visit {
    /// A visit to the page at this path, which is a room's: the others have no program.
    pub fn at(path: &str, snapshot: Option<Snapshot>) -> Self {
        let place = Place::at(path);
        let room = place.room().cloned().unwrap_or_else(RoomName::lobby);
        Self { room, snapshot }
    }
}

/// Why a client does not get a room's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Without a valid token; the user has to sign in.
    SignIn,
    /// Without the right to read the room.
    Room,
    /// The client cannot be authenticated now.
    Unavailable,
}

impl Closed {
    /// The heading of the page that says so.
    pub const fn heading(self) -> Word {
        match self {
            Self::SignIn => Word::SignIn,
            Self::Room => Word::ClosedRoom,
            Self::Unavailable => Word::OneMoment,
        }
    }

    /// What the user can do.
    pub const fn text(self) -> Word {
        match self {
            Self::SignIn => Word::SignInText,
            Self::Room => Word::ClosedRoomText,
            Self::Unavailable => Word::OneMomentText,
        }
    }
}

/// The fields that the plain form of a room's page sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Letter {
    /// The message's key: see [`PlainForm`].
    pub key: String,
    /// The author's name; empty where none was given.
    pub name: String,
    /// The text.
    pub body: String,
}

impl Letter {
    /// The text to publish, the same from a form as from the program. Forms end lines with CR LF
    /// (HTML section 4.10.22.4); the program does not.
    pub fn text(&self) -> String {
        as_sent(&self.body.replace("\r\n", "\n")).to_owned()
    }
}

/// A message of the plain form that was not published, or not that the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The message's room.
    pub room: RoomName,
    /// Why; `None` where it is not known yet whether it is published.
    pub why: Option<Word>,
    /// The fields to send again; with a new key, where the old one can never succeed.
    pub letter: Letter,
}

/// What a page needs to be sent as a plain form by the browser. The server gives it through the context.
#[derive(Clone, Debug)]
pub struct PlainForm {
    /// The idempotency key of its message (`Idempotency-Key` of the HTTP API).
    pub key: Arc<str>,
    /// The user's name, from the form sent before; empty where there was none.
    pub name: Arc<str>,
    /// The notice for browsers without scripts, as HTML.
    pub(crate) no_script: Arc<str>,
}

impl PlainForm {
    /// A form. `key` must be unique.
    pub fn new(key: &str, name: &str, words: Words) -> Self {
        let no_script = html(words.text(Word::NoScript));
        Self {
            key: key.into(),
            name: name.into(),
            no_script: format!("<p class=\"no-script\">{no_script}</p>").into(),
        }
    }
}

/// The URL of the token endpoint (AC-6). The server gives it through the context, where one is configured.
#[derive(Clone, Debug)]
pub struct TokenUrl(pub Arc<str>);

impl TokenUrl {
    /// The name of the `meta` element that carries the URL to the browser's entry.
    pub(crate) const META: &str = "everbeat-token-url";
    /// The CSS selector of that element.
    pub const SELECTOR: &str = "meta[name=everbeat-token-url]";
}

/// The addresses of all nodes of the server, separated by spaces (RC-8). The server gives it through the context, where
/// there are several.
#[derive(Clone, Debug)]
pub struct Nodes(pub Arc<str>);

impl Nodes {
    /// The name of the `meta` element that carries them to the browser's entry.
    pub(crate) const META: &str = "everbeat-nodes";
    /// The CSS selector of that element.
    pub const SELECTOR: &str = "meta[name=everbeat-nodes]";
}

/// The origin of the lab: where the inspector kills, drains and stalls the server. The server gives it through the
/// context, where there is one.
#[derive(Clone, Debug)]
pub struct LabUrl(pub Arc<str>);

impl LabUrl {
    /// The name of the `meta` element that carries it to the inspector.
    pub(crate) const META: &str = "everbeat-lab";
}

/// The browser's address bar. The browser's entry gives it through the context; absent on the server.
#[derive(Clone)]
pub struct AddressBar(Arc<dyn Fn(&str) + Send + Sync>);

impl AddressBar {
    /// Wraps a function that shows another path, as a step of its own in the history.
    pub fn new(show: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }

    /// Shows another path without loading anything.
    pub fn show(&self, path: &str) {
        (self.0)(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sent_as_it_was_typed() {
        let sent = |body: &str| {
            let body = body.to_owned();
            Letter {
                body,
                ..Letter::default()
            }
            .text()
        };
        assert_eq!(sent("  lead\r\n\r\nline2  \r\n"), "  lead\n\nline2");
        assert_eq!(sent("\r\n\tcode"), "\n\tcode");
        assert_eq!(sent(" \r\n "), "");
    }

    #[test]
    fn what_people_type_becomes_a_room() {
        let tea = RoomName::new("tea-room").unwrap();
        assert_eq!(Place::meant("  Tea Room "), Place::Room(tea));
        assert_eq!(Place::meant("<b>"), Place::InvalidRoom);
    }

    #[test]
    fn addresses_lead_to_rooms_or_nowhere() {
        let tea = RoomName::new("tea").unwrap();
        assert_eq!(Place::at("/"), Place::Room(RoomName::lobby()));
        assert_eq!(Place::at("/r/tea"), Place::Room(tea.clone()));
        assert_eq!(Place::at("/r/Tea"), Place::InvalidRoom);
        assert_eq!(Place::at("/r/"), Place::InvalidRoom);
        assert_eq!(Place::at("/r/tea/pot"), Place::Nowhere);
        assert_eq!(Place::at("/tea"), Place::Nowhere);
        assert_eq!(path(&tea), "/r/tea");
        assert_eq!(path(&RoomName::lobby()), "/");
    }

    #[test]
    fn other_forms_of_an_address_lead_to_the_rooms_own() {
        for other in [
            "/r/tea/", "/r/Tea", "/r/TEA//", "//r/tea", "/r//tea", "/R/tea", "/r/ tea ", "r/tea",
        ] {
            assert_eq!(
                Place::canonical(other, other).as_deref(),
                Some("/r/tea"),
                "{other}"
            );
        }
        for other in ["//", "", "/r/Lobby", "/r/lobby/"] {
            assert_eq!(
                Place::canonical(other, other).as_deref(),
                Some("/"),
                "{other}"
            );
        }
        for none in [
            "/",
            "/r/tea",
            "/r/lobby",
            "/r",
            "/r/",
            "/r/tea/pot",
            "/tea",
            "/r/te a",
            "/r/t\u{e9}",
            "/r/..",
            "/../r/tea",
            "/r/\u{212a}",
            "/evil.example/r/tea",
            "/r/tea\\",
        ] {
            assert_eq!(Place::canonical(none, none), None, "{none}");
        }
        let encoded = Place::canonical("/r/t%65a", "/r/tea");
        assert_eq!(encoded.as_deref(), Some("/r/tea"));
    }
}
