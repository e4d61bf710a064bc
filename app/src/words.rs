//! The page's sentences, in each of its languages, and those for what the view holds.
//!
//! The server has the tables. A page carries the words of one of them to the browser ([`Words::lines`]), so the
//! program in the browser holds none.

mod en;
mod language;
mod table;
mod why;
mod word;
mod zh_hans;
mod zh_hant;

use leptos::prelude::expect_context;
use protocol::client::{Fate, Status};
use protocol::frame::ErrorCode;
use protocol::id::RoomName;
use protocol::outbox::PublishError;
use view::{Alert, Day, Link, When};

pub use self::language::Language;
pub(crate) use self::why::{notice, trouble, why};
pub use self::word::Word;

/// The largest number of new messages that is shown.
const UNREAD_MAX: u64 = 99;

/// The words of one language. The server and the browser's entry give them through the context.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    table: &'static [&'static str],
}

/// The page's words: the one thing that components take from the context themselves, as nearly all need it.
///
/// # Panics
/// Without words in the context.
pub fn use_words() -> Words {
    expect_context()
}

impl Words {
    /// The words of a language. For the server: the program in the browser would get all tables.
    pub const fn of(language: Language) -> Self {
        let table: &'static [&'static str] = match language {
            Language::En => &en::TABLE,
            Language::ZhHant => &zh_hant::TABLE,
            Language::ZhHans => &zh_hans::TABLE,
        };
        Self { table }
    }

    /// The words that a page carries, a line each, in the order of [`Word`].
    pub fn lines(self) -> String {
        self.table[..Word::CARRIED].join("\n")
    }

    /// The words that a page carried. They stay in memory until the page is closed; it is built a few times at most.
    pub fn carried(lines: String) -> Self {
        let lines: &'static str = lines.leak();
        // No `collect`: the program would need its code for this iterator.
        let mut table = Vec::with_capacity(Word::CARRIED);
        for line in lines.split('\n') {
            table.push(line);
        }
        Self {
            table: table.leak(),
        }
    }

    /// The language.
    pub fn language(self) -> Language {
        Language::of_tag(self.text(Word::Tag)).unwrap_or_default()
    }

    /// A word or sentence; empty for one that the page does not carry.
    pub fn text(self, word: Word) -> &'static str {
        self.table.get(word as usize).copied().unwrap_or_default()
    }

    /// A sentence with these values for its placeholders, `{name}` in the tables.
    pub fn fill(self, word: Word, values: &[(&str, &str)]) -> String {
        let mut rest = self.text(word);
        let mut filled = String::new();
        while let Some((before, after)) = rest.split_once('{')
            && let Some((name, after)) = after.split_once('}')
        {
            let value = values.iter().find(|(of, _)| *of == name);
            filled += before;
            filled += value.map_or("", |(_, value)| value);
            rest = after;
        }
        filled + rest
    }

    /// A sentence with a reason in it, `{why}`.
    pub(crate) fn because(self, word: Word, why: &str) -> String {
        self.fill(word, &[("why", why)])
    }

    /// A sentence with a number in it, `{n}`.
    pub fn count(self, word: Word, number: usize) -> String {
        self.number(word, u64::try_from(number).unwrap_or(u64::MAX))
    }

    /// The same of any number.
    fn number(self, word: Word, number: u64) -> String {
        self.fill(word, &[("n", &number.to_string())])
    }
}

/// The connection's state in one word, for style sheets and tests.
pub(crate) const fn state(link: &Link) -> &'static str {
    match link.status() {
        Status::Idle => "idle",
        Status::Connecting => "connecting",
        Status::Live => "live",
        Status::Waiting { offline: false, .. } => "waiting",
        Status::Waiting { offline: true, .. } => "offline",
        Status::Stopped { .. } => "stopped",
    }
}

/// The connection's state in words. They change only with the state.
pub(crate) fn status(link: &Link, words: Words) -> String {
    let word = match link.status() {
        Status::Idle => Word::Idle,
        Status::Connecting => Word::Connecting,
        Status::Live if link.is_checking() => Word::Checking,
        Status::Live => Word::Live,
        Status::Waiting { offline: false, .. } => Word::Reconnecting,
        Status::Waiting { offline: true, .. } => Word::Offline,
        Status::Stopped { .. } => Word::Stopped,
    };
    words.text(word).to_owned()
}

/// The countdown after [`status`] while the session waits to reconnect. It changes every second.
pub(crate) fn countdown(link: &Link, words: Words) -> String {
    let word = match link.status() {
        Status::Waiting { offline: false, .. } => Word::RetryIn,
        Status::Waiting { offline: true, .. } => Word::RetryOfflineIn,
        _ => return String::new(),
    };
    words.number(word, link.seconds_left().unwrap_or_default())
}

/// The last round trip. (Not by `as_millis`: the program would need code to divide and format 128-bit
/// numbers.)
pub(crate) fn round_trip(link: &Link, words: Words) -> String {
    let Some(rtt) = link.rtt() else {
        return String::new();
    };
    let ms = rtt.as_secs() * 1000 + u64::from(rtt.subsec_millis());
    words.number(Word::Milliseconds, ms)
}

/// A room's name in a list of rooms.
pub(crate) fn room(room: &RoomName, words: Words) -> String {
    if *room == RoomName::lobby() {
        words.text(Word::Lobby).to_owned()
    } else {
        room.to_string()
    }
}

/// How many messages are new in a room.
pub(crate) fn unread(count: u64, words: Words) -> String {
    words.fill(Word::Unread, &[("n", &counted(count))])
}

/// A number that is shown as long as it can be counted at a glance.
pub(crate) fn counted(count: u64) -> String {
    if count > UNREAD_MAX {
        format!("{UNREAD_MAX}+")
    } else {
        count.to_string()
    }
}

/// The number of messages that the reader did not see come.
pub(crate) fn new_messages(count: u32, words: Words) -> String {
    let word = if count == 1 {
        Word::NewMessage
    } else {
        Word::NewMessages
    };
    words.number(word, count.into())
}

/// The day, if it has a name of its own as seen from `today`.
pub(crate) const fn near_day(day: Day, today: Day) -> Option<Word> {
    match day.seen_from(today) {
        When::Today => Some(Word::Today),
        When::Yesterday => Some(Word::Yesterday),
        When::Other => None,
    }
}

/// Why the user's last action failed.
pub(crate) fn alert(alert: &Alert, words: Words) -> String {
    match alert {
        Alert::NotTaken(error) => words.because(Word::NotTaken, &not_taken(*error, words)),
        Alert::Busy => words.text(Word::PageBusy).to_owned(),
        Alert::Refused(code) => words.because(Word::ServerRefused, words.text(refusal(*code))),
        Alert::NotKept => words.text(Word::NotKept).to_owned(),
    }
}

/// Why the outbox did not take a text.
fn not_taken(error: PublishError, words: Words) -> String {
    match error {
        PublishError::OutboxFull => words.text(Word::OutboxFull).to_owned(),
        PublishError::TooLarge { bytes, limit } => {
            let (bytes, limit) = (bytes.to_string(), limit.to_string());
            words.fill(Word::TooManyBytes, &[("bytes", &bytes), ("limit", &limit)])
        }
        // `Empty`: the core has no others.
        _ => words.text(Word::NothingToSend).to_owned(),
    }
}

/// Why the server refused something: by the code, so that it is in the page's language.
pub const fn refusal(code: ErrorCode) -> Word {
    match code {
        ErrorCode::BadFrame => Word::BadFrame,
        ErrorCode::BadRoom => Word::BadRoom,
        ErrorCode::BodyEmpty => Word::BodyEmpty,
        ErrorCode::BodyTooLarge => Word::BodyTooLarge,
        ErrorCode::Busy => Word::Busy,
        ErrorCode::FrameTooLarge => Word::FrameTooLarge,
        ErrorCode::HelloExpected => Word::HelloExpected,
        ErrorCode::NotJoined => Word::NotJoined,
        ErrorCode::RateLimited => Word::RateLimited,
        ErrorCode::ReadDenied => Word::ReadDenied,
        ErrorCode::SeqConflict => Word::SeqConflict,
        ErrorCode::SeqGap => Word::SeqGap,
        ErrorCode::TokenExpired => Word::TokenExpired,
        ErrorCode::TokenInvalid => Word::TokenInvalid,
        ErrorCode::TokenRequired => Word::TokenRequired,
        ErrorCode::TooManyRooms => Word::TooManyRooms,
        ErrorCode::Unavailable => Word::Unavailable,
        ErrorCode::WriteDenied => Word::WriteDenied,
        _ => Word::Refused,
    }
}

/// A message's way to the log, in words.
pub(crate) fn fate(fate: Fate, words: Words) -> String {
    let word = match fate {
        Fate::Refused { code } => {
            return words.because(Word::FateRefused, words.text(refusal(code)));
        }
        Fate::Uncertain => Word::FateUncertain,
        Fate::Held => Word::FateHeld,
        Fate::Waiting => Word::FateWaiting,
        Fate::Sent => Word::FateSent,
        Fate::Durable { .. } => Word::FateDurable,
    };
    words.text(word).to_owned()
}

#[cfg(test)]
mod tests;
