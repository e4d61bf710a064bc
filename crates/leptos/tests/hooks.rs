//! The hooks over the real driver and the real client machine, on a link whose other end is written here:
//! `cargo test -p everbeat-leptos --features csr`.
#![cfg(all(feature = "csr", not(target_arch = "wasm32")))]
#![expect(clippy::unwrap_used, reason = "this whole file is tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use any_spawner::Executor;
use everbeat_leptos::{
    BodyError, Busy, Everbeat, Fate, Name, NotPublished, PublishError, Read, Room, RoomName, Row,
    SessionId, Status, provide_everbeat_driven_by, use_everbeat, use_room, use_room_from,
    use_typed_room,
};
use everbeat_web::driver::{Driver, Environment};
use everbeat_web::queue::BrowserEvent;
use everbeat_web::storage::StorageFailed;
use futures_channel::mpsc::Receiver;
use leptos::prelude::*;
use protocol::address::Address;
use protocol::client::{Config, Session, Store, Stored};
use protocol::close::CloseCode;
use protocol::codec;
use protocol::frame::{
    Beat, ClientFrame, ErrorCode, Joined, Limits, Member, Message, Refusal, ServerFrame, Welcome,
};
use protocol::id::{ConnectionId, Credentials, Seq, SessionKey};
use protocol::position::{Epoch, Offset};
use protocol::time::Timestamp;
use view::Command;

/// What the client sent, in order.
type Wire = Rc<RefCell<Vec<ClientFrame>>>;

/// A world in which no time passes.
struct World(Wire);

impl Environment for World {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn open(&mut self, _: ConnectionId, _: Option<&Address>) {}

    fn send(&mut self, _: ConnectionId, text: &str) {
        let frame = codec::decode(text, u32::MAX).unwrap();
        self.0.borrow_mut().push(frame);
    }

    fn close(&mut self, _: ConnectionId, _: CloseCode) {}

    fn buffered(&self) -> Option<(ConnectionId, u64)> {
        None
    }

    fn release(&mut self, _: ConnectionId) {}

    fn store(&mut self, _: &Store) -> Result<(), StorageFailed> {
        Ok(())
    }

    fn fetch_token(&mut self) {}

    fn wake_after(&mut self, _: Duration) {}
}

type Driven = (Driver<World>, Receiver<Command>);

/// An app, its driver, and what went over the wire.
struct App {
    owner: Owner,
    driven: Rc<RefCell<Option<Driven>>>,
    wire: Wire,
    is_stopped: Arc<Mutex<bool>>,
}

impl App {
    fn new() -> Self {
        // Done already by another test.
        let _ = Executor::init_futures_executor();
        let app = Self {
            owner: Owner::new(),
            driven: Rc::default(),
            wire: Wire::default(),
            is_stopped: Arc::default(),
        };
        let (driven, wire) = (app.driven.clone(), app.wire.clone());
        let is_stopped = app.is_stopped.clone();
        app.owner.with(|| {
            provide_everbeat_driven_by(move |commands, report| {
                let session = Session::new(Config::new(1), Stored::default());
                let mut driver = Driver::new(session, World(wire), report);
                driver.start();
                driven.replace(Some((driver, commands)));
                Box::new(move || *is_stopped.lock().unwrap() = true)
            })
        });
        app.settle();
        app
    }

    /// An app whose session is live.
    fn live() -> Self {
        let app = Self::new();
        app.handle(BrowserEvent::Opened { id: link() });
        app.hear(ServerFrame::Welcome(Welcome {
            session: Credentials {
                id: session("me"),
                key: SessionKey::new("secret").unwrap(),
            },
            resumed: false,
            last_seq: 0,
            refused: Vec::new(),
            vouched: None,
            heartbeat: Beat {
                interval_ms: 25_000,
                timeout_ms: 5_000,
            },
            limits: Limits::default(),
        }));
        app.sent();
        app
    }

    /// A part of the app, mounted on its own.
    fn mount(&self, hook: impl FnOnce() -> Room) -> (Owner, Room) {
        let owner = self.owner.with(Owner::new);
        let room = owner.with(hook);
        self.settle();
        (owner, room)
    }

    fn everbeat(&self) -> Everbeat {
        self.owner.with(use_everbeat)
    }

    /// Lets effects run and commands through, until nothing is left to do.
    fn settle(&self) {
        loop {
            Executor::poll_local();
            let mut driven = self.driven.borrow_mut();
            let Some((driver, commands)) = driven.as_mut() else {
                return;
            };
            let Ok(command) = commands.try_recv() else {
                return;
            };
            driver.command(command);
        }
    }

    fn handle(&self, event: BrowserEvent) {
        self.driven.borrow_mut().as_mut().unwrap().0.handle(event);
        self.settle();
    }

    fn hear(&self, frame: ServerFrame) {
        let text = codec::encode(&frame);
        self.handle(BrowserEvent::Text { id: link(), text });
    }

    /// What was sent since the last call.
    fn sent(&self) -> Vec<ClientFrame> {
        self.settle();
        self.wire.take()
    }
}

/// The first connection.
const fn link() -> ConnectionId {
    ConnectionId::new(1)
}

fn session(id: &str) -> SessionId {
    SessionId::new(id).unwrap()
}

fn tea() -> RoomName {
    RoomName::new("tea").unwrap()
}

/// Ada is in the room, after so many messages.
fn joined(room: RoomName, head: u64) -> ServerFrame {
    let ada = Member::new(session("ada"), Name::tidy("ada"));
    ServerFrame::Joined(Joined {
        room,
        epoch: Epoch::new("e"),
        head: Offset::new(head).unwrap(),
        from: Offset::new(head).unwrap(),
        recovered: false,
        members: vec![ada],
        count: None,
        drafts: Vec::new(),
        read_only: false,
    })
}

fn said(room: RoomName, author: &str, offset: u64, body: &str) -> ServerFrame {
    ServerFrame::Message(Message {
        room,
        offset: Offset::new(offset).unwrap(),
        session: session(author),
        seq: Seq::new(offset).unwrap(),
        name: Name::tidy(author),
        at_ms: 0,
        body: body.to_owned(),
        removed: false,
    })
}

fn leave(room: RoomName) -> ClientFrame {
    ClientFrame::Leave { room }
}

fn draft(room: RoomName, body: &str) -> ClientFrame {
    let body = body.to_owned();
    ClientFrame::Draft { room, body }
}

fn is_join(frame: &ClientFrame, name: &RoomName) -> bool {
    matches!(frame, ClientFrame::Join { room, .. } if room == name)
}

/// The bodies that are shown; those that are on the way with a star.
fn shown(room: Room) -> Vec<String> {
    let rows = room.messages().get_untracked();
    let body = |row: &Row| match row {
        Row::Logged(logged) => logged.message.body.clone(),
        Row::Pending(pending) => format!("{}*", pending.body),
        Row::Gap(_) => "|".to_owned(),
    };
    rows.iter().map(body).collect()
}

#[test]
fn the_session_begins_with_the_app_and_ends_with_it() {
    let app = App::new();
    let everbeat = app.everbeat();
    let status = app.owner.with(|| everbeat.status());
    assert_eq!(status.get_untracked(), Status::Connecting);
    let is_stopped = app.is_stopped.clone();
    app.owner.cleanup();
    assert!(*is_stopped.lock().unwrap());
    // What is left of it does nothing.
    assert_eq!(everbeat.send(Command::ConnectNow), Err(Busy));
}

#[test]
fn a_room_is_joined_while_it_is_mounted() {
    let app = App::live();
    let (owner, room) = app.mount(|| use_room(tea()));
    let sent = app.sent();
    assert!(sent.len() == 1 && is_join(&sent[0], &tea()), "{sent:?}");
    app.hear(joined(tea(), 4));
    let members = app.owner.with(|| room.members());
    assert_eq!(members.get_untracked()[0].name.as_str(), "ada");
    assert!(room.timeline().with_untracked(|list| list.has_older()));
    room.older(20);
    assert!(matches!(
        app.sent()[..],
        [ClientFrame::History { limit: 20, .. }]
    ));
    owner.cleanup();
    assert_eq!(app.sent(), [leave(tea())]);
}

#[test]
fn a_room_that_several_show_is_joined_once() {
    let app = App::live();
    let (first_owner, first) = app.mount(|| use_room(tea()));
    let (second_owner, second) = app.mount(|| use_room(tea()));
    assert_eq!(app.sent().len(), 1);
    app.hear(joined(tea(), 1));
    app.hear(said(tea(), "ada", 2, "a"));
    // One that comes late begins with what is there.
    let (third_owner, third) = app.mount(|| use_room(tea()));
    let members = app.owner.with(|| third.members());
    assert_eq!(members.get_untracked().len(), 1);
    app.hear(said(tea(), "ada", 3, "b"));
    app.owner.with(|| {
        for room in [first, second, third] {
            assert_eq!(shown(room), ["a", "b"]);
        }
    });
    first_owner.cleanup();
    third_owner.cleanup();
    assert_eq!(app.sent(), []);
    second_owner.cleanup();
    assert_eq!(app.sent(), [leave(tea())]);
}

#[test]
fn each_message_comes_exactly_once() {
    let app = App::live();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = heard.clone();
    let (owner, _) = app.mount(move || {
        let room = use_room(tea());
        room.on_message(move |message| notes.lock().unwrap().push(message.body.clone()));
        room
    });
    let (_other_owner, _) = app.mount(|| use_room(RoomName::lobby()));
    app.hear(joined(tea(), 1));
    app.hear(joined(RoomName::lobby(), 0));
    app.hear(said(tea(), "ada", 2, "a"));
    app.hear(said(tea(), "ada", 2, "a"));
    app.hear(said(RoomName::lobby(), "ada", 1, "elsewhere"));
    app.hear(said(tea(), "ada", 3, "b"));
    assert_eq!(*heard.lock().unwrap(), ["a", "b"]);
    owner.cleanup();
    app.hear(said(tea(), "ada", 4, "c"));
    assert_eq!(heard.lock().unwrap().len(), 2);
}

/// EO-4, EO-5: one row from the outbox to the log; a text that is too large comes back.
#[test]
fn what_is_published_is_shown_at_once_or_comes_back() {
    let app = App::live();
    let back = Arc::new(Mutex::new(Vec::new()));
    let notes = back.clone();
    let (_owner, room) = app.mount(move || {
        let room = use_room(tea());
        room.on_not_taken(move |body, error| notes.lock().unwrap().push((body.len(), error)));
        room
    });
    app.hear(joined(tea(), 0));
    app.sent();
    let waiting = app.owner.with(|| app.everbeat().waiting());
    assert_eq!(room.publish("mine"), Ok(()));
    assert!(matches!(app.sent()[..], [ClientFrame::Publish { .. }]));
    let key = |room: Room| room.messages().get_untracked()[0].key();
    app.owner.with(|| {
        assert_eq!(shown(room), ["mine*"]);
        let before = key(room);
        assert_eq!(waiting.get_untracked(), 1);
        app.hear(said(tea(), "me", 1, "mine"));
        app.hear(ServerFrame::Ack {
            seq: Seq::FIRST,
            room: tea(),
            offset: Offset::new(1).unwrap(),
        });
        assert_eq!(shown(room), ["mine"]);
        assert!(key(room) == before && waiting.get_untracked() == 0);
    });
    let bytes = Limits::default().body_bytes as usize + 1;
    assert_eq!(room.publish("x".repeat(bytes)), Ok(()));
    app.settle();
    let limit = bytes as u32 - 1;
    let error = PublishError::TooLarge { bytes, limit };
    assert_eq!(*back.lock().unwrap(), [(bytes, error)]);
}

/// EO-7: a refused message that the user drops is gone from all views, and from those that begin later.
#[test]
fn what_is_dropped_is_dropped_everywhere() {
    let app = App::live();
    let (_first_owner, first) = app.mount(|| use_room(tea()));
    let (_second_owner, second) = app.mount(|| use_room(tea()));
    app.hear(joined(tea(), 0));
    first.publish("no").unwrap();
    app.settle();
    app.hear(ServerFrame::Error(Refusal {
        seq: Some(Seq::FIRST),
        room: Some(tea()),
        ..Refusal::new(ErrorCode::BodyTooLarge)
    }));
    app.owner.with(|| {
        for room in [first, second] {
            assert_eq!(shown(room), ["no*"]);
        }
        let Row::Pending(refused) = first.messages().get_untracked().remove(0) else {
            panic!("a refused message is in no log");
        };
        assert!(matches!(refused.fate, Fate::Refused { .. }));
        first.discard(refused.id);
        app.settle();
        for room in [first, second] {
            assert_eq!(shown(room), [""; 0]);
        }
    });
    let (_third_owner, third) = app.mount(|| use_room(tea()));
    app.owner.with(|| assert_eq!(shown(third), [""; 0]));
}

/// A body is a value of the app's own type; one that cannot be read is a message all the same.
#[test]
fn messages_are_values_of_the_apps_own_type() {
    type Note = (u32, String);
    let app = App::live();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = heard.clone();
    let (_owner, room) = app.mount(move || {
        let room = use_typed_room::<Note>(tea());
        room.on_message(move |_, note| notes.lock().unwrap().push(note));
        room.room()
    });
    app.hear(joined(tea(), 0));
    app.sent();
    let note: Note = (7, "hi".to_owned());
    assert_eq!(room.typed::<Note>().publish(&note), Ok(()));
    let sent = app.sent();
    let [ClientFrame::Publish { body, .. }] = &sent[..] else {
        panic!("{sent:?}");
    };
    app.hear(said(tea(), "ada", 1, body));
    app.hear(said(tea(), "ada", 2, "plain"));
    let unreadable = Read::Unreadable("plain".to_owned());
    assert_eq!(*heard.lock().unwrap(), [Read::Value(note), unreadable]);
    app.owner.with(|| {
        let row = &room.messages().get_untracked()[0];
        assert!(matches!(Read::<Note>::of_row(row), Some(Read::Value(_))));
    });
    assert_eq!(
        room.typed::<BTreeMap<(u8, u8), u8>>()
            .publish(&BTreeMap::from([((1, 2), 3)])),
        Err(NotPublished::Body(BodyError))
    );
}

/// A view changes rooms: it leaves one and joins the other. A draft follows its join.
#[test]
fn a_room_is_entered_in_another_ones_place() {
    let app = App::live();
    let (owner, room) = app.mount(|| {
        let room = use_room(tea());
        // Before the room is joined.
        room.draft("half a sen");
        room
    });
    let sent = app.sent();
    assert!(is_join(&sent[0], &tea()));
    app.hear(joined(tea(), 0));
    assert_eq!(app.sent(), [draft(tea(), "half a sen")]);
    app.hear(said(tea(), "ada", 1, "a"));
    room.enter(&RoomName::lobby());
    let sent = app.sent();
    assert_eq!(sent[0], leave(tea()));
    assert!(is_join(&sent[1], &RoomName::lobby()));
    app.owner.with(|| {
        assert_eq!(shown(room), [""; 0]);
        assert_eq!(room.name().get_untracked(), RoomName::lobby());
        assert_eq!(room.count().get_untracked(), 0);
    });
    room.leave();
    assert_eq!(app.sent(), [leave(RoomName::lobby())]);
    owner.cleanup();
    assert_eq!(app.sent(), []);
}

/// RS-7: what one visit showed is what the next one begins with, and from where the room is joined.
#[test]
fn a_room_begins_with_a_snapshot() {
    let app = App::live();
    let (owner, room) = app.mount(|| use_room(tea()));
    app.hear(joined(tea(), 6));
    app.hear(said(tea(), "ada", 7, "g"));
    let snapshot = room.snapshot().unwrap();
    owner.cleanup();
    app.sent();
    let position = snapshot.position.clone();
    let (_owner, room) = app.mount(move || use_room_from(tea(), Some(&snapshot)));
    app.owner.with(|| assert_eq!(shown(room), ["g"]));
    let sent = app.sent();
    assert!(
        matches!(&sent.last(), Some(ClientFrame::Join { since: Some(since), .. }) if *since == position),
        "{sent:?}"
    );
}
