//! The way of a message from the outbox to the log: it is numbered, sent, and settled, refused or
//! uncertain.

use std::time::Duration;

use super::Session;
use super::connection::{Live, State};
use super::output::{Event, Fate, Store, Transmit};
use crate::codec;
use crate::frame::{ClientFrame, ErrorCode, NumberFate, Refused};
use crate::id::Seq;
use crate::outbox::{Entry, EntryId, Stage};
use crate::position::Offset;
use crate::time::Timestamp;

/// The longest escape of a byte in JSON: `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// The most bytes of a frame beside its text: a room's name, a number and the fields' names.
const ENVELOPE: usize = 192;

impl Session {
    /// Sends what the window and the server's last refusal allow.
    pub(super) fn flush_outbox(&mut self, now: Timestamp) {
        while let State::Live(live) = &self.state
            && now >= live.publish_from
            && live.uplink.takes_message(now, &self.config)
        {
            let Some((was, entry)) = self.outbox.send_next(self.config.window) else {
                break;
            };
            let entry = entry.clone();
            if was == Stage::Unsent {
                self.transmits
                    .push_back(Transmit::Store(Store::Put(entry.clone())));
            }
            self.report_fate(&entry, Fate::Sent);
            if let Some(room) = self.rooms.get_mut(&entry.room) {
                room.message_sent();
            }
            let frame = self.publish_frame(entry);
            self.send(now, frame);
            self.pace(now);
        }
        // For what is in flight no answer may be due, as where the server ignores what follows a held message.
        if self.outbox.has_unsent(self.config.window)
            && let State::Live(live) = &self.state
            && now >= live.publish_from
            && live.uplink.asks(now, self.config.publish_flight)
        {
            self.ping(now);
        }
        self.flush_drafts(now);
    }

    /// After a message was refused over the rate: the next one waits for its turn, until all were sent.
    fn pace(&mut self, now: Timestamp) {
        let has_more = self.outbox.has_unsent(usize::MAX);
        if let State::Live(live) = &mut self.state
            && let Some(pace) = live.publish_pace
        {
            live.publish_from = now + pace;
            live.publish_pace = has_more.then_some(pace);
        }
    }

    /// Sends the newest message of the outbox if it can be sent now. It is stored once either way: as sent
    /// before its frame leaves, or as it waits (EO-4).
    pub(super) fn send_new(&mut self, now: Timestamp, id: EntryId) {
        self.flush_outbox(now);
        let mut waiting = self.outbox.iter();
        if let Some(entry) = waiting.find(|it| it.id == id && it.stage == Stage::Unsent) {
            let store = Store::Put(entry.clone());
            self.transmits.push_back(Transmit::Store(store));
        }
    }

    /// Whether to go on, with a message or a question about the line, rather than wait for an answer.
    pub(super) fn may_publish(&self, live: &Live) -> bool {
        let (now, uplink) = (self.latest.get(), &live.uplink);
        uplink.takes_message(now, &self.config) || uplink.asks(now, self.config.publish_flight)
    }

    /// Takes an `ack`: the message is durable.
    pub(super) fn acked(&mut self, now: Timestamp, seq: Seq, offset: Offset) {
        if let Some(entry) = self.outbox.settle(seq) {
            let offset = Some(offset);
            self.settled(&entry, Fate::Durable { offset });
        }
        self.arrived(now, seq);
    }

    /// RS-3: settles the messages whose answers were lost, by what `welcome` says of them.
    pub(super) fn settle_through(&mut self, last_seq: u64, refused: &[Refused]) {
        while let Some(seq) = self.outbox.first_through(last_seq) {
            match refused.iter().find(|refused| refused.seq == seq) {
                Some(refused) => self.refused_for_good(seq, refused.code),
                None => {
                    if let Some(entry) = self.outbox.settle(seq) {
                        self.settled(&entry, Fate::Durable { offset: None });
                    }
                }
            }
        }
    }

    /// Goes on after the server's last number. `false` if the session cannot: RS-9.
    #[must_use]
    pub(super) fn continue_after(&mut self, last_seq: u64) -> bool {
        let before: Vec<Seq> = self.outbox.iter().map(|entry| entry.seq).collect();
        let continues = self.outbox.continue_after(last_seq);
        if continues {
            self.renumbered(&before);
        }
        continues
    }

    /// Takes what an error says of a message (EO-7).
    pub(super) fn number_fate(&mut self, now: Timestamp, fate: NumberFate, code: ErrorCode) {
        match fate {
            // Under this number the log has another message (EO-6): so it does not have this one.
            NumberFate::Unsettled(seq) if code == ErrorCode::SeqConflict => {
                if let Some(entry) = self.outbox.mark_unsent(seq).cloned() {
                    self.transmits.push_back(Transmit::Store(Store::Put(entry)));
                }
            }
            // The close code that follows decides.
            NumberFate::Unsettled(_) => {}
            NumberFate::Later(seq, wait) => {
                self.hold(now, seq, wait, code);
                self.arrived(now, seq);
            }
            NumberFate::Used(seq) => {
                self.refused_for_good(seq, code);
                self.arrived(now, seq);
            }
        }
    }

    /// The server has read this message, and what was sent before it: there is room for more.
    fn arrived(&mut self, now: Timestamp, seq: Seq) {
        if let State::Live(live) = &mut self.state {
            live.uplink.settled(now, seq);
        }
        self.flush_outbox(now);
    }

    /// The number is used up; the text stays until the user has seen it (EO-7).
    fn refused_for_good(&mut self, seq: Seq, code: ErrorCode) {
        if let Some(entry) = self.outbox.refuse(seq, code).cloned()
            && let Stage::Refused(code) = entry.stage
        {
            self.report_fate(&entry, Fate::Refused { code });
            self.transmits.push_back(Transmit::Store(Store::Put(entry)));
        }
    }

    /// Holds this message and those after it for so long. Over the rate, they follow at the rate (EO-7).
    fn hold(&mut self, now: Timestamp, seq: Seq, wait: Duration, code: ErrorCode) {
        let held: Vec<Entry> = self
            .outbox
            .in_flight()
            .filter(|entry| entry.seq >= seq)
            .cloned()
            .collect();
        self.outbox.rewind(seq);
        for entry in held {
            self.report_fate(&entry, Fate::Waiting);
        }
        let mut pace = None;
        if let State::Live(live) = &mut self.state {
            live.publish_from = now + wait;
            if code == ErrorCode::RateLimited {
                pace = per_second(self.limits.publishes_per_s);
                live.publish_pace = pace;
            }
        }
        let others = u32::try_from(self.outbox.waiting().saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = wait.saturating_add(pace.unwrap_or_default().saturating_mul(others));
        self.events.push_back(Event::Paused { code, wait });
    }

    /// Stores the numbers that changed at `welcome`: those given before were provisional, and a reload would
    /// sort the outbox wrongly by them.
    fn renumbered(&mut self, before: &[Seq]) {
        let entries: Vec<Entry> = self.outbox.iter().cloned().collect();
        for (entry, before) in entries.into_iter().zip(before) {
            if entry.seq != *before {
                self.report_fate(&entry, Fate::Waiting);
                self.transmits.push_back(Transmit::Store(Store::Put(entry)));
            }
        }
    }

    /// A message is in the log: it leaves the outbox.
    pub(super) fn settled(&mut self, entry: &Entry, fate: Fate) {
        self.outage_settled(entry);
        self.transmits
            .push_back(Transmit::Store(Store::Remove(entry.id)));
        self.report_fate(entry, fate);
    }

    pub(super) fn report_fate(&mut self, entry: &Entry, fate: Fate) {
        self.events.push_back(Event::Fate {
            id: entry.id,
            seq: entry.seq,
            fate,
        });
    }

    /// RS-9: the session cannot be resumed.
    pub(super) fn abandon_session(&mut self) {
        self.note_lost();
        self.outage_begins();
        self.credentials = None;
        self.transmits
            .push_back(Transmit::Store(Store::Session(None)));
        // What waits for the user keeps its fate, which was reported when it came.
        let is_aside = |entry: &&Entry| entry.stage.is_aside();
        let kept = self.outbox.iter().filter(is_aside).count();
        if self.config.inherits {
            self.outbox.orphan();
        } else {
            self.outbox.abandon_session();
        }
        let open = self.outbox.iter().filter(|entry| !is_aside(entry));
        // Those that join the kept ones come after them.
        let moved = self.outbox.iter().filter(is_aside).skip(kept);
        let entries: Vec<Entry> = open.chain(moved).cloned().collect();
        for entry in entries {
            self.report_fate(&entry, Fate::after(entry.stage));
            self.transmits.push_back(Transmit::Store(Store::Put(entry)));
        }
    }

    /// The frame of a message. One that no longer fits the limits in force is sent without its text: so it is
    /// refused for good, which uses its number up and blocks no other message (EO-7).
    fn publish_frame(&self, entry: Entry) -> ClientFrame {
        let Entry {
            seq, room, body, ..
        } = entry;
        let mut frame = ClientFrame::Publish { seq, room, body };
        if !self.fits(&frame)
            && let ClientFrame::Publish { body, .. } = &mut frame
        {
            body.clear();
        }
        frame
    }

    /// Whether the server takes a frame of this size. Only those with a large text need measuring.
    pub(super) fn fits(&self, frame: &ClientFrame) -> bool {
        let (ClientFrame::Publish { body, .. } | ClientFrame::Draft { body, .. }) = frame else {
            return true;
        };
        let limit = self.limits.frame_bytes as usize;
        body.len()
            .saturating_mul(LONGEST_ESCAPE)
            .saturating_add(ENVELOPE)
            <= limit
            || codec::encode(frame).len() <= limit
    }
}

/// The time between two of so many in a second; `None` for no limit.
fn per_second(count: u32) -> Option<Duration> {
    Duration::from_secs(1).checked_div(count)
}

impl Fate {
    /// The fate of a message at this stage that is not in flight.
    const fn after(stage: Stage) -> Self {
        match stage {
            Stage::Unsent | Stage::Sent => Self::Waiting,
            Stage::Uncertain => Self::Uncertain,
            Stage::Held => Self::Held,
            Stage::Refused(code) => Self::Refused { code },
        }
    }
}
