//! A connection's mailbox: the marks by which the rest of the server wakes its task. It is no queue.

use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use protocol::id::RoomName;
use protocol::server::Slot;

use super::inspect::Question;

/// The marks of one connection. However often a room changes, it is marked once: a slow task costs no
/// more than its rooms.
#[derive(Debug, Default)]
pub struct Mailbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    marks: Marks,
    /// The task's waker, while it waits.
    waiting: Option<Waker>,
}

/// The marks since the task looked last.
#[derive(Debug, Default)]
pub struct Marks {
    /// The rooms that changed, by name: the task holds those that it is in.
    pub moved: Vec<RoomName>,
    /// Another connection resumed the session.
    pub taken_over: bool,
    /// The server drains; the slot to reconnect in. Boxed, as it comes once in a connection's life.
    pub go_away: Option<Box<Slot>>,
    /// An operator closes the connection.
    pub disconnected: bool,
    /// The connection is closed so that its client reconnects: the server ends now, or an operator wants it.
    pub shut_down: bool,
    /// The session began or ceased to be watched.
    pub retrace: bool,
    /// An operator asks for the state of the connection.
    pub asked: Option<Question>,
}

impl Marks {
    fn is_empty(&self) -> bool {
        let Self {
            moved,
            taken_over,
            go_away,
            disconnected,
            shut_down,
            retrace,
            asked,
        } = self;
        let is_ended = *taken_over || *disconnected || *shut_down;
        moved.is_empty() && !is_ended && go_away.is_none() && !retrace && asked.is_none()
    }
}

impl Mailbox {
    /// Ready if there are marks; otherwise wakes the task at the next one.
    pub fn poll_marked(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.marks.is_empty() {
            return Poll::Ready(());
        }
        match &mut state.waiting {
            Some(waiting) => waiting.clone_from(cx.waker()),
            waiting @ None => *waiting = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes the marks.
    pub fn take(&self) -> Marks {
        std::mem::take(&mut self.state.lock().marks)
    }

    pub(super) fn moved(&self, room: &RoomName) {
        self.mark(|marks| {
            if !marks.moved.contains(room) {
                marks.moved.push(room.clone());
            }
        });
    }

    pub(super) fn take_over(&self) {
        self.mark(|marks| marks.taken_over = true);
    }

    pub(super) fn go_away(&self, slot: Slot) {
        self.mark(|marks| marks.go_away = Some(Box::new(slot)));
    }

    pub(super) fn disconnect(&self) {
        self.mark(|marks| marks.disconnected = true);
    }

    pub(super) fn retrace(&self) {
        self.mark(|marks| marks.retrace = true);
    }

    pub(super) fn ask(&self, asked: Question) {
        self.mark(|marks| marks.asked = Some(asked));
    }

    pub(super) fn shut_down(&self) {
        self.mark(|marks| marks.shut_down = true);
    }

    fn mark(&self, set: impl FnOnce(&mut Marks)) {
        let mut state = self.state.lock();
        set(&mut state.marks);
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
