//! The page's loop: its own session, and at most one of a page that is gone (RS-8).

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use app::{Command, Report, Reporter, Stop};
use futures_channel::mpsc::Receiver;
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, Either, select};
use protocol::client::{Config, Network, Session};
use wasm_bindgen_futures::spawn_local;

use crate::browser::Browser;
use crate::driver::Driver;
use crate::heirs::{Heirs, Step};
use crate::queue::{Happening, Queue};

/// Drives a session for the page until stopped. What [`app::Connector`] is made of.
pub fn start(commands: Receiver<Command>, report: Reporter) -> Stop {
    let (handle, registration) = AbortHandle::new_pair();
    let driving = Abortable::new(run(commands, report), registration);
    spawn_local(async {
        // Stopped or at its end: either way everything that it owned is dropped here.
        let _ = driving.await;
    });
    Box::new(move || handle.abort())
}

/// Where both sessions tell what there is to tell.
pub(crate) type Page = Rc<RefCell<Reporter>>;

/// Something that the loop waits for.
enum Fact {
    Command(Option<Command>),
    Happening(Happening),
    Heir(Step),
}

async fn run(mut commands: Receiver<Command>, report: Reporter) {
    let queue = Queue::default();
    let Some(mut browser) = Browser::find(queue.clone()) else {
        return;
    };
    let stored = browser.restore().await;
    let page: Page = Rc::new(RefCell::new(report));
    let mut heirs = Heirs::new(&browser, page.clone());
    let config = Config {
        seed: Browser::seed(),
        fetches_tokens: browser.fetches_tokens(),
        ..Config::default()
    };
    let report = Box::new(move |report: Report| (page.borrow_mut())(report));
    let mut driver = Driver::new(Session::new(config, stored), browser, report);
    driver.start();
    heirs.look();
    loop {
        match next(&mut commands, &queue, &mut heirs).await {
            Fact::Command(Some(command)) => {
                if matches!(command, Command::Network(Network::Visible)) {
                    heirs.look();
                }
                heirs.command(&command);
                driver.command(command);
            }
            // The app is gone.
            Fact::Command(None) => return,
            Fact::Happening(Happening::Shared) => heirs.look(),
            Fact::Happening(happening) => driver.happening(happening),
            Fact::Heir(step) => heirs.step(step, driver.name()),
        }
        heirs.hand_over(&mut driver);
    }
}

async fn next(commands: &mut Receiver<Command>, queue: &Queue, heirs: &mut Heirs) -> Fact {
    let happening = pin!(queue.next());
    let step = pin!(heirs.next());
    match select(commands.next(), select(happening, step)).await {
        Either::Left((command, _)) => Fact::Command(command),
        Either::Right((Either::Left((happening, _)), _)) => Fact::Happening(happening),
        Either::Right((Either::Right((step, _)), _)) => Fact::Heir(step),
    }
}
