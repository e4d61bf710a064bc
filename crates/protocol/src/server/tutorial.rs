//! The machine of the tutorial's dialect: bare text, no subprotocol.
//!
//! Any text is a draft of an anonymous session; the text `heartbeat` is only a sign of life. Drafts and messages
//! of the room come as bare text to all pages, the sender's too. The server's
//! own liveness check is a WebSocket Ping, which browsers answer without telling the page.

use std::collections::VecDeque;
use std::time::Duration;

use super::allowance::{Allowance, Cost, FRAME, text_cost};
use super::drafts::HeldDraft;
use super::{Config, Pull, Reader, RoomView};
use crate::access::Access;
use crate::close::CloseCode;
use crate::frame::ErrorCode;
use crate::heartbeat::{Heartbeat, SendQueue, Verdict};
use crate::id::RoomName;
use crate::position::Offset;
use crate::rate::Bucket;
use crate::time::{Latest, Timestamp};

/// The text that the tutorial's page sends as its heartbeat.
const HEARTBEAT: &str = "heartbeat";

/// A fact about a tutorial page's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TutorialInput {
    /// A text came.
    Text(String),
    /// A binary message came.
    Binary,
    /// A control frame came: a sign of life (HB-1).
    SignOfLife,
    /// As [`Input::Throttled`](super::Input::Throttled).
    Throttled(Duration),
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
    /// The log cannot be read now.
    PullFailed,
    /// An operator ends this connection.
    Disconnected,
    /// The server ends now.
    Shutdown,
    /// Whether written bytes wait for the other end to take them, from now on.
    Stalled(bool),
    /// As [`Input::SendQueue`](super::Input::SendQueue).
    SendQueue(SendQueue),
    /// A write made no progress in time.
    WriteStuck,
}

/// What the driver of a tutorial page's connection must do. The driver does not wait for its answers; at most one
/// is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TutorialTransmit {
    /// Look up the room's log, and enter the room; answer with [`TutorialInput::RoomOpened`].
    OpenRoom,
    /// Send a text.
    Text(String),
    /// Show a draft to the other members.
    Draft(String),
    /// Write the room's news as bare texts, without the page's own drafts; answer with
    /// [`TutorialInput::Pulled`], [`TutorialInput::CutOff`] or [`TutorialInput::PullFailed`].
    Pull(Pull),
    /// Send a WebSocket Ping.
    Ping,
    /// Send this code and end the connection. Nothing follows.
    Close(CloseCode),
}

/// The machine of a tutorial page's connection.
#[derive(Debug)]
pub struct Tutorial {
    body_bytes: usize,
    heartbeat: Heartbeat,
    drafts: Bucket,
    held_draft: HeldDraft,
    stage: Stage,
    latest: Latest,
    allowance: Allowance,
    unavailable_retry: Duration,
    welcome_timeout: Duration,
    transmits: VecDeque<TutorialTransmit>,
}

#[derive(Debug)]
enum Stage {
    /// The room is being opened, until this deadline.
    Opening { deadline: Timestamp },
    /// The room is read.
    Reading {
        reader: Reader,
        /// The log could not be read: the next pull is at this time.
        again_at: Option<Timestamp>,
    },
    /// Nothing follows.
    Closed,
}

impl Tutorial {
    /// Whether the dialect may be used in a room (AC-5): a guest needs the rights to read and to write there.
    ///
    /// # Errors
    /// The right that is missing.
    pub fn may_open(guest: &Access, room: &RoomName) -> Result<(), ErrorCode> {
        guest.rights.may_read(room)?;
        guest.rights.may_write(room)
    }

    /// The machine of a connection that opened now.
    pub fn new(now: Timestamp, config: &Config) -> Self {
        let limits = config.limits;
        Self {
            body_bytes: limits.body_bytes as usize,
            heartbeat: Heartbeat::new(now, config.heartbeat()),
            drafts: Bucket::new(now, limits.drafts_per_s, limits.drafts_per_s),
            held_draft: HeldDraft::default(),
            stage: Stage::Opening {
                deadline: now + config.welcome_timeout,
            },
            latest: Latest::new(now),
            allowance: Allowance::new(now, config),
            unavailable_retry: config.unavailable_retry,
            welcome_timeout: config.welcome_timeout,
            transmits: VecDeque::from([TutorialTransmit::OpenRoom]),
        }
    }

    /// Takes a fact.
    pub fn handle_input(&mut self, now: Timestamp, input: TutorialInput) {
        if matches!(self.stage, Stage::Closed) {
            return;
        }
        let now = self.latest.advance(now);
        match input {
            TutorialInput::Text(text) => {
                self.heartbeat.on_received(now);
                self.text(now, text);
            }
            TutorialInput::Binary => self.close(CloseCode::UNSUPPORTED_DATA),
            TutorialInput::SignOfLife => {
                self.heartbeat.on_received(now);
                self.allowance.spend(now, FRAME, FRAME);
            }
            TutorialInput::Throttled(wait) => self.allowance.pause(now, wait),
            TutorialInput::RoomOpened(Some(view)) => {
                // This page has no position: it reads from now on.
                self.stage = Stage::Reading {
                    reader: Reader::new(view.head, view.head, view.version),
                    again_at: None,
                };
                let draft = self.held_draft.entered(now, &mut self.drafts);
                self.transmits.extend(draft.map(TutorialTransmit::Draft));
            }
            TutorialInput::RoomOpened(None) => self.close(CloseCode::TRY_AGAIN_LATER),
            TutorialInput::RoomMoved { head, version } => {
                if let Stage::Reading { reader, .. } = &mut self.stage {
                    reader.moved(head, version);
                }
                self.pull();
            }
            TutorialInput::Pulled { through, version } => {
                if let Stage::Reading { reader, again_at } = &mut self.stage {
                    reader.pulled(through, version);
                    *again_at = None;
                }
                self.heartbeat.on_sent(now);
                self.pull();
            }
            TutorialInput::CutOff => {
                let deadline = now + self.welcome_timeout;
                self.stage = Stage::Opening { deadline };
                self.transmits.push_back(TutorialTransmit::OpenRoom);
            }
            TutorialInput::PullFailed => {
                if let Stage::Reading { again_at, .. } = &mut self.stage {
                    *again_at = Some(now + self.unavailable_retry);
                }
            }
            TutorialInput::Disconnected => self.close(CloseCode::DISCONNECTED),
            TutorialInput::Shutdown => self.close(CloseCode::SERVICE_RESTART),
            TutorialInput::Stalled(is_stalled) => self.heartbeat.set_stalled(now, is_stalled),
            TutorialInput::SendQueue(queue) => self.heartbeat.on_send_queue(now, queue),
            TutorialInput::WriteStuck => self.close(CloseCode::SLOW),
        }
    }

    /// Does what is due by now. Early and repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.latest.advance(now);
        let is_word_due = self.allowance.handle_timeout(now);
        match &mut self.stage {
            Stage::Closed => return,
            Stage::Opening { deadline } if now >= *deadline => {
                return self.close(CloseCode::TRY_AGAIN_LATER);
            }
            Stage::Opening { .. } => {}
            Stage::Reading { reader, again_at } => {
                if again_at.take_if(|at| now >= *at).is_some() {
                    reader.pull_failed();
                    self.pull();
                }
            }
        }
        match self.heartbeat.handle_timeout(now) {
            Verdict::Alive if is_word_due => self.transmits.push_back(TutorialTransmit::Ping),
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
        let due = match self.stage {
            Stage::Closed => return None,
            Stage::Opening { deadline } => Some(deadline),
            Stage::Reading { again_at, .. } => again_at,
        };
        let beat = self.heartbeat.poll_timeout();
        let resumes = self.allowance.poll_timeout();
        let due = [due, self.held_draft.due(), resumes, beat];
        due.into_iter().flatten().min()
    }

    /// Whether the driver should report the send queue, as
    /// [`Connection::wants_send_queue`](super::Connection::wants_send_queue).
    pub fn wants_send_queue(&self, now: Timestamp) -> bool {
        self.heartbeat.wants_send_queue(now)
    }

    /// Whether the driver should read on, as [`Connection::wants_input`](super::Connection::wants_input).
    pub const fn wants_input(&self) -> bool {
        !self.allowance.is_paused()
    }

    /// The cost of the texts that came, as [`Connection::take_cost`](super::Connection::take_cost).
    pub fn take_cost(&mut self) -> Cost {
        self.allowance.take_cost()
    }

    fn text(&mut self, now: Timestamp, text: String) {
        if text == HEARTBEAT {
            return self.allowance.spend(now, FRAME, FRAME);
        }
        if text.len() > self.body_bytes {
            return self.close(CloseCode::TOO_BIG);
        }
        // Back at once, not through the room: there drafts are coalesced, while this page wants to see each of
        // those that it sent.
        self.transmits
            .push_back(TutorialTransmit::Text(text.clone()));
        let cost = FRAME.saturating_add(text_cost(&text));
        if matches!(self.stage, Stage::Opening { .. }) {
            self.allowance.spend(now, FRAME, cost);
            return self.held_draft.keep(text);
        }
        let draft = self.held_draft.take(now, &mut self.drafts, text);
        let own = if draft.is_some() { 0 } else { FRAME };
        self.allowance.spend(now, own, cost);
        self.transmits.extend(draft.map(TutorialTransmit::Draft));
    }

    fn pull(&mut self) {
        if let Stage::Reading { reader, .. } = &mut self.stage
            && let Some(pull) = reader.next_pull()
        {
            self.transmits.push_back(TutorialTransmit::Pull(pull));
        }
    }

    fn close(&mut self, code: CloseCode) {
        self.stage = Stage::Closed;
        self.transmits.push_back(TutorialTransmit::Close(code));
    }
}
