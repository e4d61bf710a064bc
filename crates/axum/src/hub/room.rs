//! A room in use: its newest messages encoded once, its members, and its readers.

mod take;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use protocol::access::Subject;
use protocol::frame::{Member, Message};
use protocol::id::{ConnectionId, Holder, Name, NodeName, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::presence::pace::{FanOut, Pace};
use protocol::presence::{HearError, Presence};
use protocol::redactions::{REDACTED_MAX, Redactions};
use protocol::server::RoomView;
use protocol::time::Timestamp;
use tokio::sync::OnceCell;

pub use self::take::Taken;
use super::agenda::Agenda;
pub use super::entry::Entry;
use super::mailbox::Mailbox;
use super::nodes::Nodes;
use super::tail::Tail;
use super::tails::{Kept, Tails};
use crate::clock::Clock;
use crate::log::{Log, LogError};
use crate::metrics::{Limit, Metrics};

/// A room in use. Readers pull: a message costs each of them a mark, not a queue entry.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    loaded: OnceCell<()>,
    state: Mutex<State>,
    /// The head and the version, to be read without the lock: never newer than the state.
    head: AtomicU64,
    version: AtomicU64,
    agenda: Arc<Agenda<Self>>,
    /// The bound on the drafts and members of all rooms together; `None` for no bound.
    fan_out: Option<Arc<Paced>>,
    /// Where there are several nodes: the way to the others.
    nodes: Option<Arc<Nodes>>,
}

/// The bound on what rooms send their readers of drafts and members, and its clock.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) clock: Clock,
    pub(super) fan_out: Mutex<FanOut>,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    epoch: Epoch,
    head: Offset,
    trimmed: Offset,
    tail: Tail,
    /// The bytes of the tail, of drafts and of the changes below, as part of those of all rooms.
    kept: Kept,
    presence: Presence,
    /// How much of it readers may see yet.
    pace: Pace,
    redactions: Redactions,
    /// The time for which the room is on the agenda.
    due: Option<Timestamp>,
    readers: Readers,
    /// The changes that were asked for last, as most readers ask for the same ones.
    changes: Option<Changed>,
}

/// The readers to wake. Shared, so that they are woken without the room's lock, which they take themselves.
type Readers = Arc<HashMap<ConnectionId, Arc<Mailbox>>>;

/// The changes between two versions, encoded.
#[derive(Debug)]
struct Changed {
    since: u64,
    /// The version that readers could see then.
    version: u64,
    entries: Arc<[Entry]>,
    /// The version that the entries reach.
    through: u64,
    bytes: usize,
}

impl State {
    /// Updates the count of bytes that the room keeps.
    fn count_kept(&mut self) {
        let changes = self.changes.as_ref().map_or(0, |changes| changes.bytes);
        let bytes = self.tail.bytes() + changes + self.presence.draft_bytes();
        self.kept.set(bytes);
    }

    /// The parts of a view that are the same for members and listeners.
    fn view(&self) -> RoomView {
        RoomView {
            epoch: self.epoch.clone(),
            head: self.head,
            trimmed: self.trimmed,
            members: Vec::new(),
            count: None,
            drafts: Vec::new(),
            redacted: self.redactions.newest().cloned().collect(),
            version: self.presence.version(),
        }
    }
}

impl Room {
    pub(super) fn new(
        name: RoomName,
        presence: Presence,
        agenda: Arc<Agenda<Self>>,
        tails: Arc<Tails>,
        (fan_out, nodes): (Option<Arc<Paced>>, Option<Arc<Nodes>>),
    ) -> Self {
        let state = State {
            epoch: Epoch::new(""),
            head: Offset::ZERO,
            trimmed: Offset::ZERO,
            tail: Tail::default(),
            kept: Kept::new(tails),
            presence,
            pace: Pace::default(),
            redactions: Redactions::new(REDACTED_MAX),
            due: None,
            readers: Readers::default(),
            changes: None,
        };
        Self {
            name,
            loaded: OnceCell::new(),
            state: Mutex::new(state),
            head: AtomicU64::new(0),
            version: AtomicU64::new(0),
            agenda,
            fan_out,
            nodes,
        }
    }

    /// The room's name.
    pub const fn name(&self) -> &RoomName {
        &self.name
    }

    /// Loads the state of the room's log, once.
    pub(super) async fn load(&self, log: &dyn Log) -> Result<(), LogError> {
        self.loaded
            .get_or_try_init(|| self.refresh(log))
            .await
            .copied()
    }

    /// Loads the state of the room's log again, after a reader found messages missing.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if the log cannot be read now.
    pub async fn refresh(&self, log: &dyn Log) -> Result<(), LogError> {
        let held = log.room(self.name.clone()).await?;
        let mut state = self.state.lock();
        state.epoch = held.epoch;
        state.trimmed = held.trimmed;
        // A message may have been committed since the log was read.
        state.head = state.head.max(held.head);
        // Or redacted.
        state.redactions.learn(held.redacted);
        self.mark(&state);
        Ok(())
    }

    /// Registers a listener that is not a member; it is woken when the room changes.
    pub fn watch(&self, id: ConnectionId, mailbox: &Arc<Mailbox>) -> RoomView {
        let mut state = self.state.lock();
        Arc::make_mut(&mut state.readers).insert(id, Arc::clone(mailbox));
        state.view()
    }

    /// Drops a listener.
    pub fn unwatch(&self, id: ConnectionId) {
        Arc::make_mut(&mut self.state.lock().readers).remove(&id);
    }

    /// Makes a session of a user, if that is known, a member, whose connection is woken when the room changes.
    pub fn enter(
        self: &Arc<Self>,
        now: Timestamp,
        (session, name): (SessionId, Name),
        user: Option<&Subject>,
        (holder, mailbox): (Holder, &Arc<Mailbox>),
    ) -> RoomView {
        self.change(|state| {
            let member = (session.clone(), name);
            state.presence.enter_as(now, member, user, holder);
            Arc::make_mut(&mut state.readers).insert(holder.connection, Arc::clone(mailbox));
            let (members, count) = state.presence.members(&session);
            RoomView {
                members,
                count,
                drafts: state.presence.drafts(),
                ..state.view()
            }
        })
    }

    /// Renames a member.
    pub fn rename(
        self: &Arc<Self>,
        now: Timestamp,
        session: &SessionId,
        name: Name,
        holder: Holder,
    ) {
        self.change(|state| state.presence.enter(now, session.clone(), name, holder));
    }

    /// Makes a session leave at once.
    pub fn leave(self: &Arc<Self>, now: Timestamp, session: &SessionId, id: ConnectionId) {
        self.change(|state| {
            Arc::make_mut(&mut state.readers).remove(&id);
            state.presence.leave(now, session);
        });
    }

    /// Drops a closed connection: its session is away, and leaves in time unless it reconnects (PR-1).
    pub fn disconnect(self: &Arc<Self>, now: Timestamp, session: &SessionId, id: ConnectionId) {
        self.change(|state| {
            Arc::make_mut(&mut state.readers).remove(&id);
            state.presence.disconnect(now, session, id);
        });
    }

    pub(super) fn handle_timeout(self: &Arc<Self>, now: Timestamp) {
        self.change(|state| {
            state.due = None;
            state.presence.handle_timeout(now);
        });
    }

    /// When it was opened, where there are several nodes.
    pub(super) fn opened_at(&self) -> Option<Timestamp> {
        self.state.lock().presence.opened_at()
    }

    /// Begins to tell other nodes of the room.
    pub(super) fn open(self: &Arc<Self>) {
        self.change(|_| ());
    }

    /// Takes what another node tells of its members.
    pub(super) fn heard(self: &Arc<Self>, now: Timestamp, message: &[u8]) -> Result<(), HearError> {
        self.change(|state| state.presence.hear(now, message))
    }

    pub(super) fn node_up(self: &Arc<Self>, now: Timestamp, node: &NodeName) {
        self.change(|state| state.presence.node_up(now, node));
    }

    pub(super) fn node_down(self: &Arc<Self>, now: Timestamp, node: &NodeName) {
        self.change(|state| state.presence.node_down(now, node));
    }

    /// Sets a member's draft, which was typed after its message of number `after`; 0 for none.
    pub fn draft(self: &Arc<Self>, session: &SessionId, body: String, after: u64) {
        self.change(|state| state.presence.draft(session, body, after));
    }

    /// A member publishes: its draft is on its way into the log.
    pub fn published(&self, session: &SessionId) {
        self.state.lock().presence.published(session);
    }

    /// A message did not get into the log: the draft that it was made of ends by a change of its own.
    pub fn publish_failed(self: &Arc<Self>, session: &SessionId, seq: Seq) {
        self.change(|state| state.presence.publish_failed(session, seq));
    }

    /// How many readers a change wakes.
    pub(super) fn readers(&self) -> usize {
        self.state.lock().readers.len()
    }

    /// Adds a durable message: readers may get it once they are woken.
    pub(super) fn committed(self: &Arc<Self>, message: &Message) {
        let mut state = self.state.lock();
        state.presence.message_shown(&message.session, message.seq);
        let entry = Entry::message(message.clone());
        state.head = state.head.max(entry.offset);
        state.tail.push(entry);
        self.settle(&mut state);
    }

    /// Redacts a message in memory, and notifies the readers (EO-8).
    pub(super) fn redacted(self: &Arc<Self>, message: &Message) {
        self.change(|state| {
            state.tail.replace(&Entry::message(message.clone()));
            let version = state.presence.bump_version();
            state.redactions.add(version, message.clone());
            state.pace.announce_all(&state.presence);
        });
    }

    /// Trims what is kept here in memory, as the room's log was trimmed for age.
    pub(super) fn trimmed(&self, through: Offset) {
        let mut state = self.state.lock();
        state.trimmed = state.trimmed.max(through);
        state.tail.trim(through);
        state.redactions.trim(through);
        state.count_kept();
    }

    /// The turn in which a message or draft was last added here, among all rooms; `None` where nothing is kept.
    pub(super) fn last_used(&self) -> Option<u64> {
        self.state.lock().kept.turn()
    }

    /// Drops the tail and the changes: a reader that is behind reads the log.
    pub(super) fn forget_tail(&self) {
        let mut state = self.state.lock();
        state.tail.clear();
        state.changes = None;
        state.count_kept();
    }

    /// Ends all drafts.
    pub(super) fn forget_drafts(self: &Arc<Self>) {
        self.change(|state| state.presence.clear_drafts());
    }

    pub(super) fn wake(&self) {
        let readers = Arc::clone(&self.state.lock().readers);
        self.wake_readers(&readers);
    }

    /// The members that are named, and how many there are in all (PR-3).
    pub fn members(&self) -> (Vec<Member>, u32) {
        self.state.lock().presence.named()
    }

    /// How many members there are.
    pub(super) fn member_count(&self) -> u32 {
        self.state.lock().presence.count()
    }

    /// The newest offset and version.
    pub fn marks(&self) -> (Offset, u64) {
        let head = Offset::new(self.head.load(Ordering::Acquire));
        // It was an offset when it was stored.
        (
            head.unwrap_or_default(),
            self.version.load(Ordering::Acquire),
        )
    }

    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.readers.is_empty() && state.presence.is_idle()
    }

    /// Changes the state, settles it, and wakes the readers where there is news for them.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let before = state.pace.announced();
        let result = change(&mut state);
        self.settle(&mut state);
        if state.pace.announced() != before {
            let readers = Arc::clone(&state.readers);
            drop(state);
            self.wake_readers(&readers);
        }
        result
    }

    /// Follows up on a change: counts the bytes kept, announces as much as readers may see now, and puts the room
    /// on the agenda if it has a deadline.
    fn settle(self: &Arc<Self>, state: &mut State) {
        state.count_kept();
        self.announce(state);
        self.mark(state);
        if let Some(nodes) = &self.nodes {
            nodes.tell(&self.name, &mut state.presence);
        }
        let presence = &state.presence;
        let due = [presence.poll_timeout(), state.pace.poll_timeout(presence)];
        if let Some(due) = due.into_iter().flatten().min()
            && state.due.is_none_or(|earlier| due < earlier)
        {
            state.due = Some(due);
            self.agenda.put(due, self);
        }
    }

    fn announce(&self, state: &mut State) {
        let Some(paced) = &self.fan_out else {
            return state.pace.announce_all(&state.presence);
        };
        if state.pace.announced() == state.presence.version() {
            return;
        }
        let (now, readers) = (paced.clock.now(), state.readers.len());
        let mut fan_out = paced.fan_out.lock();
        let (pace, presence) = (&mut state.pace, &state.presence);
        if pace.announce(now, presence, readers, &mut fan_out) {
            paced.metrics.limited(Limit::FanOutBytes);
        }
    }

    fn mark(&self, state: &State) {
        self.head.store(state.head.get(), Ordering::Release);
        self.version
            .store(state.pace.announced(), Ordering::Release);
    }

    fn wake_readers(&self, readers: &Readers) {
        for mailbox in readers.values() {
            mailbox.moved(&self.name);
        }
    }
}
