//! Somebody who listens to a room without being in it, over one long answer (Server-Sent Events): the
//! same reader as a session's, and nothing else of a session.

use std::collections::VecDeque;
use std::time::Duration;

use super::rooms::JOIN_LIMIT;
use super::{Pull, Reader, RoomView};
use crate::frame::Message;
use crate::position::{Offset, Position};
use crate::time::{Latest, Timestamp};

/// A fact about a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedInput {
    /// The room was opened; `None` when the log cannot answer now.
    RoomOpened(Option<RoomView>),
    /// The room has newer messages, or removals.
    RoomMoved {
        /// Its newest message.
        head: Offset,
        /// Its newest version.
        version: u64,
    },
    /// A pull was handed over.
    Pulled {
        /// The last offset of it.
        through: Offset,
        /// The last version of it.
        version: u64,
    },
    /// The reader fell behind what the room still has.
    CutOff,
    /// The log cannot tell now what comes next.
    PullFailed,
    /// An operator ends this connection.
    Removed,
    /// The server will go; this is the listener's slot (RC-3).
    GoAway {
        /// How long from now.
        reconnect_after: Duration,
    },
}

/// What the driver of a listener must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedTransmit {
    /// Open the room; answer with [`FeedInput::RoomOpened`].
    OpenRoom,
    /// Say where what follows begins.
    Begin {
        /// Just after this.
        position: Position,
        /// What the listener has does not reach there (RS-6).
        gap: bool,
    },
    /// Say that this message, which the listener may have, has no text any more (EO-8).
    Removed(Message),
    /// Hand over what the room has of messages, and removals.
    Pull(Pull),
    /// Say when to come back.
    Retry(Duration),
    /// End it. Nothing follows.
    End,
}

/// What a listener is told when it begins.
#[derive(Clone, Debug)]
pub struct FeedConfig {
    /// Everything up to there the listener has; without it, it listens from now on.
    pub since: Option<Position>,
    /// When its right to listen ends (AC-2).
    pub ends: Option<Timestamp>,
    /// How long to wait where the log cannot answer.
    pub unavailable_retry: Duration,
}

/// One listener.
#[derive(Debug)]
pub struct Feed {
    config: FeedConfig,
    reader: Option<Reader>,
    /// The log could not answer: asked again at this time.
    again_at: Option<Timestamp>,
    is_over: bool,
    latest: Latest,
    transmits: VecDeque<FeedTransmit>,
}

impl Feed {
    /// A listener to whom nothing was said yet.
    pub fn new(config: FeedConfig) -> Self {
        Self {
            config,
            reader: None,
            again_at: None,
            is_over: false,
            latest: Latest::default(),
            transmits: VecDeque::from([FeedTransmit::OpenRoom]),
        }
    }

    /// A fact.
    pub fn handle_input(&mut self, now: Timestamp, input: FeedInput) {
        if self.is_over {
            return;
        }
        let now = self.latest.advance(now);
        match input {
            FeedInput::RoomOpened(Some(view)) => self.opened(view),
            FeedInput::RoomOpened(None) | FeedInput::PullFailed => {
                self.again_at = Some(now + self.config.unavailable_retry);
            }
            FeedInput::RoomMoved { head, version } => {
                if let Some(reader) = &mut self.reader {
                    reader.moved(head, version);
                }
                self.pull();
            }
            FeedInput::Pulled { through, version } => {
                if let Some(reader) = &mut self.reader {
                    reader.pulled(through, version);
                }
                self.pull();
            }
            FeedInput::CutOff => {
                if let (Some(reader), Some(since)) = (self.reader.take(), &mut self.config.since) {
                    since.offset = reader.sent();
                }
                self.transmits.push_back(FeedTransmit::OpenRoom);
            }
            FeedInput::Removed => self.end(),
            FeedInput::GoAway { reconnect_after } => {
                self.transmits
                    .push_back(FeedTransmit::Retry(reconnect_after));
                self.end();
            }
        }
    }

    /// Time has passed. Early and repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.is_over {
            return;
        }
        let now = self.latest.advance(now);
        if self.config.ends.is_some_and(|ends| now >= ends) {
            return self.end();
        }
        if self.again_at.take_if(|at| now >= *at).is_some() {
            match &mut self.reader {
                Some(reader) => {
                    reader.pull_failed();
                    self.pull();
                }
                None => self.transmits.push_back(FeedTransmit::OpenRoom),
            }
        }
    }

    /// The next thing that the driver must do.
    pub fn poll_transmit(&mut self) -> Option<FeedTransmit> {
        self.transmits.pop_front()
    }

    /// When to call [`Feed::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let due = [self.again_at, self.config.ends];
        due.into_iter().flatten().min().filter(|_| !self.is_over)
    }

    /// RS-5, RS-6.
    fn opened(&mut self, view: RoomView) {
        let limit = match self.config.since {
            Some(_) => JOIN_LIMIT,
            None => 0,
        };
        let (from, follows) = view.span().begin(self.config.since.as_ref(), limit);
        self.reader = Some(Reader::new(from, view.head, view.version));
        let position = Position {
            epoch: view.epoch,
            offset: from,
        };
        let had = self.config.since.replace(position.clone());
        let has_seen = had.is_some_and(|had| had.epoch == position.epoch);
        let gap = !follows;
        self.transmits
            .push_back(FeedTransmit::Begin { position, gap });
        let removed = view.removed.into_iter();
        let removed = removed.filter(|message| has_seen && message.offset <= from);
        self.transmits.extend(removed.map(FeedTransmit::Removed));
        self.pull();
    }

    fn pull(&mut self) {
        if let Some(pull) = self.reader.as_mut().and_then(Reader::next_pull) {
            self.transmits.push_back(FeedTransmit::Pull(pull));
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        self.transmits.push_back(FeedTransmit::End);
    }
}
