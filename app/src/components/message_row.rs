//! An item of the list: a message, a gap, or a line between messages.

use leptos::either::EitherOf4;
use leptos::prelude::*;
use protocol::client::Fate;
use protocol::outbox::EntryId;
use view::{Day, Item, Logged, Progress, Row, RowKey, Timeline};

use super::message_list::OlderButton;
use crate::hooks::{ListHandle, RowActions};
use crate::markup::{html, rich};
use crate::stamp::{Clock, Form};
use crate::words::{self, Word, Words};

/// One item of the list.
#[component]
pub fn ListItem(
    /// The item. Its key identifies it; what can change under one key is read from `items` and the timeline.
    item: Item,
    /// All items of its page.
    items: Memo<Vec<Item>>,
    /// The list.
    list: ListHandle,
) -> impl IntoView {
    let (row, follows) = match item {
        Item::Day { day, .. } => {
            let text = Signal::derive(move || day_text(day, list));
            return EitherOf4::A(view! { <Line class="line day" text /> });
        }
        Item::Unread { .. } => {
            let text = Signal::derive(move || unread_text(list));
            return EitherOf4::A(view! { <Line class="line new" text /> });
        }
        Item::Row { row, follows } => (row, follows),
    };
    match row {
        Row::Gap(number) => EitherOf4::B(view! { <GapRow number list /> }),
        Row::Logged(Logged {
            message,
            entry: Some(id),
            ..
        }) => {
            let body = message.body.clone();
            EitherOf4::C(view! { <OwnMessage id body items list /> })
        }
        Row::Pending(pending) => {
            let (id, body) = (pending.id, pending.body.to_string());
            EitherOf4::C(view! { <OwnMessage id body items list /> })
        }
        Row::Logged(logged) => EitherOf4::D(view! { <SettledMessage logged follows list /> }),
    }
}

/// A line between rows, with its text.
#[component]
fn Line(
    /// Its class.
    class: &'static str,
    /// Its text.
    text: Signal<String>,
) -> impl IntoView {
    view! {
        <li class=class>
            <span inner_html=move || html(&text.get())></span>
        </li>
    }
}

/// The text above the first message of a day.
fn day_text(day: Day, list: ListHandle) -> String {
    let near = list.today.get();
    let near = near.and_then(|today| words::near_day(day, today));
    near.map_or_else(
        || (list.clock.text)(day.from_ms, Form::Date),
        |near| list.words.text(near).to_owned(),
    )
}

/// The text above the first message that the reader did not see come.
fn unread_text(list: ListHandle) -> String {
    let count = list.timeline.with(Timeline::marked);
    words::new_messages(count, list.words)
}

/// A place where messages are missing.
#[component]
fn GapRow(
    /// Which gap.
    number: u32,
    /// The list.
    list: ListHandle,
) -> impl IntoView {
    let shows_older = Memo::new(move |_| {
        let timeline = list.timeline;
        timeline.with(|list| list.has_older() && list.last_gap() == Some(number))
    });
    view! {
        <li class="gap">
            <span class="line">{list.words.text(Word::Gap)}</span>
            {move || shows_older.get().then(|| view! { <OlderButton list /> })}
        </li>
    }
}

/// A message of the log that does not change any more.
#[component]
fn SettledMessage(
    /// The message.
    logged: Logged,
    /// Whether it follows another one of its author.
    follows: bool,
    /// The list.
    list: ListHandle,
) -> impl IntoView {
    let Logged { message, own, .. } = logged;
    let ListHandle { clock, words, .. } = list;
    let author = if own {
        words.text(Word::You)
    } else {
        message.name.as_str()
    };
    let removed = words.text(Word::Removed);
    let (fate, about, body) = if message.removed {
        ("removed", removed, html(removed))
    } else {
        (
            "durable",
            words.text(Word::FateDurable),
            rich(&message.body),
        )
    };
    view! {
        <li
            class="message"
            class:own=own
            class:follows=follows
            data-session=message.session.to_string()
            data-fate=fate
            data-offset=message.offset.to_string()
        >
            <p class="about">
                <bdi class="author" translate="no" inner_html=html(author)></bdi>
                {time(clock, message.at_ms)}
                {own.then(|| view! { <span class="fate" inner_html=html(about)></span> })}
            </p>
            <p class="body" dir="auto" inner_html=body></p>
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
    /// All items of its page.
    items: Memo<Vec<Item>>,
    /// The list.
    list: ListHandle,
) -> impl IntoView {
    let ListHandle {
        timeline,
        clock,
        words,
        ..
    } = list;
    let follows = Memo::new(move |_| items.with(|items| follows(items, id)));
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
            class:follows=follows
            data-session=session
            data-fate=fate_name
            data-offset=offset
        >
            <p class="about">
                <bdi class="author" translate="no" inner_html=html(words.text(Word::You))></bdi>
                {move || {
                    let at_ms = progress.get().and_then(|Progress { at_ms, .. }| at_ms);
                    at_ms.map(|at_ms| time(clock, at_ms))
                }}
                <span class="fate" inner_html=fate_words></span>
            </p>
            <p class="body" dir="auto" inner_html=rich(&body)></p>
            {move || fate.get().and_then(|fate| choice(id, fate, list.row, words))}
        </li>
    }
}

/// Whether the row of that entry follows another one of its author.
fn follows(items: &[Item], id: EntryId) -> bool {
    let mut newest = items.iter().rev();
    newest.any(
        |item| matches!(item, Item::Row { row, follows: true } if row.key() == RowKey::Entry(id.0)),
    )
}

fn time(clock: Clock, at_ms: u64) -> impl IntoView {
    let text = |form| (clock.text)(at_ms, form);
    view! {
        <time
            datetime=text(Form::Iso)
            title=text(Form::Full)
            translate="no"
            inner_html=html(&text(Form::Time))
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
