//! How the rest of the server speaks to a connection's task: marks, not queues.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::lock;
use super::room::Room;

/// Marks for one connection. However often a room moves, it is marked once: a slow task costs no
/// more than its rooms.
#[derive(Debug, Default)]
pub struct Mailbox {
    marks: Mutex<Marks>,
    notify: Notify,
}

/// What happened since the task looked last.
#[derive(Debug, Default)]
pub struct Marks {
    /// Rooms that moved.
    pub moved: Vec<Arc<Room>>,
    /// Another connection resumed the session.
    pub taken_over: bool,
    /// The server will go; the slot to come back in.
    pub go_away: Option<Duration>,
    /// The server goes now.
    pub shut_down: bool,
}

impl Mailbox {
    /// Waits until there is something new. May return once too often.
    pub async fn marked(&self) {
        self.notify.notified().await;
    }

    /// Takes what is new.
    pub fn take(&self) -> Marks {
        std::mem::take(&mut lock(&self.marks))
    }

    pub(super) fn moved(&self, room: &Arc<Room>) {
        let mut marks = lock(&self.marks);
        if marks.moved.iter().any(|marked| Arc::ptr_eq(marked, room)) {
            return;
        }
        marks.moved.push(Arc::clone(room));
        drop(marks);
        self.notify.notify_one();
    }

    pub(super) fn take_over(&self) {
        self.mark(|marks| marks.taken_over = true);
    }

    pub(super) fn go_away(&self, slot: Duration) {
        self.mark(|marks| marks.go_away = Some(slot));
    }

    pub(super) fn shut_down(&self) {
        self.mark(|marks| marks.shut_down = true);
    }

    fn mark(&self, set: impl FnOnce(&mut Marks)) {
        set(&mut lock(&self.marks));
        self.notify.notify_one();
    }
}
