//! The feed: what happened last to sessions and to the server, for the operator.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::close::CloseCode;
use protocol::id::{ConnectionId, Name, NodeName, SessionId};

use crate::clock::unix_ms;
use crate::metrics::Cause;

/// The most events that are kept: what an operator still reads. Of an event only ids and a name are kept, at most 400
/// bytes, so this is at most 80 kB.
pub const FEED_EVENTS: usize = 200;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Its number: it counts all that happened since the server began, from 1.
    pub number: u64,
    /// When, as Unix time in milliseconds.
    pub at_ms: u64,
    /// What.
    pub what: What,
    /// To which client; `None` for what concerns the server.
    pub whom: Option<Whom>,
}

/// The client that something happened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whom {
    /// Its session, once it has one.
    pub session: Option<SessionId>,
    /// Its connection.
    pub connection: ConnectionId,
    /// Its name.
    pub name: Option<Name>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A session was opened.
    Opened,
    /// A session was resumed; this is how its connection before had ended.
    Resumed(Cause),
    /// A session was opened, as the one that the client had could not be resumed.
    NotResumed,
    /// A connection ended.
    Ended(CloseCode),
    /// An operator closed a connection so that its client reconnects.
    Reconnected,
    /// An operator closed a connection so that its client stays away.
    Removed,
    /// The server drains.
    Drain,
    /// Another node of the cluster is live.
    NodeUp(NodeName),
    /// Another node of the cluster is not live any more.
    NodeDown(NodeName),
}

/// The newest of what happened, at most [`FEED_EVENTS`].
#[derive(Debug, Default)]
pub struct Feed(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    newest: VecDeque<Arc<Happening>>,
    /// How many there were in all.
    count: u64,
}

impl Feed {
    /// Notes something that happens now. Those that a stranger can cause are noted where the journal has a line, too: so
    /// the bound for each address, [`LimitsConfig::session_lines`](crate::limits::LimitsConfig::session_lines), holds
    /// here as well.
    pub fn note(&self, what: What, whom: Option<Whom>) {
        let at_ms = unix_ms();
        let mut kept = self.0.lock();
        kept.count += 1;
        let happening = Happening {
            number: kept.count,
            at_ms,
            what,
            whom,
        };
        if kept.newest.len() == FEED_EVENTS {
            kept.newest.pop_back();
        }
        kept.newest.push_front(Arc::new(happening));
    }

    /// What is kept, the newest first.
    pub fn newest(&self) -> Vec<Arc<Happening>> {
        self.0.lock().newest.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let feed = Feed::default();
        for n in 0..=FEED_EVENTS as u64 {
            let whom = Whom {
                session: None,
                connection: ConnectionId::new(n),
                name: None,
            };
            feed.note(What::Ended(CloseCode::NORMAL), Some(whom));
        }
        let newest = feed.newest();
        assert_eq!(newest.len(), FEED_EVENTS);
        assert_eq!(newest[0].number, FEED_EVENTS as u64 + 1);
        assert_eq!(newest[FEED_EVENTS - 1].number, 2);
    }
}
