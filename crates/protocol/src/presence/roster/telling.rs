//! What a node tells the others of its members in a room, and when.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Roster;
use super::message::{DRAFT_BYTES, MESSAGE_BYTES, Message, News, Said};
use crate::codec::text_bytes;
use crate::id::{Generation, Name, SessionId};
use crate::presence::Here;
use crate::presence::drafts::Drafts;
use crate::rate::Bucket;
use crate::time::Timestamp;

/// How many bytes a second a node tells of one room, and as many at once: the arrival of 5,000 members within a
/// second. Of what changes faster only the latest is published, later.
pub const ROOM_BYTES_PER_S: u32 = 256 * 1024;

/// The cost of a message beside its bytes.
const OVERHEAD_BYTES: usize = 256;

/// How many bytes one token of the bucket stands for.
const TOKEN_BYTES: usize = 1024;

/// The time between two tellings of changes: that between two drafts of one author (`drafts_per_s`).
const TELL_EVERY: Duration = Duration::from_millis(50);

/// How long after a change its version is published again; each time the wait doubles up to [`BEAT_MAX`].
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// The longest wait between two beats.
pub(super) const BEAT_MAX: Duration = Duration::from_secs(40);

/// What is to be told.
#[derive(Debug)]
pub(super) struct Telling {
    version: u64,
    is_opened: bool,
    /// Another node asked for all members.
    is_asked: bool,
    /// All members, in the parts that are not told yet.
    parts: VecDeque<Vec<u8>>,
    /// The sessions of which something changed, in the order in which they wait.
    queue: VecDeque<SessionId>,
    dirty: BTreeMap<SessionId, Dirty>,
    bucket: Bucket,
    /// Nothing is published before this time.
    from: Timestamp,
    beat_at: Timestamp,
    beat_every: Duration,
}

/// What changed of one session since it was told of last.
#[derive(Debug, Default)]
struct Dirty {
    is_member: bool,
    is_draft: bool,
    ending: Option<Ending>,
}

/// The end of a member here, with the opening that ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// It left for good.
    Left(Generation),
    /// It went to another node.
    Moved(Generation),
}

/// A node's own members and drafts.
#[derive(Clone, Copy)]
pub(in crate::presence) struct Own<'a> {
    pub(in crate::presence) members: &'a BTreeMap<SessionId, Here>,
    pub(in crate::presence) drafts: &'a Drafts,
}

impl<'a> Own<'a> {
    fn name(self, session: &SessionId) -> Option<&'a Name> {
        self.members.get(session).map(|here| &here.name)
    }

    /// A session's draft, as it is published.
    fn draft(self, session: &SessionId) -> Option<(SessionId, String, u64)> {
        let draft = self.drafts.get(session);
        let draft = draft.filter(|draft| !draft.is_published)?;
        let is_large = text_bytes(&draft.body) > DRAFT_BYTES;
        let body = (!is_large).then(|| draft.body.clone());
        Some((session.clone(), body.unwrap_or_default(), draft.after))
    }
}

impl Telling {
    pub(super) fn new(now: Timestamp, version: u64) -> Self {
        let tokens = ROOM_BYTES_PER_S / 1024;
        Self {
            version,
            is_opened: false,
            is_asked: false,
            parts: VecDeque::new(),
            queue: VecDeque::new(),
            dirty: BTreeMap::new(),
            bucket: Bucket::new(now, tokens, tokens),
            from: now,
            beat_at: now + BEAT_EVERY,
            beat_every: BEAT_EVERY,
        }
    }

    /// Whether the room's opening was told.
    pub(super) const fn is_opened(&self) -> bool {
        self.is_opened
    }

    /// Whether all changes are told.
    pub(super) fn is_done(&self) -> bool {
        self.dirty.is_empty() && self.parts.is_empty()
    }

    /// All members are to be told.
    pub(super) const fn all(&mut self) {
        self.is_asked = true;
    }

    /// A member came, or has another name.
    pub(super) fn member(&mut self, session: &SessionId) {
        self.dirty(session).is_member = true;
    }

    /// A draft changed.
    pub(super) fn draft(&mut self, session: &SessionId) {
        self.dirty(session).is_draft = true;
    }

    /// A member is gone.
    pub(super) fn ended(&mut self, session: &SessionId, ending: Ending) {
        self.dirty(session).ending = Some(ending);
    }

    fn dirty(&mut self, session: &SessionId) -> &mut Dirty {
        if !self.dirty.contains_key(session) {
            self.queue.push_back(session.clone());
        }
        self.dirty.entry(session.clone()).or_default()
    }

    /// Takes what changed, as far as it fits into a message.
    fn changes(
        &mut self,
        own: Own<'_>,
        is_here: impl Fn(&SessionId) -> Option<Generation>,
    ) -> News {
        let (mut news, mut bytes) = (News::default(), 0);
        while bytes < MESSAGE_BYTES
            && let Some(session) = self.queue.pop_front()
        {
            let dirty = self.dirty.remove(&session).unwrap_or_default();
            let mut entry = News::default();
            if let (Some(generation), Some(name)) = (is_here(&session), own.name(&session)) {
                if dirty.is_draft {
                    entry.drafts.extend(own.draft(&session));
                }
                if dirty.is_member {
                    entry.here.push((session, generation, name.clone()));
                }
            } else {
                match dirty.ending {
                    Some(Ending::Left(generation)) => entry.left.push((session, generation)),
                    Some(Ending::Moved(generation)) => entry.moved.push((session, generation)),
                    // It came and went, or so did its draft.
                    None => {}
                }
            }
            bytes += entry.bytes();
            news.extend(entry);
        }
        news
    }

    /// Accounts for a message that is published now.
    fn spend(&mut self, now: Timestamp, bytes: usize, is_last: bool) {
        let tokens = (bytes + OVERHEAD_BYTES).div_ceil(TOKEN_BYTES);
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let wait = self.bucket.spend(now, tokens);
        if is_last {
            self.from = now + wait.max(TELL_EVERY);
        }
    }
}

impl Roster {
    /// The next message to the other nodes, if one is due.
    pub(in crate::presence) fn tell(&mut self, now: Timestamp, own: Own<'_>) -> Option<Vec<u8>> {
        if !self.telling.is_opened {
            self.telling.is_opened = true;
            return Some(self.message(Said::Opened));
        }
        let mut due = self.peers.iter_mut();
        let due = due.find(|(_, peer)| peer.ask_at().is_some_and(|at| at <= now));
        if let Some((of, peer)) = due {
            peer.asked(now);
            let of = of.clone();
            return Some(self.message(Said::Ask { of }));
        }
        if now >= self.telling.from {
            if std::mem::take(&mut self.telling.is_asked) {
                self.telling.parts = self.all(own);
            }
            if let Some(part) = self.telling.parts.pop_front() {
                // All parts at once, as they belong to one version.
                let is_last = self.telling.parts.is_empty();
                self.telling.spend(now, part.len(), is_last);
                return Some(part);
            }
            let claims = &self.claims;
            let is_here = |session: &SessionId| {
                let claim = claims.get(session).filter(|claim| claim.is_at(&self.node));
                claim.map(|claim| claim.generation)
            };
            let news = self.telling.changes(own, is_here);
            if !news.is_empty() {
                self.telling.version = self.telling.version.saturating_add(1);
                self.telling.beat_every = BEAT_EVERY;
                self.telling.beat_at = now + BEAT_EVERY;
                let told = self.message(Said::Changed(news));
                self.telling.spend(now, told.len(), true);
                return Some(told);
            }
        }
        if now < self.telling.beat_at {
            return None;
        }
        self.telling.beat_every = self.telling.beat_every.saturating_mul(2).min(BEAT_MAX);
        self.telling.beat_at = now + self.telling.beat_every;
        Some(self.message(Said::Beat))
    }

    /// When to call [`Roster::tell`] next.
    pub(in crate::presence) fn poll_timeout(&self) -> Option<Timestamp> {
        let telling = &self.telling;
        let has_news = telling.is_asked || !telling.is_done() || !telling.is_opened;
        let asks = self.peers.values().filter_map(|peer| peer.ask_at()).min();
        let due = [
            has_news.then_some(telling.from),
            Some(telling.beat_at),
            asks,
        ];
        due.into_iter().flatten().min()
    }

    /// All members, in parts.
    fn all(&self, own: Own<'_>) -> VecDeque<Vec<u8>> {
        let (mut parts, mut part, mut bytes) = (Vec::new(), News::default(), 0);
        for (session, claim) in &self.claims {
            let Some(name) = own.name(session).filter(|_| claim.is_at(&self.node)) else {
                continue;
            };
            let draft = own.draft(session).filter(|(_, body, _)| !body.is_empty());
            let entry = News {
                here: vec![(session.clone(), claim.generation, name.clone())],
                drafts: draft.into_iter().collect(),
                ..News::default()
            };
            bytes += entry.bytes();
            part.extend(entry);
            if bytes >= MESSAGE_BYTES {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
        }
        if parts.is_empty() || !part.is_empty() {
            parts.push(part);
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let parts = (0..).zip(parts).map(|(part, news)| {
            let parts = count;
            self.message(Said::All { part, parts, news })
        });
        parts.collect()
    }

    fn message(&self, said: Said) -> Vec<u8> {
        let message = Message {
            node: self.node.clone(),
            life: self.life.clone(),
            version: self.telling.version,
            said,
        };
        message.encode()
    }
}
