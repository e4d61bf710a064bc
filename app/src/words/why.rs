//! Why the page is not live, and what its return brought, in words.

use std::time::Duration;

use protocol::client::Recovery;
use protocol::frame::ErrorCode;
use view::{Link, Notice, Trouble};

use super::{Word, Words};

#[cfg(test)]
mod tests;

/// The line beside the connection's state: why it is not live, why messages wait, or what its return brought.
pub(crate) fn why(link: &Link, words: Words) -> String {
    if let Some(why) = link.trouble() {
        return two(&trouble(why, words), &attempt(link, words), words);
    }
    match (link.pause(), link.recovery()) {
        (Some((ErrorCode::Unavailable, seconds)), _) => {
            words.number(Word::PausedUnavailable, seconds)
        }
        (Some((_, seconds)), _) => words.number(Word::PausedByRate, seconds),
        (None, Some(brought)) => recovery(brought, words),
        (None, None) => String::new(),
    }
}

/// What a user hears who does not look at the page.
pub(crate) fn notice(link: &Link, words: Words) -> String {
    match link.notice() {
        None => String::new(),
        Some(Notice::Lost(why)) => words.because(Word::NoticeLost, &trouble(*why, words)),
        Some(Notice::Stopped(why)) => trouble(*why, words),
        Some(Notice::Back(brought)) => {
            let brought = brought.map(|brought| recovery(&brought, words));
            let back = words.text(Word::NoticeBack);
            two(back, &brought.unwrap_or_default(), words)
        }
    }
}

/// A reason, as a sentence.
pub(crate) fn trouble(trouble: Trouble, words: Words) -> String {
    let word = match trouble {
        Trouble::Offline => Word::TroubleOffline,
        Trouble::Unreachable => Word::TroubleUnreachable,
        Trouble::Silent => Word::TroubleSilent,
        Trouble::Unheard => Word::TroubleUnheard,
        Trouble::Restarting => Word::TroubleRestarting,
        Trouble::Busy => Word::TroubleBusy,
        Trouble::Refused { status } => {
            return words.number(Word::TroubleRefused, status.into());
        }
        Trouble::Asleep => Word::TroubleAsleep,
        Trouble::TakenOver => Word::TroubleTakenOver,
        Trouble::Expired => Word::TroubleExpired,
        Trouble::Garbled => Word::TroubleGarbled,
        Trouble::SignIn => Word::TroubleSignIn,
        Trouble::Ended => Word::TroubleEnded,
        Trouble::Outdated => Word::TroubleOutdated,
        _ => Word::TroubleBroken,
    };
    words.text(word).to_owned()
}

/// The number of the next try, and what its wait was drawn from; or that the server gave it a slot.
fn attempt(link: &Link, words: Words) -> String {
    let number = link.attempt();
    match link.wait() {
        Some((_, None)) if link.trouble() == Some(Trouble::Restarting) => {
            words.text(Word::AttemptAtSlot).to_owned()
        }
        Some((delay, Some(ceiling))) if number > 0 => {
            let (delay, ceiling) = (span(delay, words), span(ceiling, words));
            let values = [
                ("n", &*number.to_string()),
                ("delay", &delay),
                ("ceiling", &ceiling),
            ];
            words.fill(Word::AttemptDrawn, &values)
        }
        None if number > 0 => words.number(Word::Attempt, number.into()),
        _ => String::new(),
    }
}

/// What the return brought. That nothing is lost is said only where nothing is missing and nothing uncertain.
fn recovery(recovery: &Recovery, words: Words) -> String {
    let mut list = String::new();
    let mut add = |item: &str| {
        if !list.is_empty() {
            list += words.text(Word::Comma);
        }
        list += item;
    };
    for (word, count) in [
        (Word::Arrived, recovery.arrived),
        (Word::SentAgain, recovery.sent_again),
        (Word::SentNow, recovery.sent),
        (Word::CaughtUp, recovery.caught_up),
        (Word::LeftUncertain, recovery.uncertain),
        (Word::LeftGaps, recovery.gaps),
    ] {
        if count > 0 {
            add(&words.number(word, count.into()));
        }
    }
    if recovery.is_complete() {
        add(words.text(Word::NothingLost));
    }
    let word = if recovery.resumed {
        Word::Resumed
    } else {
        Word::Renewed
    };
    words.fill(word, &[("what", &list)])
}

/// A time: below a second in milliseconds, else in seconds and tenths.
fn span(time: Duration, words: Words) -> String {
    let (seconds, ms) = (time.as_secs(), time.subsec_millis());
    if seconds == 0 {
        return words.number(Word::Milliseconds, ms.into());
    }
    let mut number = seconds.to_string();
    if ms >= 100 {
        number += ".";
        number += &(ms / 100).to_string();
    }
    words.fill(Word::Seconds, &[("n", &number)])
}

/// One sentence after another, if there is another.
fn two(one: &str, two: &str, words: Words) -> String {
    if two.is_empty() {
        return one.to_owned();
    }
    words.fill(Word::TwoSentences, &[("one", one), ("two", two)])
}
