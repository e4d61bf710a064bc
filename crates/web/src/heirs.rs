//! Heirs: sessions that take up the outboxes of closed pages, one page after the other (RS-8).
//!
//! Each page gets a machine of its own, which resumes the page's session, sends its messages, and ends. Messages
//! that need the user's decision go to the session of the page that is open.

use std::future::pending;
use std::pin::Pin;

use protocol::client::{Config, Event};
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

/// A closed page that left something, and its lock.
#[derive(Debug)]
pub struct Found {
    page: PageId,
    lock: Lock,
}

type Looking = Pin<Box<dyn Future<Output = Option<Found>>>>;

/// The next step of the search or of an heir's session.
#[derive(Debug)]
pub enum Step {
    /// The search found a closed page, or none.
    Looked(Option<Found>),
    /// An event for the session of such a page.
    Event(BrowserEvent),
}

enum State {
    Idle,
    Looking(Looking),
    /// The session of a closed page is continued.
    Heir {
        driver: Box<Driver<Browser>>,
        queue: Queue,
    },
}

/// Looks for closed pages, and continues their sessions.
pub struct Heirs {
    /// None where there are no locks: without them a closed page cannot be recognised.
    locks: Option<Locks>,
    options: Options,
    window: Window,
    own: Option<PageId>,
    page: Page,
    state: State,
    /// How many pages were taken up.
    count: u64,
    /// The messages that the page was rendered with: some may be of a closed page's outbox.
    shown: Vec<Message>,
    _heard: Option<Listener>,
}

impl Heirs {
    /// Looks for other pages than the browser's own, and reports the fates of their messages to `page`.
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

    /// Begins to look, unless a search or a session is under way.
    pub fn look(&mut self) {
        if let Some(locks) = &self.locks
            && matches!(self.state, State::Idle)
        {
            let area = BrowserArea::shared(&self.options.prefix);
            let looking = find(self.window.clone(), area, locks.clone(), self.own.clone());
            self.state = State::Looking(Box::pin(looking));
        }
    }

    /// The next step; never one while nothing is under way.
    pub async fn next(&mut self) -> Step {
        match &mut self.state {
            State::Idle => pending().await,
            State::Looking(looking) => Step::Looked(looking.await),
            State::Heir { queue, .. } => Step::Event(queue.next().await),
        }
    }

    /// Takes a step. `name`: the user's name.
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

    /// Takes a command of the page that concerns all of its sessions.
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

    /// When nothing is left to send, hands the rest to the page's own session, and looks for the
    /// next page. Messages for which it has no room now are offered again.
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
                // The page shows the status of its own connection only.
                _ => return,
            };
            (told.borrow_mut())(report);
        });
        let session = browser.session(config, stored);
        let mut driver = Box::new(Driver::new(session, browser, report));
        if let Some(name) = name {
            let name = name.clone();
            driver.command(Command::Rename { name });
        }
        driver.start();
        driver.seen(self.shown.clone());
        Some(State::Heir { driver, queue })
    }
}

/// Finds a closed page that left something, with patience for pages that are only being reloaded. It
/// looks again for as long as another page has messages on their way: that page may crash without notice.
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
