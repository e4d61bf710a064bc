//! The users of a room's members: which sessions are one user's.

use std::collections::BTreeMap;

use crate::access::Subject;
use crate::id::{Name, SessionId};

/// The users of members, as far as they are known, each with a number that says nothing of its subject (PR-4). A user
/// under two names has two: readers learn no more than that two members of one name are the same.
#[derive(Debug, Default)]
pub(super) struct Users {
    users: BTreeMap<(Subject, Name), User>,
    of: BTreeMap<SessionId, (Subject, Name)>,
    last: u32,
}

#[derive(Debug)]
struct User {
    number: u32,
    /// How many members are this user's.
    sessions: usize,
}

impl Users {
    /// The number of a member's user.
    pub(super) fn of(&self, session: &SessionId) -> Option<u32> {
        let user = self.users.get(self.of.get(session)?)?;
        Some(user.number)
    }

    /// A member's user, where it is known, and its name.
    pub(super) fn set(&mut self, session: &SessionId, user: Option<&Subject>, name: &Name) {
        let user = user.map(|user| (user.clone(), name.clone()));
        if self.of.get(session) == user.as_ref() {
            return;
        }
        self.forget(session);
        if let Some(user) = user {
            self.of.insert(session.clone(), user.clone());
            let user = self.users.entry(user).or_insert_with(|| {
                // Numbers of a room that saw so many users may be in use again.
                self.last = self.last.wrapping_add(1);
                User {
                    number: self.last,
                    sessions: 0,
                }
            });
            user.sessions += 1;
        }
    }

    /// A member has another name.
    pub(super) fn rename(&mut self, session: &SessionId, name: &Name) {
        if let Some((user, _)) = self.of.get(session).cloned() {
            self.set(session, Some(&user), name);
        }
    }

    /// The member left, or is at another node now.
    pub(super) fn forget(&mut self, session: &SessionId) {
        let Some(user) = self.of.remove(session) else {
            return;
        };
        if let Some(known) = self.users.get_mut(&user) {
            known.sessions = known.sessions.saturating_sub(1);
            if known.sessions == 0 {
                self.users.remove(&user);
            }
        }
    }
}
