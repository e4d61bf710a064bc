//! Takes up what pages that are gone left in their outboxes, one page after the other (RS-8).
//!
//! Each gets a session machine of its own, which resumes the session that the page had, sends what it
//! sent or would have sent, and ends. What only a person can decide goes to the page's own session.

use std::future::pending;
use std::pin::Pin;

use protocol::client::{Config, Event, Session};
use protocol::frame::Message;
use protocol::id::Name;
use view::{Command, Report};
use web_sys::Window;

use crate::area::BrowserArea;
use crate::browser::Browser;
use crate::clock::{Timer, unix_ms};
use crate::driver::Driver;
use crate::leftovers::{self, GRACE, Verdict};
use crate::lifecycle::Listener;
use crate::lock::{Lock, Locks};
use crate::options::Options;
use crate::queue::{BrowserEvent, Queue};
use crate::run::Page;
use crate::storage::PageId;

/// The ids of the first message of two pages are at least so far apart: the page's own stay below it, as
/// no outbox holds so many.
const PAGE_IDS: u64 = 1 << 40;

/// What another page left, and its lock.
#[derive(Debug)]
pub struct Found {
    page: PageId,
    lock: Lock,
}

type Looking = Pin<Box<dyn Future<Output = Option<Found>>>>;

/// What happened.
#[derive(Debug)]
pub enum Step {
    /// A page was found that is gone, or none.
    Looked(Option<Found>),
    /// To the session of such a page.
    Event(BrowserEvent),
}

enum State {
    Idle,
    Looking(Looking),
    /// Going on for a page that is gone.
    Heir {
        driver: Box<Driver<Browser>>,
        queue: Queue,
    },
}

/// Looks for pages that are gone, and continues their sessions.
pub struct Heirs {
    /// None where there are no locks: without them a page that is gone cannot be told from others.
    locks: Option<Locks>,
    options: Options,
    window: Window,
    own: Option<PageId>,
    page: Page,
    state: State,
    /// How many pages were taken up.
    count: u64,
    /// The messages that the page was rendered with: some may be what a page left that is gone.
    shown: Vec<Message>,
    _heard: Option<Listener>,
}

impl Heirs {
    /// Looks for others than the browser's own page, and tells what becomes of their messages to `page`.
    pub fn new(browser: &Browser, page: Page) -> Self {
        let queue = browser.queue().clone();
        let window = browser.window().clone();
        let heard = move |_| queue.push(BrowserEvent::Shared);
        Self {
            locks: browser.locks().cloned(),
            _heard: Listener::new(&window, "storage", heard),
            own: browser.page().cloned(),
            options: browser.options().clone(),
            window,
            page,
            state: State::Idle,
            count: 0,
            shown: Vec::new(),
        }
    }

    /// Begins to look, unless there is something under way.
    pub fn look(&mut self) {
        if let Some(locks) = &self.locks
            && matches!(self.state, State::Idle)
        {
            let area = BrowserArea::shared(&self.options.prefix);
            let looking = find(self.window.clone(), area, locks.clone(), self.own.clone());
            self.state = State::Looking(Box::pin(looking));
        }
    }

    /// The next thing that happens; nothing ever where nothing is under way.
    pub async fn next(&mut self) -> Step {
        match &mut self.state {
            State::Idle => pending().await,
            State::Looking(looking) => Step::Looked(looking.await),
            State::Heir { queue, .. } => Step::Event(queue.next().await),
        }
    }

    /// Goes on. `name`: what the person is called.
    pub fn step(&mut self, step: Step, name: Option<&Name>) {
        match (step, &mut self.state) {
            (Step::Looked(found), _) => {
                let heir = found.and_then(|found| self.take_up(found, name));
                self.state = heir.unwrap_or(State::Idle);
            }
            (Step::Event(event), State::Heir { driver, .. }) => {
                driver.handle(event);
            }
            (Step::Event(_), State::Idle | State::Looking(_)) => {}
        }
    }

    /// What concerns every session of the page.
    pub fn command(&mut self, command: &Command) {
        if let Command::Join { shown, .. } = command
            && !shown.is_empty()
        {
            self.shown.clone_from(shown);
        }
        let State::Heir { driver, .. } = &mut self.state else {
            return;
        };
        driver.command(match *command {
            Command::Rename { ref name } => Command::Rename { name: name.clone() },
            Command::Discard { id } => Command::Discard { id },
            Command::ConnectNow => Command::ConnectNow,
            _ => return,
        });
    }

    /// Where nothing is to be sent any more, gives the rest to the page's own session, and looks for the
    /// next one. What it has no room for now is offered again.
    pub fn hand_over(&mut self, own: &mut Driver<Browser>) {
        if let State::Heir { driver, .. } = &mut self.state
            && !driver.is_owing()
            && own.inherit_from(driver)
        {
            self.state = State::Idle;
            self.look();
        }
    }

    fn take_up(&mut self, found: Found, name: Option<&Name>) -> Option<State> {
        self.count += 1;
        let first = self.count.saturating_mul(PAGE_IDS);
        let queue = Queue::default();
        let Found { page, lock } = found;
        let options = self.options.clone();
        let (browser, stored) = Browser::left_by(queue.clone(), options, &page, lock, first)?;
        let config = Config {
            inherits: true,
            ..browser.config()
        };
        let told = self.page.clone();
        let report = Box::new(move |report| {
            let report = match report {
                Report::Restored { session, outbox } => Report::TakenUp { session, outbox },
                Report::Event(Event::Fate { .. }) | Report::StorageFailed => report,
                // The connection that is shown is the page's own.
                _ => return,
            };
            (told.borrow_mut())(report);
        });
        let mut driver = Box::new(Driver::new(Session::new(config, stored), browser, report));
        if let Some(name) = name {
            let name = name.clone();
            driver.command(Command::Rename { name });
        }
        driver.start();
        driver.seen(self.shown.clone());
        Some(State::Heir { driver, queue })
    }
}

/// Finds a page that is gone and left something, with patience for those that are only loaded anew. It
/// looks again for as long as another page has messages on their way: that page may crash without a word.
async fn find(
    window: Window,
    area: Option<BrowserArea>,
    locks: Locks,
    own: Option<PageId>,
) -> Option<Found> {
    let area = area?;
    let mut is_first = true;
    loop {
        let mut again = None;
        for (page, verdict) in leftovers::look(&area, own.as_ref(), unix_ms(), is_first) {
            let mut rest = GRACE;
            if let Verdict::Wait(wait) = verdict {
                rest = wait;
            } else if let Some(lock) = Lock::claim_free(&locks, &window, &page).await {
                if verdict == Verdict::Take {
                    return Some(Found { page, lock });
                }
                leftovers::forget(&area, &leftovers::prefix(&page));
                continue;
            }
            again = again.into_iter().chain([rest]).min();
        }
        Timer::sleep(&window, again?).await;
        is_first = false;
    }
}
