//! The regions of a page, rendered: the elements that are replaced when they change.

use leptos::prelude::*;

use super::desk::{Look, Scope};
use super::{charts, connections, events, nodes, rooms, session, strip};
use crate::admin::words::Words;

/// A region: the id of its element, and the element as HTML.
#[derive(Debug)]
pub(super) struct Region {
    /// The element's id.
    pub id: &'static str,
    /// The element.
    pub html: String,
}

/// Renders the regions of a page, in their order.
pub(super) fn render(words: Words, scope: &Scope, look: &Look) -> Vec<Region> {
    let owner = Owner::new();
    let region = |id, view: AnyView| Region {
        id,
        html: owner.with(|| view.to_html()),
    };
    let strip = region("strip", strip::view(words, look));
    let events = region("events", events::view(words, scope, &look.feed));
    let Scope::All(view) = scope else {
        let session = region("session", session::view(words, scope, look));
        return vec![strip, session, events];
    };
    let nodes = look.cluster.as_ref();
    let nodes = nodes.map(|cluster| region("nodes", nodes::view(words, cluster)));
    let overview = [
        region("charts", charts::view(words, view, &look.samples)),
        region("rooms", rooms::view(words, view, &look.rooms)),
        events,
        region("connections", connections::view(words, view, &look.found)),
    ];
    let regions = [strip].into_iter().chain(nodes).chain(overview);
    regions.collect()
}
