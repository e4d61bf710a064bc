//! Presence over several nodes: what nodes publish of a room's members, and what they hear.

#[cfg(test)]
use std::collections::BTreeMap;

use super::roster::{Effect, HearError, Own, Roster};
use super::{Place, Presence};
#[cfg(test)]
use crate::id::SessionId;
use crate::id::{Life, NodeName};
use crate::time::Timestamp;

impl Presence {
    /// Makes this the presence of a room that a node among several opens now. It knows no other node yet
    /// ([`Presence::node_up`]).
    #[must_use]
    pub fn on_node(self, now: Timestamp, node: NodeName, life: Life) -> Self {
        let roster = Some(Box::new(Roster::new(now, node, life)));
        Self { roster, ..self }
    }

    /// When this node, one of several, opened the room: what the others have is known some round trips later.
    pub fn opened_at(&self) -> Option<Timestamp> {
        self.roster.as_ref().map(|roster| roster.opened_at())
    }

    /// The next message for the other nodes that have the room open, if one is due. To be called until there is none:
    /// after each change, each message that was heard, and at [`Presence::poll_timeout`].
    pub fn tell(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        let now = self.latest.advance(now);
        let own = Own {
            members: &self.members,
            drafts: &self.drafts,
        };
        self.roster.as_mut()?.tell(now, own)
    }

    /// Takes a message of another node about this room; it may come late, twice, or out of order. One of a node that
    /// is not alive changes nothing.
    ///
    /// # Errors
    /// [`HearError`]; nothing has changed then.
    pub fn hear(&mut self, now: Timestamp, message: &[u8]) -> Result<(), HearError> {
        let now = self.latest.advance(now);
        if let Some(roster) = &mut self.roster {
            let effects = roster.hear(now, message)?;
            self.follow(now, effects);
        }
        Ok(())
    }

    /// Another node is alive, by its lease.
    pub fn node_up(&mut self, now: Timestamp, node: &NodeName) {
        let now = self.latest.advance(now);
        if let Some(roster) = &mut self.roster {
            roster.node_up(now, node);
        }
    }

    /// Another node's lease ended: its members are away (PR-1), and their drafts end.
    pub fn node_down(&mut self, now: Timestamp, node: &NodeName) {
        let now = self.latest.advance(now);
        if let Some(roster) = &mut self.roster {
            let effects = roster.node_down(node);
            self.follow(now, effects);
        }
    }

    fn follow(&mut self, now: Timestamp, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Put(session, name) => self.put(now, session, name, Place::Remote),
                Effect::Lose(session) => {
                    let here = self.members.get(&session);
                    if here.is_some_and(|here| matches!(here.place, Place::Remote)) {
                        self.send_away(now, &session);
                    }
                }
                Effect::End(session) => self.end(now, &session),
                Effect::Draft(session, body, after) => self.set_draft(&session, body, after),
            }
        }
    }

    /// Which node has each member; `None` where that is gone.
    #[cfg(test)]
    pub(super) fn by_node(&self) -> BTreeMap<SessionId, Option<NodeName>> {
        let roster = self.roster.as_ref();
        roster.map(|roster| roster.by_node()).unwrap_or_default()
    }
}
