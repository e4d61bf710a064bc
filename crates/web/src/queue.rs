//! The queue of facts between the browser's callbacks and the driver.
//!
//! A callback does nothing but push. It therefore never meets the machine half-way through
//! something else, and facts of an older connection are recognised by its id (PU-3).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use protocol::client::{Network, NoToken};
use protocol::close::CloseCode;
use protocol::id::{ConnectionId, Token};
use view::Fault;

/// How many facts may wait. The driver runs after every single callback, so usually one waits;
/// a queue this long means that the driver cannot keep up.
pub const LIMIT: usize = 1024;

/// A fact that a callback of the browser reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrowserEvent {
    /// A connection is open.
    Opened {
        /// Which one.
        id: ConnectionId,
    },
    /// A connection brought text.
    Text {
        /// Which one.
        id: ConnectionId,
        /// As it came.
        text: String,
    },
    /// A connection brought something else than text.
    Binary {
        /// Which one.
        id: ConnectionId,
    },
    /// A connection is closed, or could not be opened.
    Closed {
        /// Which one.
        id: ConnectionId,
        /// The code, where one came.
        code: Option<CloseCode>,
    },
    /// The browser, or an extension in it, forbids the page every connection.
    Forbidden,
    /// The page or its network changed.
    Page(Network),
    /// The page cannot be seen any more. Its timers ring late from now on; the session has nothing to do.
    Hidden,
    /// The timer fired, perhaps long after its time.
    Timer,
    /// Another page of this browser changed the storage that they share.
    Shared,
    /// The answer to a fetch of a token.
    Token(Result<Token, NoToken>),
    /// An observer came.
    Observed,
    /// An observer causes a fault.
    Fault(Fault),
}

impl BrowserEvent {
    /// The connection that it is about.
    pub const fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Opened { id }
            | Self::Text { id, .. }
            | Self::Binary { id }
            | Self::Closed { id, .. } => Some(*id),
            Self::Forbidden
            | Self::Page(_)
            | Self::Hidden
            | Self::Timer
            | Self::Shared
            | Self::Token(_)
            | Self::Observed
            | Self::Fault(_) => None,
        }
    }
}

/// A handle on the queue; clones share it. Callbacks push, the driver alone waits.
#[derive(Clone, Debug, Default)]
pub struct Queue(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<BrowserEvent>,
    driver: Option<Waker>,
}

impl Queue {
    /// Pushes a fact for the driver.
    ///
    /// Overflow: the newest connection counts as lost. Its facts in the queue are dropped as a whole, never
    /// in part, and the resume that follows gets its messages again (RS-5).
    pub fn push(&self, event: BrowserEvent) {
        let driver = {
            let mut inner = self.0.borrow_mut();
            if inner.waiting.len() >= LIMIT {
                inner.lose_connection();
            }
            inner.waiting.push_back(event);
            inner.driver.take()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Waits for the next fact.
    pub async fn next(&self) -> BrowserEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next fact, if one waits.
    pub fn try_next(&self) -> Option<BrowserEvent> {
        self.0.borrow_mut().waiting.pop_front()
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<BrowserEvent> {
        let mut inner = self.0.borrow_mut();
        match inner.waiting.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                inner.driver = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Inner {
    fn lose_connection(&mut self) {
        let newest = self
            .waiting
            .iter()
            .filter_map(BrowserEvent::connection)
            .max();
        self.waiting.retain(|event| event.connection().is_none());
        self.waiting
            .extend(newest.map(|id| BrowserEvent::Closed { id, code: None }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(id: u64) -> BrowserEvent {
        BrowserEvent::Text {
            id: ConnectionId::new(id),
            text: "{}".into(),
        }
    }

    #[test]
    fn facts_come_out_in_the_order_in_which_they_came_in() {
        let queue = Queue::default();
        queue.push(BrowserEvent::Opened {
            id: ConnectionId::new(1),
        });
        queue.push(BrowserEvent::Timer);
        assert_eq!(
            queue.try_next(),
            Some(BrowserEvent::Opened {
                id: ConnectionId::new(1)
            })
        );
        assert_eq!(queue.try_next(), Some(BrowserEvent::Timer));
        assert_eq!(queue.try_next(), None);
    }

    /// PU-4: an overflow loses the connection, not a frame.
    #[test]
    fn overflow_loses_the_connection_as_a_whole() {
        let queue = Queue::default();
        queue.push(BrowserEvent::Timer);
        for _ in 1..LIMIT {
            queue.push(text(7));
        }
        queue.push(text(7));
        let left: Vec<_> = std::iter::from_fn(|| queue.try_next()).collect();
        let lost = BrowserEvent::Closed {
            id: ConnectionId::new(7),
            code: None,
        };
        assert_eq!(left, [BrowserEvent::Timer, lost, text(7)]);
    }
}
