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

/// What the driver of a listener must do. It does not wait for answers, of which one at most is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedTransmit {
    /// Open the room; answer with [`FeedInput::RoomOpened`].
    OpenRoom,
    /// Say that the room cannot be followed now, and when to come back. Nothing was said yet, and nothing follows.
    Refuse(Duration),
    /// Say where what follows begins.
    Begin {
        /// Just after this.
        position: Position,
        /// What the listener has does not reach there (RS-6).
        gap: bool,
    },
    /// Say that this message, which the listener may have, has no text any more (EO-8).
    Removed(Message),
    /// Hand over what the room has of messages, and removals; answer with [`FeedInput::Pulled`],
    /// [`FeedInput::CutOff`] or [`FeedInput::PullFailed`].
    Pull(Pull),
    /// Say when to come back.
    Retry(Duration),
    /// End it. Nothing follows.
    End,
}

/// What a listener is told when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// Everything up to there the listener has; without it, it listens from now on.
    pub since: Option<Position>,
    /// When its right to listen ends (AC-2).
    pub ends: Option<Timestamp>,
    /// By when the room has to be open.
    pub open_by: Timestamp,
    /// How long to wait where the log cannot answer.
    pub unavailable_retry: Duration,
}

/// One listener.
#[derive(Debug)]
pub struct Feed {
    config: FeedConfig,
    stage: Stage,
    latest: Latest,
    transmits: VecDeque<FeedTransmit>,
}

#[derive(Debug)]
enum Stage {
    /// The room is opened for the first time: nothing was said yet.
    Opening,
    /// It is opened anew; where the log could not answer, it is asked again at this time.
    Reopening(Option<Timestamp>),
    /// It is read; where the log could not tell what comes next, it is asked again at this time.
    Reading(Reader, Option<Timestamp>),
    /// Nothing follows.
    Over,
}

impl Feed {
    /// A listener to whom nothing was said yet.
    pub fn new(config: FeedConfig) -> Self {
        Self {
            config,
            stage: Stage::Opening,
            latest: Latest::default(),
            transmits: VecDeque::from([FeedTransmit::OpenRoom]),
        }
    }

    /// A fact.
    pub fn handle_input(&mut self, now: Timestamp, input: FeedInput) {
        let now = self.latest.advance(now);
        let again = Some(now + self.config.unavailable_retry);
        match (input, &mut self.stage) {
            (_, Stage::Over) => {}
            (FeedInput::RoomOpened(Some(view)), Stage::Opening | Stage::Reopening(_)) => {
                self.opened(view);
            }
            (FeedInput::RoomOpened(None), Stage::Opening) => self.end(None),
            (FeedInput::RoomOpened(None), Stage::Reopening(again_at))
            | (FeedInput::PullFailed, Stage::Reading(_, again_at)) => *again_at = again,
            (FeedInput::RoomMoved { head, version }, Stage::Reading(reader, _)) => {
                reader.moved(head, version);
                self.pull();
            }
            (FeedInput::Pulled { through, version }, Stage::Reading(reader, _)) => {
                reader.pulled(through, version);
                self.pull();
            }
            (FeedInput::CutOff, Stage::Reading(reader, _)) => {
                if let Some(since) = &mut self.config.since {
                    since.offset = reader.sent();
                }
                self.stage = Stage::Reopening(None);
                self.transmits.push_back(FeedTransmit::OpenRoom);
            }
            // What nobody asked for.
            (
                FeedInput::RoomOpened(_)
                | FeedInput::RoomMoved { .. }
                | FeedInput::Pulled { .. }
                | FeedInput::CutOff
                | FeedInput::PullFailed,
                _,
            ) => {}
            (FeedInput::Removed, _) => self.end(None),
            (FeedInput::GoAway { reconnect_after }, _) => self.end(Some(reconnect_after)),
        }
    }

    /// Time has passed. Early and repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.latest.advance(now);
        let is_over = matches!(self.stage, Stage::Over);
        if !is_over && self.config.ends.is_some_and(|ends| now >= ends) {
            return self.end(None);
        }
        match &mut self.stage {
            Stage::Opening => {
                if now >= self.config.open_by {
                    self.end(None);
                }
            }
            Stage::Reopening(again_at) => {
                let again = again_at.take_if(|at| now >= *at);
                let again = again.map(|_| FeedTransmit::OpenRoom);
                self.transmits.extend(again);
            }
            Stage::Reading(reader, again_at) => {
                if again_at.take_if(|at| now >= *at).is_some() {
                    reader.pull_failed();
                    self.pull();
                }
            }
            Stage::Over => {}
        }
    }

    /// The next thing that the driver must do.
    pub fn poll_transmit(&mut self) -> Option<FeedTransmit> {
        self.transmits.pop_front()
    }

    /// When to call [`Feed::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let due = match self.stage {
            Stage::Opening => Some(self.config.open_by),
            Stage::Reopening(again_at) | Stage::Reading(_, again_at) => again_at,
            Stage::Over => return None,
        };
        due.into_iter().chain(self.config.ends).min()
    }

    /// RS-5, RS-6.
    fn opened(&mut self, view: RoomView) {
        let limit = match self.config.since {
            Some(_) => JOIN_LIMIT,
            None => 0,
        };
        let (from, follows) = view.span().begin(self.config.since.as_ref(), limit);
        self.stage = Stage::Reading(Reader::new(from, view.head, view.version), None);
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
        if let Stage::Reading(reader, _) = &mut self.stage
            && let Some(pull) = reader.next_pull()
        {
            self.transmits.push_back(FeedTransmit::Pull(pull));
        }
    }

    /// Ends it, with a slot where there is one. Where nothing was said yet, the whole request is refused.
    fn end(&mut self, slot: Option<Duration>) {
        if matches!(self.stage, Stage::Opening) {
            let wait = slot.unwrap_or(self.config.unavailable_retry);
            self.transmits.push_back(FeedTransmit::Refuse(wait));
        } else {
            let retry = slot.map(FeedTransmit::Retry);
            self.transmits
                .extend(retry.into_iter().chain([FeedTransmit::End]));
        }
        self.stage = Stage::Over;
    }
}
