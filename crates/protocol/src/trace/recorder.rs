//! The recorder of one connection.

use std::collections::VecDeque;

use super::{Entry, Fact, FrameNote, Side};
use crate::close::CloseCode;
use crate::codec;
use crate::frame::ServerFrame;
use crate::heartbeat::Verdict;
use crate::id::{ConnectionId, Seq, SessionId};
use crate::position::Offset;
use crate::server::{AppendError, Input, Slot, Transmit};
use crate::time::{Timestamp, millis};

/// The most entries that wait in a recorder. A driver takes them after each call, but for a connection that has no
/// session yet: that one has a `hello` and a few frames. Overflow: dropped, and counted as [`Fact::Lost`].
pub const ENTRIES_MAX: usize = 32;

/// How many text frames went over a connection each way. A driver counts them from the connection's beginning, also
/// where there is no recorder, as both ends know a frame by its ordinal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ordinals {
    /// The text frames that came.
    pub received: u32,
    /// The text frames that were handed to the socket.
    pub sent: u32,
}

impl Ordinals {
    /// Counts a text frame that came.
    pub const fn count_received(&mut self) {
        self.received = self.received.wrapping_add(1);
    }

    /// Counts a text frame that is handed to the socket.
    pub const fn count_sent(&mut self) {
        self.sent = self.sent.wrapping_add(1);
    }
}

/// Makes the entries of one connection.
#[derive(Debug)]
pub struct Recorder {
    connection: ConnectionId,
    /// The session on the connection, once it is known.
    session: Option<SessionId>,
    /// The messages that the log was asked to append, and when. As many as the machine has under way.
    asked: VecDeque<(Seq, Timestamp)>,
    entries: VecDeque<Entry>,
    lost: Option<Lost>,
}

/// Entries for which there was no room.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// When the last of them happened.
    at: Timestamp,
    count: u64,
}

impl Recorder {
    /// The recorder of a connection on which these frames went before, the last one received at `heard_at`.
    pub fn new(
        now: Timestamp,
        connection: ConnectionId,
        ordinals: Ordinals,
        heard_at: Timestamp,
    ) -> Self {
        let mut recorder = Self {
            connection,
            session: None,
            asked: VecDeque::new(),
            entries: VecDeque::new(),
            lost: None,
        };
        let Ordinals { received, sent } = ordinals;
        recorder.note(
            now,
            Fact::Open {
                received,
                sent,
                heard_at,
            },
        );
        recorder
    }

    /// Sets the session on the connection.
    pub fn attach(&mut self, session: SessionId) {
        self.session = Some(session);
    }

    /// The session on the connection, once it is known.
    pub const fn session(&self) -> Option<&SessionId> {
        self.session.as_ref()
    }

    /// Takes an input of the connection's machine. `ordinals` count the frame that came with it, if one did.
    pub fn input(&mut self, now: Timestamp, ordinals: Ordinals, input: &Input) {
        match input {
            Input::Received(frame) => {
                let is_text = !matches!(frame, Err(codec::DecodeError::Binary));
                let ordinal = if is_text { ordinals.received } else { 0 };
                self.note(now, Fact::In(FrameNote::received(ordinal, frame)));
            }
            Input::Appended { seq, result, .. } => self.appended(now, *seq, *result),
            Input::TakenOver => self.note(now, Fact::TakeOver),
            Input::GoAway(slot) => self.note(now, of_slot(slot)),
            _ => {}
        }
    }

    /// Takes a transmit of the connection's machine, when it is performed. `ordinals` do not count a frame in it yet.
    pub fn transmit(&mut self, now: Timestamp, ordinals: Ordinals, transmit: &Transmit) {
        match transmit {
            Transmit::Frame(frame) => self.sent(now, ordinals, frame),
            Transmit::Append { seq, .. } => self.asked.push_back((*seq, now)),
            _ => {}
        }
    }

    /// Takes the text of a frame that is sent without passing the machine, as what a room has for all its readers.
    /// `ordinals` do not count it yet.
    pub fn sent_text(&mut self, now: Timestamp, ordinals: Ordinals, text: &str) {
        // What the server encoded itself is a frame.
        if let Ok(frame) = codec::decode(text, u32::MAX) {
            self.sent(now, ordinals, &frame);
        }
    }

    /// Takes what [`Connection::handle_timeout`](crate::server::Connection::handle_timeout) returned.
    pub fn verdict(&mut self, now: Timestamp, verdict: Verdict) {
        if verdict != Verdict::Alive {
            self.note(now, Fact::Verdict { verdict });
        }
    }

    /// The connection ended.
    pub fn closed(&mut self, now: Timestamp, code: CloseCode, by: Side) {
        self.note(now, Fact::Close { code, by });
    }

    /// The next entry.
    pub fn poll_entry(&mut self) -> Option<Entry> {
        if let Some(entry) = self.entries.pop_front() {
            return Some(entry);
        }
        let lost = self.lost.take()?;
        Some(self.entry(lost.at, Fact::Lost { count: lost.count }))
    }

    fn sent(&mut self, now: Timestamp, ordinals: Ordinals, frame: &ServerFrame) {
        let ordinal = ordinals.sent.wrapping_add(1);
        let note = FrameNote::sent(ordinal, frame, self.session.as_ref());
        self.note(now, Fact::Out(note));
        if let ServerFrame::Joined(joined) = frame
            && joined.from < joined.head
        {
            let room = joined.room.clone();
            let (from, to) = (joined.from, joined.head);
            self.note(now, Fact::Replay { room, from, to });
        }
    }

    fn appended(&mut self, now: Timestamp, seq: Seq, result: Result<Offset, AppendError>) {
        // The log answers in the order of the questions; those before the trace are not here.
        let place = self.asked.iter().position(|(asked, _)| *asked == seq);
        let asked_at = place.and_then(|place| self.asked.remove(place));
        self.note(
            now,
            Fact::Commit {
                seq,
                offset: result.ok(),
                error: result.err().map(word),
                took: asked_at.map(|(_, at)| now.since(at)),
            },
        );
    }

    fn note(&mut self, now: Timestamp, fact: Fact) {
        if self.entries.len() < ENTRIES_MAX {
            let entry = self.entry(now, fact);
            self.entries.push_back(entry);
        } else {
            let before = self.lost.map_or(0, |lost| lost.count);
            let count = before.saturating_add(1);
            self.lost = Some(Lost { at: now, count });
        }
    }

    const fn entry(&self, at: Timestamp, fact: Fact) -> Entry {
        Entry {
            at,
            connection: Some(self.connection),
            fact,
        }
    }
}

fn of_slot(slot: &Slot) -> Fact {
    let elsewhere = slot.elsewhere.as_ref();
    Fact::Slot {
        reconnect_after_ms: millis(slot.reconnect_after),
        elsewhere_after_ms: elsewhere.map(|(_, after)| millis(*after)),
    }
}

/// Why the log did not take a message, in a word.
const fn word(error: AppendError) -> &'static str {
    match error {
        AppendError::Conflict => "conflict",
        AppendError::OutOfOrder => "out_of_order",
        AppendError::Refused(_) => "refused",
        AppendError::UnknownSession => "unknown_session",
        AppendError::Fenced => "fenced",
        AppendError::Unavailable => "unavailable",
        AppendError::Unknown => "unknown",
        AppendError::RateLimited(_) => "rate_limited",
    }
}
