//! What the others are typing.

use leptos::prelude::*;
use protocol::id::SessionId;

use crate::state::People;

/// The others' drafts, live.
#[component]
pub fn TypingList(
    /// Who is here.
    people: ReadSignal<People>,
) -> impl IntoView {
    let typing = Memo::new(move |_| people.with(People::typing));
    view! {
        <ul class="typing" role="list" aria-label="Typing now">
            <For each=move || typing.get() key=SessionId::clone let:session>
                <Typist session people />
            </For>
        </ul>
    }
}

/// One draft.
#[component]
fn Typist(
    /// Whose.
    session: SessionId,
    /// Who is here.
    people: ReadSignal<People>,
) -> impl IntoView {
    let draft = Memo::new(move |_| people.with(|people| people.draft_of(&session).cloned()));
    let author = move || draft.get().map(|draft| draft.name.to_string());
    let body = move || draft.get().map(|draft| draft.body);
    view! {
        <li>
            <bdi class="author">{author}</bdi>
            <span class="body" dir="auto">
                {body}
            </span>
        </li>
    }
}
