//! The drafts of a room's members.

use std::collections::BTreeMap;

use crate::id::SessionId;

/// The drafts of one room, each with the version at which it changed last.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    of: BTreeMap<SessionId, Draft>,
    /// The session of each draft by the version at which it changed: new ones are found without a look at all.
    order: BTreeMap<u64, SessionId>,
    /// The bytes of all texts.
    bytes: usize,
}

/// The text of one member's input box. A cleared one is kept for readers that have not got it yet.
#[derive(Debug)]
pub(super) struct Draft {
    version: u64,
    pub(super) body: String,
    /// The author's last number when the text was typed; 0 for none. A message with a later one ends the draft (PR-2).
    pub(super) after: u64,
    /// The author published since: other nodes are not told of it, as they may have shown that message already.
    pub(super) is_published: bool,
}

impl Drafts {
    pub(super) fn get(&self, session: &SessionId) -> Option<&Draft> {
        self.of.get(session)
    }

    pub(super) fn get_mut(&mut self, session: &SessionId) -> Option<&mut Draft> {
        self.of.get_mut(session)
    }

    /// Sets a draft, at a version of its own.
    pub(super) fn set(&mut self, version: u64, session: &SessionId, body: String, after: u64) {
        self.remove(session);
        self.bytes += body.len();
        let draft = Draft {
            version,
            body,
            after,
            is_published: false,
        };
        self.of.insert(session.clone(), draft);
        self.order.insert(version, session.clone());
    }

    /// Removes a draft without announcing it, and returns it.
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

    /// The drafts that changed after `version`, oldest first, each with its version.
    pub(super) fn since(&self, version: u64) -> impl Iterator<Item = (u64, (&SessionId, &str))> {
        let changed = self.order.range(version.saturating_add(1)..);
        changed.filter_map(|(at, session)| Some((*at, self.entry(session)?)))
    }

    /// The drafts that are not empty, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&SessionId, &str)> {
        let all = self.order.values().rev();
        all.filter_map(|session| self.entry(session))
            .filter(|(_, body)| !body.is_empty())
    }

    fn entry<'a>(&'a self, session: &'a SessionId) -> Option<(&'a SessionId, &'a str)> {
        Some((session, &self.of.get(session)?.body))
    }
}
