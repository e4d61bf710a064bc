//! The loop of the page: its own session, and at most one of a closed page (RS-8).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use futures_channel::mpsc::Receiver;
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, Either, select};
use protocol::client::Network;
use view::{Command, Report};
use wasm_bindgen_futures::spawn_local;

use crate::browser::Browser;
use crate::clock::Timer;
use crate::driver::Driver;
use crate::heirs::{Heirs, Step};
use crate::options::Options;
use crate::queue::{BrowserEvent, Queue};

/// Takes the reports of a session, in order, on the page's thread.
pub type Reporter = Box<dyn FnMut(Report)>;

/// Ends the session's driver when called: it releases its socket, timers and listeners.
pub type Stop = Box<dyn FnOnce() + Send + Sync>;

thread_local! {
    /// Whether the loop is within a step. An exception of the browser does not unwind: it leaves the
    /// step half done, and no other step begins.
    static IS_STEPPING: Cell<bool> = const { Cell::new(false) };
}

/// Whether an exception of the browser ended the driver: a step of its loop was begun and never ended. Only to
/// be called from outside of the loop.
pub fn is_broken() -> bool {
    IS_STEPPING.get()
}

/// Drives a session for the page until it is stopped or `commands` ends.
pub fn start(options: Options, commands: Receiver<Command>, report: Reporter) -> Stop {
    let (handle, registration) = AbortHandle::new_pair();
    let mut driving = Box::pin(Abortable::new(run(options, commands, report), registration));
    // Stopped or at its end: either way everything that it owned is dropped then.
    spawn_local(poll_fn(move |context| {
        IS_STEPPING.set(true);
        let step = driving.as_mut().poll(context);
        IS_STEPPING.set(false);
        step.map(drop)
    }));
    Box::new(move || handle.abort())
}

/// The reporter of both sessions.
pub(crate) type Page = Rc<RefCell<Reporter>>;

/// An event for which the loop waits.
enum Fact {
    Command(Option<Command>),
    Browser(BrowserEvent),
    Heir(Step),
}

async fn run(options: Options, mut commands: Receiver<Command>, report: Reporter) {
    let queue = Queue::default();
    let inspect = options.inspect.clone();
    inspect.attach(&queue);
    let Some(mut browser) = Browser::find(queue.clone(), options) else {
        return;
    };
    let stored = browser.restore().await;
    let page: Page = Rc::new(RefCell::new(report));
    let mut heirs = Heirs::new(&browser, page.clone());
    let config = browser.config();
    let window = browser.window().clone();
    let report = Box::new(move |report: Report| (page.borrow_mut())(report));
    let session = browser.session(config, stored);
    let mut driver = Driver::new(session, browser, report).inspected_by(inspect);
    driver.start();
    heirs.look();
    loop {
        if let Some(rest) = driver.take_sleep() {
            Timer::sleep(&window, rest).await;
        }
        match next(&mut commands, &queue, &mut heirs).await {
            Fact::Command(Some(command)) => {
                heirs.command(&command);
                driver.command(command);
            }
            // The application has ended.
            Fact::Command(None) => return,
            Fact::Browser(BrowserEvent::Shared) => heirs.look(),
            Fact::Browser(event) => {
                if event == BrowserEvent::Page(Network::Visible) {
                    heirs.look();
                }
                driver.handle(event);
            }
            Fact::Heir(step) => heirs.step(step, driver.name()),
        }
        heirs.hand_over(&mut driver);
    }
}

async fn next(commands: &mut Receiver<Command>, queue: &Queue, heirs: &mut Heirs) -> Fact {
    let event = pin!(queue.next());
    let step = pin!(heirs.next());
    match select(commands.next(), select(event, step)).await {
        Either::Left((command, _)) => Fact::Command(command),
        Either::Right((Either::Left((event, _)), _)) => Fact::Browser(event),
        Either::Right((Either::Right((step, _)), _)) => Fact::Heir(step),
    }
}
