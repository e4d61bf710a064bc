//! The driver of a session's connection: translates between the machine, the socket and the hub.

mod requests;

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
use protocol::server::{Input, Session, Transmit};
use protocol::time::Timestamp;
use tungstenite::{Error as WebSocketError, Message};

use super::wire::{self, Alarm, Wire, WriteError};
use crate::access::Presented;
use crate::hub::report::{Kind, Question, Vitals};
use crate::hub::room::Room;
use crate::metrics::Metrics;
use crate::serve::Stream;
use crate::state::Place;
use crate::text_frame::TextFrame;

/// How many frames are taken from the socket before the answers are written out.
const READ_BATCH: usize = 64;

/// Serves one connection to its end. What the future holds is what a quiet session costs: the rare
/// and large steps in it are boxed.
pub(super) fn drive<S: Stream>(
    wire: Wire<S>,
    place: Place,
    presented: Presented,
) -> impl Future<Output = ()> {
    let clock = place.state.hub.clock();
    let mut driver = Box::new(Driver {
        machine: Session::new(clock.now(), Arc::clone(&place.state.protocol)),
        wire,
        alarm: Alarm::new(clock),
        rooms: Vec::new(),
        answers: VecDeque::new(),
        session: None,
        owner: None,
        access: Some(Box::new(Access::Unknown(presented))),
        place,
    });
    async move {
        let end = driver.run().await;
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
            Self::Gone(code) => code.map_or(CloseCode::ABNORMAL, CloseCode),
        }
    }
}

/// What the socket has: a message, an error, or its end.
type Heard = Option<Result<Message, WebSocketError>>;

/// What a driver waits for.
enum Fact {
    Rang,
    Answered,
    Marked,
    Heard(Heard),
}

/// What is left of a step.
type Rest<'a> = BoxFuture<'a, Result<(), WriteError>>;

/// Who that is: only as long as it is not known.
enum Access {
    /// Nobody has asked; this is what the request for the connection showed.
    Unknown(Presented),
    /// It is being found out.
    Sought(BoxFuture<'static, Input>),
}

struct Driver<S> {
    place: Place,
    machine: Session,
    wire: Wire<S>,
    alarm: Alarm,
    /// Few, and known by their names.
    rooms: Vec<Arc<Room>>,
    /// What the log owes, in the order in which it was asked: so does it answer.
    answers: VecDeque<BoxFuture<'static, Input>>,
    session: Option<SessionId>,
    /// Whose it is.
    owner: Option<Subject>,
    access: Option<Box<Access>>,
}

impl<S: Stream> Driver<S> {
    async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.drain().await {
                return end;
            }
            if let Err(error) = self.wire.flush().await {
                return self.write_failed(error);
            }
            self.alarm.arm(self.machine.poll_timeout());
            match self.wait().await {
                Fact::Rang => {
                    let now = self.now();
                    self.machine.handle_timeout(now);
                }
                Fact::Answered => {}
                Fact::Marked => self.look_into_mailbox(),
                Fact::Heard(heard) => {
                    if let Err(end) = self.heard_all(heard).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Takes what came, and what came with it, before the answers are written.
    async fn heard_all(&mut self, first: Heard) -> Result<(), End> {
        self.heard(first)?;
        for _ in 1..READ_BATCH {
            self.drain().await?;
            if !self.machine.wants_input() {
                break;
            }
            match poll_fn(|cx| Poll::Ready(self.wire.poll_read(cx))).await {
                Poll::Ready(heard) => self.heard(heard)?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Takes what was answered, if anything was: a commit of the log has many answers, and they leave in
    /// one write.
    fn take_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_answered = false;
        while let Poll::Ready(input) = self.poll_answer(cx) {
            self.feed(input);
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

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        let Some(first) = self.answers.front_mut() else {
            return Poll::Pending;
        };
        let input = ready!(first.as_mut().poll(cx));
        self.answers.pop_front();
        Poll::Ready(input)
    }

    /// Waits for one fact.
    async fn wait(&mut self) -> Fact {
        poll_fn(|cx| {
            if self.alarm.poll_ring(cx).is_ready() {
                return Poll::Ready(Fact::Rang);
            }
            if self.take_answers(cx) {
                return Poll::Ready(Fact::Answered);
            }
            if self.place.mailbox.poll_marked(cx).is_ready() {
                return Poll::Ready(Fact::Marked);
            }
            if self.machine.wants_input() {
                return self.wire.poll_read(cx).map(Fact::Heard);
            }
            Poll::Pending
        })
        .await
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle_input(self.now(), input);
    }

    fn heard(&mut self, heard: Heard) -> Result<(), End> {
        let limit = self.place.state.protocol.limits.frame_bytes;
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
            // Reading gives whole messages, never a bare frame.
            Some(Ok(Message::Frame(_))) | None => return Err(End::Gone(None)),
        };
        self.feed(input);
        Ok(())
    }

    fn look_into_mailbox(&mut self) {
        let marks = self.place.mailbox.take();
        for room in marks.moved {
            let (head, version) = room.marks();
            self.feed(Input::RoomMoved {
                room: room.name().clone(),
                head,
                version,
            });
        }
        if marks.taken_over {
            self.feed(Input::TakenOver);
        }
        if let Some(reconnect_after) = marks.go_away {
            self.feed(Input::GoAway { reconnect_after });
        }
        if marks.removed {
            self.feed(Input::Removed);
        }
        if marks.shut_down {
            self.feed(Input::Shutdown);
        }
        if let Some(asked) = marks.asked {
            self.report(&asked);
        }
    }

    async fn drain(&mut self) -> Result<(), End> {
        while let Some(transmit) = self.machine.poll_transmit() {
            let done = if let Some(rest) = self.perform(transmit)? {
                rest.await
            } else if self.wire.is_full() {
                self.wire.flush().await
            } else {
                continue;
            };
            if let Err(error) = done {
                return Err(self.write_failed(error));
            }
        }
        Ok(())
    }

    /// Does what the machine wants, or as much of it as can be done at once: the rest, rare and large, is
    /// not part of what every connection's task holds.
    fn perform(&mut self, transmit: Transmit) -> Result<Option<Rest<'_>>, End> {
        match transmit {
            Transmit::Frame(frame) => {
                let mut text = TextFrame::new(codec::encode(&frame));
                if matches!(frame, ServerFrame::History { .. })
                    && let Some(owed) = self.place.state.hub.owed(self.place.id)
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
            Transmit::Pull { room, pull } => return Ok(self.pull(room, pull)),
            Transmit::Admit { token } => {
                self.access = Some(Box::new(Access::Sought(self.admit(token))));
            }
            Transmit::OpenSession { resume, owner } => {
                return Ok(Some(Box::pin(self.open_session(resume, owner))));
            }
            Transmit::OpenRoom { room, name } => {
                return Ok(Some(Box::pin(self.open_room(room, name))));
            }
            Transmit::LeaveRoom { room } => {
                if let (Some(room), Some(session)) = (self.room(&room), &self.session) {
                    room.leave(self.now(), session, self.place.id);
                }
                self.rooms.retain(|known| *known.name() != room);
                self.trace("room left", &room);
            }
            Transmit::Rename { room, name } => {
                if let (Some(room), Some(session)) = (self.room(&room), &self.session) {
                    room.rename(self.now(), session, name, self.place.id);
                }
            }
            Transmit::Draft { room, body } => {
                if let (Some(room), Some(session)) = (self.room(&room), &self.session) {
                    room.draft(session, body);
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
            } => return Ok(Some(Box::pin(self.history(room, before, limit)))),
        }
        Ok(None)
    }

    /// For whoever follows one session.
    fn trace(&self, what: &'static str, room: &RoomName) {
        let session = self.session.as_ref().map_or("none", SessionId::as_str);
        tracing::debug!(session.id = session, connection.id = %self.place.id, %room, "{what}");
    }

    fn room(&self, name: &RoomName) -> Option<&Arc<Room>> {
        self.rooms.iter().find(|room| room.name() == name)
    }

    /// Tells the operator how this connection is.
    fn report(&self, asked: &Question) {
        let now = self.now();
        let vitals = Vitals {
            session: self.session.clone(),
            name: self.machine.name().cloned(),
            subject: self.owner.as_ref().map(|owner| owner.as_str().to_owned()),
            rooms: self.rooms.iter().map(|room| room.name().clone()).collect(),
            round_trip: self.machine.round_trip(),
            quiet: Some(now - self.machine.heard_at()),
            kind: Kind::Session,
        };
        asked.answer(self.place.id, vitals);
    }

    fn metrics(&self) -> &Metrics {
        self.place.state.hub.metrics()
    }

    fn now(&self) -> Timestamp {
        self.place.state.hub.clock().now()
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

    async fn end(self, end: End) {
        let Place { id, state, .. } = &self.place;
        let hub = &state.hub;
        hub.disconnect(*id, self.session.as_ref());
        if let Some(session) = &self.session {
            for room in &self.rooms {
                room.disconnect(hub.clock().now(), session, *id);
            }
        }
        let session = self.session.as_ref().map_or("none", SessionId::as_str);
        let reason = end.code();
        self.metrics().closed(reason);
        tracing::info!(session.id = session, connection.id = %id, %reason, "session end");
        match end {
            End::Closed(code) => self.wire.close(code).await,
            End::Gone(_) => self.wire.answer_close().await,
        }
        // What the log still owes is awaited by nobody; the client asks again when it is back.
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;
    use crate::tls::TlsStream;

    /// What every session costs while it is quiet: nothing large may slip in unnoticed. What TLS needs
    /// stands aside.
    #[test]
    fn a_task_is_small() {
        fn size<S, F>(_: fn(Wire<S>, Place, Presented) -> F) -> usize {
            size_of::<F>()
        }
        let sizes = (size_of::<Driver<TcpStream>>(), size(drive::<TcpStream>));
        assert!(sizes.0 <= 1024 && sizes.1 <= 400, "{sizes:?}");
        assert!(size_of::<Driver<TlsStream>>() <= sizes.0);
    }
}
