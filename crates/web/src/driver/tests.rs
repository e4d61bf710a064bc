//! Tests of the driver, in an environment that only remembers what it was asked for.

use std::cell::RefCell;
use std::rc::Rc;

use protocol::address::Addresses;
use protocol::client::{Config, Fate, Network, Status, Stored};
use protocol::frame::{Beat, Limits, Welcome};
use protocol::id::{Credentials, RoomName, Seq, SessionId, SessionKey};
use protocol::outbox::{EntryId, PublishError, Stage};
use protocol::position::Offset;

use super::*;
use crate::queue::Queue;

mod faults;
#[cfg(not(target_arch = "wasm32"))]
mod server;
mod trace;

/// The I/O that was done, in order.
#[derive(Clone, Debug, PartialEq)]
enum Done {
    Opened(Option<Address>),
    Sent(String),
    Closed(CloseCode),
    Released,
    Stored,
    Fetched,
    Armed(Duration),
}

#[derive(Clone, Debug, Default)]
struct World {
    now: Timestamp,
    done: Vec<Done>,
    is_full: bool,
    /// How many bytes the socket holds.
    buffered: u64,
}

struct Fake(Rc<RefCell<World>>);

impl Fake {
    fn note(&self, done: Done) {
        self.0.borrow_mut().done.push(done);
    }
}

impl Environment for Fake {
    fn now(&self) -> Timestamp {
        self.0.borrow().now
    }

    fn open(&mut self, _: ConnectionId, address: Option<&Address>) {
        self.note(Done::Opened(address.cloned()));
    }

    fn send(&mut self, _: ConnectionId, text: &str) {
        let kind = text.split('"').nth(3).unwrap_or_default();
        self.note(Done::Sent(kind.to_owned()));
    }

    fn close(&mut self, _: ConnectionId, code: CloseCode) {
        self.note(Done::Closed(code));
    }

    fn buffered(&self) -> Option<(ConnectionId, u64)> {
        Some((FIRST, self.0.borrow().buffered))
    }

    fn release(&mut self, _: ConnectionId) {
        self.note(Done::Released);
    }

    fn store(&mut self, _: &Store) -> Result<(), StorageFailed> {
        self.note(Done::Stored);
        if self.0.borrow().is_full {
            Err(StorageFailed)
        } else {
            Ok(())
        }
    }

    fn fetch_token(&mut self) {
        self.note(Done::Fetched);
    }

    fn wake_after(&mut self, delay: Duration) {
        self.note(Done::Armed(delay));
    }
}

/// A driver, its environment, and its reports.
struct Rig {
    driver: Driver<Fake>,
    inspect: Inspect,
    queue: Queue,
    world: Rc<RefCell<World>>,
    told: Rc<RefCell<Vec<Report>>>,
}

impl Rig {
    fn new() -> Self {
        Self::of(Config::new(0), Stored::default())
    }

    fn of(config: Config, stored: Stored) -> Self {
        let world = Rc::new(RefCell::new(World::default()));
        let told = Rc::new(RefCell::new(Vec::new()));
        let session = Session::new(config, stored);
        let heard = told.clone();
        let report: Reporter = Box::new(move |report| heard.borrow_mut().push(report));
        let (inspect, queue) = (Inspect::default(), Queue::default());
        inspect.attach(&queue);
        let driver = Driver::new(session, Fake(world.clone()), report);
        Self {
            driver: driver.inspected_by(inspect.clone()),
            inspect,
            queue,
            world,
            told,
        }
    }

    fn live() -> Self {
        let mut rig = Self::new();
        rig.driver.start();
        rig.driver.handle(BrowserEvent::Opened { id: FIRST });
        rig.driver.handle(BrowserEvent::Text {
            id: FIRST,
            text: welcome(),
        });
        rig.done();
        rig.told();
        rig
    }

    /// The I/O since the last call.
    fn done(&self) -> Vec<Done> {
        std::mem::take(&mut self.world.borrow_mut().done)
    }

    /// The reports since the last call.
    fn told(&self) -> Vec<Report> {
        self.told.take()
    }

    fn wait(&self, millis: u64) {
        let mut world = self.world.borrow_mut();
        world.now = world.now + Duration::from_millis(millis);
    }

    fn publish(&mut self, body: &str) {
        self.driver.command(Command::Publish {
            room: RoomName::lobby(),
            body: body.to_owned(),
        });
    }
}

const FIRST: ConnectionId = ConnectionId::new(1);

fn welcome() -> String {
    let id = SessionId::new("s1").unwrap();
    let key = SessionKey::new("secret").unwrap();
    codec::encode(&ServerFrame::Welcome(Welcome {
        session: Credentials { id, key },
        resumed: false,
        last_seq: 0,
        refused: Vec::new(),
        vouched: None,
        heartbeat: Beat {
            interval_ms: 25_000,
            timeout_ms: 5_000,
        },
        limits: Limits::default(),
    }))
}

fn sent(kind: &str) -> Done {
    Done::Sent(kind.to_owned())
}

#[test]
fn it_begins_with_what_was_restored_and_connects() {
    let mut rig = Rig::new();
    rig.driver.start();
    assert_eq!(
        rig.done(),
        [Done::Opened(None), Done::Armed(Duration::from_secs(10))]
    );
    let told = rig.told();
    assert!(matches!(&told[0], Report::Restored { session: None, outbox } if outbox.is_empty()));
    assert!(matches!(
        told[1],
        Report::Status {
            status: Status::Connecting,
            retry_in: None
        }
    ));
}

/// RC-8: the session goes where it is sent.
#[test]
fn it_opens_the_node_that_the_session_names() {
    let address = |text| Address::new(text).unwrap();
    let [a, b] = ["wss://a.example/ws", "wss://b.example/ws"].map(address);
    let addresses = Addresses::new(a.clone(), [b.clone()]).unwrap();
    let mut rig = Rig::of(Config::new(0), Stored::default());
    rig.driver.session = Session::new(Config::new(0), Stored::default()).with_addresses(&addresses);
    rig.driver.start();
    assert_eq!(rig.done()[0], Done::Opened(Some(a)));
    rig.driver.handle(BrowserEvent::Opened { id: FIRST });
    let go_away = concat!(
        r#"{"type":"go_away","reconnect_after_ms":9000,"reason":"","#,
        r#""elsewhere":{"address":"wss://b.example/ws","after_ms":0}}"#
    );
    for text in [welcome(), go_away.to_owned()] {
        rig.driver.handle(BrowserEvent::Text { id: FIRST, text });
    }
    rig.done();
    rig.driver.handle(BrowserEvent::Timer);
    rig.driver.handle(BrowserEvent::Timer);
    assert!(rig.done().contains(&Done::Opened(Some(b))));
}

/// EO-4: what must survive a reload is stored before it is acted upon.
#[test]
fn it_performs_in_the_order_of_the_machine() {
    let mut rig = Rig::live();
    rig.publish("hello");
    let done = rig.done();
    assert_eq!(done[..2], [Done::Stored, sent("publish")]);
}

/// HB-8: frames that come in touch no timer, and the early ring is set again.
#[test]
fn it_arms_lazily() {
    let mut rig = Rig::live();
    for _ in 0..10 {
        rig.wait(100);
        rig.driver.handle(BrowserEvent::Text {
            id: FIRST,
            text: "{\"type\":\"pong\"}".into(),
        });
    }
    assert_eq!(rig.done(), []);
    rig.wait(9_000);
    rig.driver.handle(BrowserEvent::Timer);
    assert!(matches!(rig.done()[..], [Done::Armed(_)]));
}

#[test]
fn an_earlier_deadline_moves_the_timer() {
    let mut rig = Rig::live();
    rig.driver.handle(BrowserEvent::Page(Network::Visible));
    // HB-6: a probe has 2 s, and the connection is in doubt before.
    let probe = Duration::from_secs(2);
    let done = rig.done();
    assert_eq!(done[0], sent("ping"));
    assert!(
        matches!(done[1..], [Done::Armed(delay)] if delay <= probe),
        "{done:?}"
    );
}

/// RS-7, RS-9: the machine decides about the messages that the page shows when it joins.
#[test]
fn what_the_page_shows_is_told() {
    let credentials = Credentials {
        id: SessionId::new("s").unwrap(),
        key: SessionKey::new("k").unwrap(),
    };
    let stored = Stored {
        credentials: Some(credentials),
        outbox: vec![Entry {
            id: EntryId(0),
            seq: Seq::FIRST,
            room: RoomName::lobby(),
            body: "a".into(),
            stage: Stage::Sent,
        }],
    };
    let mut rig = Rig::of(Config::new(0), stored);
    rig.driver.start();
    rig.done();
    rig.told();
    rig.driver.command(Command::Join {
        room: RoomName::lobby(),
        since: None,
        shown: vec![Message {
            room: RoomName::lobby(),
            offset: Offset::ZERO.next(),
            session: SessionId::new("s").unwrap(),
            seq: Seq::FIRST,
            name: Name::tidy("ada"),
            at_ms: 0,
            body: "a".into(),
            removed: false,
        }],
    });
    assert_eq!(rig.done(), [Done::Stored]);
    let offset = Some(Offset::ZERO.next());
    assert_eq!(
        rig.told(),
        [Report::Event(Event::Fate {
            id: EntryId(0),
            seq: Seq::FIRST,
            fate: Fate::Durable { offset },
        })]
    );
}

/// PR-2: the machine decides by the bytes in the socket: drafts wait until it is all but empty, and the
/// latest is sent when the timer finds it so.
#[test]
fn drafts_wait_for_the_socket() {
    let mut rig = Rig::live();
    let room = RoomName::lobby();
    rig.driver.command(Command::Join {
        room,
        since: None,
        shown: Vec::new(),
    });
    let text = r#"{"type":"joined","room":"lobby","epoch":"e","head":0,"from":0,"recovered":true,
        "members":[],"drafts":[]}"#;
    let text = text.to_owned();
    rig.driver.handle(BrowserEvent::Text { id: FIRST, text });
    rig.world.borrow_mut().buffered = 50_000;
    rig.done();
    for body in ["h", "he", "hel"] {
        let (room, body) = (RoomName::lobby(), body.to_owned());
        rig.driver.command(Command::Draft { room, body });
        rig.wait(300);
    }
    assert!(!rig.done().contains(&sent("draft")));
    rig.driver.handle(BrowserEvent::Timer);
    assert!(!rig.done().contains(&sent("draft")));
    rig.world.borrow_mut().buffered = 0;
    rig.wait(300);
    rig.driver.handle(BrowserEvent::Timer);
    assert_eq!(rig.done()[0], sent("draft"));
}

#[test]
fn binary_frames_and_garbage_end_the_connection() {
    let text = "{\"type\":\"nonsense\"}".to_owned();
    for event in [
        BrowserEvent::Binary { id: FIRST },
        BrowserEvent::Text { id: FIRST, text },
    ] {
        let mut rig = Rig::live();
        rig.driver.handle(event);
        assert_eq!(rig.done()[0], Done::Closed(CloseCode::BAD_FRAME));
    }
}

/// RC-6: sleep is a lost connection; the page gets the time that is left, not a time of the machine's clock.
#[test]
fn waiting_is_told_as_a_time_from_now() {
    let mut rig = Rig::live();
    rig.wait(5_000);
    rig.driver.handle(BrowserEvent::Page(Network::Frozen));
    assert_eq!(rig.done()[0], Done::Closed(CloseCode::GOING_AWAY));
    let told = rig.told();
    let Some(Report::Status {
        retry_in: Some(retry_in),
        ..
    }) = told.last()
    else {
        panic!("the last report is not a wait");
    };
    assert!(*retry_in <= Config::new(0).backoff_cap);
}

/// PU-3: a closed connection is released, whichever it was.
#[test]
fn a_closed_connection_is_released() {
    let mut rig = Rig::live();
    rig.driver.handle(BrowserEvent::Closed {
        id: FIRST,
        code: None,
    });
    assert_eq!(rig.done()[0], Done::Released);
    rig.driver.handle(BrowserEvent::Closed {
        id: FIRST,
        code: None,
    });
    assert_eq!(rig.done(), [Done::Released]);
}

/// EO-4: a refused text goes back to where it was typed.
#[test]
fn what_is_not_taken_is_given_back() {
    let mut rig = Rig::live();
    rig.publish("");
    assert!(matches!(
        &rig.told()[..],
        [Report::NotTaken { body, error: PublishError::Empty, .. }] if body.is_empty()
    ));
}

#[test]
fn failing_storage_is_told() {
    let mut rig = Rig::live();
    rig.world.borrow_mut().is_full = true;
    rig.publish("hello");
    assert!(matches!(rig.told()[0], Report::StorageFailed));
}

#[test]
fn a_browser_that_forbids_connections_is_told() {
    let mut rig = Rig::live();
    rig.driver.handle(BrowserEvent::Forbidden);
    assert!(matches!(rig.told()[..], [Report::Forbidden]));
}

/// The configuration of a closed page's session, and a message that the page left.
fn left_by_a_closed_page() -> (Config, Entry) {
    let config = Config {
        inherits: true,
        ..Config::new(0)
    };
    let entry = Entry {
        id: EntryId(1 << 40),
        seq: Seq::FIRST,
        room: RoomName::lobby(),
        body: "left".into(),
        stage: Stage::Unsent,
    };
    (config, entry)
}

/// RS-8: a message that waits for the user is stored by their page before it is forgotten where it was.
#[test]
fn what_an_heir_cannot_decide_is_handed_over() {
    let (config, entry) = left_by_a_closed_page();
    let left = Stored {
        credentials: None,
        outbox: vec![entry.clone()],
    };
    let mut heir = Rig::of(config, left.clone());
    heir.driver.start();
    assert!(!heir.driver.is_owing());
    assert_eq!(heir.done(), []);

    let mut rig = Rig::live();
    assert!(rig.driver.inherit_from(&mut heir.driver));
    assert_eq!(
        (rig.done(), heir.done()),
        (vec![Done::Stored], vec![Done::Stored])
    );
    let id = entry.id;
    let held = Entry {
        id: EntryId(0),
        stage: Stage::Held,
        ..entry
    };
    let expected = [
        Report::Event(Event::Queued(held)),
        Report::HandedOver { id },
    ];
    assert_eq!(rig.told(), expected);

    // Without room it stays where it is.
    let mut config = Config::new(0);
    config.outbox.entries = 0;
    let mut full = Rig::of(config, Stored::default());
    let mut heir = Rig::of(
        Config {
            inherits: true,
            ..Config::new(0)
        },
        left,
    );
    assert!(!full.driver.inherit_from(&mut heir.driver));
    assert_eq!((full.done(), heir.done()), (vec![], vec![]));

    // So it does if it would not be kept here, and is not offered again.
    let mut unkept = Rig::of(Config::new(0), Stored::default());
    unkept.world.borrow_mut().is_full = true;
    for stored in [vec![Done::Stored, Done::Stored], vec![]] {
        assert!(!unkept.driver.inherit_from(&mut heir.driver));
        assert_eq!((unkept.done(), heir.done()), (stored, vec![]));
    }
}
