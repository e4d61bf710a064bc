//! Presence: the members of a room and their drafts, the part of a room that is never stored.
//!
//! Readers pull. Every change gets a version; a reader asks for the changes since the version it
//! has, and so takes only the latest draft of each author, however slowly it reads. In a crowd
//! (PR-3) readers know only some members by name, and get changes of membership now and then: otherwise
//! each member that comes would cost as much as there are readers.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "lengths of texts in memory, and versions in 64 bits; at most as many are named as there are"
)]

mod drafts;
mod nodes;
pub mod pace;
mod roster;
#[cfg(test)]
mod tests;
mod users;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::drafts::{Draft, Drafts};
use self::roster::Roster;
pub use self::roster::{HearError, MESSAGE_BYTES, ROOM_BYTES_PER_S};
use self::users::Users;
use crate::access::Subject;
use crate::codec::text_bytes;
use crate::frame::{Member, RoomDraft};
use crate::id::{ConnectionId, Holder, Name, Seq, SessionId};
use crate::time::{Latest, Timestamp};

/// How long a member whose connection is closed still counts as a member (PR-1).
pub const AWAY_AFTER: Duration = Duration::from_secs(30);

/// How long a connection is gone until readers hear that its member is away (PR-1): most are back within seconds, and a
/// short break is told to none.
pub const AWAY_TOLD_AFTER: Duration = Duration::from_secs(5);

/// How many departures are remembered for slow readers; a reader further behind takes a snapshot.
pub const DEPARTURES_MAX: usize = 256;

/// How many drafts a new reader gets at once, the newest; the others follow when they change.
pub const DRAFTS_MAX: usize = 100;

/// How many bytes of drafts a reader gets at once, in a frame or in one pull: about as much as a user reads of a room
/// at a glance. One draft may be larger.
pub const DRAFTS_BYTES: usize = 64 * 1024;

/// How often readers in a crowd get changes of membership (PR-3).
pub const CROWD_EVERY: Duration = Duration::from_secs(1);

/// The members of one room.
#[derive(Debug)]
pub struct Presence {
    named_max: usize,
    members: BTreeMap<SessionId, Here>,
    /// Members that are away, and when they leave.
    away: BTreeSet<(Timestamp, SessionId)>,
    /// Members that are away untold, and when it is told.
    untold: BTreeSet<(Timestamp, SessionId)>,
    /// Members that readers know to be away.
    told: BTreeSet<SessionId>,
    users: Users,
    /// The named members, each with the version at which its arrival or its name was announced.
    named: BTreeMap<SessionId, u64>,
    announced: Announced,
    /// Named members that left since the last announcement.
    leaving: Vec<SessionId>,
    departures: VecDeque<(u64, SessionId)>,
    /// Departures at or before this version are forgotten.
    forgotten: u64,
    drafts: Drafts,
    version: u64,
    latest: Latest,
    /// Where there are several nodes: which node has which members.
    roster: Option<Box<Roster>>,
}

/// The last announcement of members.
#[derive(Debug, Default)]
struct Announced {
    count: usize,
    /// The version at which the announced count changed.
    version: u64,
    at: Option<Timestamp>,
    /// When the next announcement is due.
    due: Option<Timestamp>,
    /// A session entered since and got another count: the count is announced even if it is the same again.
    is_stale: bool,
}

#[derive(Debug)]
struct Here {
    name: Name,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Connected(ConnectionId),
    Away {
        until: Timestamp,
    },
    /// At another node, connected or away.
    Remote,
}

/// The changes between two versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changes of membership, if there are any.
    pub members: Option<MemberChanges>,
    /// The latest drafts; an empty body clears one.
    pub drafts: Vec<RoomDraft>,
    /// The version up to which these changes reach, if that is not the last one asked for: there are more drafts
    /// than a reader gets at once ([`DRAFTS_BYTES`]).
    pub until: Option<u64>,
}

/// The changes of membership between two versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberChanges {
    /// Members that came, that have another name, or that are named now that there is room.
    pub joined: Vec<Member>,
    /// Members that left.
    pub left: Vec<SessionId>,
    /// How many members there are, where that is more than are named (PR-3).
    pub count: Option<u32>,
}

impl Presence {
    /// An empty room. Readers know at most `named_max` members by name (PR-3).
    pub fn new(named_max: usize) -> Self {
        Self {
            named_max,
            members: BTreeMap::new(),
            away: BTreeSet::new(),
            untold: BTreeSet::new(),
            told: BTreeSet::new(),
            users: Users::default(),
            named: BTreeMap::new(),
            announced: Announced::default(),
            leaving: Vec::new(),
            departures: VecDeque::new(),
            forgotten: 0,
            drafts: Drafts::default(),
            version: 0,
            latest: Latest::default(),
            roster: None,
        }
    }

    /// [`Presence::enter`] of a session whose user is known, or known no longer (PR-4).
    pub fn enter_as(
        &mut self,
        now: Timestamp,
        (session, name): (SessionId, Name),
        user: Option<&Subject>,
        holder: Holder,
    ) {
        let before = self.users.of(&session);
        self.users.set(&session, user, &name);
        let is_changed = self.users.of(&session) != before;
        self.enter(now, session.clone(), name, holder);
        if !self.is_here(&session) {
            self.users.forget(&session);
        } else if is_changed {
            self.announce_again(&session);
        }
    }

    /// Makes a session a member; or takes its return, or its new name. Among several nodes, a session that was opened
    /// elsewhere since stays there.
    pub fn enter(&mut self, now: Timestamp, session: SessionId, name: Name, holder: Holder) {
        let now = self.latest.advance(now);
        let before = self.members.get(&session);
        let is_renamed = before.is_none_or(|before| before.name != name);
        let was_remote = before.is_some_and(|before| matches!(before.place, Place::Remote));
        if let Some(roster) = &mut self.roster
            && !roster.enter(&session, holder.generation, is_renamed)
        {
            return;
        }
        if was_remote {
            // Its client sends the draft again.
            self.set_draft(&session, String::new(), 0);
        }
        self.put(now, session, name, Place::Connected(holder.connection));
    }

    /// A member leaves for good. One that is at another node stays.
    pub fn leave(&mut self, now: Timestamp, session: &SessionId) {
        let now = self.latest.advance(now);
        if self.is_here(session) {
            self.end(now, session);
        }
    }

    /// A member's connection is closed: it counts as away, and its draft ends (PR-1, PR-2). The end of
    /// a connection that the session no longer uses changes nothing (PU-3).
    pub fn disconnect(&mut self, now: Timestamp, session: &SessionId, connection: ConnectionId) {
        let now = self.latest.advance(now);
        let place = self.members.get(session).map(|here| &here.place);
        if matches!(place, Some(Place::Connected(id)) if *id == connection) {
            self.send_away(now, session);
        }
    }

    /// Takes the text of a member's input box, which was typed after the author's message of number `after`; 0 for none.
    /// Sessions that are not members have no drafts.
    pub fn draft(&mut self, session: &SessionId, body: String, after: u64) {
        if self.is_here(session) {
            self.set_draft(session, body, after);
        }
    }

    /// A member publishes: its draft is on its way into the log.
    pub fn published(&mut self, session: &SessionId) {
        if let Some(draft) = self.drafts.get_mut(session) {
            draft.is_published = true;
        }
    }

    /// A member's message did not get into the log: the draft that it was made of ends all the same.
    pub fn publish_failed(&mut self, session: &SessionId, seq: Seq) {
        let draft = self.drafts.get(session);
        if draft.is_some_and(|draft| draft.after < seq.get()) {
            self.set_draft(session, String::new(), 0);
        }
    }

    /// A member's message is in the log and about to be shown. Its readers take the draft for ended; text
    /// typed since is therefore sent as a draft again.
    pub fn message_shown(&mut self, session: &SessionId, seq: Seq) {
        if let Some(roster) = &mut self.roster {
            roster.shown(session, seq);
        }
        let Some(draft) = self.drafts.remove(session) else {
            return;
        };
        if draft.after >= seq.get() && !draft.body.is_empty() {
            self.version += 1;
            let Draft { body, after, .. } = draft;
            self.drafts.set(self.version, session, body, after);
        }
    }

    /// Lets members leave that were away too long (PR-1), and announces changes that are due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.latest.advance(now);
        while let Some((_, session)) = self.away.first().filter(|(until, _)| *until <= now) {
            let session = session.clone();
            self.end(now, &session);
        }
        while let Some((at, session)) = self.untold.first().filter(|(at, _)| *at <= now).cloned() {
            // A crowd hears of arrivals and departures alone (PR-3).
            if !self.is_crowd() && self.named.contains_key(&session) {
                self.told.insert(session.clone());
                self.announce_again(&session);
            }
            self.untold.remove(&(at, session));
        }
        if self.announced.due.is_some_and(|due| due <= now) {
            self.announce(now);
        }
    }

    /// When to call [`Presence::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let until = self.away.first().map(|(until, _)| *until);
        let untold = self.untold.first().map(|(at, _)| *at);
        let telling = self
            .roster
            .as_ref()
            .and_then(|roster| roster.poll_timeout());
        let due = [until, untold, self.announced.due, telling];
        due.into_iter().flatten().min()
    }

    /// Gives a version to a change of the room that is not one of presence, such as a redaction.
    pub const fn bump_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// The version of the latest change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether the room has no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether this node can forget the room: it has no members of it, and nothing to tell other nodes of it.
    pub fn is_idle(&self) -> bool {
        let roster = self.roster.as_ref();
        roster.map_or_else(|| self.is_empty(), |roster| roster.is_idle())
    }

    /// How many members there are.
    pub fn count(&self) -> u32 {
        count_of(self.members.len())
    }

    /// All members.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionId> {
        self.members.keys()
    }

    /// The named members, and how many members there are in all.
    pub fn named(&self) -> (Vec<Member>, u32) {
        let members = self.named.keys().filter_map(|id| self.member(id));
        (members.collect(), self.count())
    }

    /// The members that this session knows by name, itself always among them; and how many there are, if that is
    /// more (PR-3).
    pub fn members(&self, session: &SessionId) -> (Vec<Member>, Option<u32>) {
        let mut members: Vec<Member> = self.named.keys().filter_map(|id| self.member(id)).collect();
        if !self.named.contains_key(session) {
            members.extend(self.member(session));
        }
        let count = self.members.len();
        let is_crowd = count > members.len();
        (members, is_crowd.then(|| count_of(count)))
    }

    /// The drafts that are not empty: the newest [`DRAFTS_MAX`] of them, within [`DRAFTS_BYTES`], oldest
    /// first.
    pub fn drafts(&self) -> Vec<RoomDraft> {
        let mut bytes = 0;
        let newest = self.drafts.newest().take(DRAFTS_MAX);
        let newest = newest.take_while(|(_, body)| {
            let is_first = bytes == 0;
            bytes += text_bytes(body);
            is_first || bytes <= DRAFTS_BYTES
        });
        let mut drafts: Vec<RoomDraft> =
            newest.filter_map(|draft| self.room_draft(draft)).collect();
        drafts.reverse();
        drafts
    }

    /// The changes after `version`; `None` if that is too long ago and a snapshot is needed.
    pub fn changes_since(&self, version: u64) -> Option<Changes> {
        self.changes_between(version, self.version)
    }

    /// The changes after `version`, up to `last`; `None` if that is too long ago and a snapshot is
    /// needed.
    pub fn changes_between(&self, version: u64, last: u64) -> Option<Changes> {
        if version < self.forgotten {
            return None;
        }
        let is_meant = |at: u64| at > version && at <= last;
        let arrived = self.named.iter().filter(|(_, since)| is_meant(**since));
        let departed = self.departures.iter().filter(|(at, _)| is_meant(*at));
        let count = self.announced.count;
        let members = MemberChanges {
            joined: arrived.filter_map(|(id, _)| self.member(id)).collect(),
            left: departed
                .filter(|(_, session)| !self.named.contains_key(session))
                .map(|(_, session)| session.clone())
                .collect(),
            count: (count > self.named.len()).then(|| count_of(count)),
        };
        let is_news = !members.joined.is_empty()
            || !members.left.is_empty()
            || is_meant(self.announced.version);
        let (mut drafts, mut bytes, mut until) = (Vec::new(), 0, None);
        let mut reached = version;
        for (at, draft) in self.drafts.since(version).take_while(|(at, _)| *at <= last) {
            bytes += text_bytes(draft.1);
            if bytes > DRAFTS_BYTES && reached > version {
                until = Some(reached);
                break;
            }
            reached = at;
            drafts.extend(self.room_draft(draft));
        }
        Some(Changes {
            members: is_news.then_some(members),
            drafts,
            until,
        })
    }

    /// The bytes of all drafts.
    pub const fn draft_bytes(&self) -> usize {
        self.drafts.bytes()
    }

    /// Ends all drafts, as there is no room to keep them. What is typed next is shown again.
    pub fn clear_drafts(&mut self) {
        let typing = self.drafts.newest().map(|(session, _)| session.clone());
        for session in typing.collect::<Vec<_>>() {
            self.set_draft(&session, String::new(), 0);
        }
    }

    /// Gives a member a name and a place.
    fn put(&mut self, now: Timestamp, session: SessionId, name: Name, place: Place) {
        let was_named = self.named.contains_key(&session);
        let before = self.members.get(&session);
        let keeps_name = before.is_some_and(|before| before.name == name);
        if matches!(place, Place::Remote) {
            self.users.forget(&session);
        } else {
            self.users.rename(&session, &name);
        }
        let before = self.members.insert(session.clone(), Here { name, place });
        let was_told = self.come_back(&session, before.as_ref());
        if was_named && (!keeps_name || was_told) {
            self.announce_again(&session);
        }
        if before.is_none() {
            self.changed(now);
        }
        self.announced.is_stale |= self.members.len() != self.announced.count;
    }

    /// Removes a member, here or elsewhere.
    fn end(&mut self, now: Timestamp, session: &SessionId) {
        let Some(here) = self.members.remove(session) else {
            return;
        };
        if let Some(roster) = &mut self.roster {
            roster.end(session);
        }
        self.come_back(session, Some(&here));
        self.users.forget(session);
        let draft = self.drafts.remove(session);
        let was_typing = draft.is_some_and(|draft| !draft.body.is_empty());
        if was_typing || self.named.contains_key(session) {
            self.leaving.push(session.clone());
        }
        if was_typing {
            // Its draft disappears from all pages with it.
            self.announce(now);
        } else {
            self.changed(now);
        }
    }

    /// Marks a member as away from now on, and ends its draft.
    fn send_away(&mut self, now: Timestamp, session: &SessionId) {
        let Some(here) = self.members.get_mut(session) else {
            return;
        };
        let until = now + AWAY_AFTER;
        here.place = Place::Away { until };
        self.away.insert((until, session.clone()));
        self.untold.insert((told_at(until), session.clone()));
        self.set_draft(session, String::new(), 0);
    }

    /// A member is away no longer: it is back, or has left. Returns whether readers know that it was away.
    fn come_back(&mut self, session: &SessionId, before: Option<&Here>) -> bool {
        if let Some(Place::Away { until }) = before.map(|before| &before.place) {
            self.away.remove(&(*until, session.clone()));
            self.untold.remove(&(told_at(*until), session.clone()));
        }
        self.told.remove(session)
    }

    /// Announces a member that is named once more, as something about it has changed.
    fn announce_again(&mut self, session: &SessionId) {
        if let Some(since) = self.named.get_mut(session) {
            self.version += 1;
            *since = self.version;
        }
    }

    fn set_draft(&mut self, session: &SessionId, body: String, after: u64) {
        let is_same = match self.drafts.get(session) {
            Some(before) => before.body == body && (body.is_empty() || before.after == after),
            None => body.is_empty(),
        };
        if is_same {
            return;
        }
        self.version += 1;
        self.drafts.set(self.version, session, body, after);
        if let Some(roster) = &mut self.roster {
            roster.typed(session);
        }
    }

    /// Whether a session is a member of this node.
    fn is_here(&self, session: &SessionId) -> bool {
        let is_mine = |roster: &Roster| roster.is_here(session);
        let is_here = self.roster.as_deref().is_none_or(is_mine);
        is_here && self.members.contains_key(session)
    }

    /// Members came or left. It is announced at once; in a crowd at most once a second.
    fn changed(&mut self, now: Timestamp) {
        let last = self.announced.at.filter(|_| self.is_crowd());
        match last.map(|at| at + CROWD_EVERY).filter(|due| *due > now) {
            Some(due) => self.announced.due = Some(due),
            None => self.announce(now),
        }
    }

    /// Whether the room has, or was announced to have, more members than are named.
    fn is_crowd(&self) -> bool {
        self.members.len().max(self.announced.count) > self.named_max
    }

    /// Announces the members to readers.
    fn announce(&mut self, now: Timestamp) {
        self.announced.at = Some(now);
        self.announced.due = None;
        let version = self.version + 1;
        for session in std::mem::take(&mut self.leaving) {
            if !self.members.contains_key(&session) {
                self.version = version;
                self.named.remove(&session);
                self.departures.push_back((version, session));
            }
        }
        while self.departures.len() > DEPARTURES_MAX
            && let Some((version, _)) = self.departures.pop_front()
        {
            self.forgotten = version;
        }
        let unnamed = self
            .members
            .keys()
            .filter(|id| !self.named.contains_key(id));
        let places = self.named_max.min(self.members.len()) - self.named.len();
        for session in unnamed.take(places).cloned().collect::<Vec<_>>() {
            self.version = version;
            self.named.insert(session, version);
        }
        let count = self.members.len();
        let is_crowd = count.max(self.announced.count) > self.named_max;
        let was_stale = std::mem::take(&mut self.announced.is_stale);
        if was_stale || (is_crowd && count != self.announced.count) {
            self.version = version;
            self.announced.version = version;
        }
        self.announced.count = count;
    }

    fn member(&self, session: &SessionId) -> Option<Member> {
        Some(Member {
            session: session.clone(),
            name: self.members.get(session)?.name.clone(),
            away: self.told.contains(session),
            user: self.users.of(session),
        })
    }

    fn room_draft(&self, (session, body): (&SessionId, &str)) -> Option<RoomDraft> {
        Some(RoomDraft {
            session: session.clone(),
            name: self.members.get(session)?.name.clone(),
            body: body.to_owned(),
        })
    }
}

/// When readers hear of a member that is away and leaves then.
fn told_at(until: Timestamp) -> Timestamp {
    let since_origin = until.since_origin();
    Timestamp::from_origin(since_origin.saturating_sub(AWAY_AFTER.saturating_sub(AWAY_TOLD_AFTER)))
}

fn count_of(members: usize) -> u32 {
    u32::try_from(members).unwrap_or(u32::MAX)
}
