//! The events: what happened last, the newest first, each linked to its session.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use everbeat_axum::hub::feed::{FEED_EVENTS, Happening, What, Whom};
use leptos::prelude::*;
use protocol::close::CloseCode;
use protocol::id::{Name, SessionId};

use super::desk::{Scope, session_path};
use crate::admin::words::{Word, Words};

/// The events of a page: all, or those of its session.
pub(super) fn view(words: Words, scope: &Scope, feed: &[Arc<Happening>]) -> AnyView {
    let names = names(feed);
    let shown = feed.iter().filter(|happening| concerns(scope, happening));
    let rows = shown.map(|happening| row(words, happening, &names));
    let rows = rows.collect_view();
    let note = if rows.is_empty() {
        words.text(Word::NoEvents).to_owned()
    } else {
        words.count(Word::EventsNote, FEED_EVENTS)
    };
    view! {
        <section id="events">
            <h2 id="events-title">{words.text(Word::EventsTitle)}</h2>
            <p>{note}</p>
            <div class="scrolled low" tabindex="0" role="region" aria-labelledby="events-title">
                <ol class="events">{rows}</ol>
            </div>
        </section>
    }
    .into_any()
}

fn concerns(scope: &Scope, happening: &Happening) -> bool {
    let whom = happening.whom.as_ref();
    match scope {
        Scope::All(_) => true,
        Scope::Session(session) => whom.is_some_and(|whom| whom.session.as_ref() == Some(session)),
        Scope::Connection(id) => whom.is_some_and(|whom| whom.connection == *id),
    }
}

/// The newest name of each session: not each event has it.
fn names(feed: &[Arc<Happening>]) -> HashMap<&SessionId, &Name> {
    let whom = feed
        .iter()
        .rev()
        .filter_map(|happening| happening.whom.as_ref());
    let names = whom.filter_map(|whom| Some((whom.session.as_ref()?, whom.name.as_ref()?)));
    names.collect()
}

fn row(
    words: Words,
    happening: &Happening,
    names: &HashMap<&SessionId, &Name>,
) -> impl IntoView + use<> {
    let at = UNIX_EPOCH + Duration::from_millis(happening.at_ms);
    let at = humantime::format_rfc3339_seconds(at).to_string();
    // The time of the day of `2026-11-28T11:40:03Z`.
    let time = at.get(11..19).unwrap_or_default().to_owned();
    let whom = happening.whom.as_ref().map(|whom| link(words, whom, names));
    view! {
        <li id=format!("event-{}", happening.number)>
            <time datetime=at>{time}</time>
            " "
            {what(words, &happening.what)}
            " "
            {whom}
        </li>
    }
}

/// The link to the session, under its name; to the connection, where there is none.
fn link(words: Words, whom: &Whom, names: &HashMap<&SessionId, &Name>) -> impl IntoView + use<> {
    let (href, text) = match &whom.session {
        Some(session) => {
            let name = names.get(session).filter(|name| !name.is_empty());
            let name = name.map_or_else(|| session.to_string(), ToString::to_string);
            (session_path(session), name)
        }
        None => (
            Scope::Connection(whom.connection).path(),
            words.count(Word::Connection, whom.connection),
        ),
    };
    view! { <a href=href>{text}</a> }
}

fn what(words: Words, what: &What) -> String {
    let text = |word| words.text(word).to_owned();
    match what {
        What::Opened => text(Word::EventOpened),
        What::Resumed(cause) => {
            let why = words.text(Word::of_cause(*cause));
            words.fill(Word::EventResumed, &[("why", why)])
        }
        What::NotResumed => text(Word::EventNotResumed),
        What::Ended(code) => ended(words, *code),
        What::Reconnected => text(Word::EventReconnected),
        What::Removed => text(Word::EventRemoved),
        What::Drain => text(Word::EventDrain),
        What::NodeUp(node) => words.fill(Word::EventNodeUp, &[("node", node.as_str())]),
        What::NodeDown(node) => words.fill(Word::EventNodeDown, &[("node", node.as_str())]),
    }
}

/// How a connection ended, with its code.
fn ended(words: Words, code: CloseCode) -> String {
    let why = match code {
        CloseCode::NORMAL | CloseCode::GOING_AWAY => Word::EndLeft,
        CloseCode::ABNORMAL => Word::EndBroke,
        CloseCode::DEAD => Word::EndSilent,
        CloseCode::SLOW => Word::EndSlow,
        CloseCode::SERVICE_RESTART => Word::EndRestart,
        CloseCode::TAKEN_OVER => Word::EndTakenOver,
        CloseCode::DISCONNECTED => Word::EndRemoved,
        CloseCode::UNAUTHORIZED | CloseCode::TOKEN_EXPIRED => Word::EndDenied,
        _ => Word::EndOther,
    };
    let code = code.get().to_string();
    let why = words.text(why);
    words.fill(Word::EventEnded, &[("why", why), ("code", &code)])
}

#[cfg(test)]
mod tests {
    use app::words::Language;
    use protocol::id::ConnectionId;

    use super::*;

    fn happening(number: u64, session: &str, name: Option<&str>, what: What) -> Arc<Happening> {
        Arc::new(Happening {
            number,
            at_ms: 1_795_866_003_000,
            what,
            whom: Some(Whom {
                session: SessionId::new(session).ok(),
                connection: ConnectionId::new(7),
                name: name.map(Name::tidy),
            }),
        })
    }

    fn html(scope: &Scope, feed: &[Arc<Happening>]) -> String {
        let words = Words(Language::En);
        Owner::new().with(|| view(words, scope, feed).to_html())
    }

    /// An event links to its session by its newest name, which is text.
    #[test]
    fn an_event_links_to_its_session() {
        let feed = [
            happening(3, "s1", None, What::Ended(CloseCode::DEAD)),
            happening(2, "s2", None, What::Opened),
            happening(1, "s1", Some("<b>Ada"), What::Opened),
        ];
        let all = html(&Scope::All(super::super::view::View::default()), &feed);
        assert_eq!(
            all.matches("<a href=\"/status/sessions/s1\">&lt;b&gt;Ada</a>")
                .count(),
            2
        );
        assert!(
            all.contains("<a href=\"/status/sessions/s2\">s2</a>"),
            "{all}"
        );
        assert!(all.contains(">11:40:03</time>"), "{all}");
        assert!(all.contains("4000"), "{all}");
        let one = html(&Scope::Session(SessionId::new("s2").unwrap()), &feed);
        assert!(one.contains("event-2") && !one.contains("event-3"), "{one}");
    }
}
