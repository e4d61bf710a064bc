//! What only a browser can prove: `crates/web/test.sh` runs these in headless Chromium.
#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "this whole file is tests")]

#[path = "web/inspect.rs"]
mod inspect;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use everbeat_web::area::{Area, BrowserArea};
use everbeat_web::browser::Browser;
use everbeat_web::clock::{Clock, Timer};
use everbeat_web::driver::Environment;
use everbeat_web::lifecycle::Lifecycle;
use everbeat_web::lock::{Claim, Lock, Locks};
use everbeat_web::queue::{BrowserEvent, Queue};
use everbeat_web::socket::{self, Socket};
use everbeat_web::storage::{PageId, Storage, StorageFailed};
use everbeat_web::{Options, Stop, TokenSource};
use futures_channel::mpsc;
use futures_util::StreamExt;
use protocol::client::{Event as SessionEvent, Network, NoToken, Status, Store, Stored};
use protocol::close::CloseCode;
use protocol::id::{ConnectionId, Credentials, RoomName, Seq, SessionId, SessionKey, Token};
use protocol::outbox::{Entry, EntryId, Stage};
use view::{Command, Report};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{Event, Window};

wasm_bindgen_test_configure!(run_in_browser);

fn window() -> Window {
    web_sys::window().unwrap()
}

/// The tab's whole area.
fn area() -> web_sys::Storage {
    window().session_storage().unwrap().unwrap()
}

/// Its part of a page with the default options.
fn tab() -> Option<BrowserArea> {
    BrowserArea::of_tab(&Options::PREFIX.into())
}

/// Empties all storage.
fn clear() {
    area().clear().unwrap();
    shared().clear().unwrap();
}

fn shared() -> web_sys::Storage {
    window().local_storage().unwrap().unwrap()
}

fn credentials(id: &str) -> Credentials {
    let key = SessionKey::new("secret").unwrap();
    Credentials {
        id: SessionId::new(id).unwrap(),
        key,
    }
}

/// A page's driver, started over whatever is in storage.
fn start() -> (Stop, mpsc::Sender<Command>, mpsc::UnboundedReceiver<Report>) {
    let (commands, wished) = mpsc::channel(8);
    let (tell, told) = mpsc::unbounded();
    let report = Box::new(move |report| tell.unbounded_send(report).unwrap());
    let stop = everbeat_web::start(Options::at("/ws"), wished, report);
    (stop, commands, told)
}

/// HB-9: time never goes back.
#[wasm_bindgen_test]
async fn the_clock_goes_forward_only() {
    let clock = Clock::of(&window());
    let mut last = clock.now();
    for _ in 0..1000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
    Timer::sleep(&window(), Duration::from_millis(20)).await;
    assert!(clock.now() - last >= Duration::from_millis(19));
}

#[wasm_bindgen_test]
async fn a_dropped_timer_never_rings() {
    let rung = Rc::new(Cell::new(0));
    let ring = |times: u32| {
        let rung = rung.clone();
        Timer::after(&window(), Duration::ZERO, move || {
            rung.set(rung.get() + times)
        })
        .unwrap()
    };
    let dropped = ring(1);
    let kept = ring(10);
    drop(dropped);
    Timer::sleep(&window(), Duration::from_millis(20)).await;
    assert_eq!(rung.get(), 10);
    drop(kept);
}

/// EO-4: the outbox is kept in the browser's own storage.
#[wasm_bindgen_test]
fn storage_keeps_and_tolerates() {
    let area = area();
    area.clear().unwrap();
    let credentials = credentials("s1");
    let entry = Entry {
        id: EntryId(0),
        seq: Seq::FIRST,
        room: RoomName::lobby(),
        body: "grüße \u{1f44b}".into(),
        stage: Stage::Unsent,
    };
    let mut storage = Storage::new(tab());
    storage
        .apply(&Store::Session(Some(credentials.clone())), 1)
        .unwrap();
    storage.apply(&Store::Put(entry.clone()), 1).unwrap();
    area.set_item("everbeat.outbox.1", "garbage").unwrap();

    let stored = Storage::new(tab()).load();
    assert_eq!(stored.credentials, Some(credentials));
    assert_eq!(stored.outbox, [entry]);
    assert_eq!(area.get_item("everbeat.outbox.1").unwrap(), None);

    // Older pages' entries are found under these very names.
    let mut keys: Vec<_> = (0..2).map(|index| area.key(index).unwrap()).collect();
    keys.sort();
    assert_eq!(
        keys,
        ["everbeat.outbox.0", "everbeat.session"].map(|key| Some(key.to_owned()))
    );
    area.set_item("other.session", "theirs").unwrap();
    assert_eq!(Area::get(&tab().unwrap(), "other.session"), None);
    assert_eq!(tab().unwrap().keys().len(), 2);
    storage.clear();
    assert_eq!(area.length().unwrap(), 1);
    area.clear().unwrap();
}

/// A quota that is exceeded is an error value here, not an exception.
#[wasm_bindgen_test]
fn a_full_storage_says_so() {
    let text = "x".repeat(64 << 20);
    assert_eq!(tab().unwrap().set("test", &text), Err(StorageFailed));
    area().clear().unwrap();
}

/// The server of these tests speaks no WebSocket: every attempt ends in a close event.
#[wasm_bindgen_test]
async fn nothing_is_heard_of_a_dropped_socket() {
    let queue = Queue::default();
    let url = socket::url(&window().location(), "/ws").unwrap();
    let dropped = Socket::open(&url, ConnectionId::new(1), &queue).unwrap();
    let closed = Socket::open(&url, ConnectionId::new(2), &queue).unwrap();
    let kept = Socket::open(&url, ConnectionId::new(3), &queue).unwrap();
    drop(dropped);
    closed.close(CloseCode::GOING_AWAY);
    let code = Some(CloseCode::ABNORMAL);
    assert_eq!(
        queue.next().await,
        BrowserEvent::Closed {
            id: ConnectionId::new(3),
            code
        }
    );
    assert_eq!(queue.try_next(), None);
    drop(kept);
}

#[wasm_bindgen_test]
fn an_impossible_address_is_an_error() {
    assert!(Socket::open("ftp://nowhere", ConnectionId::new(1), &Queue::default()).is_err());
}

/// RC-6: freezing and waking are reported until the listeners are dropped.
#[wasm_bindgen_test]
fn the_page_tells_of_its_sleep_until_dropped() {
    let queue = Queue::default();
    let document = window().document().unwrap();
    let lifecycle = Lifecycle::of(&window(), &queue);
    document
        .dispatch_event(&Event::new("freeze").unwrap())
        .unwrap();
    assert_eq!(queue.try_next(), Some(BrowserEvent::Page(Network::Frozen)));
    document
        .dispatch_event(&Event::new("resume").unwrap())
        .unwrap();
    assert_eq!(queue.try_next(), Some(BrowserEvent::Page(Network::Visible)));
    // Without `persisted` the page is closed, not frozen.
    window()
        .dispatch_event(&Event::new("pagehide").unwrap())
        .unwrap();
    assert_eq!(queue.try_next(), None);
    drop(lifecycle);
    document
        .dispatch_event(&Event::new("freeze").unwrap())
        .unwrap();
    assert_eq!(queue.try_next(), None);
}

/// RC-4: changes of the network and of visibility are reported.
#[wasm_bindgen_test]
fn the_page_tells_of_its_network_and_of_being_seen() {
    let queue = Queue::default();
    let document = window().document().unwrap();
    let lifecycle = Lifecycle::of(&window(), &queue);
    for (name, expected) in [("online", Network::Online), ("offline", Network::Offline)] {
        window().dispatch_event(&Event::new(name).unwrap()).unwrap();
        assert_eq!(queue.try_next(), Some(BrowserEvent::Page(expected)));
    }
    let changed = Event::new("visibilitychange").unwrap();
    document.dispatch_event(&changed).unwrap();
    let seen = if document.hidden() {
        BrowserEvent::Hidden
    } else {
        BrowserEvent::Page(Network::Visible)
    };
    assert_eq!(queue.try_next(), Some(seen));
    drop(lifecycle);
    document.dispatch_event(&changed).unwrap();
    assert_eq!(queue.try_next(), None);
}

#[wasm_bindgen_test]
fn a_path_is_one_of_the_pages_own_host() {
    let location = window().location();
    let whole = format!("ws://{}/rt/ws", location.host().unwrap());
    assert_eq!(socket::url(&location, "/rt/ws").unwrap(), whole);
    let other = "wss://rt.example.org/ws";
    assert_eq!(socket::url(&location, other).unwrap(), other);
}

/// AC-6: the page's own function is asked each time.
#[wasm_bindgen_test]
async fn tokens_may_come_from_the_page() {
    let count = Rc::new(Cell::new(0));
    let asked = count.clone();
    let source = TokenSource::new(move || {
        asked.set(asked.get() + 1);
        Box::pin(async { Token::new("t").map_err(|_| NoToken::Denied) })
    });
    let queue = Queue::default();
    let options = Options::at("/ws").tokens(source);
    let mut browser = Browser::find(queue.clone(), options).unwrap();
    for _ in 0..2 {
        browser.fetch_token();
        let token = Token::new("t").unwrap();
        assert_eq!(queue.next().await, BrowserEvent::Token(Ok(token)));
    }
    assert_eq!(count.get(), 2);
}

/// Two applications of one origin: neither sees what the other keeps, nor waits for its locks.
#[wasm_bindgen_test]
async fn prefixes_keep_applications_apart() {
    clear();
    let prefix = "mine.".into();
    let mut mine = Storage::new(BrowserArea::of_tab(&prefix));
    let store = Store::Session(Some(credentials("mine")));
    mine.apply(&store, 1).unwrap();
    assert_eq!(Storage::new(tab()).load().credentials, None);
    assert!(mine.load().credentials.is_some());
    let (window, page) = (window(), PageId("same".into()));
    let short = Duration::from_millis(50);
    let mut held = Vec::new();
    for prefix in [&prefix, &Options::PREFIX.into()] {
        let locks = Locks::of(&window, prefix).unwrap();
        let claim = Lock::claim(&locks, &window, &page, short).await;
        assert!(matches!(claim, Claim::Ours(_)));
        held.push(claim);
    }
    clear();
}

/// RS-8: one owner at a time; the next in the queue gets the lock when it is released.
#[wasm_bindgen_test]
async fn a_storage_has_one_owner() {
    let window = window();
    let locks = Locks::of(&window, &Options::PREFIX.into()).unwrap();
    let page = PageId("owned".into());
    let short = Duration::from_millis(50);
    let claim = async |patience| Lock::claim(&locks, &window, &page, patience).await;

    let Claim::Ours(first) = claim(short).await else {
        panic!("a free lock was not granted");
    };
    assert!(matches!(claim(short).await, Claim::Elsewhere));
    let next = Lock::request(&locks, &page).unwrap();
    drop(first);
    assert!(matches!(claim(short).await, Claim::Elsewhere));
    drop(next);
    // The release may take a moment to arrive: patience waits for it.
    assert!(matches!(
        claim(Duration::from_secs(5)).await,
        Claim::Ours(_)
    ));
}

/// RC-8: a session is given the page's own address and those that this page could open.
#[wasm_bindgen_test]
fn a_session_knows_the_nodes_that_the_page_names() {
    let own = socket::url(&window().location(), "/ws").unwrap();
    let address = |further: &[&str]| {
        let options = Options::at("/ws").addresses(further.iter().copied());
        let browser = Browser::find(Queue::default(), options).unwrap();
        let session = browser.session(browser.config(), Stored::default());
        session.address().map(ToString::to_string)
    };
    assert_eq!(address(&[]), None);
    assert_eq!(address(&["https://b.example/ws", "/ws2", &own]), None);
    // Tests run on a page of HTTP.
    assert_eq!(address(&["wss://b.example/ws"]), None);
    assert_eq!(address(&["ws://b.example/ws"]), Some(own));
}

/// The server of these tests refuses the connection; stopping frees everything, the reporter too.
#[wasm_bindgen_test]
async fn a_driver_tries_again_until_it_is_stopped() {
    clear();
    let (stop, _commands, mut told) = start();
    assert!(matches!(
        told.next().await,
        Some(Report::Restored { session: None, .. })
    ));
    for _ in 0..2 {
        let connecting = told.next().await;
        assert!(matches!(
            connecting,
            Some(Report::Status {
                status: Status::Connecting,
                ..
            })
        ));
        let waiting = told.next().await;
        assert!(matches!(
            waiting,
            Some(Report::Status {
                retry_in: Some(_),
                ..
            })
        ));
    }
    stop();
    assert!(told.next().await.is_none());
}

/// The application has ended when no handle can send a command any more.
#[wasm_bindgen_test]
async fn a_driver_ends_with_its_page() {
    clear();
    let (_stop, commands, mut told) = start();
    assert!(told.next().await.is_some());
    drop(commands);
    while told.next().await.is_some() {}
}

/// What a page found in storage when it started.
async fn restored(told: &mut mpsc::UnboundedReceiver<Report>) -> (Option<SessionId>, Vec<Entry>) {
    match told.next().await {
        Some(Report::Restored { session, outbox }) => (session, outbox),
        other => panic!("the first report was {other:?}"),
    }
}

/// RS-8: a reload finds its session, even if the page before is slow to release it; a copy starts afresh.
#[wasm_bindgen_test]
async fn a_copied_tab_starts_a_session_of_its_own() {
    clear();
    let credentials = credentials("copied");
    let session = Some(credentials.id.clone());
    let store = Store::Session(Some(credentials));
    Storage::new(tab()).apply(&store, 1).unwrap();

    let (stop_original, _commands, mut original) = start();
    assert_eq!(restored(&mut original).await, (session.clone(), vec![]));

    let (_stop_reloaded, _commands_too, mut reloaded) = start();
    stop_original();
    assert_eq!(restored(&mut reloaded).await, (session, vec![]));

    let (stop_copy, _commands_as_well, mut copy) = start();
    assert_eq!(restored(&mut copy).await, (None, vec![]));
    assert_eq!(Storage::new(tab()).load().credentials, None);
    stop_copy();
}

/// RS-8: messages from before the first `welcome` have no session yet, and are not copied either.
#[wasm_bindgen_test]
async fn a_copied_tab_leaves_the_first_messages_alone() {
    clear();
    let (stop_original, mut commands, mut original) = start();
    assert_eq!(restored(&mut original).await, (None, vec![]));
    let publish = Command::Publish {
        room: RoomName::lobby(),
        body: "once".into(),
    };
    commands.try_send(publish).unwrap();
    while !matches!(
        original.next().await,
        Some(Report::Event(SessionEvent::Queued(_)))
    ) {}
    let mut storage = Storage::new(tab());
    let page = storage.page().unwrap();
    storage.share(&page, BrowserArea::shared(&Options::PREFIX.into()));
    assert_eq!(storage.load().outbox.len(), 1);

    let (stop_copy, _commands_too, mut copy) = start();
    assert_eq!(restored(&mut copy).await, (None, vec![]));
    stop_copy();
    stop_original();
}

/// RS-8: a closed page's messages are shown by another page, which waits for as long as a reload takes.
#[wasm_bindgen_test]
async fn what_a_closed_page_left_is_taken_up() {
    clear();
    let (stop_closed, mut commands, mut closed) = start();
    assert_eq!(restored(&mut closed).await, (None, vec![]));
    let publish = Command::Publish {
        room: RoomName::lobby(),
        body: "left".into(),
    };
    commands.try_send(publish).unwrap();
    while !matches!(
        closed.next().await,
        Some(Report::Event(SessionEvent::Queued(_)))
    ) {}
    area().clear().unwrap();
    let (_stop, _commands, mut other) = start();
    stop_closed();
    let taken_up = loop {
        match other.next().await {
            Some(Report::TakenUp { outbox, .. }) => break outbox,
            Some(_) => {}
            None => panic!("nothing was taken up"),
        }
    };
    assert_eq!(taken_up[0].body, "left");
    // The closed page had no session: the user decides, in the page's own outbox.
    let held = loop {
        match other.next().await {
            Some(Report::Event(SessionEvent::Queued(entry))) => break entry,
            Some(_) => {}
            None => panic!("nothing was handed over"),
        }
    };
    assert_eq!((held.body.as_str(), held.stage), ("left", Stage::Held));
    let taken_up = taken_up[0].id;
    let handed_over = Report::HandedOver { id: taken_up };
    while other
        .next()
        .await
        .is_some_and(|report| report != handed_over)
    {}
    let keys: Vec<String> = (0..shared().length().unwrap())
        .filter_map(|index| shared().key(index).unwrap())
        .collect();
    let own = Storage::new(tab()).page().unwrap();
    assert!(keys.iter().all(|key| key.contains(&own.0)), "{keys:?}");
}
