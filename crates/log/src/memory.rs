//! A store in plain maps: for logs that nothing outlives, and for tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::RangeBounds;

use protocol::frame::{ErrorCode, Message, Refused};
use protocol::id::{NodeName, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::server::PostKey;

use crate::command::{Expire, ForgetPosts, KeyHash, REFUSED_MAX, Redact, Settings};
use crate::fold::{Receipt, Room, Session, Store};
use crate::order::{Applied, LastPack, PackStore};

/// A store in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryStore {
    epoch: Option<Epoch>,
    history_per_room: u64,
    sessions: BTreeMap<SessionId, Kept>,
    rooms: BTreeMap<RoomName, KeptRoom>,
    posts: BTreeMap<PostKey, (Receipt, u64)>,
    applied: Applied,
    last_packs: BTreeMap<NodeName, LastPack>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    key_hash: KeyHash,
    session: Session,
    touched_ms: u64,
    receipts: BTreeMap<Seq, Receipt>,
    refusals: BTreeMap<Seq, ErrorCode>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct KeptRoom {
    room: Room,
    messages: BTreeMap<Offset, Message>,
    /// When messages were redacted, in the order of their redactions.
    redacted: Vec<(u64, Offset)>,
}

impl MemoryStore {
    /// An empty store without an epoch.
    pub fn new() -> Self {
        Self {
            epoch: None,
            history_per_room: u64::MAX,
            sessions: BTreeMap::new(),
            rooms: BTreeMap::new(),
            posts: BTreeMap::new(),
            applied: Applied::default(),
            last_packs: BTreeMap::new(),
        }
    }

    /// How many sessions are known.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether a session is known.
    pub fn knows(&self, id: &SessionId) -> bool {
        self.sessions.contains_key(id)
    }

    /// The hash of a session's key; `None` for an unknown session.
    pub fn key(&self, id: &SessionId) -> Option<&KeyHash> {
        self.sessions.get(id).map(|kept| &kept.key_hash)
    }

    /// A room's messages, oldest first.
    pub fn messages(&self, room: &RoomName) -> impl DoubleEndedIterator<Item = &Message> {
        self.range(room, ..)
    }

    /// A room's messages with offsets in a range, oldest first.
    pub fn range(
        &self,
        room: &RoomName,
        offsets: impl RangeBounds<Offset>,
    ) -> impl DoubleEndedIterator<Item = &Message> {
        let kept = self
            .rooms
            .get(room)
            .map(|kept| kept.messages.range(offsets));
        kept.into_iter().flatten().map(|(_, message)| message)
    }

    /// A room's head, and the offset up to which it is trimmed.
    pub fn state(&self, room: &RoomName) -> Room {
        self.rooms
            .get(room)
            .map_or_else(Room::default, |kept| kept.room)
    }

    /// A room's redacted messages that are not trimmed, in the order of their redactions.
    pub fn redacted(&self, room: &RoomName) -> impl DoubleEndedIterator<Item = &Message> {
        let kept = self.rooms.get(room).into_iter();
        kept.flat_map(|kept| {
            let found = kept.redacted.iter();
            found.filter_map(|(_, offset)| kept.messages.get(offset))
        })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    fn epoch(&mut self) -> Result<Option<Epoch>, Infallible> {
        Ok(self.epoch.clone())
    }

    fn history_per_room(&self) -> u64 {
        self.history_per_room
    }

    fn set(&mut self, settings: &Settings) -> Result<(), Infallible> {
        self.epoch.get_or_insert_with(|| settings.epoch.clone());
        self.history_per_room = settings.history_per_room;
        Ok(())
    }

    fn session(&mut self, id: &SessionId) -> Result<Option<Session>, Infallible> {
        Ok(self.sessions.get(id).map(|kept| kept.session))
    }

    fn key_hash(&mut self, id: &SessionId) -> Result<Option<KeyHash>, Infallible> {
        Ok(self.sessions.get(id).map(|kept| kept.key_hash))
    }

    fn add_session(
        &mut self,
        id: &SessionId,
        key_hash: &KeyHash,
        session: Session,
        at_ms: u64,
    ) -> Result<(), Infallible> {
        let kept = Kept {
            key_hash: *key_hash,
            session,
            touched_ms: at_ms,
            receipts: BTreeMap::new(),
            refusals: BTreeMap::new(),
        };
        self.sessions.insert(id.clone(), kept);
        Ok(())
    }

    fn update_session(&mut self, id: &SessionId, session: Session) -> Result<(), Infallible> {
        if let Some(kept) = self.sessions.get_mut(id) {
            kept.session = session;
        }
        Ok(())
    }

    fn touch(&mut self, id: &SessionId, at_ms: u64) -> Result<(), Infallible> {
        if let Some(kept) = self.sessions.get_mut(id) {
            kept.touched_ms = kept.touched_ms.max(at_ms);
        }
        Ok(())
    }

    fn expire(&mut self, expire: &Expire) -> Result<usize, Infallible> {
        let is_old = |kept: &Kept| {
            let is_meant = !expire.is_unused || kept.session.last_seq == 0;
            is_meant && kept.touched_ms < expire.before_ms
        };
        let old = self.sessions.iter().filter(|(_, kept)| is_old(kept));
        let mut old: Vec<_> = old
            .map(|(id, kept)| (kept.touched_ms, id.clone()))
            .collect();
        old.sort_unstable();
        old.truncate(expire.limit);
        for (_, id) in &old {
            self.sessions.remove(id);
        }
        Ok(old.len())
    }

    fn receipt(&mut self, id: &SessionId, seq: Seq) -> Result<Option<Receipt>, Infallible> {
        let kept = self.sessions.get(id);
        Ok(kept.and_then(|kept| kept.receipts.get(&seq).cloned()))
    }

    fn add_receipt(
        &mut self,
        id: &SessionId,
        seq: Seq,
        receipt: &Receipt,
    ) -> Result<(), Infallible> {
        if let Some(kept) = self.sessions.get_mut(id) {
            kept.receipts.insert(seq, receipt.clone());
        }
        Ok(())
    }

    fn refusal(&mut self, id: &SessionId, seq: Seq) -> Result<Option<ErrorCode>, Infallible> {
        let kept = self.sessions.get(id);
        Ok(kept.and_then(|kept| kept.refusals.get(&seq).copied()))
    }

    fn add_refusal(&mut self, id: &SessionId, seq: Seq, code: ErrorCode) -> Result<(), Infallible> {
        if let Some(kept) = self.sessions.get_mut(id) {
            kept.refusals.insert(seq, code);
        }
        Ok(())
    }

    fn refused(&mut self, id: &SessionId) -> Result<Vec<Refused>, Infallible> {
        let kept = self.sessions.get(id).into_iter();
        let newest = kept.flat_map(|kept| kept.refusals.iter().rev().take(REFUSED_MAX));
        let mut refused: Vec<_> = newest
            .map(|(seq, code)| Refused {
                seq: *seq,
                code: *code,
            })
            .collect();
        refused.reverse();
        Ok(refused)
    }

    fn post(&mut self, key: &PostKey) -> Result<Option<Receipt>, Infallible> {
        Ok(self.posts.get(key).map(|(receipt, _)| receipt.clone()))
    }

    fn add_post(&mut self, key: &PostKey, receipt: &Receipt, at_ms: u64) -> Result<(), Infallible> {
        self.posts.insert(*key, (receipt.clone(), at_ms));
        Ok(())
    }

    fn forget_posts(&mut self, forget: &ForgetPosts) -> Result<usize, Infallible> {
        let is_old = |at_ms: &u64| *at_ms < forget.before_ms;
        let old = self.posts.iter().filter(|(_, (_, at_ms))| is_old(at_ms));
        let mut old: Vec<_> = old.map(|(key, (_, at_ms))| (*at_ms, *key)).collect();
        old.sort_unstable();
        old.truncate(forget.limit);
        for (_, key) in &old {
            self.posts.remove(key);
        }
        Ok(old.len())
    }

    fn room(&mut self, name: &RoomName) -> Result<Room, Infallible> {
        Ok(self.state(name))
    }

    fn add_message(&mut self, message: &Message) -> Result<(), Infallible> {
        let kept = self.rooms.entry(message.room.clone()).or_default();
        kept.room.head = message.offset;
        kept.messages.insert(message.offset, message.clone());
        Ok(())
    }

    fn message(&mut self, room: &RoomName, offset: Offset) -> Result<Option<Message>, Infallible> {
        let kept = self.rooms.get(room);
        Ok(kept.and_then(|kept| kept.messages.get(&offset).cloned()))
    }

    fn redact(&mut self, redact: &Redact) -> Result<(), Infallible> {
        if let Some(kept) = self.rooms.get_mut(&redact.room)
            && let Some(message) = kept.messages.get_mut(&redact.offset)
        {
            message.body.clear();
            message.removed = true;
            kept.redacted.push((redact.at_ms, redact.offset));
        }
        Ok(())
    }

    fn trim(&mut self, room: &RoomName, through: Offset) -> Result<(), Infallible> {
        if let Some(kept) = self.rooms.get_mut(room) {
            kept.messages = kept.messages.split_off(&through.next());
            kept.redacted.retain(|(_, offset)| *offset > through);
            kept.room.trimmed = kept.room.trimmed.max(through);
        }
        Ok(())
    }

    fn aged(
        &mut self,
        room: &RoomName,
        before_ms: u64,
        limit: u64,
    ) -> Result<Option<Offset>, Infallible> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let oldest = self.messages(room).take(limit);
        let old = oldest.take_while(|message| message.at_ms < before_ms);
        Ok(old.last().map(|message| message.offset))
    }

    fn rooms(
        &mut self,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<Vec<RoomName>, Infallible> {
        let later = self.rooms.keys().filter(|name| after < Some(*name));
        Ok(later.take(limit).cloned().collect())
    }
}

impl PackStore for MemoryStore {
    fn applied(&mut self) -> Result<Applied, Infallible> {
        Ok(self.applied.clone())
    }

    fn set_applied(&mut self, applied: &Applied) -> Result<(), Infallible> {
        self.applied = applied.clone();
        Ok(())
    }

    fn last_pack(&mut self, node: &NodeName) -> Result<Option<LastPack>, Infallible> {
        Ok(self.last_packs.get(node).cloned())
    }

    fn set_last_pack(&mut self, node: &NodeName, last: &LastPack) -> Result<(), Infallible> {
        self.last_packs.insert(node.clone(), last.clone());
        Ok(())
    }
}
