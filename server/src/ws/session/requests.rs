//! What a machine asks for, of the gate, the hub and the log: each is one span in a trace.

use std::future::ready as now_ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::access::{Denied, Subject};
use protocol::admission::Turn;
use protocol::frame::ErrorCode;
use protocol::id::{Credentials, Name, RoomName, Seq, SessionId, SessionKey, Token};
use protocol::position::Offset;
use protocol::server::{AppendError, Input, Pull, SessionOpened};
use tokio::time::sleep;
use tracing::{Instrument, Span};

use super::{Access, Driver, Rest};
use crate::access::Presented;
use crate::clock::unix_ms;
use crate::hub::answers::NoRoom;
use crate::hub::pull::{self, Batch, Nothing};
use crate::hub::room::Entry;
use crate::log::{Append, LogError, OpenSession};
use crate::secret;
use crate::serve::Stream;
use crate::telemetry::SPANS;
use crate::text_frame::TextFrame;
use crate::ws::wire::WriteError;

impl<S: Stream> Driver<S> {
    /// Finds out who that is. It may take some time, in which the connection goes on.
    pub(super) fn admit(&mut self, token: Option<Token>) -> BoxFuture<'static, Input> {
        let gate = Arc::clone(&self.place.state.gate);
        // What the request showed is for `hello`, for which there is a line (RC-7).
        let (presented, turn) = match self.access.take().map(|access| *access) {
            Some(Access::Unknown(presented)) => {
                (presented, self.place.state.limits.hello(self.now()))
            }
            Some(Access::Sought(_)) | None => (Presented::default(), Turn::After(Duration::ZERO)),
        };
        let hub = Arc::clone(&self.place.state.hub);
        let span = self.span("admit");
        let admission = async move {
            let admitted = match turn {
                Turn::ComeBack(slot) => Err(Denied::Busy(slot)),
                Turn::After(wait) => {
                    if !wait.is_zero() {
                        sleep(wait).await;
                    }
                    gate.admit(&presented, token.as_ref()).await
                }
            };
            if let Err(why) = &admitted {
                hub.metrics().denied(*why);
            }
            Input::Admitted(admitted)
        };
        Box::pin(admission.instrument(span))
    }

    pub(super) async fn open_session(
        &mut self,
        resume: Option<Credentials>,
        owner: Option<Subject>,
    ) -> Result<(), WriteError> {
        let opened = self.opened_session(resume, owner).await;
        self.feed(Input::SessionOpened(opened));
        Ok(())
    }

    async fn opened_session(
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
        let wanted = resume.is_some();
        let open = OpenSession {
            resume: resume.as_ref().map(hashed),
            fresh: hashed(&fresh),
            at_ms: unix_ms(),
        };
        let opened = self
            .place
            .state
            .hub
            .log()
            .open_session(open)
            .instrument(self.span("open session"))
            .await
            .ok()?;
        let credentials = if opened.resumed { resume? } else { fresh };
        self.place.state.hub.attach(&credentials.id, self.place.id);
        self.session = Some(credentials.id.clone());
        self.owner = owner;
        self.metrics().session_opened(wanted, opened.resumed);
        tracing::info!(
            session.id = %credentials.id,
            connection.id = %self.place.id,
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

    pub(super) async fn open_room(
        &mut self,
        name: RoomName,
        member: Name,
    ) -> Result<(), WriteError> {
        let Some(session) = self.session.clone() else {
            return Ok(());
        };
        let connection = (self.place.id, &self.place.mailbox);
        let opened = self
            .place
            .state
            .hub
            .open_room(&name, (session, member), connection)
            .instrument(self.span("join"))
            .await;
        let Ok((room, view)) = opened else {
            let room = name;
            self.feed(Input::RoomOpened { room, view: None });
            return Ok(());
        };
        let name = room.name().clone();
        if self.room(&name).is_none() {
            self.rooms.reserve_exact(1);
            self.rooms.push(room);
        }
        self.trace("room joined", &name);
        let view = Some(view);
        self.feed(Input::RoomOpened { room: name, view });
        Ok(())
    }

    pub(super) async fn history(
        &mut self,
        room: RoomName,
        before: Offset,
        limit: u32,
    ) -> Result<(), WriteError> {
        // Before it waits for room: others may wait for what is held here.
        self.wire.flush().await?;
        let hub = Arc::clone(&self.place.state.hub);
        let page = match hub.owe(self.place.network()).await {
            Ok(owed) => {
                let page = hub.log().read_before(room.clone(), before, limit);
                let page = page.instrument(self.span("history")).await;
                hub.owes(self.place.id, owed);
                page.ok().map(|page| (page.messages, page.more))
            }
            Err(NoRoom) => None,
        };
        self.feed(Input::HistoryRead { room, page });
        Ok(())
    }

    /// Takes what a room has for this reader, and gathers it for the next write. Returns the rest where
    /// that cannot be done at once, as it can for who keeps up.
    pub(super) fn pull(&mut self, name: RoomName, pull: Pull) -> Option<Rest<'_>> {
        let mut taken = pull::take(self.room(&name)?, pull, self.pick());
        if let Ok(batch) = &mut taken
            && self.wire.has_room_for(&batch.frames)
        {
            self.gather(name, batch);
            return None;
        }
        Some(Box::pin(self.pull_slowly(name, pull)))
    }

    /// The rest of a pull, where there is much to write or it is in the log: with room for it among the answers.
    async fn pull_slowly(&mut self, name: RoomName, pull: Pull) -> Result<(), WriteError> {
        let Some(room) = self.room(&name).cloned() else {
            return Ok(());
        };
        // Before it waits for room: others may wait for what is held here.
        self.wire.flush().await?;
        let (hub, network) = (Arc::clone(&self.place.state.hub), self.place.network());
        let taken = pull::take_much(&hub, &room, pull, network, self.pick());
        match taken.instrument(self.span("replay")).await {
            Ok((mut batch, owed)) => {
                pull::count(&batch.frames, self.metrics());
                for frame in std::mem::take(&mut batch.frames) {
                    self.wire.write(frame).await?;
                }
                drop(owed);
                self.pulled(name, &batch);
            }
            Err(Nothing::CutOff) => self.feed(Input::CutOff { room: name }),
            Err(Nothing::InLog | Nothing::Unavailable) => {
                self.feed(Input::PullFailed { room: name });
            }
        }
        Ok(())
    }

    /// Gathers what was pulled for the next write.
    fn gather(&mut self, name: RoomName, batch: &mut Batch<TextFrame>) {
        pull::count(&batch.frames, self.metrics());
        for frame in batch.frames.drain(..) {
            self.wire.push(frame);
        }
        self.pulled(name, batch);
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

    pub(super) fn append(
        &mut self,
        seq: Seq,
        room: RoomName,
        (name, body): (Name, String),
        is_repeat: bool,
    ) {
        let Some(session) = self.session.clone() else {
            return;
        };
        let (state, network) = (&self.place.state, self.place.network());
        if !is_repeat && let Err((met, wait)) = state.limits.publish(self.owner.as_ref(), network) {
            self.metrics().limited(met);
            let result = Err(AppendError::RateLimited(wait));
            self.metrics().published(result.map(drop));
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
        let hub = Arc::clone(&self.place.state.hub);
        let answer = hub.log().append(append).instrument(self.span("append"));
        self.answers.push_back(Box::pin(async move {
            let result = answer.await.map_err(|error| append_error(&error));
            hub.metrics().published(result.map(drop));
            if let (Err(_), Some(here)) = (&result, here) {
                here.publish_failed(&session);
            }
            Input::Appended { seq, room, result }
        }));
    }

    pub(super) fn refuse(&mut self, seq: Seq, code: ErrorCode) {
        let Some(session) = self.session.clone() else {
            return;
        };
        let hub = &self.place.state.hub;
        let answer = hub.log().refuse(session, seq, code);
        let answer = answer.instrument(self.span("refuse"));
        self.answers.push_back(Box::pin(async move {
            let result = answer
                .await
                .map(|()| code)
                .map_err(|error| append_error(&error));
            Input::NumberUsed { seq, result }
        }));
    }

    /// A step in the life of a session, for traces.
    fn span(&self, step: &'static str) -> Span {
        tracing::trace_span!(
            target: SPANS,
            "step",
            otel.name = step,
            session.id = self.session.as_ref().map(SessionId::as_str),
            connection.id = %self.place.id,
        )
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
