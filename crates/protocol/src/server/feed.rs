//! The machine of a listener: a reader of a room that is not a member, over one long answer (Server-Sent
//! Events). It reads as a session does, and has nothing else of a session.

use std::collections::VecDeque;
use std::time::Duration;

use super::rooms::JOIN_LIMIT;
use super::{Pull, Reader, RoomView};
use crate::frame::Message;
use crate::position::{Offset, Position};
use crate::time::{Latest, Timestamp};

/// A fact about a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedInput {
    /// The room was opened; `None` when the log cannot answer now.
    RoomOpened(Option<RoomView>),
    /// The room has newer messages, or redactions.
    RoomMoved {
        /// Its newest message.
        head: Offset,
        /// Its newest version.
        version: u64,
    },
    /// A pull was written.
    Pulled {
        /// The last offset of it.
        through: Offset,
        /// The last version of it.
        version: u64,
    },
    /// The reader fell behind what the room still has.
    CutOff,
    /// The log cannot be read now.
    PullFailed,
    /// An operator ends this connection.
    Disconnected,
    /// The server will end; this is the listener's slot (RC-3).
    GoAway {
        /// How long from now.
        reconnect_after: Duration,
    },
}

/// What the driver of a listener must do. The driver does not wait for its answers; at most one is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedTransmit {
    /// Open the room; answer with [`FeedInput::RoomOpened`].
    OpenRoom,
    /// Answer that the room cannot be followed now, and when to reconnect. This is the first and only output.
    Refuse(Duration),
    /// Begin the answer, with the position at which it begins.
    Begin {
        /// Just after this.
        position: Position,
        /// Messages between those that the listener has and the position are missing (RS-6).
        gap: bool,
    },
    /// Send a redacted message, which the listener may have with its text (EO-8).
    Redacted(Message),
    /// Write the room's messages and redactions; answer with [`FeedInput::Pulled`],
    /// [`FeedInput::CutOff`] or [`FeedInput::PullFailed`].
    Pull(Pull),
    /// Tell the client when to reconnect.
    Retry(Duration),
    /// End the answer. Nothing follows.
    End,
}

/// The configuration of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// The listener's position; none to listen from now on.
    pub since: Option<Position>,
    /// The log here may be behind that of other nodes: a position that it has not reached is no gap.
    pub behind: bool,
    /// When the listener's access ends: its token, and the grace period after it (AC-2).
    pub ends: Option<Timestamp>,
    /// When the room has to be open.
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
    /// The room is being opened for the first time: nothing was sent yet.
    Opening,
    /// The room is being opened anew; with a time: the log could not answer, and is asked again then.
    Reopening(Option<Timestamp>),
    /// The room is read; with a time: the log could not be read, and is asked again then.
    Reading(Reader, Option<Timestamp>),
    /// Nothing follows.
    Over,
}

impl Feed {
    /// A listener that was sent nothing yet.
    pub fn new(config: FeedConfig) -> Self {
        Self {
            config,
            stage: Stage::Opening,
            latest: Latest::default(),
            transmits: VecDeque::from([FeedTransmit::OpenRoom]),
        }
    }

    /// Takes a fact.
    pub fn handle_input(&mut self, now: Timestamp, input: FeedInput) {
        let now = self.latest.advance(now);
        let again = Some(now + self.config.unavailable_retry);
        if let FeedInput::RoomOpened(Some(view)) = &input
            && matches!(self.stage, Stage::Opening)
            && self.is_past(view)
        {
            return self.end(None);
        }
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
            // An answer without a question.
            (
                FeedInput::RoomOpened(_)
                | FeedInput::RoomMoved { .. }
                | FeedInput::Pulled { .. }
                | FeedInput::CutOff
                | FeedInput::PullFailed,
                _,
            ) => {}
            (FeedInput::Disconnected, _) => self.end(None),
            (FeedInput::GoAway { reconnect_after }, _) => self.end(Some(reconnect_after)),
        }
    }

    /// Does what is due by now. Early and repeated calls are harmless.
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

    /// Whether the listener has a later message of this log than the log here.
    fn is_past(&self, view: &RoomView) -> bool {
        let since = self.config.since.as_ref();
        let is_past = |since: &Position| since.epoch == view.epoch && since.offset > view.head;
        self.config.behind && since.is_some_and(is_past)
    }

    /// RS-5, RS-6: begins to read, or goes on where it was.
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
        let redacted = view.redacted.into_iter();
        let redacted = redacted.filter(|message| has_seen && message.offset <= from);
        self.transmits.extend(redacted.map(FeedTransmit::Redacted));
        self.pull();
    }

    fn pull(&mut self) {
        if let Stage::Reading(reader, _) = &mut self.stage
            && let Some(pull) = reader.next_pull()
        {
            self.transmits.push_back(FeedTransmit::Pull(pull));
        }
    }

    /// Ends the answer, with a slot where there is one. If nothing was sent yet, the request is refused.
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
