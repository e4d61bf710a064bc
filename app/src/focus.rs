//! The keyboard's focus: it never falls out of the page with the element that had it.

use leptos::html::Div;
use leptos::prelude::*;

/// Gives the focus to `heir` if the element within `from` that has it now is gone at the next frame: a button that is not
/// needed any more, or a row that was drawn anew. To be called before such a change.
pub(crate) fn hold_focus(from: NodeRef<Div>, heir: NodeRef<Div>) {
    let Some(from) = from.try_get_untracked().flatten() else {
        return;
    };
    let active = document().active_element();
    if !active.is_some_and(|active| from.contains(Some(active.as_ref()))) {
        return;
    }
    request_animation_frame(move || {
        let active = document().active_element();
        let body = document().body();
        let is_lost = active.is_none_or(|active| body.is_some_and(|body| *body == active));
        if is_lost && let Some(heir) = heir.try_get_untracked().flatten() {
            // It fails only if the browser forbids it, and then there is nothing else to do.
            let _ = heir.focus();
        }
    });
}
