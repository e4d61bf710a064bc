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
) -> impl IntoView {
    match row {
        Row::Gap(number) => {
            EitherOf3::A(view! { <GapRow number timeline is_live on_older=actions.older /> })
        }
        Row::Logged(Logged {
            message,
            entry: Some(id),
            ..
        }) => {
            let body = message.body.clone();
            EitherOf3::B(view! { <OwnMessage id body timeline actions=actions.row /> })
        }
        Row::Pending(pending) => {
            let (id, body) = (pending.id, pending.body.to_string());
            EitherOf3::B(view! { <OwnMessage id body timeline actions=actions.row /> })
        }
        Row::Logged(logged) => EitherOf3::C(view! { <SettledMessage logged /> }),
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
) -> impl IntoView {
    let shows_older = Memo::new(move |_| {
        timeline.with(|list| list.has_older() && list.last_gap() == Some(number))
    });
    view! {
        <li class="gap">
            <span>"Some messages could not be recovered"</span>
            {move || {
                shows_older
                    .get()
                    .then(|| view! { <OlderButton timeline is_live on_press=on_older /> })
            }}
        </li>
    }
}

/// A message of the log that does not change any more.
#[component]
fn SettledMessage(
    /// The message.
    logged: Logged,
) -> impl IntoView {
    let Logged { message, own, .. } = logged;
    let author = if own { "You" } else { message.name.as_str() };
    let (fate, body) = if message.removed {
        ("removed", "removed")
    } else {
        ("durable", &*message.body)
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
                {own.then(|| view! { <span class="fate" inner_html=html(fate)></span> })}
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
) -> impl IntoView {
    let progress = Memo::new(move |_| timeline.with(|timeline| timeline.progress(id)));
    let session =
        Signal::derive(move || progress.get()?.session.map(|session| session.to_string()));
    let offset = Signal::derive(move || progress.get()?.offset.map(|offset| offset.to_string()));
    let fate = Memo::new(move |_| progress.get().map(|progress| progress.fate));
    let fate_name = Signal::derive(move || fate.get().map(|fate| name(fate).to_owned()));
    let fate_words = Signal::derive(move || html(&fate.get().map(words).unwrap_or_default()));
    view! {
        <li
            class="message own"
            data-session=session
            data-fate=fate_name
            data-offset=offset
        >
            <p class="about">
                <bdi class="author" translate="no" inner_html=html("You")></bdi>
                {move || progress.get().and_then(|Progress { at_ms, .. }| at_ms).map(time)}
                <span class="fate" inner_html=fate_words></span>
            </p>
            <p class="body" dir="auto" inner_html=html(&body)></p>
            {move || fate.get().and_then(|fate| choice(id, fate, actions))}
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
fn choice(id: EntryId, fate: Fate, actions: RowActions) -> Option<impl IntoView> {
    let ways = match fate {
        Fate::Uncertain => vec![
            ("Send again", actions.send_again),
            ("Drop", actions.discard),
        ],
        Fate::Held => vec![("Send", actions.send_again), ("Drop", actions.discard)],
        Fate::Refused { .. } => vec![
            ("Edit again", actions.edit_again),
            ("Dismiss", actions.discard),
        ],
        Fate::Waiting | Fate::Sent | Fate::Durable { .. } => return None,
    };
    let button = |(text, act): (&'static str, Callback<EntryId>)| {
        view! {
            <button
                type="button"
                class="quiet"
                inner_html=html(text)
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

fn words(fate: Fate) -> String {
    match fate {
        Fate::Refused { code } => format!("refused: {}", code.permanent_message()),
        Fate::Uncertain => "uncertain: it may have arrived or not".to_owned(),
        Fate::Held => "not sent: left in a page that was closed".to_owned(),
        Fate::Waiting | Fate::Sent | Fate::Durable { .. } => name(fate).to_owned(),
    }
}
