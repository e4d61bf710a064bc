//! One message, or a place where some are missing.

use leptos::prelude::*;
use protocol::client::Fate;
use protocol::outbox::EntryId;

use super::message_list::OlderButton;
use crate::hooks::{ListActions, RowActions};
use crate::stamp;
use crate::state::{Logged, Progress, Row, Timeline};

/// One row of the list.
#[component]
pub fn MessageRow(
    /// The row. Its key tells rows apart; what can change below one key is read from `timeline`.
    row: Row,
    /// All messages.
    timeline: ReadSignal<Timeline>,
    /// Whether older messages can be asked for now.
    is_live: Memo<bool>,
    /// What can be done.
    actions: ListActions,
) -> impl IntoView {
    match row {
        Row::Gap(number) => {
            let shows_older =
                move || timeline.with(|list| list.has_older() && list.last_gap() == Some(number));
            view! {
                <li class="gap">
                    <span>"Some messages could not be recovered"</span>
                    <Show when=shows_older>
                        <OlderButton timeline is_live on_press=actions.older />
                    </Show>
                </li>
            }
            .into_any()
        }
        Row::Logged(Logged {
            message,
            entry: Some(id),
            ..
        }) => {
            let body = message.body.clone();
            view! { <OwnMessage id body timeline actions=actions.row /> }.into_any()
        }
        Row::Pending(pending) => {
            let (id, body) = (pending.id, pending.body.to_string());
            view! { <OwnMessage id body timeline actions=actions.row /> }.into_any()
        }
        Row::Logged(logged) => view! { <SettledMessage logged /> }.into_any(),
    }
}

/// A message of the log in which nothing changes any more.
#[component]
fn SettledMessage(
    /// The message.
    logged: Logged,
) -> impl IntoView {
    let Logged { message, own, .. } = logged;
    let author = if own {
        "You".to_owned()
    } else {
        message.name.to_string()
    };
    view! {
        <li
            class="message"
            class:own=own
            data-session=message.session.to_string()
            data-fate="durable"
            data-offset=message.offset.to_string()
        >
            <p class="about">
                <bdi class="author">{author}</bdi>
                <time datetime=stamp::iso(message.at_ms) title=stamp::iso(message.at_ms)>
                    {stamp::clock(message.at_ms)}
                    " UTC"
                </time>
                {own.then(|| view! { <span class="fate">"durable"</span> })}
            </p>
            <p class="body" dir="auto">
                {message.body.clone()}
            </p>
        </li>
    }
}

/// A message of this page, from the outbox to the log: one row all the way (EO-5).
#[component]
fn OwnMessage(
    /// Its name in the outbox.
    id: EntryId,
    /// The text.
    body: String,
    /// All messages.
    timeline: ReadSignal<Timeline>,
    /// What can be done.
    actions: RowActions,
) -> impl IntoView {
    let progress = Memo::new(move |_| timeline.with(|timeline| timeline.progress(id)));
    let session = move || progress.get()?.session.map(|session| session.to_string());
    let offset = move || progress.get()?.offset.map(|offset| offset.to_string());
    let fate = Memo::new(move |_| progress.get().map(|progress| progress.fate));
    view! {
        <li
            class="message own"
            data-session=session
            data-fate=move || fate.get().map(name)
            data-offset=offset
        >
            <p class="about">
                <bdi class="author">"You"</bdi>
                {move || progress.get().and_then(|Progress { at_ms, .. }| at_ms).map(time)}
                <span class="fate">{move || fate.get().map(words)}</span>
            </p>
            <p class="body" dir="auto">
                {body}
            </p>
            {move || fate.get().and_then(|fate| buttons(id, fate, actions))}
        </li>
    }
}

fn time(at_ms: u64) -> impl IntoView {
    view! {
        <time datetime=stamp::iso(at_ms) title=stamp::iso(at_ms)>
            {stamp::clock(at_ms)}
            " UTC"
        </time>
    }
}

/// What a person can decide about a message that does not go on by itself.
fn buttons(id: EntryId, fate: Fate, actions: RowActions) -> Option<AnyView> {
    let RowActions {
        send_again,
        discard,
        dismiss,
    } = actions;
    match fate {
        Fate::Uncertain => Some(
            view! {
                <p class="choice">
                    <button type="button" class="quiet" on:click=move |_| send_again.run(id)>
                        "Send again"
                    </button>
                    <button type="button" class="quiet" on:click=move |_| discard.run(id)>
                        "Drop"
                    </button>
                </p>
            }
            .into_any(),
        ),
        Fate::Refused { .. } => Some(
            view! {
                <p class="choice">
                    <button type="button" class="quiet" on:click=move |_| dismiss.run(id)>
                        "Dismiss"
                    </button>
                </p>
            }
            .into_any(),
        ),
        Fate::Waiting | Fate::Sent | Fate::Durable { .. } => None,
    }
}

const fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Waiting => "waiting",
        Fate::Sent => "sent",
        Fate::Durable { .. } => "durable",
        Fate::Refused { .. } => "refused",
        Fate::Uncertain => "uncertain",
    }
}

fn words(fate: Fate) -> String {
    match fate {
        Fate::Refused { code } => format!("refused: {}", code.text()),
        Fate::Uncertain => "uncertain: it may have arrived or not".to_owned(),
        Fate::Waiting | Fate::Sent | Fate::Durable { .. } => name(fate).to_owned(),
    }
}
