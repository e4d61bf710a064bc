//! The real environment of the driver: this browser's window.

use std::time::Duration;

use protocol::address::{Address, Addresses};
use protocol::client::{Config, NoToken, Session, Store, Stored};
use protocol::close::CloseCode;
use protocol::id::ConnectionId;
use protocol::time::Timestamp;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::Window;

use crate::area::BrowserArea;
use crate::clock::{Clock, Timer, unix_ms};
use crate::driver::Environment;
use crate::leftovers;
use crate::lifecycle::Lifecycle;
use crate::lock::{Claim, Lock, Locks};
use crate::options::Options;
use crate::queue::{BrowserEvent, Queue};
use crate::socket::{self, Socket};
use crate::storage::{PageId, Storage, StorageFailed};
use crate::token::TokenSource;

/// How long the page before a reload may take to release its storage (RS-8). A longer time makes a
/// duplicated tab wait; a shorter one takes a slow reload for a copy, and parts it from its outbox.
const PATIENCE: Duration = Duration::from_secs(1);

/// The browser: owns everything that it does for one session. Its drop closes, cancels and detaches it all.
#[derive(Debug)]
pub struct Browser {
    window: Window,
    queue: Queue,
    clock: Clock,
    options: Options,
    storage: Storage<BrowserArea>,
    locks: Option<Locks>,
    socket: Option<Socket>,
    timer: Option<Timer>,
    /// Held as long as the page lives, or continues the session of a closed one.
    lock: Option<Lock>,
    /// The page's id, if it can own storage.
    page: Option<PageId>,
    _lifecycle: Lifecycle,
    leaving: Option<Lifecycle>,
}

impl Browser {
    /// This browser; `None` outside of a window.
    pub fn find(queue: Queue, options: Options) -> Option<Self> {
        let storage = Storage::new(BrowserArea::of_tab(&options.prefix));
        Self::with(queue, options, storage)
    }

    /// This browser, for the outbox of a closed page whose lock we hold: with ids from
    /// `first` on. `None` if the page left nothing.
    pub fn left_by(
        queue: Queue,
        options: Options,
        page: &PageId,
        lock: Lock,
        first: u64,
    ) -> Option<(Self, Stored)> {
        let shared = BrowserArea::shared(&options.prefix)?;
        let mut storage = Storage::left_by(page, shared.clone(), first);
        let stored = storage.load();
        if stored.outbox.is_empty() {
            leftovers::forget(&shared, &leftovers::prefix(page));
            return None;
        }
        let mut browser = Self::with(queue, options, storage)?;
        browser.lock = Some(lock);
        Some((browser, stored))
    }

    fn with(queue: Queue, options: Options, storage: Storage<BrowserArea>) -> Option<Self> {
        let window = web_sys::window()?;
        Some(Self {
            clock: Clock::of(&window),
            storage,
            locks: Locks::of(&window, &options.prefix),
            socket: None,
            timer: None,
            lock: None,
            page: None,
            _lifecycle: Lifecycle::of(&window, &queue),
            leaving: None,
            options,
            queue,
            window,
        })
    }

    /// The session and the outbox that an earlier page left for this one. A copy of a page that is still open gets
    /// nothing (RS-8).
    pub async fn restore(&mut self) -> Stored {
        if let Some(locks) = &self.locks {
            match self.storage.page() {
                None => self.own(),
                Some(page) => match Lock::claim(locks, &self.window, &page, PATIENCE).await {
                    Claim::Ours(lock) => self.hold(page, lock),
                    Claim::Elsewhere => {
                        self.storage.clear();
                        self.own();
                    }
                    Claim::Unknown => {}
                },
            }
        }
        self.storage.load()
    }

    /// The window.
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// Its locks, where there are any.
    pub const fn locks(&self) -> Option<&Locks> {
        self.locks.as_ref()
    }

    /// The queue into which its callbacks put their facts.
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The page's id, once [`Browser::restore`] has found one that it owns.
    pub const fn page(&self) -> Option<&PageId> {
        self.page.as_ref()
    }

    /// The options of the session.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The core's configuration in this browser.
    pub fn config(&self) -> Config {
        Config {
            fetches_tokens: self.options.tokens.is_some(),
            ..Config::new(Self::seed())
        }
    }

    /// The session of this browser: with the addresses of the options, where there are further ones (RC-8).
    pub fn session(&self, config: Config, stored: Stored) -> Session {
        let session = Session::new(config, stored);
        match self.addresses() {
            Some(addresses) => session.with_addresses(&addresses),
            None => session,
        }
    }

    /// The page's own address and the further ones; `None` where there are none, or where they cannot be used: those
    /// that are no addresses, and those that the browser would not open from this page.
    fn addresses(&self) -> Option<Addresses> {
        let own = Address::new(&self.url().ok()?).ok()?;
        let further = self.options.further.iter();
        let further = further.filter_map(|url| Address::new(url).ok());
        let alike = further.filter(|address| address.is_secure() == own.is_secure());
        let addresses = Addresses::new(own.clone(), alike).ok()?;
        (addresses.as_slice().len() > 1).then_some(addresses)
    }

    /// The URL of the page's own server.
    fn url(&self) -> Result<String, JsValue> {
        socket::url(&self.window.location(), &self.options.url)
    }

    /// A seed for the machine (PU-2). It spreads clients out and protects nothing: no need for a
    /// cryptographic source.
    fn seed() -> u64 {
        // 53 bits are what a random number of JavaScript has.
        (js_sys::Math::random() * 2_f64.powi(53)) as u64
    }

    /// Makes the storage this page's.
    fn own(&mut self) {
        let Some(locks) = &self.locks else {
            return;
        };
        // The id only distinguishes the few pages of one browser, and protects nothing: `Math.random`, which is
        // everywhere, is enough.
        let page = PageId(format!("{}-{}", Self::seed(), Self::seed()));
        // Before the id is written: a page that copies it must find the lock taken.
        let lock = Lock::request(locks, &page);
        self.storage.adopt(&page);
        if let Some(lock) = lock {
            self.hold(page, lock);
        }
    }

    /// The page owns what is stored under this id.
    fn hold(&mut self, page: PageId, lock: Lock) {
        self.lock = Some(lock);
        let shared = BrowserArea::shared(&self.options.prefix);
        let leaving = |area| Lifecycle::of_leftovers(&self.window, &page, area);
        self.leaving = shared.as_ref().map(leaving);
        self.storage.share(&page, shared);
        self.page = Some(page);
    }

    fn connection(&mut self, id: ConnectionId) -> Option<Socket> {
        self.socket.take_if(|socket| socket.id() == id)
    }
}

impl Environment for Browser {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn open(&mut self, id: ConnectionId, address: Option<&Address>) {
        let url = match address {
            Some(address) => Ok(address.as_str().to_owned()),
            None => self.url(),
        };
        let opened = url.and_then(|url| Socket::open(&url, id, &self.queue));
        self.socket = opened.ok();
        if self.socket.is_none() {
            // The browser did not even try.
            self.queue.push(BrowserEvent::Forbidden);
            self.queue.push(BrowserEvent::Closed { id, code: None });
        }
    }

    fn send(&mut self, id: ConnectionId, text: &str) {
        let sent = match &self.socket {
            Some(socket) if socket.id() == id => socket.send(text),
            _ => Err(JsValue::UNDEFINED),
        };
        if sent.is_err() {
            self.queue.push(BrowserEvent::Closed { id, code: None });
        }
    }

    fn close(&mut self, id: ConnectionId, code: CloseCode) {
        if let Some(socket) = self.connection(id) {
            socket.close(code);
        }
    }

    fn buffered(&self) -> Option<(ConnectionId, u64)> {
        let socket = self.socket.as_ref()?;
        Some((socket.id(), socket.buffered()))
    }

    fn release(&mut self, id: ConnectionId) {
        drop(self.connection(id));
    }

    fn store(&mut self, change: &Store) -> Result<(), StorageFailed> {
        self.storage.apply(change, unix_ms())
    }

    fn fetch_token(&mut self) {
        let fetch = self.options.tokens.as_ref().map(TokenSource::fetch);
        let queue = self.queue.clone();
        spawn_local(async move {
            let answer = match fetch {
                Some(fetch) => fetch.await,
                None => Err(NoToken::Denied),
            };
            queue.push(BrowserEvent::Token(answer));
        });
    }

    fn wake_after(&mut self, delay: Duration) {
        let queue = self.queue.clone();
        self.timer = Timer::after(&self.window, delay, move || queue.push(BrowserEvent::Timer));
    }
}
