//! The life of the page: whether it is frozen, by the browser or in the back/forward cache (RC-6), whether it is
//! visible, and whether there is a network (RC-4).

use protocol::client::Network;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventTarget, PageTransitionEvent, Window};

use crate::area::BrowserArea;
use crate::clock::unix_ms;
use crate::leftovers;
use crate::queue::{BrowserEvent, Queue};
use crate::storage::PageId;

/// Listeners for the page's life, as long as it exists.
#[derive(Debug)]
pub struct Lifecycle {
    _listeners: Vec<Listener>,
}

impl Lifecycle {
    /// Reports to `queue` when the page is frozen, wakes up, becomes visible or hidden, and when the network comes and goes.
    pub fn of(window: &Window, queue: &Queue) -> Self {
        let tell = |target: &EventTarget, kind, means, counts: fn(&Event) -> bool| {
            let queue = queue.clone();
            Listener::new(target, kind, move |event| {
                if counts(&event) {
                    queue.push(BrowserEvent::Page(means));
                }
            })
        };
        let always = |_: &Event| true;
        let mut listeners = vec![
            // A page that is not kept is closed for good: there is nothing to report.
            tell(window, "pagehide", Network::Frozen, is_kept),
            tell(window, "pageshow", Network::Visible, is_kept),
            tell(window, "online", Network::Online, always),
            tell(window, "offline", Network::Offline, always),
        ];
        if let Some(document) = window.document() {
            let seen = queue.clone();
            let tell_seen = move |_| {
                seen.push(if is_seen() {
                    BrowserEvent::Page(Network::Visible)
                } else {
                    BrowserEvent::Hidden
                });
            };
            listeners.extend([
                tell(&document, "freeze", Network::Frozen, always),
                tell(&document, "resume", Network::Visible, always),
                Listener::new(&document, "visibilitychange", tell_seen),
            ]);
        }
        Self {
            _listeners: listeners.into_iter().flatten().collect(),
        }
    }

    /// Takes care of what the page would leave in the area that pages share (RS-8). A page that is being closed
    /// marks it; one that returns from the browser's cache may have lost its lock, and its messages to
    /// another page, so it is loaded anew from the storage.
    pub fn of_leftovers(window: &Window, page: &PageId, area: &BrowserArea) -> Self {
        let (shared, gone) = (area.clone(), page.clone());
        let say_gone = move |_| leftovers::say_gone(&shared, &gone, unix_ms());
        let (shared, back) = (area.clone(), page.clone());
        let location = window.location();
        let start_anew = move |event: Event| {
            if is_kept(&event) && leftovers::has_any(&shared, &back) {
                // Where the browser refuses, the server's takeover rule remains (RS-4).
                let _ = location.reload();
            }
        };
        let listeners = [
            Listener::new(window, "pagehide", say_gone),
            Listener::new(window, "pageshow", start_anew),
        ];
        Self {
            _listeners: listeners.into_iter().flatten().collect(),
        }
    }
}

/// One event listener, removed on drop.
#[derive(Debug)]
pub struct Listener {
    target: EventTarget,
    kind: &'static str,
    heard: Closure<dyn FnMut(Event)>,
}

impl Listener {
    /// Calls `heard` at each such event; `None` where the target takes no listeners.
    pub fn new(
        target: &EventTarget,
        kind: &'static str,
        heard: impl FnMut(Event) + 'static,
    ) -> Option<Self> {
        let heard = Closure::<dyn FnMut(Event)>::new(heard);
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
        // Fails for closed targets, and those call nothing back.
        let _ = self
            .target
            .remove_event_listener_with_callback(self.kind, heard);
    }
}

/// Whether the page is visible now.
fn is_seen() -> bool {
    let document = web_sys::window().and_then(|window| window.document());
    document.is_some_and(|document| !document.hidden())
}

/// Whether the page goes into the back/forward cache, or comes out of it.
fn is_kept(event: &Event) -> bool {
    event
        .dyn_ref::<PageTransitionEvent>()
        .is_some_and(PageTransitionEvent::persisted)
}
