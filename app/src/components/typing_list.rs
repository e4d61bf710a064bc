//! The list of the other members' drafts.

use leptos::prelude::*;
use protocol::frame::RoomDraft;

use crate::markup::html;
use crate::words::{Word, use_words};

/// The other members' drafts, live.
#[component]
pub fn TypingList(
    /// The drafts, in the order in which they began.
    drafts: Memo<Vec<RoomDraft>>,
) -> impl IntoView {
    let words = use_words();
    view! {
        <ul class="typing" role="list" aria-label=words.text(Word::TypingNow)>
            {move || drafts.with(|drafts| drafts.iter().map(typist).collect::<Vec<_>>())}
        </ul>
    }
}

/// The element of one draft.
fn typist(draft: &RoomDraft) -> impl IntoView + use<> {
    view! {
        <li>
            <bdi class="author" translate="no" inner_html=html(draft.name.as_str())></bdi>
            <span class="body" dir="auto" inner_html=html(&draft.body)></span>
        </li>
    }
}
