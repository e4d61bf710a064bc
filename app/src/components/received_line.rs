//! The text received last.

use leptos::prelude::*;
use protocol::id::Name;
use view::Received;

use crate::markup::html;
use crate::words::{Word, use_words};

/// Shows the last text of another member, draft or message, as it is typed. Screen readers do not announce it:
/// they would read out every keystroke. The list announces messages.
#[component]
pub fn ReceivedLine(
    /// The text received last, and its author.
    received: ReadSignal<Received>,
) -> impl IntoView {
    let words = use_words();
    let author =
        Signal::derive(move || received.with(|line| html(line.author().map_or("", Name::as_str))));
    let body = Signal::derive(move || received.with(|line| html(line.body().unwrap_or_default())));
    let is_empty = Signal::derive(move || received.with(|line| line.body().is_none()));
    view! {
        <div class="received" class:empty=is_empty>
            <p class="label">
                <span id="received-label">{words.text(Word::ReceivedMessage)}</span>
                <bdi class="author" translate="no" inner_html=author></bdi>
            </p>
            <output
                aria-labelledby="received-label"
                aria-live="off"
                data-empty=words.text(Word::NothingYet)
                dir="auto"
                inner_html=body
            ></output>
        </div>
    }
}
