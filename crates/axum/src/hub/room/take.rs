//! What a room has for a reader: messages of its tail, then what changed beside them.

use std::sync::Arc;

use protocol::position::Offset;
use protocol::presence::Changes;
use protocol::server::Pull;

use super::{Changed, Entry, Room, State};
use crate::log::PAGE_BYTES;

/// The most bytes that a reader takes from the tail at once: as many as a page of the log has.
const TAKE_BYTES: usize = PAGE_BYTES as usize;

/// The answer of a room to a reader's pull.
#[derive(Clone, Debug)]
pub enum Taken<T> {
    /// What to write; the reader then has everything up to `through` and `version`.
    Entries {
        /// What was picked of the messages, in order.
        messages: Vec<T>,
        /// Drafts, members and redactions, once the reader has all messages.
        changes: Arc<[Entry]>,
        /// The offset of the last message.
        through: Offset,
        /// The last version of drafts, members and redactions.
        version: u64,
        /// The bytes of the messages.
        bytes: usize,
    },
    /// The messages are no longer in the tail: read the log.
    InLog,
    /// The room no longer knows the changes since then: the reader takes a new view.
    CutOff,
}

impl Room {
    /// What the room has for a reader after its cursor. `pick` makes of a message what is to be written.
    pub fn take<T>(&self, pull: Pull, pick: impl Fn(&Entry) -> Option<T>) -> Taken<T> {
        let mut state = self.state.lock();
        let (mut messages, mut bytes) = (Vec::new(), 0);
        let mut through = pull.after;
        if pull.after < state.head {
            let Some(tail) = state.tail.after(pull.after) else {
                return Taken::InLog;
            };
            for entry in tail.take(pull.limit as usize) {
                let next = bytes + entry.frame.len();
                if next > TAKE_BYTES && through > pull.after {
                    break;
                }
                bytes = next;
                messages.extend(pick(entry));
                through = entry.offset;
            }
        }
        if through < state.head {
            let changes = Arc::from([]);
            return Taken::Entries {
                messages,
                changes,
                through,
                version: pull.since,
                bytes,
            };
        }
        match self.changes_since(&mut state, pull.since) {
            Some((changes, version)) => Taken::Entries {
                messages,
                changes,
                through,
                version,
                bytes,
            },
            None => Taken::CutOff,
        }
    }

    /// The changes after a version, and the version that they reach.
    fn changes_since(&self, state: &mut State, since: u64) -> Option<(Arc<[Entry]>, u64)> {
        // A view may be ahead of what is announced.
        let version = state.pace.announced().max(since);
        let is_same = |known: &&Changed| known.since == since && known.version == version;
        if let Some(known) = state.changes.as_ref().filter(is_same) {
            return Some((Arc::clone(&known.entries), known.through));
        }
        let Changes {
            members,
            drafts,
            until,
        } = state.presence.changes_between(since, version)?;
        let through = until.unwrap_or(version);
        let removed = state.redactions.since(since);
        let removed = removed.map(|message| Entry::message(message.clone()));
        let members = members.map(|changes| Entry::presence(&self.name, changes));
        let drafts = drafts
            .into_iter()
            .map(|author| Entry::draft(&self.name, author));
        let entries: Arc<[Entry]> = members.into_iter().chain(drafts).chain(removed).collect();
        state.changes = Some(Changed {
            since,
            version,
            bytes: entries.iter().map(Entry::bytes).sum(),
            entries: Arc::clone(&entries),
            through,
        });
        state.count_kept();
        Some((entries, through))
    }
}
