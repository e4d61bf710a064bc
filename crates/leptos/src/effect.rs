//! Effects of which a page has many.

use leptos::prelude::Effect;

/// An effect: `run` runs in the browser, never on the server, and again when what it has read changes. The box erases its
/// type: a page with many effects is smaller, as the machinery around all of them, these hooks' among them, is the same code.
pub fn effect(mut run: Box<dyn FnMut()>) {
    Effect::new(move |_| run());
}
