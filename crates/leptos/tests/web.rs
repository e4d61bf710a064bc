//! The hooks over the browser's driver: `crates/leptos/test.sh` runs these in headless Chromium.
#![cfg(all(feature = "csr", target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "this whole file is tests")]

use any_spawner::Executor;
use everbeat_leptos::{
    Everbeat, Options, Report, Room, RoomName, Row, Status, provide_everbeat, use_room,
};
use everbeat_web::area::{Area, BrowserArea};
use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_util::StreamExt;
use leptos::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

struct App {
    owner: Owner,
    everbeat: Everbeat,
    room: Room,
    starts: RwSignal<bool>,
    reports: UnboundedReceiver<Report>,
}

/// An app that is to begin its session.
fn mount() -> App {
    // Done already by another test.
    let _ = Executor::init_wasm_bindgen();
    let owner = Owner::new();
    owner.with(|| {
        let starts = RwSignal::new(false);
        let options = Options::at("/ws")
            .storage_prefix("hooks.")
            .start_when(starts);
        let everbeat = provide_everbeat(options);
        let room = use_room(RoomName::lobby());
        let (tell, reports) = unbounded();
        everbeat.on_report(move |report| tell.unbounded_send(report.clone()).unwrap());
        App {
            owner: owner.clone(),
            everbeat,
            room,
            starts,
            reports,
        }
    })
}

impl App {
    /// Waits for a report. What it changed is in the signals by then.
    async fn hear(&mut self, is_it: impl Fn(&Report) -> bool) {
        while !is_it(&self.reports.next().await.unwrap()) {}
    }

    fn status(&self) -> Status {
        self.everbeat.link().with_untracked(|link| link.status())
    }

    fn pending(&self) -> Vec<String> {
        let rows = self.room.timeline().with_untracked(|list| list.rows());
        let body = |row: &Row| match row {
            Row::Pending(pending) => Some(pending.body.to_string()),
            Row::Logged(_) | Row::Gap(_) => None,
        };
        rows.iter().filter_map(body).collect()
    }
}

/// The whole of both of the browser's areas.
fn areas() -> [BrowserArea; 2] {
    let whole = "".into();
    [
        BrowserArea::of_tab(&whole).unwrap(),
        BrowserArea::shared(&whole).unwrap(),
    ]
}

fn keys() -> Vec<String> {
    areas().iter().flat_map(Area::keys).collect()
}

/// The server of these tests speaks no WebSocket: a message waits, in the storage of the app, for the next visit.
#[wasm_bindgen_test]
async fn an_app_is_driven_by_the_browser_and_lets_go_of_it() {
    for area in areas() {
        area.keys().iter().for_each(|key| area.remove(key));
    }
    let mut first = mount();
    // Taken, and kept until the driver starts.
    assert_eq!(first.room.publish("written before it began"), Ok(()));
    assert_eq!((first.status(), keys().len()), (Status::Idle, 0));
    first.starts.set(true);
    first
        .hear(|report| matches!(report, Report::Restored { .. }))
        .await;
    first
        .hear(|report| {
            matches!(
                report,
                Report::Status {
                    retry_in: Some(_),
                    ..
                }
            )
        })
        .await;
    assert!(matches!(first.status(), Status::Waiting { .. }));
    assert_eq!(first.pending(), ["written before it began"]);
    let kept = keys();
    assert!(kept.iter().any(|key| key.contains("outbox.")));
    assert!(kept.iter().all(|key| key.starts_with("hooks.")), "{kept:?}");

    // As after a reload: the lock is free, and nothing more is heard of the first.
    first.owner.cleanup();
    let mut second = mount();
    second.starts.set(true);
    second
        .hear(|report| matches!(report, Report::Restored { .. }))
        .await;
    assert_eq!(second.pending(), ["written before it began"]);
    while first.reports.next().await.is_some() {}
}
