//! What the others are typing.

use leptos::prelude::*;
use protocol::frame::Author;
use view::People;

use crate::markup::html;

/// The others' drafts, live.
#[component]
pub fn TypingList(
    /// Who is here.
    people: ReadSignal<People>,
) -> impl IntoView {
    let typing = Memo::new(move |_| people.with(People::typing));
    view! {
        <ul class="typing" role="list" aria-label="Typing now">
            {move || typing.with(|typing| typing.iter().map(typist).collect::<Vec<_>>())}
        </ul>
    }
}

/// One draft.
fn typist(draft: &Author) -> impl IntoView + use<> {
    view! {
        <li>
            <bdi class="author" translate="no" inner_html=html(draft.name.as_str())></bdi>
            <span class="body" dir="auto" inner_html=html(&draft.body)></span>
        </li>
    }
}
