//! The lock of a tab's storage: the page that holds this Web Lock owns it (RS-8).
//!
//! `web_sys` has these locks only behind a compiler flag; the one method that is needed is bound
//! here.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, Window};

use crate::clock::Timer;
use crate::storage::PageId;

#[wasm_bindgen]
extern "C" {
    /// The browser's `navigator.locks`.
    #[derive(Clone, Debug)]
    type LockManager;

    #[wasm_bindgen(method, catch)]
    fn request(
        this: &LockManager,
        name: &str,
        options: &Object,
        granted: &Function,
    ) -> Result<Promise, JsValue>;
}

/// The Web Locks of pages: those whose names begin with a prefix.
#[derive(Clone, Debug)]
pub struct Locks {
    manager: LockManager,
    prefix: Rc<str>,
}

impl Locks {
    /// The window's locks; `None` in old browsers and on insecure pages.
    pub fn of(window: &Window, prefix: &Rc<str>) -> Option<Self> {
        let locks = Reflect::get(&window.navigator(), &JsValue::from_str("locks")).ok()?;
        let prefix = prefix.clone();
        locks.is_object().then(|| Self {
            manager: locks.unchecked_into(),
            prefix,
        })
    }
}

/// The exclusive lock on what is stored under a page's id, or a place in the queue for it. Its drop
/// releases it.
#[derive(Debug)]
pub struct Lock {
    release: Function,
    abort: AbortController,
}

/// The owner of the storage.
#[derive(Debug)]
pub enum Claim {
    /// This page.
    Ours(Lock),
    /// Another page: this page has a copy.
    Elsewhere,
    /// Unknown; the server's takeover rule remains (RS-4).
    Unknown,
}

/// How to treat the requests before this one.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// Get the lock now or not at all.
    Skip,
    /// Wait in the queue for it.
    Wait,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Granted,
    Taken,
}

impl Lock {
    /// Requests a page's lock, and keeps it until dropped. `None` where locks do not work.
    pub fn request(locks: &Locks, page: &PageId) -> Option<Self> {
        Self::ask(locks, page, Line::Wait).map(|(lock, _)| lock)
    }

    /// Finds out whether the storage is this page's, with this much patience: after a reload the
    /// page before may still be releasing it.
    ///
    /// Patience counts from the browser's answer that the lock is taken, not from the request: the slow
    /// answer of a busy browser must not pass for another page.
    pub async fn claim(locks: &Locks, window: &Window, page: &PageId, patience: Duration) -> Claim {
        let Some((lock, answer)) = Self::ask(locks, page, Line::Skip) else {
            return Claim::Unknown;
        };
        match within(window, ANSWER_TIMEOUT, answer).await {
            Some(Ok(Answer::Granted)) => return Claim::Ours(lock),
            Some(Ok(Answer::Taken)) => {}
            Some(Err(oneshot::Canceled)) | None => return Claim::Unknown,
        }
        let Some((lock, answer)) = Self::ask(locks, page, Line::Wait) else {
            return Claim::Unknown;
        };
        match within(window, patience, answer).await {
            Some(Ok(Answer::Granted)) => Claim::Ours(lock),
            Some(Ok(Answer::Taken)) | None => Claim::Elsewhere,
            Some(Err(oneshot::Canceled)) => Claim::Unknown,
        }
    }

    /// Gets the lock of a closed page; `None` if it is not closed, or if that is unknown.
    pub async fn claim_free(locks: &Locks, window: &Window, page: &PageId) -> Option<Self> {
        let (lock, answer) = Self::ask(locks, page, Line::Skip)?;
        let answer = within(window, ANSWER_TIMEOUT, answer).await;
        matches!(answer, Some(Ok(Answer::Granted))).then_some(lock)
    }

    /// Requests a lock. The answer is cancelled if the browser rejects the request.
    fn ask(locks: &Locks, page: &PageId, line: Line) -> Option<(Self, oneshot::Receiver<Answer>)> {
        let abort = AbortController::new().ok()?;
        let options = Object::new();
        // The browser takes one of the two only.
        let (option, value) = match line {
            Line::Skip => ("ifAvailable", JsValue::TRUE),
            Line::Wait => ("signal", abort.signal().into()),
        };
        Reflect::set(&options, &JsValue::from_str(option), &value).ok()?;
        let mut release = None;
        // The browser keeps the lock for this page until the promise is resolved.
        let held = Promise::new(&mut |resolve, _| release = Some(resolve));
        let (tell, answer) = oneshot::channel();
        let callback = Closure::once(move |lock: JsValue| -> Promise {
            // Fails where no answer is awaited, as with a lock that is only to be kept.
            let _ = tell.send(if lock.is_null() {
                Answer::Taken
            } else {
                Answer::Granted
            });
            held
        });
        let name = format!("{}page.{}", locks.prefix, page.0);
        let over = locks
            .manager
            .request(&name, &options, callback.as_ref().unchecked_ref())
            .ok()?;
        spawn_local(async move {
            // Until the request has ended the browser may call back. An aborted or rejected one has ended, too.
            let _ = JsFuture::from(over).await;
            drop(callback);
        });
        let lock = Self {
            release: release?,
            abort,
        };
        Some((lock, answer))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One of the two applies: a lock that is held is released, a request in the queue is
        // withdrawn. A promise's resolving function does not throw.
        let _ = self.release.call0(&JsValue::UNDEFINED);
        self.abort.abort();
    }
}

/// The answer, or `None` if it takes longer than `limit`.
async fn within(
    window: &Window,
    limit: Duration,
    answer: oneshot::Receiver<Answer>,
) -> Option<Result<Answer, oneshot::Canceled>> {
    match select(answer, pin!(Timer::sleep(window, limit))).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(_) => None,
    }
}

/// How long the browser may take to answer at all. A page without a lock is better than none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
