//! The health strip: whether the server is ready, and its figures of now.

use leptos::prelude::*;

use super::desk::Look;
use crate::admin::disk::Reading;
use crate::admin::words::{Word, Words, bytes};
use crate::health::NotReady;

/// The health strip.
pub(super) fn view(words: Words, look: &Look) -> AnyView {
    let (state, class) = match &look.health {
        Ok(()) => (words.text(Word::Ready).to_owned(), "state good"),
        Err(NotReady::Draining) => (words.text(Word::Draining).to_owned(), "state bad"),
        Err(why) => {
            let why = match why {
                NotReady::CannotStore(Some(why)) => why,
                NotReady::CannotStore(None) => words.text(Word::CannotStore),
                NotReady::NoFile | NotReady::Draining => words.text(Word::NoFile),
            };
            (words.fill(Word::NotReady, &[("why", why)]), "state bad")
        }
    };
    // Not a part of the status, which a screen reader says whenever it changes.
    let left = look.drain_left.map(|left| {
        let left = words.time(left);
        words.fill(Word::DrainLeft, &[("time", &left)])
    });
    let figures = figures(words, look).map(|(what, figure, class)| {
        view! {
            <div>
                <dt>{words.text(what)}</dt>
                <dd class=class>{figure}</dd>
            </div>
        }
    });
    view! {
        <section id="strip" aria-label=words.text(Word::Health)>
            <p class=class>
                <span role="status">{state}</span>
                " "
                {left}
            </p>
            <dl class="figures">{figures.collect_view()}</dl>
        </section>
    }
    .into_any()
}

fn figures(words: Words, look: &Look) -> [(Word, String, Option<&'static str>); 8] {
    let unknown = || words.text(Word::Unknown).to_owned();
    let now = &look.now;
    let (connections, limit) = (
        now.connections.to_string(),
        look.connections_max.to_string(),
    );
    let of = [("n", &*connections), ("limit", &*limit)];
    let disk = look.disk.as_ref();
    let free = disk.map_or_else(unknown, |disk| {
        let (free, total) = (bytes(disk.free), bytes(disk.total));
        words.fill(Word::DiskOf, &[("free", &free), ("total", &total)])
    });
    let is_low = disk.is_none_or(Reading::is_low).then_some("bad");
    let away = now.away.map_or_else(unknown, |away| away.to_string());
    [
        (Word::Connected, now.live.to_string(), None),
        (Word::Away, away, None),
        (
            Word::ConnectionsNow,
            words.fill(Word::ConnectionsOf, &of),
            None,
        ),
        (Word::RoomsInUse, now.rooms.to_string(), None),
        (Word::DiskFree, free, is_low),
        (
            Word::LogSize,
            disk.map_or_else(unknown, |disk| bytes(disk.log)),
            None,
        ),
        (Word::Uptime, words.time(look.uptime), None),
        (Word::Version, env!("CARGO_PKG_VERSION").to_owned(), None),
    ]
}
