//! The hooks while the server renders: `cargo test -p everbeat-leptos --features ssr`.
#![cfg(all(feature = "ssr", not(any(feature = "csr", feature = "hydrate"))))]
#![expect(clippy::unwrap_used, reason = "this whole file is tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use any_spawner::Executor;
use everbeat_leptos::{
    Busy, Command, Message, Name, Options, RoomName, Row, SessionId, Snapshot, Status,
    provide_everbeat, provide_everbeat_driven_by, use_everbeat, use_room, use_room_from,
};
use leptos::prelude::*;
use protocol::id::Seq;
use protocol::position::{Epoch, Offset, Position};

fn snapshot() -> Snapshot {
    let offset = Offset::new(7).unwrap();
    let message = Message {
        room: RoomName::lobby(),
        offset,
        session: SessionId::new("ada").unwrap(),
        seq: Seq::FIRST,
        name: Name::tidy("ada"),
        at_ms: 0,
        body: "as it was rendered".to_owned(),
        removed: false,
    };
    Snapshot {
        position: Position {
            epoch: Epoch::new("e"),
            offset,
        },
        messages: vec![message],
        more: true,
    }
}

#[component]
fn Page() -> impl IntoView {
    provide_everbeat(Options::at("/ws").token_url("/token"));
    let room = use_room_from(RoomName::lobby(), Some(&snapshot()));
    // Another part of the page shows the same.
    let newest = use_room(RoomName::lobby()).received();
    let status = use_everbeat().status();
    assert_eq!(status.get_untracked(), Status::Idle);
    // Nothing is taken, as nothing would ever be sent.
    assert_eq!(room.publish("a"), Err(Busy));
    assert_eq!(use_everbeat().send(Command::ConnectNow), Err(Busy));
    room.draft("a");
    room.older(10);
    room.on_message(|_| unreachable!("no message comes while the server renders"));
    let messages = room.messages();
    let body = |row: Row| match row {
        Row::Logged(logged) => logged.message.body.clone(),
        Row::Pending(_) | Row::Gap(_) => unreachable!("the snapshot has no such row"),
    };
    view! {
        <ol>
            <For each=move || messages.get() key=Row::key let:row>
                <li>{body(row)}</li>
            </For>
        </ol>
        <p>{move || newest.with(|line| line.body().unwrap_or_default().to_owned())}</p>
    }
}

#[test]
fn a_page_is_rendered_as_its_rooms_begin() {
    let _ = Executor::init_futures_executor();
    let owner = Owner::new();
    let html = owner.with(|| Page().to_html());
    assert!(html.contains("<li>as it was rendered</li>"), "{html}");
    assert!(html.contains("<p>as it was rendered</p>"), "{html}");
    Executor::poll_local();
    owner.cleanup();
}

#[test]
fn no_driver_is_started() {
    let _ = Executor::init_futures_executor();
    let is_started = Arc::new(AtomicBool::new(false));
    let started = is_started.clone();
    let owner = Owner::new();
    owner.with(|| {
        provide_everbeat_driven_by(move |_, _| {
            started.store(true, Ordering::Relaxed);
            Box::new(|| {})
        })
    });
    Executor::poll_local();
    assert!(!is_started.load(Ordering::Relaxed));
}
