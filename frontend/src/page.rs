//! The page's sleep: the back/forward cache, and tabs that the browser freezes (RC-6).
//!
//! Whether the page can be seen and whether there is a network is the app's to tell.

use protocol::client::Network;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventTarget, PageTransitionEvent, Window};

use crate::queue::{Happening, Queue};

/// Listens as long as it lives.
#[derive(Debug)]
pub struct Lifecycle {
    _listeners: Vec<Listener>,
}

impl Lifecycle {
    /// Tells `queue` when the page falls asleep and when it wakes up.
    pub fn of(window: &Window, queue: &Queue) -> Self {
        let mut listeners = vec![
            // A page that is not kept is gone for good, and needs no telling.
            Listener::new(window, "pagehide", queue, Network::Frozen, is_kept),
            Listener::new(window, "pageshow", queue, Network::Visible, is_kept),
        ];
        if let Some(document) = window.document() {
            let always = |_: &Event| true;
            listeners.extend([
                Listener::new(&document, "freeze", queue, Network::Frozen, always),
                Listener::new(&document, "resume", queue, Network::Visible, always),
            ]);
        }
        Self {
            _listeners: listeners.into_iter().flatten().collect(),
        }
    }
}

/// One event listener, removed on drop.
#[derive(Debug)]
struct Listener {
    target: EventTarget,
    kind: &'static str,
    heard: Closure<dyn FnMut(Event)>,
}

impl Listener {
    fn new(
        target: &EventTarget,
        kind: &'static str,
        queue: &Queue,
        means: Network,
        counts: fn(&Event) -> bool,
    ) -> Option<Self> {
        let queue = queue.clone();
        let heard = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            if counts(&event) {
                queue.push(Happening::Page(means));
            }
        });
        target
            .add_event_listener_with_callback(kind, heard.as_ref().unchecked_ref())
            .ok()?;
        Some(Self {
            target: target.clone(),
            kind,
            heard,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let heard = self.heard.as_ref().unchecked_ref();
        // Fails for targets that are gone, and nothing calls back from those.
        let _ = self
            .target
            .remove_event_listener_with_callback(self.kind, heard);
    }
}

/// Whether the page goes into the back/forward cache, or comes out of it.
fn is_kept(event: &Event) -> bool {
    event
        .dyn_ref::<PageTransitionEvent>()
        .is_some_and(PageTransitionEvent::persisted)
}
