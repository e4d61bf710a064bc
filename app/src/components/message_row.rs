//! A row of the list: one message, or a gap.

use leptos::either::EitherOf3;
use leptos::prelude::*;
use protocol::client::Fate;
use protocol::outbox::EntryId;
use view::{Logged, Progress, Row, Timeline};

use super::message_list::OlderButton;
use crate::hooks::{ListActions, RowActions};
use crate::markup::html;
use crate::stamp;
use crate::words::{self, Word, Words};

/// One row of the list.
#[component]
pub fn MessageRow(
    /// The row. Its key identifies it; what can change under one key is read from `timeline`.
    row: Row,
    /// All messages.
    timeline: ReadSignal<Timeline>,
    /// Whether older messages can be loaded now.
    is_live: Memo<bool>,
    /// The actions of the list.
    actions: ListActions,
    /// The page's words.
    words: Words,
) -> impl IntoView {
    match row {
        Row::Gap(number) => {
            EitherOf3::A(view! { <GapRow number timeline is_live on_older=actions.older words /> })
        }
        Row::Logged(Logged {
            message,
            entry: Some(id),
            ..
        }) => {
            let body = message.body.clone();
            EitherOf3::B(view! { <OwnMessage id body timeline actions=actions.row words /> })
        }
        Row::Pending(pending) => {
            let (id, body) = (pending.id, pending.body.to_string());
            EitherOf3::B(view! { <OwnMessage id body timeline actions=actions.row words /> })
        }
        Row::Logged(logged) => EitherOf3::C(view! { <SettledMessage logged words /> }),
    }
}

/// A place where messages are missing.
#[component]
fn GapRow(
    /// Which gap.
    number: u32,
    /// All messages.
    timeline: ReadSignal<Timeline>,
    /// Whether older messages can be loaded now.
    is_live: Memo<bool>,
    /// Load them.
    on_older: Callback<()>,
    /// The page's words.
    words: Words,
) -> impl IntoView {
    let shows_older = Memo::new(move |_| {
        timeline.with(|list| list.has_older() && list.last_gap() == Some(number))
    });
    view! {
        <li class="gap">
            <span>{words.text(Word::Gap)}</span>
            {move || {
                shows_older
                    .get()
                    .then(|| view! { <OlderButton timeline is_live on_press=on_older words /> })
            }}
        </li>
    }
}

/// A message of the log that does not change any more.
#[component]
fn SettledMessage(
    /// The message.
    logged: Logged,
    /// The page's words.
    words: Words,
) -> impl IntoView {
    let Logged { message, own, .. } = logged;
    let author = if own {
        words.text(Word::You)
    } else {
        message.name.as_str()
    };
    let removed = words.text(Word::Removed);
    let (fate, about, body) = if message.removed {
        ("removed", removed, removed)
    } else {
        ("durable", words.text(Word::FateDurable), &*message.body)
    };
    view! {
        <li
            class="message"
            class:own=own
            data-session=message.session.to_string()
            data-fate=fate
            data-offset=message.offset.to_string()
        >
            <p class="about">
                <bdi class="author" translate="no" inner_html=html(author)></bdi>
                {time(message.at_ms)}
                {own.then(|| view! { <span class="fate" inner_html=html(about)></span> })}
            </p>
            <p class="body" dir="auto" inner_html=html(body)></p>
        </li>
    }
}

/// A message of this page, from the outbox to the log: one row throughout (EO-5).
#[component]
fn OwnMessage(
    /// Its id in the outbox.
    id: EntryId,
    /// The text.
    body: String,
    /// All messages.
    timeline: ReadSignal<Timeline>,
    /// The actions on this message.
    actions: RowActions,
    /// The page's words.
    words: Words,
) -> impl IntoView {
    let progress = Memo::new(move |_| timeline.with(|timeline| timeline.progress(id)));
    let session =
        Signal::derive(move || progress.get()?.session.map(|session| session.to_string()));
    let offset = Signal::derive(move || progress.get()?.offset.map(|offset| offset.to_string()));
    let fate = Memo::new(move |_| progress.get().map(|progress| progress.fate));
    let fate_name = Signal::derive(move || fate.get().map(|fate| name(fate).to_owned()));
    let fate_words = Signal::derive(move || {
        html(
            &fate
                .get()
                .map(|fate| words::fate(fate, words))
                .unwrap_or_default(),
        )
    });
    view! {
        <li
            class="message own"
            data-session=session
            data-fate=fate_name
            data-offset=offset
        >
            <p class="about">
                <bdi class="author" translate="no" inner_html=html(words.text(Word::You))></bdi>
                {move || progress.get().and_then(|Progress { at_ms, .. }| at_ms).map(time)}
                <span class="fate" inner_html=fate_words></span>
            </p>
            <p class="body" dir="auto" inner_html=html(&body)></p>
            {move || fate.get().and_then(|fate| choice(id, fate, actions, words))}
        </li>
    }
}

fn time(at_ms: u64) -> impl IntoView {
    let text = html(&format!("{} UTC", stamp::clock(at_ms)));
    view! {
        <time
            datetime=stamp::iso(at_ms)
            title=stamp::iso(at_ms)
            translate="no"
            inner_html=text
        ></time>
    }
}

/// The buttons of a message about which the user has to decide.
fn choice(id: EntryId, fate: Fate, actions: RowActions, words: Words) -> Option<impl IntoView> {
    let ways = match fate {
        Fate::Uncertain => vec![
            (Word::SendAgain, actions.send_again),
            (Word::Drop, actions.discard),
        ],
        Fate::Held => vec![
            (Word::Send, actions.send_again),
            (Word::Drop, actions.discard),
        ],
        Fate::Refused { .. } => vec![
            (Word::EditAgain, actions.edit_again),
            (Word::Dismiss, actions.discard),
        ],
        Fate::Waiting | Fate::Sent | Fate::Durable { .. } => return None,
    };
    let button = |(word, act): (Word, Callback<EntryId>)| {
        view! {
            <button
                type="button"
                class="quiet"
                inner_html=html(words.text(word))
                on:click=move |_| act.run(id)
            ></button>
        }
    };
    let buttons = ways.into_iter().map(button).collect_view();
    Some(view! { <p class="choice">{buttons}</p> })
}

const fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Waiting => "waiting",
        Fate::Sent => "sent",
        Fate::Durable { .. } => "durable",
        Fate::Refused { .. } => "refused",
        Fate::Held => "held",
        Fate::Uncertain => "uncertain",
    }
}
