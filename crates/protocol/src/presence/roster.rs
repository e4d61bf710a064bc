//! A room's roster among several nodes: which node has which of its members, and what this node tells the others.
//!
//! Each node owns its members, connected or away, and tells the others of them: a change gets the next version, and
//! who misses one asks for all. A session is a member through its newest opening: where two nodes claim it, the higher
//! [`Generation`] wins, so that late news change nothing. No node tells of the members of another.

mod message;
mod peer;
mod telling;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use self::message::{HearError, MESSAGE_BYTES};
use self::message::{Message, News, Said};
use self::peer::{ASK_AGAIN, Peer};
pub(super) use self::telling::Own;
pub use self::telling::ROOM_BYTES_PER_S;
use self::telling::{Ending, Telling};
use crate::id::{Generation, Life, Name, NodeName, Seq, SessionId};
use crate::time::Timestamp;

/// Nodes that hear of another one ask it within this time, each room at a moment of its own: some 10,000 rooms ask.
const ASK_SPREAD_MS: u64 = 2_000;

/// How many messages are remembered for drafts that they overtake: as many as a busy room shows while a draft is on
/// its way.
const SHOWN_MAX: usize = 256;

/// Which node has which members of a room.
#[derive(Debug)]
pub(super) struct Roster {
    node: NodeName,
    life: Life,
    opened_at: Timestamp,
    claims: BTreeMap<SessionId, Claim>,
    /// How many members this node has.
    here: usize,
    /// The authors and numbers of the newest messages shown here, at most [`SHOWN_MAX`].
    shown: VecDeque<(SessionId, Seq)>,
    /// The other nodes that are alive.
    peers: BTreeMap<NodeName, Peer>,
    /// When each newcomer among them is asked, after it is met.
    spread: Duration,
    telling: Telling,
}

/// The newest that is known of a member.
#[derive(Clone, Debug)]
struct Claim {
    generation: Generation,
    /// The node that has it; `None` where that node is gone, or the member left it for another one.
    at: Option<NodeName>,
}

/// What is to change among a room's members.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// A member of another node, or its new name.
    Put(SessionId, Name),
    /// Its node is gone, or it is on the way to another one: it counts as away.
    Lose(SessionId),
    /// It left for good.
    End(SessionId),
    /// Its draft.
    Draft(SessionId, String, u64),
}

impl Claim {
    /// Whether this claim stands against one of that opening at that node. (No two nodes have the same opening; the
    /// node's name only makes all decide alike.)
    fn stands(&self, generation: Generation, node: &NodeName) -> bool {
        (self.generation, self.at.as_ref()) > (generation, Some(node))
    }

    fn is_at(&self, node: &NodeName) -> bool {
        self.at.as_ref() == Some(node)
    }
}

impl Roster {
    /// The roster of a room that is opened now.
    pub(super) fn new(now: Timestamp, node: NodeName, life: Life) -> Self {
        // Versions go on over all openings of a room in one life of a node: none tells more than one a microsecond.
        let micros = u64::try_from(now.since_origin().as_micros()).unwrap_or(u64::MAX);
        Self {
            node,
            life,
            opened_at: now,
            claims: BTreeMap::new(),
            here: 0,
            shown: VecDeque::new(),
            peers: BTreeMap::new(),
            spread: Duration::from_millis(micros % ASK_SPREAD_MS),
            telling: Telling::new(now, micros),
        }
    }

    /// When the room was opened.
    pub(super) const fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    /// Whether this node has no members, and nothing to tell.
    pub(super) fn is_idle(&self) -> bool {
        self.here == 0 && self.telling.is_done()
    }

    pub(super) fn is_here(&self, session: &SessionId) -> bool {
        let claim = self.claims.get(session);
        claim.is_some_and(|claim| claim.is_at(&self.node))
    }

    /// A session enters here. Returns false where it was opened elsewhere since.
    pub(super) fn enter(
        &mut self,
        session: &SessionId,
        generation: Generation,
        is_renamed: bool,
    ) -> bool {
        let is_news = match self.claims.get(session) {
            Some(claim) if claim.stands(generation, &self.node) => return false,
            Some(claim) => !claim.is_at(&self.node) || claim.generation != generation,
            None => true,
        };
        self.claim(session, generation, Some(self.node.clone()));
        if is_news || is_renamed {
            self.telling.member(session);
        }
        true
    }

    /// A member is gone from the room.
    pub(super) fn end(&mut self, session: &SessionId) {
        if let Some(claim) = self.claims.remove(session)
            && claim.is_at(&self.node)
        {
            self.here -= 1;
            let ending = Ending::Left(claim.generation);
            self.telling.ended(session, ending);
        }
    }

    /// A draft changed.
    pub(super) fn typed(&mut self, session: &SessionId) {
        if self.is_here(session) {
            self.telling.draft(session);
        }
    }

    /// A message of this number is shown.
    pub(super) fn shown(&mut self, session: &SessionId, seq: Seq) {
        self.shown.push_back((session.clone(), seq));
        if self.shown.len() > SHOWN_MAX {
            self.shown.pop_front();
        }
    }

    /// A node is alive: what it says counts from now on.
    pub(super) fn node_up(&mut self, now: Timestamp, node: &NodeName) {
        if *node != self.node && !self.peers.contains_key(node) {
            // A room that is just being opened asks all of them anyway.
            let wait = match self.telling.is_opened() {
                true => self.spread,
                false => ASK_AGAIN,
            };
            let peer = Peer::new(Some(now + wait));
            self.peers.insert(node.clone(), peer);
        }
    }

    /// A node is gone: its members are away.
    pub(super) fn node_down(&mut self, node: &NodeName) -> Vec<Effect> {
        self.peers.remove(node);
        self.lose(node, &BTreeSet::new())
    }

    /// Takes a message of another node.
    pub(super) fn hear(&mut self, now: Timestamp, bytes: &[u8]) -> Result<Vec<Effect>, HearError> {
        let Message {
            node,
            life,
            version,
            said,
        } = Message::decode(bytes)?;
        if node == self.node {
            return Ok(Vec::new());
        }
        if matches!(&said, Said::Opened) || matches!(&said, Said::Ask { of } if *of == self.node) {
            self.telling.all();
        }
        let Some(peer) = self.peers.get_mut(&node) else {
            return Ok(Vec::new());
        };
        let mut effects = match peer.lives(life) {
            None => return Ok(Vec::new()),
            Some(false) => Vec::new(),
            Some(true) => self.lose(&node, &BTreeSet::new()),
        };
        // It is among them, as before.
        let Some(peer) = self.peers.get_mut(&node) else {
            return Ok(effects);
        };
        let (news, is_all) = match said {
            Said::Opened if peer.is_newer(version) => (Some(News::default()), true),
            Said::Changed(news) if peer.is_next(version) => (Some(news), false),
            Said::All { part, parts, news } => (peer.gather(version, (part, parts), news), true),
            Said::Opened | Said::Changed(_) | Said::Ask { .. } | Said::Beat => (None, false),
        };
        let Some(news) = news else {
            peer.mentions(now, version);
            return Ok(effects);
        };
        peer.reached(now, version);
        match is_all {
            true => self.take_all(&node, news, &mut effects),
            false => self.take(&node, news, &mut effects),
        }
        Ok(effects)
    }

    /// Takes all members of another node: it has no others, and no other drafts.
    fn take_all(&mut self, node: &NodeName, news: News, effects: &mut Vec<Effect>) {
        let named = |(session, ..): &(SessionId, Generation, Name)| session.clone();
        let here: BTreeSet<_> = news.here.iter().map(named).collect();
        let typing: BTreeSet<_> = news.drafts.iter().map(|draft| draft.0.clone()).collect();
        self.take(node, news, effects);
        effects.extend(self.lose(node, &here));
        let quiet = here.difference(&typing).filter(|session| {
            let claim = self.claims.get(*session);
            claim.is_some_and(|claim| claim.is_at(node))
        });
        effects.extend(quiet.map(|session| Effect::Draft(session.clone(), String::new(), 0)));
    }

    /// Takes what another node says of its members.
    fn take(&mut self, node: &NodeName, news: News, effects: &mut Vec<Effect>) {
        for (session, generation, name) in news.here {
            let before = self.claims.get(&session);
            if before.is_some_and(|claim| claim.stands(generation, node)) {
                continue;
            }
            if before.is_some_and(|claim| !claim.is_at(node)) {
                effects.push(Effect::Draft(session.clone(), String::new(), 0));
            }
            self.claim(&session, generation, Some(node.clone()));
            effects.push(Effect::Put(session, name));
        }
        for (session, generation) in news.left {
            let claim = self.claims.get(&session);
            if claim.is_some_and(|claim| !claim.stands(generation, node)) {
                self.end(&session);
                effects.push(Effect::End(session));
            }
        }
        for (session, generation) in news.moved {
            let claim = self.claims.get(&session);
            if claim.is_some_and(|claim| claim.is_at(node) && claim.generation <= generation) {
                self.claim(&session, generation, None);
                effects.push(Effect::Lose(session));
            }
        }
        for (session, body, after) in news.drafts {
            let claim = self.claims.get(&session);
            let mut shown = self.shown.iter().rev();
            let shown = shown.find(|(author, _)| *author == session);
            // A draft that its own message overtook is void (PR-2). That none is left never is.
            let is_overtaken = shown.is_some_and(|(_, seq)| seq.get() > after);
            let is_void = is_overtaken && !body.is_empty();
            if claim.is_some_and(|claim| claim.is_at(node)) && !is_void {
                effects.push(Effect::Draft(session, body, after));
            }
        }
    }

    /// Which node has each member.
    #[cfg(test)]
    pub(super) fn by_node(&self) -> BTreeMap<SessionId, Option<NodeName>> {
        let claims = self.claims.iter();
        claims
            .map(|(session, claim)| (session.clone(), claim.at.clone()))
            .collect()
    }

    /// The members of a node, but for these, are no longer there.
    fn lose(&mut self, node: &NodeName, but: &BTreeSet<SessionId>) -> Vec<Effect> {
        let mut lost = Vec::new();
        for (session, claim) in &mut self.claims {
            if claim.is_at(node) && !but.contains(session) {
                claim.at = None;
                lost.push(Effect::Lose(session.clone()));
            }
        }
        lost
    }

    /// Notes who has a member. One that this node had is gone from here.
    fn claim(&mut self, session: &SessionId, generation: Generation, at: Option<NodeName>) {
        let is_here = at.as_ref() == Some(&self.node);
        let claim = Claim { generation, at };
        let before = self.claims.insert(session.clone(), claim);
        let before = before.filter(|before| before.is_at(&self.node));
        self.here += usize::from(is_here);
        if let Some(before) = before {
            self.here -= 1;
            if !is_here {
                let ending = Ending::Moved(before.generation);
                self.telling.ended(session, ending);
            }
        }
    }
}
