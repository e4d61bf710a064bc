//! What stands in the input boxes of a room's members.

use std::collections::BTreeMap;

use crate::id::SessionId;

/// The drafts of one room, each with the version at which it changed last.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    of: BTreeMap<SessionId, Draft>,
    /// Whose draft changed at which version: what is new is found without a look at all.
    order: BTreeMap<u64, SessionId>,
    /// The bytes of all texts.
    bytes: usize,
}

/// One member's input box. Cleared, it is kept, for readers who have yet to hear of it.
#[derive(Debug)]
pub(super) struct Draft {
    version: u64,
    pub(super) body: String,
    /// Its message is on the way to the log: the draft goes when the message shows (PR-2).
    pub(super) published: bool,
}

impl Drafts {
    pub(super) fn get(&self, session: &SessionId) -> Option<&Draft> {
        self.of.get(session)
    }

    pub(super) fn get_mut(&mut self, session: &SessionId) -> Option<&mut Draft> {
        self.of.get_mut(session)
    }

    /// A draft changed, at a version of its own.
    pub(super) fn set(&mut self, version: u64, session: &SessionId, body: String) {
        self.remove(session);
        self.bytes += body.len();
        let draft = Draft {
            version,
            body,
            published: false,
        };
        self.of.insert(session.clone(), draft);
        self.order.insert(version, session.clone());
    }

    /// Forgets a draft and takes out what it was, without telling anybody.
    pub(super) fn remove(&mut self, session: &SessionId) -> Option<Draft> {
        let draft = self.of.remove(session)?;
        self.order.remove(&draft.version);
        self.bytes -= draft.body.len();
        Some(draft)
    }

    /// The bytes of all texts.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What changed after `version`, oldest first, each with its version.
    pub(super) fn since(&self, version: u64) -> impl Iterator<Item = (u64, (&SessionId, &str))> {
        let changed = self.order.range(version.saturating_add(1)..);
        changed.filter_map(|(at, session)| Some((*at, self.entry(session)?)))
    }

    /// What stands in input boxes that are not empty, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&SessionId, &str)> {
        let all = self.order.values().rev();
        all.filter_map(|session| self.entry(session))
            .filter(|(_, body)| !body.is_empty())
    }

    fn entry<'a>(&'a self, session: &'a SessionId) -> Option<(&'a SessionId, &'a str)> {
        Some((session, &self.of.get(session)?.body))
    }
}
