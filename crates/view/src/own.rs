//! The page's own sessions.

use protocol::client::Event;
use protocol::id::SessionId;

use crate::Report;

/// How many of its own sessions a page remembers; the oldest is forgotten first. A page has one, and
/// gets another only when that cannot be resumed.
const SESSIONS_MAX: usize = 32;

/// The sessions that this page has or had, the current one last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own(Vec<SessionId>);

impl Own {
    /// Folds a report. Returns whether the set or the current session changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        if let Report::TakenUp {
            session: Some(session),
            ..
        } = report
        {
            return self.inherit(session);
        }
        let (Report::Restored {
            session: Some(session),
            ..
        }
        | Report::Event(Event::Welcomed { session, .. })) = report
        else {
            return false;
        };
        if self.current() == Some(session) {
            return false;
        }
        self.0.retain(|own| own != session);
        self.make_room();
        self.0.push(session.clone());
        true
    }

    /// Adds a closed page's session to the page's own, but not as the current one.
    fn inherit(&mut self, session: &SessionId) -> bool {
        let is_new = !self.contains(session);
        if is_new {
            self.make_room();
            self.0.insert(0, session.clone());
        }
        is_new
    }

    fn make_room(&mut self) {
        if self.0.len() == SESSIONS_MAX {
            self.0.remove(0);
        }
    }

    /// Whether the session is or was this page's.
    pub fn contains(&self, session: &SessionId) -> bool {
        self.0.contains(session)
    }

    /// The session that the page has now.
    pub fn current(&self) -> Option<&SessionId> {
        self.0.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{session, welcomed};

    #[test]
    fn earlier_sessions_stay_ones_own() {
        let mut own = Own::default();
        assert!(own.fold(&Report::Restored {
            session: Some(session("a")),
            outbox: Vec::new()
        }));
        assert!(!own.fold(&welcomed("a")));
        assert!(own.fold(&welcomed("b")));
        assert_eq!(own.current(), Some(&session("b")));
        assert!(own.contains(&session("a")) && !own.contains(&session("c")));
        let taken_up = Report::TakenUp {
            session: Some(session("d")),
            outbox: Vec::new(),
        };
        assert!(own.fold(&taken_up) && !own.fold(&taken_up));
        assert_eq!(own.current(), Some(&session("b")));
        assert!(own.contains(&session("d")));
    }

    #[test]
    fn the_set_is_bounded() {
        let mut own = Own::default();
        for number in 0..100 {
            own.fold(&welcomed(&format!("s{number}")));
        }
        assert_eq!(own.0.len(), SESSIONS_MAX);
        assert_eq!(own.current(), Some(&session("s99")));
    }
}
