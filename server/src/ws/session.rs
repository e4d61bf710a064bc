//! The driver of a session's connection: translates between the machine, the socket and the hub.

use std::collections::VecDeque;
use std::future::{poll_fn, ready as now_ready};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::access::{Denied, Subject};
use protocol::admission::Turn;
use protocol::close::CloseCode;
use protocol::codec::{self, DecodeError};
use protocol::frame::{ClientFrame, ErrorCode};
use protocol::id::{Credentials, Name, RoomName, Seq, SessionId, SessionKey, Token};
use protocol::server::{AppendError, Input, Pull, Session, SessionOpened, Transmit};
use protocol::time::Timestamp;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tungstenite::{Error as WebSocketError, Message};

use super::Connection;
use super::wire::{Alarm, Wire, WriteError};
use crate::access::Presented;
use crate::clock::unix_ms;
use crate::hub::pull::{self, Batch, Nothing};
use crate::hub::room::{Entry, Room};
use crate::limits::Held;
use crate::log::{Append, LogError, OpenSession};
use crate::secret;
use crate::text_frame::TextFrame;

/// How many frames are taken from the socket before the answers are written out.
const READ_BATCH: usize = 64;

/// Serves one connection to its end. What the future holds is what a quiet session costs: the rare
/// and large steps in it are boxed.
pub(super) fn drive(
    wire: Wire<TcpStream>,
    connection: Connection,
    presented: Presented,
) -> impl Future<Output = ()> {
    let clock = connection.state.hub.clock();
    let mut driver = Box::new(Driver {
        machine: Session::new(clock.now(), Arc::clone(&connection.state.protocol)),
        wire,
        alarm: Alarm::new(clock),
        rooms: Vec::new(),
        answers: VecDeque::new(),
        session: None,
        owner: None,
        access: Some(Box::new(Access::Unknown(presented))),
        connection,
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

/// What the socket has: a message, an error, or its end.
type Heard = Option<Result<Message, WebSocketError>>;

/// What a driver waits for.
enum Fact {
    Rang,
    Answered(Input),
    Marked,
    Heard(Heard),
}

/// Who that is: only as long as it is not known.
enum Access {
    /// Nobody has asked; this is what the request for the connection showed.
    Unknown(Presented),
    /// It is being found out.
    Sought(BoxFuture<'static, Input>),
}

struct Driver {
    connection: Connection,
    machine: Session,
    wire: Wire<TcpStream>,
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

impl Driver {
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
                Fact::Answered(input) => {
                    self.feed(input);
                    poll_fn(|cx| self.answered_all(cx)).await;
                }
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

    /// Takes what else the log has answered: a commit has many answers, and they leave in one write.
    /// Does not wait for more.
    fn answered_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(input) = self.poll_answer(cx) {
            self.feed(input);
        }
        Poll::Ready(())
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
            if let Poll::Ready(input) = self.poll_answer(cx) {
                return Poll::Ready(Fact::Answered(input));
            }
            if let Some(Access::Sought(admission)) = self.access.as_deref_mut()
                && let Poll::Ready(input) = admission.as_mut().poll(cx)
            {
                self.access = None;
                return Poll::Ready(Fact::Answered(input));
            }
            if self.connection.mailbox.poll_marked(cx).is_ready() {
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
        let limit = self.connection.state.protocol.limits.frame_bytes;
        let input = match heard {
            Some(Ok(Message::Text(text))) => {
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
            // Reading gives whole messages, never a bare frame.
            Some(Ok(Message::Frame(_)) | Err(_)) | None => return Err(End::Gone(None)),
        };
        self.feed(input);
        Ok(())
    }

    fn look_into_mailbox(&mut self) {
        let marks = self.connection.mailbox.take();
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
        if marks.shut_down {
            self.feed(Input::Shutdown);
        }
    }

    async fn drain(&mut self) -> Result<(), End> {
        while let Some(transmit) = self.machine.poll_transmit() {
            if let Err(error) = self.perform(transmit).await? {
                return Err(self.write_failed(error));
            }
        }
        Ok(())
    }

    async fn perform(&mut self, transmit: Transmit) -> Result<Result<(), WriteError>, End> {
        match transmit {
            Transmit::Frame(frame) => {
                return Ok(self.wire.write(TextFrame::new(codec::encode(&frame))).await);
            }
            Transmit::Close(code) => return Err(End::Closed(code)),
            Transmit::Pull { room, pull } => {
                if let Some(rest) = self.pull(room, pull) {
                    return Ok(rest.await);
                }
            }
            Transmit::Admit { token } => {
                self.access = Some(Box::new(Access::Sought(self.admit(token))));
            }
            Transmit::OpenSession { resume, owner } => {
                let opened = Box::pin(self.open_session(resume, owner)).await;
                self.feed(Input::SessionOpened(opened));
            }
            Transmit::OpenRoom { room, name } => Box::pin(self.open_room(room, name)).await,
            Transmit::LeaveRoom { room } => {
                if let (Some(room), Some(session)) = (self.room(&room), &self.session) {
                    room.leave(self.now(), session, self.connection.id);
                }
                self.rooms.retain(|known| *known.name() != room);
            }
            Transmit::Rename { room, name } => {
                if let (Some(room), Some(session)) = (self.room(&room), &self.session) {
                    room.rename(self.now(), session, name, self.connection.id);
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
            } => {
                let page = self
                    .connection
                    .state
                    .hub
                    .log()
                    .read_before(room.clone(), before, limit)
                    .await;
                let page = page.ok().map(|page| (page.messages, page.more));
                self.feed(Input::HistoryRead { room, page });
            }
        }
        Ok(Ok(()))
    }

    /// Finds out who that is. It may take some time, in which the connection goes on.
    fn admit(&mut self, token: Option<Token>) -> BoxFuture<'static, Input> {
        let gate = Arc::clone(&self.connection.state.gate);
        // What the request showed is for `hello`, for which there is a line (RC-7).
        let (presented, turn) = match self.access.take().map(|access| *access) {
            Some(Access::Unknown(presented)) => {
                (presented, self.connection.state.limits.hello(self.now()))
            }
            Some(Access::Sought(_)) | None => (Presented::default(), Turn::After(Duration::ZERO)),
        };
        Box::pin(async move {
            Input::Admitted(match turn {
                Turn::ComeBack(slot) => Err(Denied::Busy(slot)),
                Turn::After(wait) => {
                    if !wait.is_zero() {
                        sleep(wait).await;
                    }
                    gate.admit(&presented, token.as_ref()).await
                }
            })
        })
    }

    async fn open_session(
        &mut self,
        resume: Option<Credentials>,
        owner: Option<Subject>,
    ) -> Option<SessionOpened> {
        let fresh = Credentials {
            id: SessionId::new(&secret::random_hex::<16>()?).ok()?,
            key: SessionKey::new(&secret::random_hex::<32>()?).ok()?,
        };
        let hashed = |credentials: &Credentials| {
            (
                credentials.id.clone(),
                secret::hash(&credentials.key, owner.as_ref()),
            )
        };
        let open = OpenSession {
            resume: resume.as_ref().map(hashed),
            fresh: hashed(&fresh),
            at_ms: unix_ms(),
        };
        let opened = self
            .connection
            .state
            .hub
            .log()
            .open_session(open)
            .await
            .ok()?;
        let credentials = if opened.resumed { resume? } else { fresh };
        self.connection
            .state
            .hub
            .attach(&credentials.id, self.connection.id);
        self.session = Some(credentials.id.clone());
        self.owner = owner;
        tracing::info!(
            session.id = %credentials.id,
            connection.id = %self.connection.id,
            resumed = opened.resumed,
            last_seq = opened.last_seq,
            "session start"
        );
        Some(SessionOpened {
            credentials,
            resumed: opened.resumed,
            last_seq: opened.last_seq,
            refused: opened.refused,
        })
    }

    async fn open_room(&mut self, name: RoomName, member: Name) {
        let Some(session) = self.session.clone() else {
            return;
        };
        let connection = (self.connection.id, &self.connection.mailbox);
        let opened = self
            .connection
            .state
            .hub
            .open_room(&name, (session, member), connection)
            .await;
        let Ok((room, view)) = opened else {
            let room = name;
            return self.feed(Input::RoomOpened { room, view: None });
        };
        let name = room.name().clone();
        if self.room(&name).is_none() {
            self.rooms.reserve_exact(1);
            self.rooms.push(room);
        }
        let view = Some(view);
        self.feed(Input::RoomOpened { room: name, view });
    }

    fn room(&self, name: &RoomName) -> Option<&Arc<Room>> {
        self.rooms.iter().find(|room| room.name() == name)
    }

    /// Takes what a room has for this reader, and gathers it for the next write. Returns the rest where
    /// that cannot be done at once, as it can for who keeps up.
    fn pull(
        &mut self,
        name: RoomName,
        pull: Pull,
    ) -> Option<BoxFuture<'_, Result<(), WriteError>>> {
        let mut taken = pull::take(self.room(&name)?, pull, self.pick());
        if let Ok(batch) = &mut taken {
            self.wire.gather(&mut batch.frames);
            if batch.frames.is_empty() {
                self.pulled(name, batch);
                return None;
            }
        }
        Some(Box::pin(self.pull_slowly(name, pull, taken)))
    }

    /// The rest of a pull, where there is much to write or it is in the log.
    async fn pull_slowly(
        &mut self,
        name: RoomName,
        pull: Pull,
        mut taken: Result<Batch<TextFrame>, Nothing>,
    ) -> Result<(), WriteError> {
        if let (Err(Nothing::InLog), Some(room)) = (&taken, self.room(&name)) {
            taken = pull::read_log(&self.connection.state.hub, room, pull, self.pick()).await;
        }
        match taken {
            Ok(mut batch) => {
                for frame in std::mem::take(&mut batch.frames) {
                    self.wire.write(frame).await?;
                }
                self.pulled(name, &batch);
            }
            Err(Nothing::CutOff) => self.feed(Input::CutOff { room: name }),
            Err(Nothing::InLog | Nothing::Unavailable) => {
                self.feed(Input::PullFailed { room: name });
            }
        }
        Ok(())
    }

    fn pulled(&mut self, room: RoomName, batch: &Batch<TextFrame>) {
        self.feed(Input::Pulled {
            room,
            through: batch.through,
            version: batch.version,
        });
    }

    /// What is written of an entry: nothing of this session's own draft.
    fn pick(&self) -> impl Fn(&Entry) -> Option<TextFrame> {
        let own = self.session.as_ref();
        move |entry| {
            let is_own = entry.author.is_some() && entry.author.as_ref() == own;
            (!is_own).then(|| entry.frame.clone())
        }
    }

    fn append(&mut self, seq: Seq, room: RoomName, (name, body): (Name, String), is_repeat: bool) {
        let Some(session) = self.session.clone() else {
            return;
        };
        let Connection { state, held, .. } = &self.connection;
        let network = held.as_ref().map(Held::network);
        if !is_repeat && let Err(wait) = state.limits.publish(self.owner.as_ref(), network) {
            let result = Err(AppendError::RateLimited(wait));
            let refused = Input::Appended { seq, room, result };
            return self.answers.push_back(Box::pin(now_ready(refused)));
        }
        let here = self.room(&room).cloned();
        if let Some(here) = &here {
            here.published(&session);
        }
        let append = Append {
            session: session.clone(),
            seq,
            room: room.clone(),
            name,
            body,
            at_ms: unix_ms(),
            is_repeat,
        };
        let answer = self.connection.state.hub.log().append(append);
        self.answers.push_back(Box::pin(async move {
            let result = answer.await.map_err(|error| append_error(&error));
            if let (Err(_), Some(here)) = (&result, here) {
                here.publish_failed(&session);
            }
            Input::Appended { seq, room, result }
        }));
    }

    fn refuse(&mut self, seq: Seq, code: ErrorCode) {
        let Some(session) = self.session.clone() else {
            return;
        };
        let answer = self.connection.state.hub.log().refuse(session, seq, code);
        self.answers.push_back(Box::pin(async move {
            let result = answer
                .await
                .map(|()| code)
                .map_err(|error| append_error(&error));
            Input::NumberUsed { seq, result }
        }));
    }

    fn now(&self) -> Timestamp {
        self.connection.state.hub.clock().now()
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
        let Connection { id, state, .. } = &self.connection;
        let hub = &state.hub;
        hub.disconnect(*id, self.session.as_ref());
        if let Some(session) = &self.session {
            for room in &self.rooms {
                room.disconnect(hub.clock().now(), session, *id);
            }
        }
        let session = self.session.as_ref().map_or("none", SessionId::as_str);
        match end {
            End::Closed(code) => {
                tracing::info!(session.id = session, connection.id = %id, reason = %code, "session end");
                self.wire.close(code).await;
            }
            End::Gone(code) => {
                let reason = code.map_or(CloseCode::ABNORMAL, CloseCode);
                tracing::info!(session.id = session, connection.id = %id, %reason, "session end");
                self.wire.answer_close().await;
            }
        }
        // What the log still owes is awaited by nobody; the client asks again when it is back.
    }
}

fn append_error(error: &LogError) -> AppendError {
    match error {
        LogError::Conflict => AppendError::Conflict,
        LogError::OutOfOrder { .. } => AppendError::OutOfOrder,
        LogError::Refused(code) => AppendError::Refused(*code),
        LogError::UnknownSession => AppendError::UnknownSession,
        LogError::Unavailable(reason) => {
            tracing::warn!(%reason, "the log refused a message for now");
            AppendError::Unavailable
        }
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    /// What every session costs while it is quiet: nothing large may slip in unnoticed.
    #[test]
    fn a_task_is_small() {
        fn size<F>(_: fn(Wire<TcpStream>, Connection, Presented) -> F) -> usize {
            size_of::<F>()
        }
        let sizes = (size_of::<Driver>(), size(drive));
        assert!(sizes.0 <= 1024 && sizes.1 <= 1024, "{sizes:?}");
    }
}
