//! The rooms that the user visits: what the browser keeps of them, and the questions what is new there.

use std::time::Duration;

use everbeat_leptos::{Command, Everbeat, Report, RoomName, effect, use_everbeat};
use leptos::prelude::*;
use protocol::client::Event;
use protocol::position::Offset;
use view::{Moment, Visits};

use crate::hooks::on_window;
use crate::keeper::{Keeper, Shelf};

/// The key under which the browser stores the rooms.
const ROOMS_KEY: &str = "everbeat.rooms";

/// The rooms that the user visits. Created once.
#[derive(Clone, Copy)]
pub(crate) struct Visiting {
    everbeat: Everbeat,
    pub(crate) visits: ReadSignal<Visits>,
    write: WriteSignal<Visits>,
    keeper: StoredValue<Option<Keeper>>,
}

/// The rooms of this browser, with the one that the page shows.
pub(crate) fn use_visiting(room: &RoomName) -> Visiting {
    let (visits, write) = signal(Visits::new(room));
    let everbeat = use_everbeat();
    let visiting = Visiting {
        everbeat,
        visits,
        write,
        keeper: StoredValue::new(use_context()),
    };
    visiting.restore();
    everbeat.on_report(move |report| {
        write.try_maybe_update(|visits| (visits.fold(report), ()));
        if matches!(report, Report::Event(Event::Welcomed { .. })) {
            visiting.pass(Moment::Live);
        }
    });
    let turn = move || {
        let is_hidden = document().hidden();
        visiting.pass(if is_hidden {
            Moment::Hidden
        } else {
            Moment::Shown
        });
    };
    effect(Box::new(turn));
    on_window("visibilitychange", turn);
    effect(Box::new(move || {
        let minute = move || visiting.pass(Moment::Minute);
        if let Ok(timer) = set_interval_with_handle(minute, Duration::from_secs(60)) {
            on_cleanup(move || timer.clear());
        }
    }));
    visiting
}

impl Visiting {
    /// The user visits another room.
    pub(crate) fn enter(&self, room: &RoomName) {
        self.write.try_update(|visits| visits.enter(room));
        self.keep();
    }

    fn pass(&self, moment: Moment) {
        if moment == Moment::Shown {
            // Other pages of this browser have shown messages meanwhile.
            self.restore();
        }
        let is_turn = matches!(moment, Moment::Shown | Moment::Hidden);
        let rooms = self
            .write
            .try_maybe_update(|visits| (is_turn, visits.pass(moment)));
        for room in rooms.into_iter().flatten() {
            // A question that is not taken is asked again later.
            let _ = self.everbeat.send(Command::History {
                room,
                before: Offset::MAX,
                limit: 1,
            });
        }
        if is_turn {
            self.keep();
        }
    }

    fn restore(&self) {
        if let Some(Some(keeper)) = self.keeper.try_get_value() {
            let kept = keeper.get(Shelf::Browser, ROOMS_KEY);
            self.write.try_update(|visits| visits.restore(&kept));
        }
    }

    /// Where the browser keeps nothing, the rooms are forgotten with the page.
    fn keep(&self) {
        if let Some(Some(keeper)) = self.keeper.try_get_value()
            && let Some(kept) = self.visits.try_with_untracked(Visits::kept)
        {
            keeper.set(Shelf::Browser, ROOMS_KEY, &kept);
        }
    }
}
