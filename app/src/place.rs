//! Addresses, and what they lead to.

use std::sync::Arc;

use protocol::id::RoomName;
use serde::Deserialize;
use view::{Snapshot, as_sent};

/// What an address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A room.
    Room(RoomName),
    /// What was asked for cannot be a room.
    InvalidRoom,
    /// There is no page.
    Nowhere,
}

impl Place {
    /// Where a room is asked for by what a person typed: `?room=` and that.
    pub const ROOMS: &str = "/r";

    /// The room that a person most likely means: rooms have no capitals and no spaces.
    pub fn meant(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let name = words.join("-").to_ascii_lowercase();
        RoomName::new(&name).map_or(Self::InvalidRoom, Self::Room)
    }

    /// What the path of an address leads to.
    pub fn at(path: &str) -> Self {
        match path.strip_prefix("/r/") {
            Some(name) if !name.contains('/') => {
                RoomName::new(name).map_or(Self::InvalidRoom, Self::Room)
            }
            None if path == "/" => Self::Room(RoomName::lobby()),
            _ => Self::Nowhere,
        }
    }

    /// The path of the room to which an address leads that is not its own: with capitals, with slashes too
    /// many, or with percent-encoding. `decoded` is the path without that.
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

    /// What the page is called there.
    pub fn heading(&self) -> &str {
        match self {
            Self::Room(room) => room.as_str(),
            Self::InvalidRoom => "No room by this name",
            Self::Nowhere => "No page here",
        }
    }
}

/// The title of a page's document, by what the page is called.
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

/// A snapshot as the content of a `script` element: JSON in which nothing ends that element, and nothing is
/// changed by an HTML parser.
pub(crate) fn snapshot_data(snapshot: &Snapshot) -> String {
    // Strings, numbers and lists: nothing that JSON lacks.
    let json = serde_json::to_string(snapshot).unwrap_or_default();
    // In JSON it only occurs within strings.
    json.replace('<', "\\u003c")
}

/// The snapshot that the page came with; `None` if its text was changed on the way.
pub fn snapshot_of(data: &str) -> Option<Snapshot> {
    serde_json::from_str(data).ok()
}

/// What a page is rendered of. The server and the browser's entry give it through the context.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// What was asked for.
    pub place: Place,
    /// The room's newest messages; `None` where there is no room or they cannot be had now.
    pub snapshot: Option<Snapshot>,
}

/// Why somebody does not see a room's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// They have to sign in, or to sign in again.
    SignIn,
    /// They have no right to read the room.
    Room,
    /// It cannot be told who they are now.
    Unavailable,
}

impl Closed {
    /// What the page is called.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::SignIn => "Sign in first",
            Self::Room => "This room is closed to you",
            Self::Unavailable => "One moment",
        }
    }

    /// What can be done.
    pub const fn text(self) -> &'static str {
        match self {
            Self::SignIn => {
                "This room is for people who have signed in. Sign in where you usually do, and come back."
            }
            Self::Room => "You may not read this room. Ask whoever runs this place for access.",
            Self::Unavailable => {
                "Who you are cannot be checked just now. Load this page again in a minute."
            }
        }
    }
}

/// What the plain form of a room's page sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Letter {
    /// The message's key: see [`PlainForm`].
    pub key: String,
    /// How the author wants to be called; empty where they do not say.
    pub name: String,
    /// The text.
    pub body: String,
}

impl Letter {
    /// The text as it is sent, by a form as by a page that is alive. Forms end lines with CR LF
    /// (HTML section 4.10.22.4), people do not.
    pub fn text(&self) -> String {
        as_sent(&self.body.replace("\r\n", "\n")).to_owned()
    }
}

/// Why a message of the plain form was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of which room.
    pub room: RoomName,
    /// Why, in a sentence.
    pub why: String,
    /// What is to be sent again; its key another one, where this one can never do.
    pub letter: Letter,
}

/// What only a page needs that the browser sends as a plain form. The server gives it through the context.
#[derive(Clone, Debug)]
pub struct PlainForm {
    /// The key by which its message is known when it is repeated (`Idempotency-Key` of the HTTP API).
    pub key: Arc<str>,
    /// How the person wants to be called, as they said with the form before; empty where they did not.
    pub name: Arc<str>,
    /// What is said where there is no script, as HTML.
    pub(crate) no_script: &'static str,
}

impl PlainForm {
    /// A form with a key that no other one has.
    pub fn new(key: &str, name: &str) -> Self {
        Self {
            key: key.into(),
            name: name.into(),
            no_script: NO_SCRIPT,
        }
    }
}

/// Not a part of the program that browsers download.
const NO_SCRIPT: &str = "<p class=\"no-script\">Without JavaScript this page does not update by itself: \
    load it again to see what is new. What you write is sent with the button.</p>";

/// Where the browser fetches newer tokens (AC-6). The server gives it through the context, where there
/// is such an address.
#[derive(Clone, Debug)]
pub struct TokenUrl(pub Arc<str>);

impl TokenUrl {
    /// The name of the `meta` element by which the page tells it to the browser's entry.
    pub(crate) const META: &str = "everbeat-token-url";
    /// Selects that element.
    pub const SELECTOR: &str = "meta[name=everbeat-token-url]";
}

/// The browser's address bar. Given by the browser's entry through the context; absent on the server.
#[derive(Clone)]
pub struct AddressBar(Arc<dyn Fn(&str) + Send + Sync>);

impl AddressBar {
    /// Wraps what puts another path into it, as a step of its own in the history.
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
