//! The dialect of the tutorial's page: bare text, no subprotocol.
//!
//! Any text is a draft of an anonymous session; the text `heartbeat` is only a sign of life. What is
//! typed or sent in the room comes back as bare text to everyone, the sender included. The server's
//! own liveness check is a WebSocket Ping, which browsers answer without telling the page.

use std::collections::VecDeque;

use super::drafts::HeldDraft;
use super::{Config, Pull, Reader, RoomView};
use crate::close::CloseCode;
use crate::heartbeat::{Heartbeat, Verdict};
use crate::position::Offset;
use crate::rate::Bucket;
use crate::time::{Latest, Timestamp};

/// What the tutorial's page sends as its heartbeat.
const HEARTBEAT: &str = "heartbeat";

/// A fact about a tutorial page's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TutorialInput {
    /// A text came.
    Text(String),
    /// A binary message came.
    Binary,
    /// A control frame came: a sign of life (HB-1).
    SignOfLife,
    /// The client took some of what had been waiting to be written to it (HB-4).
    Drained,
    /// The room was opened; `None` when the log cannot answer now.
    RoomOpened(Option<RoomView>),
    /// The room has newer messages or drafts.
    RoomMoved {
        /// Its newest message.
        head: Offset,
        /// Its newest version of members and drafts.
        version: u64,
    },
    /// A pull was written.
    Pulled {
        /// The last offset written.
        through: Offset,
        /// The last version written.
        version: u64,
    },
    /// The reader fell behind what the room still has.
    CutOff,
    /// An operator ends this connection.
    Removed,
    /// The server goes.
    Shutdown,
    /// A write made no progress in time.
    WriteStuck,
}

/// What the driver of a tutorial page's connection must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TutorialTransmit {
    /// Enter the room; answer with [`TutorialInput::RoomOpened`].
    OpenRoom,
    /// Send a text.
    Text(String),
    /// Show a draft to the others.
    Draft(String),
    /// Write what the room has, as bare texts, without the page's own drafts.
    Pull(Pull),
    /// Send a WebSocket Ping.
    Ping,
    /// Send this code and end the connection. Nothing follows.
    Close(CloseCode),
}

/// The server's end of a tutorial page's connection.
#[derive(Debug)]
pub struct Tutorial {
    body_bytes: usize,
    heartbeat: Heartbeat,
    drafts: Bucket,
    held_draft: HeldDraft,
    reader: Option<Reader>,
    is_closed: bool,
    latest: Latest,
    transmits: VecDeque<TutorialTransmit>,
}

impl Tutorial {
    /// The end of a connection that opened now.
    pub fn new(now: Timestamp, config: &Config) -> Self {
        let limits = config.limits;
        Self {
            body_bytes: limits.body_bytes as usize,
            heartbeat: Heartbeat::new(now, config.heartbeat()),
            drafts: Bucket::new(now, limits.drafts_per_s, limits.drafts_per_s),
            held_draft: HeldDraft::default(),
            reader: None,
            is_closed: false,
            latest: Latest::new(now),
            transmits: VecDeque::from([TutorialTransmit::OpenRoom]),
        }
    }

    /// A fact.
    pub fn handle_input(&mut self, now: Timestamp, input: TutorialInput) {
        if self.is_closed {
            return;
        }
        let now = self.latest.advance(now);
        match input {
            TutorialInput::Text(text) => {
                self.heartbeat.on_received(now);
                self.text(now, text);
            }
            TutorialInput::Binary => self.close(CloseCode::UNSUPPORTED_DATA),
            TutorialInput::SignOfLife => self.heartbeat.on_received(now),
            TutorialInput::Drained => self.heartbeat.on_left(now),
            TutorialInput::RoomOpened(Some(view)) => {
                // This page knows no history: it reads from now on.
                self.reader = Some(Reader::new(view.head, view.head, view.version));
            }
            TutorialInput::RoomOpened(None) => self.close(CloseCode::TRY_AGAIN_LATER),
            TutorialInput::RoomMoved { head, version } => {
                if let Some(reader) = &mut self.reader {
                    reader.moved(head, version);
                }
                self.pull();
            }
            TutorialInput::Pulled { through, version } => {
                if let Some(reader) = &mut self.reader {
                    reader.pulled(through, version);
                }
                self.pull();
            }
            TutorialInput::CutOff => self.transmits.push_back(TutorialTransmit::OpenRoom),
            TutorialInput::Removed => self.close(CloseCode::REMOVED),
            TutorialInput::Shutdown => self.close(CloseCode::SERVICE_RESTART),
            TutorialInput::WriteStuck => self.close(CloseCode::SLOW),
        }
    }

    /// Time has passed. Early and repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.is_closed {
            return;
        }
        let now = self.latest.advance(now);
        match self.heartbeat.handle_timeout(now) {
            Verdict::Alive => {}
            Verdict::Ping => self.transmits.push_back(TutorialTransmit::Ping),
            Verdict::Dead => return self.close(CloseCode::DEAD),
        }
        let draft = self.held_draft.flush(now, &mut self.drafts);
        self.transmits.extend(draft.map(TutorialTransmit::Draft));
    }

    /// When the client last gave a sign of life.
    pub const fn heard_at(&self) -> Timestamp {
        self.heartbeat.heard_at()
    }

    /// The next thing that the driver must do.
    pub fn poll_transmit(&mut self) -> Option<TutorialTransmit> {
        self.transmits.pop_front()
    }

    /// When to call [`Tutorial::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.is_closed {
            return None;
        }
        let beat = self.heartbeat.poll_timeout();
        Some(self.held_draft.due().map_or(beat, |due| due.min(beat)))
    }

    fn text(&mut self, now: Timestamp, text: String) {
        if text == HEARTBEAT {
            return;
        }
        if text.len() > self.body_bytes {
            return self.close(CloseCode::TOO_BIG);
        }
        // Straight back, not through the room: there drafts are coalesced, and the page that sent
        // each of them wants to see each of them.
        self.transmits
            .push_back(TutorialTransmit::Text(text.clone()));
        let draft = self.held_draft.take(now, &mut self.drafts, text);
        self.transmits.extend(draft.map(TutorialTransmit::Draft));
    }

    fn pull(&mut self) {
        if let Some(pull) = self.reader.as_mut().and_then(Reader::next_pull) {
            self.transmits.push_back(TutorialTransmit::Pull(pull));
        }
    }

    fn close(&mut self, code: CloseCode) {
        self.is_closed = true;
        self.transmits.push_back(TutorialTransmit::Close(code));
    }
}
