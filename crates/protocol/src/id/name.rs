//! Names of users.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SessionId;

/// A user's name in a room: at most 40 characters, trimmed, without invisible characters but those that shape
/// the character before them.
///
/// Names are tidied rather than refused: a long or odd name must not keep a user out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The most characters that a name keeps.
    pub const CHARS_MAX: usize = 40;

    /// Tidies a text into a name: invisible characters are dropped, it is trimmed, and cut to
    /// [`Self::CHARS_MAX`]. A text that shows nothing becomes an empty name.
    pub fn tidy(text: &str) -> Self {
        let name = tidied(text, Self::CHARS_MAX);
        Self(if name.chars().any(is_shown) {
            name.into()
        } else {
            "".into()
        })
    }

    /// The name with a mark at its end, for which it is cut where it is too long.
    #[must_use]
    pub fn marked(&self, mark: &str) -> Self {
        let room = Self::CHARS_MAX.saturating_sub(mark.chars().count());
        Self((tidied(&self.0, room) + mark).into())
    }

    /// The name of a session that chose none.
    pub fn guest(session: &SessionId) -> Self {
        let tail: String = session.as_str().chars().take(4).collect();
        Self(format!("guest {tail}").into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self::tidy(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

/// The first character that may be shaped. Latin, Greek, Cyrillic and Armenian stand before it and need no shaping:
/// there it would only make two names look alike.
const FIRST_SHAPED: char = '\u{590}';

fn tidied(text: &str, chars_max: usize) -> String {
    // After white space and at the beginning nothing is shaped: so a tidy name stays as it is.
    let mut last = ' ';
    let is_kept = |c: &char| {
        let is_kept = if is_shaping(*c) {
            last >= FIRST_SHAPED && !last.is_whitespace()
        } else {
            !is_unseen(*c)
        };
        if is_kept {
            last = *c;
        }
        is_kept
    };
    let clean: String = text.chars().filter(is_kept).collect();
    let cut: String = clean.trim().chars().take(chars_max).collect();
    cut.trim_end().to_owned()
}

/// Joiners and variation selectors: invisible, but needed to write sequences of emoji, and the scripts of Persia and
/// India.
fn is_shaping(c: char) -> bool {
    matches!(
        c,
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Invisible characters that change how a text looks or reads: control characters and line breaks, those that turn
/// the direction of writing (Unicode Standard Annex #9, section 2), tags, and all others that are ignored
/// when shown (Unicode's `Default_Ignorable_Code_Point`) or have no ink.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Whether a kept character is visible by itself, rather than shaping or marking another one (the marks of
/// Unicode's five blocks of them).
fn is_shown(c: char) -> bool {
    !is_shaping(c)
        && !matches!(
            c,
            '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        )
        && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn names_are_tidied_not_refused() {
        assert_eq!(Name::tidy("  Ada\u{0}\n ").as_str(), "Ada");
        assert_eq!(
            Name::tidy(&"é".repeat(60)).as_str().chars().count(),
            Name::CHARS_MAX
        );
        assert!(Name::tidy(" \t ").is_empty());
        // These would turn the text around them, or make two names look alike.
        assert_eq!(
            Name::tidy("\u{202e}A\u{200b}d\u{2066}a\u{feff}").as_str(),
            "Ada"
        );
    }

    /// Joiners and selectors stay where there is a character to join or to vary.
    #[test]
    fn joiners_and_selectors_stay_where_they_are_needed() {
        for right in [
            "\u{1f468}\u{200d}\u{1f469}",
            // A heart on fire: a selector, then a joiner.
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
            // Persian, with a joiner that does not join.
            "\u{645}\u{6cc}\u{200c}\u{62e}",
            // Sinhala: a virama and a joiner.
            "\u{dc1}\u{dca}\u{200d}\u{dbb}\u{dd3}",
            "\u{845b}\u{e0100}",
            "\u{1820}\u{180b}\u{1826}\u{180f}",
            "\u{645}Ada",
        ] {
            assert_eq!(Name::tidy(right).as_str(), right, "{right:?}");
        }
        for (text, tidy) in [
            ("A\u{200d}da", "Ada"),
            ("A\u{200c}d\u{fe0f}a\u{e0100}", "Ada"),
            ("\u{200d}Ada", "Ada"),
            (
                "\u{e9}\u{200d}e\u{301}\u{200d}\u{430}\u{200d}",
                "\u{e9}e\u{301}\u{430}",
            ),
            ("\u{a0}\u{200d}Ada", "Ada"),
            ("A \u{180b}da\u{200c}\u{200d}", "A da"),
            (
                "\u{1f468}\u{202e}\u{200d}\u{1f469}",
                "\u{1f468}\u{200d}\u{1f469}",
            ),
        ] {
            assert_eq!(Name::tidy(text).as_str(), tidy, "{text:?}");
        }
    }

    #[test]
    fn what_is_ignored_where_it_is_shown_goes() {
        for unseen in [
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{17b4}',
            '\u{17b5}',
            '\u{180e}',
            '\u{2064}',
            '\u{206f}',
            '\u{3164}',
            '\u{fff8}',
            '\u{1bca0}',
            '\u{1d17a}',
            '\u{e0001}',
            '\u{e00ff}',
            '\u{e0fff}',
        ] {
            // Neither after ASCII nor after anything else.
            assert_eq!(
                Name::tidy(&format!("A{unseen}da")).as_str(),
                "Ada",
                "{unseen:?}"
            );
            assert_eq!(
                Name::tidy(&format!("\u{645}{unseen}")).as_str(),
                "\u{645}",
                "{unseen:?}"
            );
        }
    }

    /// A blank is not a name.
    #[test]
    fn a_name_that_shows_nothing_is_none() {
        for blank in [
            "",
            "\u{200d}",
            "\u{fe0f}\u{200c}",
            "\u{301}",
            "\u{301}\u{200d}\u{fe0f}",
            "\u{20dd}\u{a0}\u{1dc0}",
            "\u{2800}\u{3164}\u{ffa0}",
            "\u{3000}\u{2003}",
            &"\u{301}".repeat(50),
        ] {
            assert!(Name::tidy(blank).is_empty(), "{blank:?}");
        }
        for shown in [".", "\u{e9}", "e\u{301}", "\u{430}", "\u{1f468}", "\u{93e}"] {
            assert_eq!(Name::tidy(shown).as_str(), shown, "{shown:?}");
        }
    }

    /// Names are tidied at both ends, and must not change on their way.
    #[test]
    fn what_is_tidy_stays_as_it_is() {
        let parts = [
            ' ',
            'A',
            '\u{a0}',
            '\u{e9}',
            '\u{200d}',
            '\u{fe0f}',
            '\u{301}',
            '\u{202e}',
            '\u{1f468}',
        ];
        for number in 0..parts.len().pow(5) {
            let place = |n: u32| parts[number / parts.len().pow(n) % parts.len()];
            // Short, and where it is cut.
            let odd: String = (0..5).map(place).collect();
            for text in [odd.clone(), "\u{301}".repeat(37) + &odd] {
                let once = Name::tidy(&text);
                assert_eq!(Name::tidy(once.as_str()), once, "{text:?}");
                let marked = once.marked(" (guest)");
                assert!(
                    once.is_empty() || Name::tidy(marked.as_str()) == marked,
                    "{text:?}"
                );
            }
        }
    }
}
