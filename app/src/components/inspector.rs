//! The ways into the inspector, which shows both ends of the connection. It is a module of its own (`inspector/`): the
//! page's script loads it when its user presses one of these, so they work by their class alone. A button's value is the
//! experiment with which it opens.

use leptos::prelude::*;

use crate::words::{Word, use_words};

/// The button in the header that opens the inspector, and closes it.
#[component]
pub fn InspectorButton() -> impl IntoView {
    view! {
        <button type="button" class="inspect quiet">
            <span>{use_words().text(Word::WhatIsThis)}</span>
        </button>
    }
}

/// The invitation in an empty room, to cut the connection. Its style shows it beside a list without rows.
#[component]
pub fn InspectorInvitation() -> impl IntoView {
    view! {
        <p class="invitation">
            <button type="button" class="inspect quiet" value="cut">
                {use_words().text(Word::PullThePlug)}
            </button>
        </p>
    }
}
