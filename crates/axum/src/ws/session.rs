//! The driver of a session's connection: translates between the machine, the socket and the hub.
//!
//! It never waits for one thing while others may come: the log's answers are polled beside the socket, the
//! mailbox and the timer, and so is a write that the peer does not take.

mod rare;
mod requests;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use protocol::access::Subject;
use protocol::close::CloseCode;
use protocol::codec::{self, DecodeError};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::id::{RoomName, SessionId};
use protocol::server::{Connection, Input, Transmit};
use protocol::time::Timestamp;
use protocol::trace::Side;
use tungstenite::{Error as WebSocketError, Message};

use self::rare::Rare;
use self::requests::Answer;
use self::trace::Tracing;
use super::wire::{self, Alarm, Wire, WriteError};
use crate::access::ShownCredentials;
use crate::clock::Second;
use crate::hub::inspect::{Kind, Question, Vitals};
use crate::metrics::Metrics;
use crate::permit::ConnectionPermit;
use crate::stream::Stream;
use crate::text_frame::TextFrame;

/// The most frames that are taken from the socket before the answers to them are written.
const READ_BATCH: usize = 64;

/// Serves one connection to its end. The future's size is what a quiet session costs: its rare
/// and large steps are boxed.
pub(super) fn drive<S: Stream>(
    wire: Wire<S>,
    permit: ConnectionPermit,
    credentials: ShownCredentials,
) -> impl Future<Output = ()> {
    let clock = permit.hub().clock();
    let mut driver = Box::new(Driver {
        machine: Connection::new(clock.now(), Arc::clone(permit.everbeat.protocol())),
        wire,
        alarm: Alarm::new(clock),
        writes: VecDeque::new(),
        rare: Tracing::begin(&permit).map(Rare::with),
        owner: None,
        access: Some(Box::new(Access::Unknown(credentials))),
        is_stalled: false,
        is_logged: None,
        is_over: false,
        opened: clock.second(),
        permit,
    });
    async move {
        let end = poll_fn(|cx| driver.poll_end(cx)).await;
        Box::pin(driver.end(end)).await;
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The machine closed it.
    Closed(CloseCode),
    /// The client closed it, or it broke.
    Gone(Option<u16>),
}

impl End {
    fn code(self) -> CloseCode {
        match self {
            Self::Closed(code) => code,
            Self::Gone(code) => code.map_or(CloseCode::ABNORMAL, CloseCode::new),
        }
    }
}

/// What came from the socket: a message, an error, or its end.
type Heard = Option<Result<Message, WebSocketError>>;

/// The answers that are awaited, in the order of their questions; they are taken in that order.
type Answers = VecDeque<BoxFuture<'static, Answer>>;

/// The authentication of a connection, until it is done.
enum Access {
    /// Not begun; these are the credentials of the upgrade request.
    Unknown(ShownCredentials),
    /// Under way.
    Sought(BoxFuture<'static, Input>),
}

struct Driver<S> {
    permit: ConnectionPermit,
    opened: Second,
    machine: Connection,
    wire: Wire<S>,
    alarm: Alarm,
    /// The writes to the log that are not answered yet.
    writes: Answers,
    /// `None` for most.
    rare: Option<Box<Rare>>,
    /// The subject of the user, once it is known.
    owner: Option<Subject>,
    access: Option<Box<Access>>,
    /// Whether what was written waits for the peer to take it.
    is_stalled: bool,
    /// Whether the journal has lines for this session; `None` until that is decided.
    is_logged: Option<bool>,
    /// Whether the end was reported.
    is_over: bool,
}

impl<S: Stream> Driver<S> {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        wire::poll_turns(self, cx, |driver| driver.wire.written(), Self::poll_turn)
    }

    /// Performs the machine's transmits, and feeds it what came; pending where nothing came.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        self.drain()?;
        let written = self.wire.poll_write(cx);
        if let Poll::Ready(Err(error)) = written {
            return Poll::Ready(Err(self.write_failed(error)));
        }
        if written.is_ready()
            && let Some(rare) = &mut self.rare
        {
            rare.owed.clear();
            if rare.is_empty() {
                self.rare = None;
            }
        }
        if written.is_pending() != self.is_stalled {
            self.is_stalled = written.is_pending();
            self.feed(Input::Stalled(self.is_stalled));
        }
        self.alarm.arm(self.machine.poll_timeout());
        let mut is_news = false;
        if self.alarm.poll_ring(cx).is_ready() {
            let now = self.now();
            if self.machine.wants_send_queue(now)
                && let Some(queue) = self.wire.send_queue(self.permit.everbeat.send_queues())
            {
                self.feed(Input::SendQueue(queue));
            }
            let verdict = self.machine.handle_timeout(now);
            self.record(|recorder, _| recorder.verdict(now, verdict));
            is_news = true;
        }
        is_news |= self.take_answers(cx);
        if self.permit.mailbox.poll_marked(cx).is_ready() {
            self.look_into_mailbox();
            is_news = true;
        }
        // While the wire is full, nothing is done that adds to it.
        if is_news || self.wire.is_full() {
            return if is_news {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        }
        if !self.must_drain()
            && let Some(rare) = &mut self.rare
            && let Some(pull) = rare.postponed.pop_front()
        {
            return Poll::Ready(self.perform(pull));
        }
        if self.machine.wants_input() {
            let heard = ready!(self.wire.poll_read(cx));
            return Poll::Ready(self.heard_all(cx, heard));
        }
        Poll::Pending
    }

    /// Feeds the machine what came, and more that came with it, before the answers are written.
    fn heard_all(&mut self, cx: &mut Context<'_>, first: Heard) -> Result<(), End> {
        self.heard(first)?;
        for _ in 1..READ_BATCH {
            self.drain()?;
            if !self.machine.wants_input() || self.wire.is_full() {
                break;
            }
            match self.wire.poll_read(cx) {
                Poll::Ready(heard) => self.heard(heard)?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Takes the answers that are there. One commit of the log gives many answers, which leave in
    /// one write.
    fn take_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_answered = false;
        while !self.wire.is_full()
            && let Poll::Ready(answer) = poll_first(&mut self.writes, cx)
        {
            self.answered(answer);
            is_answered = true;
        }
        while let Some(rare) = &mut self.rare
            && let Some(first) = rare.reads.front_mut()
            && let Poll::Ready(answer) = first.poll_when(cx, self.wire.is_idle())
        {
            rare.reads.pop_front();
            self.answered(answer);
            is_answered = true;
        }
        if let Some(Access::Sought(admission)) = self.access.as_deref_mut()
            && let Poll::Ready(input) = admission.as_mut().poll(cx)
        {
            self.access = None;
            self.feed(input);
            is_answered = true;
        }
        is_answered
    }

    fn feed(&mut self, input: Input) {
        self.record(|recorder, driver| {
            recorder.input(driver.now(), driver.wire.ordinals(), &input)
        });
        self.machine.handle_input(self.now(), input);
    }

    fn heard(&mut self, heard: Heard) -> Result<(), End> {
        let limit = self.permit.everbeat.protocol().limits.frame_bytes;
        let input = match heard {
            Some(Ok(Message::Text(text))) => {
                self.metrics().received(text.len());
                Input::Received(codec::decode::<ClientFrame>(&text, limit))
            }
            Some(Ok(Message::Binary(_))) => Input::Received(Err(DecodeError::Binary)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Input::SignOfLife,
            Some(Ok(Message::Close(frame))) => {
                return Err(End::Gone(frame.map(|frame| frame.code.into())));
            }
            Some(Err(WebSocketError::Capacity(_))) => {
                Input::Received(Err(DecodeError::TooLarge { limit }))
            }
            Some(Err(error)) => {
                let code = wire::code_for(&error);
                return Err(code.map_or(End::Gone(None), End::Closed));
            }
            // tungstenite reads whole messages, never a bare frame.
            Some(Ok(Message::Frame(_))) | None => return Err(End::Gone(None)),
        };
        self.feed(input);
        self.count_frames();
        Ok(())
    }

    /// Counts the cost of what came, for its sender and the sender's address.
    fn count_frames(&mut self) {
        let cost = self.machine.take_cost();
        if let Some(wait) = self.permit.spend(cost, self.owner.as_ref()) {
            self.feed(Input::Throttled(wait));
        }
    }

    fn look_into_mailbox(&mut self) {
        let marks = self.permit.mailbox.take();
        for room in marks.moved {
            // The session may have left it meanwhile.
            if let Some((head, version)) = self.permit.room(&room).map(|room| room.marks()) {
                self.feed(Input::RoomMoved {
                    room,
                    head,
                    version,
                });
            }
        }
        if marks.taken_over {
            self.feed(Input::TakenOver);
        }
        if let Some(slot) = marks.go_away {
            self.feed(Input::GoAway(*slot));
        }
        if marks.disconnected {
            self.feed(Input::Disconnected);
        }
        if marks.shut_down {
            self.feed(Input::Shutdown);
        }
        if marks.retrace {
            self.retrace();
        }
        if let Some(asked) = marks.asked {
            self.report(&asked);
        }
    }

    /// Whether pulls wait until everything is written: the wire is full, or a read waits for that, which would
    /// never get its turn on a line that is always busy.
    fn must_drain(&self) -> bool {
        let is_read_for = self
            .rare
            .as_ref()
            .is_some_and(|rare| !rare.reads.is_empty());
        self.wire.is_full() || (is_read_for && !self.wire.is_idle())
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn drain(&mut self) -> Result<(), End> {
        while let Some(transmit) = self.machine.poll_transmit() {
            self.perform(transmit)?;
        }
        Ok(())
    }

    /// Performs a transmit, or begins it: what takes time is answered later.
    fn perform(&mut self, transmit: Transmit) -> Result<(), End> {
        self.record(|recorder, driver| {
            recorder.transmit(driver.now(), driver.wire.ordinals(), &transmit);
        });
        match transmit {
            Transmit::Frame(frame) => {
                let mut text = TextFrame::new(codec::encode(&frame));
                if matches!(frame, ServerFrame::History { .. })
                    && let Some(owed) = self.permit.hub().owed(self.permit.id)
                {
                    text = text.held(owed);
                }
                let metrics = self.metrics();
                metrics.sent_frame(&frame);
                metrics.sent(text.len());
                self.wire.push(text);
            }
            Transmit::RoundTrip(took) => self.metrics().round_trip(took),
            Transmit::Close(code) => return Err(End::Closed(code)),
            Transmit::Pull { .. } if self.must_drain() => {
                self.rare().postponed.push_back(transmit);
            }
            Transmit::Pull { id, room, pull } => self.pull(id, room, pull),
            Transmit::Admit { token } => {
                self.access = Some(Box::new(Access::Sought(self.admit(token))));
            }
            Transmit::OpenSession { resume, owner } => self.open_session(resume, owner),
            Transmit::OpenRoom { id, room } => self.open_room(id, room),
            Transmit::LeaveRoom { room } => {
                self.permit.leave(&room);
                self.trace("room left", &room);
            }
            Transmit::Rename { room, name } => {
                if let (Some(room), Some(session)) =
                    (self.permit.room(&room), self.permit.session())
                {
                    room.rename(self.now(), session, name, self.permit.holder());
                }
            }
            Transmit::Draft { room, body, after } => {
                if let (Some(room), Some(session)) =
                    (self.permit.room(&room), self.permit.session())
                {
                    room.draft(session, body, after);
                }
            }
            Transmit::Append {
                seq,
                room,
                name,
                body,
                is_repeat,
            } => self.append(seq, room, (name, body), is_repeat),
            Transmit::Refuse { seq, code } => self.refuse(seq, code),
            Transmit::History {
                room,
                before,
                limit,
            } => self.history(room, before, limit),
        }
        Ok(())
    }

    /// A debug line to follow one session by.
    fn trace(&self, what: &'static str, room: &RoomName) {
        let session = self.permit.session().map_or("none", SessionId::as_str);
        tracing::debug!(session.id = session, connection.id = %self.permit.id, %room, "{what}");
    }

    /// Reports the state of the connection to the operator.
    fn report(&self, asked: &Question) {
        let now = self.now();
        let vitals = Vitals {
            session: self.permit.session().cloned(),
            name: self.machine.name().cloned(),
            subject: self.owner.as_ref().map(|owner| owner.as_str().to_owned()),
            rooms: self
                .permit
                .rooms()
                .iter()
                .map(|room| room.name().clone())
                .collect(),
            round_trip: self.machine.round_trip(),
            quiet: Some(now - self.machine.heard_at()),
            kind: Kind::Session,
            network: self.permit.network(),
            open: self.permit.hub().clock().since(self.opened),
        };
        asked.answer(self.permit.id, vitals);
    }

    fn metrics(&self) -> &Metrics {
        self.permit.hub().metrics()
    }

    fn write_failed(&mut self, error: WriteError) -> End {
        match error {
            WriteError::Gone => End::Gone(None),
            WriteError::Stuck => {
                self.feed(Input::WriteStuck);
                End::Closed(CloseCode::SLOW)
            }
        }
    }

    async fn end(&mut self, end: End) {
        self.tell_end(end);
        match end {
            End::Closed(code) => self.wire.close(code).await,
            End::Gone(_) => self.wire.answer_close().await,
        }
        // Answers that the log still owes are dropped; the client asks again when it reconnects.
    }
}

impl<S> Driver<S> {
    fn now(&self) -> Timestamp {
        self.permit.hub().clock().now()
    }

    /// Reports the end of the connection: to its rooms, the hub, the metrics and the journal.
    fn tell_end(&mut self, end: End) {
        self.is_over = true;
        let is_logged = self.is_logged();
        self.permit.end("session", end.code(), is_logged);
        self.record_end(end);
    }

    /// Whether the journal has a line for its end.
    fn is_logged(&self) -> bool {
        self.is_logged.unwrap_or_else(|| self.permit.is_logged())
    }
}

/// Also runs where the task panics, or is aborted.
impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        if !self.is_over {
            let is_logged = self.is_logged();
            self.permit.end_early("session", is_logged);
            self.record_closed(CloseCode::ABNORMAL, Side::Server);
        }
    }
}

/// The oldest answer, once it is there.
fn poll_first(answers: &mut Answers, cx: &mut Context<'_>) -> Poll<Answer> {
    let Some(first) = answers.front_mut() else {
        return Poll::Pending;
    };
    let answer = ready!(first.as_mut().poll(cx));
    answers.pop_front();
    if answers.is_empty() {
        // A quiet session keeps no queue.
        *answers = Answers::new();
    }
    Poll::Ready(answer)
}
