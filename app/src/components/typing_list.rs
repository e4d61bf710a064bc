//! The list of the other members' drafts.

use leptos::prelude::*;
use protocol::frame::RoomDraft;

use crate::markup::html;
use crate::words::{Word, use_words};

/// The most drafts that are shown; the others are counted.
const SHOWN_MAX: usize = 3;

/// The other members' drafts, live.
#[component]
pub fn TypingList(
    /// The drafts, in the order in which they began.
    drafts: Memo<Vec<RoomDraft>>,
) -> impl IntoView {
    let words = use_words();
    let shown = move || {
        drafts.with(|drafts| {
            drafts
                .iter()
                .take(SHOWN_MAX)
                .map(typist)
                .collect::<Vec<_>>()
        })
    };
    let hidden = move || drafts.with(Vec::len).saturating_sub(SHOWN_MAX);
    let is_all = Signal::derive(move || hidden() == 0);
    let more = Signal::derive(move || html(&words.count(Word::MoreTyping, hidden())));
    view! {
        <div class="typing">
            <ul role="list" aria-label=words.text(Word::TypingNow)>
                {shown}
            </ul>
            <p class="more" hidden=is_all inner_html=more></p>
        </div>
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
