//! The field for the user's name.

use std::time::Duration;

use leptos::prelude::*;
use protocol::id::Name;

use crate::hooks::{FormHandle, NameHandle};
use crate::words::{Word, use_words};

/// The pause in typing after which a half-typed name is sent.
const PAUSE: Duration = Duration::from_millis(600);

/// The user's name: taken after a pause in typing, or at once when the field loses the focus.
///
/// From focus to blur only the user changes the field: a name from another source, such as another
/// tab, is not written into it. The last name counts.
#[component]
pub fn NameField(
    /// The name.
    handle: NameHandle,
) -> impl IntoView {
    let NameHandle {
        name,
        is_vouched,
        rename,
    } = handle;
    let words = use_words();
    let is_held = RwSignal::new(false);
    let give = move |text: String| {
        // A field without focus has given its name already.
        if is_held.get_untracked() {
            rename.run(text);
        }
    };
    let mut rename_soon = debounce(PAUSE, give);
    let shown = Memo::new(move |shown: Option<&String>| {
        let is_theirs = is_held.get() && !is_vouched.get();
        match shown {
            Some(shown) if is_theirs => shown.clone(),
            _ => name.get(),
        }
    });
    view! {
        <div class="field">
            <label for="name">{words.text(Word::YourName)}</label>
            <input
                id="name"
                name="name"
                form=FormHandle::ID
                type="text"
                dir="auto"
                autocomplete="nickname"
                maxlength=Name::CHARS_MAX.to_string()
                placeholder=words.text(Word::Guest)
                value=name
                disabled=is_vouched
                prop:value=shown
                on:focus=move |_| is_held.set(true)
                on:input=move |event| {
                    is_held.set(true);
                    rename_soon(event_target_value(&event));
                }
                on:change=move |event| {
                    rename.run(event_target_value(&event));
                    is_held.set(false);
                }
                on:blur=move |_| is_held.set(false)
            />
        </div>
    }
}
