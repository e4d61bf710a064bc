//! The text received last.

use leptos::prelude::*;
use protocol::id::Name;

use crate::state::Received;

/// Shows what came last from somebody else, draft or message, as it is typed. It is not announced:
/// that would read out every keystroke. Messages are announced by the list.
#[component]
pub fn ReceivedLine(
    /// What came last.
    received: ReadSignal<Received>,
) -> impl IntoView {
    let author = Signal::derive(move || received.with(|line| line.author().map(Name::to_string)));
    let body =
        Signal::derive(move || received.with(|line| line.body().unwrap_or_default().to_owned()));
    let is_empty = Signal::derive(move || received.with(|line| line.body().is_none()));
    view! {
        <div class="received" class:empty=is_empty>
            <p class="label">
                <span id="received-label">"Received message"</span>
                <bdi class="author">{author}</bdi>
            </p>
            <output aria-labelledby="received-label" aria-live="off" dir="auto">
                {body}
            </output>
        </div>
    }
}
