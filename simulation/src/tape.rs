//! The tape: what each server's recorders tell of its connections, with the same recorder as the real server's.

use std::collections::{BTreeMap, BTreeSet};

use protocol::close::CloseCode;
use protocol::codec;
use protocol::frame::ServerFrame;
use protocol::heartbeat::Verdict;
use protocol::id::{ConnectionId, SessionId};
use protocol::server::{Input, Transmit};
use protocol::time::Timestamp;
use protocol::trace::{Entry, Ordinals, Recorder, Side};

/// The recorder of one connection, as its driver has it.
#[derive(Debug)]
pub(crate) struct Tape {
    recorder: Recorder,
    ordinals: Ordinals,
}

impl Tape {
    pub(crate) fn new(now: Timestamp, link: u64) -> Self {
        let (connection, ordinals) = (ConnectionId::new(link), Ordinals::default());
        Self {
            recorder: Recorder::new(now, connection, ordinals, now),
            ordinals,
        }
    }

    pub(crate) fn attach(&mut self, session: &SessionId) {
        self.recorder.attach(session.clone());
    }

    /// An input that the machine gets now.
    pub(crate) fn input(&mut self, now: Timestamp, input: &Input) {
        if matches!(input, Input::Received(_)) {
            self.ordinals.count_received();
        }
        self.recorder.input(now, self.ordinals, input);
    }

    /// A transmit of the machine that is performed now.
    pub(crate) fn transmit(&mut self, now: Timestamp, transmit: &Transmit) {
        self.recorder.transmit(now, self.ordinals, transmit);
        if matches!(transmit, Transmit::Frame(_)) {
            self.ordinals.count_sent();
        }
    }

    /// A frame that a room has for its readers.
    pub(crate) fn frame(&mut self, now: Timestamp, frame: &ServerFrame) {
        let text = codec::encode(frame);
        self.recorder.sent_text(now, self.ordinals, &text);
        self.ordinals.count_sent();
    }

    pub(crate) fn verdict(&mut self, now: Timestamp, verdict: Verdict) {
        self.recorder.verdict(now, verdict);
    }

    pub(crate) fn closed(&mut self, now: Timestamp, code: CloseCode, by: Side) {
        self.recorder.closed(now, code, by);
    }

    /// The entries since the last call.
    pub(crate) fn entries(&mut self) -> impl Iterator<Item = Entry> {
        std::iter::from_fn(|| self.recorder.poll_entry())
    }
}

/// The tapes of a server's connections, by link.
#[derive(Debug, Default)]
pub(crate) struct Tapes {
    entries: BTreeMap<u64, Vec<Entry>>,
    /// When which connection was not read, as its frames cost too much: then it may be pinged without a verdict.
    unread: BTreeSet<(u64, Timestamp)>,
    /// The connections that ended with the server's process.
    crashed: BTreeSet<u64>,
}

impl Tapes {
    pub(crate) fn take(&mut self, link: u64, tape: &mut Tape) {
        self.entries.entry(link).or_default().extend(tape.entries());
    }

    pub(crate) fn unread(&mut self, now: Timestamp, link: u64) {
        self.unread.insert((link, now));
    }

    /// The entries of each connection.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, &[Entry])> {
        self.entries
            .iter()
            .map(|(link, entries)| (*link, &entries[..]))
    }

    /// Whether a connection was not read at that time.
    pub(crate) fn was_unread(&self, link: u64, at: Timestamp) -> bool {
        self.unread.contains(&(link, at))
    }

    /// Whether a connection ended with its server's process.
    pub(crate) fn has_crashed(&self, link: u64) -> bool {
        self.crashed.contains(&link)
    }

    pub(crate) fn crashed(&mut self, links: impl Iterator<Item = u64>) {
        self.crashed.extend(links);
    }
}
