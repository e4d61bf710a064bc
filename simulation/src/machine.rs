//! A client of the pair: its machine, its storage, and the page that shows what it reports.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::client::{Config, Event, Fate, Session, Status, Stored};
use protocol::close::CloseCode;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::id::{ConnectionId, RoomName, Seq, SessionId};
use protocol::outbox::{EntryId, Stage};
use protocol::position::Offset;
use protocol::time::Timestamp;
use view::{Report, Snapshot};

use crate::log::Log;
use crate::outage::Outage;
use crate::shown::Shown;

/// What the driver did or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Asked for a connection.
    Open,
    /// The connection was open.
    Opened,
    /// Sent a frame.
    Sent(ClientFrame),
    /// A frame came.
    Received(ServerFrame),
    /// Dropped the connection.
    Dropped(CloseCode),
    /// The connection ended.
    Closed(Option<CloseCode>),
}

/// How a page's timers fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// When they are due.
    Awake,
    /// In a hidden tab: once a minute. What arrives is handled at once.
    Throttled,
    /// The computer sleeps: no timer fires, nothing is read.
    Asleep,
}

/// How often timers fire in a hidden tab.
const THROTTLE: Duration = Duration::from_secs(60);

/// The most connections that one page opens within [`OPENS_IN`], those of an impatient user included.
const OPENS_MAX: usize = 40;

/// The time in which [`OPENS_MAX`] holds.
const OPENS_IN: Duration = Duration::from_secs(30);

/// One page.
#[derive(Debug)]
pub struct Machine {
    /// The machine.
    pub session: Session,
    /// The storage: what would survive a reload now.
    pub storage: Stored,
    /// Everything that the driver did or received.
    pub steps: Vec<(Timestamp, ConnectionId, Step)>,
    /// All events of the page.
    pub events: VecDeque<(Timestamp, Event)>,
    /// The rooms that it shows or showed.
    pub rooms: BTreeMap<RoomName, Shown>,
    /// The fates of each message, in order.
    pub fates: BTreeMap<EntryId, Vec<Fate>>,
    /// The text of each message.
    bodies: BTreeMap<EntryId, String>,
    /// The session in which each was sent last.
    sent_in: BTreeMap<EntryId, SessionId>,
    /// The present outage.
    outage: Outage,
    /// How its timers fire.
    pub pace: Pace,
    /// How far its clock is ahead of the world's.
    ahead: Duration,
    /// The connection that the driver holds.
    current: Option<ConnectionId>,
    /// The offset up to which the server has sent each room on that connection.
    sent_through: BTreeMap<RoomName, Offset>,
    /// Its timers fired late on that connection, or its clock jumped.
    is_late: bool,
    /// The bytes that its socket held when the machine was last informed.
    pub(crate) held: u64,
    /// When it opened its latest connections.
    opens: VecDeque<Timestamp>,
    /// The longest backoff, which no delay equals exactly (RC-1).
    backoff_cap: Duration,
    /// The page is closed.
    pub is_closed: bool,
    /// Its user, where that makes a difference.
    pub person: usize,
}

impl Machine {
    /// A page that finds this storage.
    pub fn new(config: Config, storage: Stored) -> Self {
        let bodies = storage.outbox.iter();
        let session = storage.credentials.as_ref().map(|it| &it.id);
        let sent = storage.outbox.iter().filter(|e| e.stage == Stage::Sent);
        let sent_in = sent.filter_map(|e| Some((e.id, session?.clone())));
        Self {
            sent_in: sent_in.collect(),
            session: Session::new(config, through_text(&storage)),
            bodies: bodies.map(|e| (e.id, e.body.clone())).collect(),
            storage,
            steps: Vec::new(),
            events: VecDeque::new(),
            rooms: BTreeMap::new(),
            fates: BTreeMap::new(),
            outage: Outage::default(),
            pace: Pace::Awake,
            ahead: Duration::ZERO,
            current: None,
            sent_through: BTreeMap::new(),
            is_late: false,
            held: 0,
            opens: VecDeque::new(),
            backoff_cap: config.backoff_cap,
            is_closed: false,
            person: 0,
        }
    }

    /// The machine's own time.
    pub fn clock(&self, now: Timestamp) -> Timestamp {
        now + self.ahead
    }

    /// When its driver calls it next, in the world's time.
    pub fn due(&self) -> Option<Timestamp> {
        if self.is_closed {
            return None;
        }
        let due = self.session.poll_timeout()?;
        let due = due.since_origin().saturating_sub(self.ahead);
        match self.pace {
            Pace::Awake => Some(Timestamp::from_origin(due)),
            Pace::Throttled => {
                let minutes = due.as_nanos().div_ceil(THROTTLE.as_nanos());
                let minutes = u32::try_from(minutes).unwrap_or(u32::MAX);
                Some(Timestamp::from_origin(THROTTLE * minutes))
            }
            Pace::Asleep => None,
        }
    }

    /// Its clock jumps forward.
    pub fn jump(&mut self, by: Duration) {
        self.ahead += by;
        self.is_late = true;
    }

    /// Whether the timers of this connection were on time from its beginning.
    pub fn is_timely(&self) -> bool {
        !self.is_late && self.pace == Pace::Awake
    }

    /// Whether the driver still holds this connection.
    pub fn holds(&self, id: ConnectionId) -> bool {
        !self.is_closed && self.current == Some(id)
    }

    /// Remembers what the driver did or received.
    pub fn note(&mut self, now: Timestamp, id: ConnectionId, step: Step) {
        match &step {
            Step::Open => {
                self.current = Some(id);
                self.sent_through.clear();
                (self.is_late, self.held) = (self.pace != Pace::Awake, 0);
                self.opens(now);
            }
            Step::Dropped(_) | Step::Closed(_) => self.current = None,
            Step::Received(frame) if self.current == Some(id) => self.check_sent(frame),
            Step::Opened | Step::Sent(_) | Step::Received(_) => {}
        }
        self.steps.push((now, id, step));
    }

    /// RC-1, RC-2: a server in trouble does not get too many connections.
    fn opens(&mut self, now: Timestamp) {
        while self.opens.front().is_some_and(|at| *at + OPENS_IN < now) {
            self.opens.pop_front();
        }
        self.opens.push_back(now);
        assert!(
            self.opens.len() <= OPENS_MAX,
            "it opens connection after connection"
        );
    }

    /// RS-5: the messages that the server sends after `joined` are contiguous, from replay to live.
    fn check_sent(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Joined(joined) => {
                self.sent_through.insert(joined.room.clone(), joined.from);
            }
            ServerFrame::Message(message) => {
                let through = self.sent_through.get(&message.room).copied();
                // EO-8: the page has that one, and gets its redaction.
                if message.removed && Some(message.offset) <= through {
                    return;
                }
                let next = through.map(Offset::next);
                assert_eq!(next, Some(message.offset), "the server sent {message:?}");
                self.sent_through
                    .insert(message.room.clone(), message.offset);
            }
            _ => {}
        }
    }

    /// The page begins to show a room: as it was rendered (RS-7), or empty. A room that it showed before is
    /// entered again.
    pub fn start(&mut self, room: &RoomName, snapshot: Option<&Snapshot>) {
        if snapshot.is_none()
            && let Some(shown) = self.rooms.get_mut(room)
        {
            return shown.enter();
        }
        let shown = Shown::new(room.clone(), snapshot, &self.session);
        self.rooms.insert(room.clone(), shown);
    }

    /// The page asks for messages older than those that it shows.
    pub fn older(&mut self, now: Timestamp, room: &RoomName, limit: u32) {
        let now = self.clock(now);
        let Some(timeline) = self.rooms.get_mut(room).map(|it| &mut it.view.timeline) else {
            return;
        };
        if let Some(before) = timeline.older_than() {
            timeline.loading_older();
            self.session.history(now, room.clone(), before, limit);
        }
    }

    /// Folds all events of the machine.
    pub fn drain_events(&mut self, now: Timestamp, log: &Log) {
        while let Some(event) = self.session.poll_event() {
            // A node is about to raise the alarm: what pages show is not judged any more.
            if log.is_void() {
                continue;
            }
            if let Event::Status(Status::Waiting { until, .. }) = event {
                let wait = until - self.clock(now);
                assert_ne!(wait, self.backoff_cap, "jitter before the clamp");
            }
            self.fold(now, &event, log);
            self.events.push_back((now, event));
        }
    }

    fn fold(&mut self, now: Timestamp, event: &Event, log: &Log) {
        self.outage.fold(event, &self.session);
        match event {
            Event::Joined { joined, .. } if !self.rooms.contains_key(&joined.room) => {
                self.start(&joined.room, None);
            }
            Event::Queued(entry) => {
                self.bodies.insert(entry.id, entry.body.clone());
                self.fates.entry(entry.id).or_default().push(Fate::Waiting);
            }
            Event::Fate { id, seq, fate } => self.settled(*id, *seq, *fate, log),
            _ => {}
        }
        let report = Report::of(event.clone(), self.clock(now));
        for shown in self.rooms.values_mut() {
            shown.fold(&report, log);
        }
    }

    /// A message that is reported durable is in the log, as it was sent.
    fn settled(&mut self, id: EntryId, seq: Seq, fate: Fate, log: &Log) {
        if fate == Fate::Sent {
            let session = self.session.id().cloned();
            self.sent_in.extend(session.map(|session| (id, session)));
        }
        if matches!(fate, Fate::Durable { .. }) {
            let (session, body) = (&self.sent_in[&id], &self.bodies[&id]);
            assert!(log.knows(session, seq, body), "not durable: {seq} {body:?}");
        }
        self.fates.entry(id).or_default().push(fate);
    }

    /// In quiet a room is shown as it is, and so is what is on its way there.
    pub fn check_shown(&self, room: &RoomName, log: &Log) {
        let is_away = self.is_live() && self.outage.is_open;
        assert!(!is_away, "an outage without an end: {:?}", self.outage);
        let shown = self.shown(room);
        let outbox = self.session.outbox().filter(|entry| entry.room == *room);
        shown.check_pending(&outbox.map(|entry| entry.id).collect());
        shown.check_newest(self.session.position(room), log);
    }

    /// Whether its connection is live.
    pub fn is_live(&self) -> bool {
        self.session.status() == Status::Live
    }

    /// The latest fate of a message.
    pub fn fate(&self, id: EntryId) -> Option<Fate> {
        self.fates.get(&id)?.last().copied()
    }

    /// Whether a message was reported as durable.
    pub fn is_durable(&self, id: EntryId) -> bool {
        matches!(self.fate(id), Some(Fate::Durable { .. }))
    }

    /// The frames sent, with their time.
    pub fn sent(&self) -> impl Iterator<Item = (Timestamp, &ClientFrame)> {
        self.steps.iter().filter_map(|(at, _, step)| match step {
            Step::Sent(frame) => Some((*at, frame)),
            _ => None,
        })
    }

    /// The frames received, with their time.
    pub fn received(&self) -> impl Iterator<Item = (Timestamp, &ServerFrame)> {
        self.steps.iter().filter_map(|(at, _, step)| match step {
            Step::Received(frame) => Some((*at, frame)),
            _ => None,
        })
    }

    /// The numbers published on the wire, in order.
    pub fn published(&self) -> Vec<u64> {
        let seq = |(_, frame): (Timestamp, &ClientFrame)| match frame {
            ClientFrame::Publish { seq, .. } => Some(seq.get()),
            _ => None,
        };
        self.sent().filter_map(seq).collect()
    }

    /// The times of the steps that are wanted.
    pub fn times(&self, wanted: impl Fn(&Step) -> bool) -> Vec<Timestamp> {
        let of = self.steps.iter().filter(|(_, _, step)| wanted(step));
        of.map(|(at, _, _)| *at).collect()
    }

    /// The close codes of its connections, as the driver received them.
    pub fn closed(&self) -> Vec<Option<CloseCode>> {
        let of = self.steps.iter().filter_map(|(_, _, step)| match step {
            Step::Closed(code) => Some(*code),
            _ => None,
        });
        of.collect()
    }

    /// One room as it shows it.
    pub fn shown(&self, room: &RoomName) -> &Shown {
        &self.rooms[room]
    }
}

/// The storage that a new page finds: the outbox passes through the text in which it is kept.
fn through_text(storage: &Stored) -> Stored {
    let text = serde_json::to_string(&storage.outbox).unwrap();
    Stored {
        credentials: storage.credentials.clone(),
        outbox: serde_json::from_str(&text).unwrap(),
    }
}
