//! The transmits that take time: requests of a machine to the authenticator, the hub and the log. Each is one span
//! in a trace, and its answer is queued among those that are awaited.

use std::future::ready as now_ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::access::{Denied, Identity, Subject};
use protocol::admission::Turn;
use protocol::frame::ErrorCode;
use protocol::id::{Credentials, Generation, Name, RoomName, Seq, SessionId, SessionKey, Token};
use protocol::position::Offset;
use protocol::server::{AppendError, Input, Pull, RequestId, SessionOpened};
use tokio::time::sleep;
use tracing::{Instrument, Span};

use super::{Access, Driver};
use crate::access::ShownCredentials;
use crate::answers::{NoRoom, Owed};
use crate::hub::feed::What;
use crate::hub::pull::{self, Batch, Nothing};
use crate::hub::room::{Entry, Room};
use crate::hub::{Asking, Attached};
use crate::journal;
use crate::log::{Append, LogError, OpenSession, Page, Refuse};
use crate::secret;
use crate::spans::SPANS;
use crate::stream::Stream;
use crate::text_frame::TextFrame;
use crate::ws::reading::Reading;

/// The answer to a request.
pub(super) enum Answer {
    /// An input for the machine, as it is.
    Told(Input),
    Session {
        opened: Option<(SessionOpened, Generation)>,
        /// Whether the client asked to resume a session.
        is_wanted: bool,
        /// The subject that owns it.
        owner: Option<Subject>,
        /// Dropped once the session is attached.
        asking: Option<Asking>,
    },
    /// A room whose log's state is loaded; `None` where the log cannot be read now.
    Room {
        id: RequestId,
        name: RoomName,
        room: Option<Arc<Room>>,
    },
    /// A page for the client, with the memory reserved for it.
    History(RoomName, Option<(Page, Owed)>),
    /// What a room has for a reader, with the memory reserved for it.
    Page {
        id: RequestId,
        room: RoomName,
        page: Result<(Batch<TextFrame>, Owed), Nothing>,
    },
}

impl<S: Stream> Driver<S> {
    /// Authenticates the client. That may take time, in which the connection goes on.
    pub(super) fn admit(&mut self, token: Option<Token>) -> BoxFuture<'static, Input> {
        let authenticator = Arc::clone(self.permit.everbeat.authenticator());
        // The upgrade's credentials are for `hello`, which has to wait in a queue (RC-7).
        let (credentials, turn) = match self.access.take().map(|access| *access) {
            Some(Access::Unknown(credentials)) => {
                (credentials, self.permit.everbeat.limits().hello(self.now()))
            }
            Some(Access::Sought(_)) | None => {
                (ShownCredentials::default(), Turn::After(Duration::ZERO))
            }
        };
        let hub = Arc::clone(self.permit.hub());
        let span = self.span("admit");
        let admission = async move {
            let admitted = match turn {
                Turn::RetryAfter(slot) => Err(Denied::Busy(slot)),
                Turn::After(wait) => {
                    if !wait.is_zero() {
                        sleep(wait).await;
                    }
                    authenticator
                        .authenticate(&credentials, token.as_ref())
                        .await
                }
            };
            if let Err(why) = &admitted {
                hub.metrics().denied(*why);
            }
            Input::Admitted(admitted)
        };
        Box::pin(admission.instrument(span))
    }

    pub(super) fn open_session(&mut self, resume: Option<Credentials>, owner: Identity) {
        let Some(fresh) = fresh() else {
            return self.feed(Input::SessionOpened(None));
        };
        let wanted = resume.as_ref().map(|wanted| {
            let hashes = secret::hashes(&wanted.key, &owner);
            (wanted.id.clone(), hashes)
        });
        let hub = self.permit.hub();
        let asking = match &wanted {
            Some((session, hashes)) => match hub.ask(session, self.permit.id, hashes) {
                Some(asking) => Some(asking),
                None => return self.feed(Input::TakenOver),
            },
            None => None,
        };
        let open = OpenSession {
            resume: wanted,
            fresh: (fresh.id.clone(), secret::hash(&fresh.key, &owner)),
            at_ms: self.permit.hub().stamp(),
        };
        let answer = self.permit.hub().log().open_session(open);
        let answer = answer.instrument(self.span("open session"));
        self.writes.push_back(Box::pin(async move {
            let is_wanted = resume.is_some();
            let opened = answer.await.ok().map(|opened| {
                let generation = opened.generation;
                let opened = SessionOpened {
                    credentials: resume.filter(|_| opened.resumed).unwrap_or(fresh),
                    resumed: opened.resumed,
                    last_seq: opened.last_seq,
                    refused: opened.refused,
                };
                (opened, generation)
            });
            Answer::Session {
                opened,
                is_wanted,
                owner: owner.subject().cloned(),
                asking,
            }
        }));
    }

    pub(super) fn open_room(&mut self, id: RequestId, name: RoomName) {
        let (hub, span) = (Arc::clone(self.permit.hub()), self.span("join"));
        let opening = async move {
            let room = hub.load_room(&name).await.ok();
            Answer::Room { id, name, room }
        };
        let opening = Reading::new(opening.instrument(span));
        self.rare().reads.push_back(opening);
    }

    pub(super) fn history(&mut self, room: RoomName, before: Offset, limit: u32) {
        let (hub, span) = (Arc::clone(self.permit.hub()), self.span("history"));
        let network = self.permit.network();
        let reading = async move {
            let page = match hub.owe(network).await {
                Ok(owed) => {
                    let page = hub.log().read_before(room.clone(), before, limit).await;
                    page.ok().map(|page| (page, owed))
                }
                Err(NoRoom) => None,
            };
            Answer::History(room, page)
        };
        let reading = Reading::new(reading.instrument(span));
        self.rare().reads.push_back(reading);
    }

    /// Pulls what a room has for this reader: at once, for readers that keep up; or, if it is much or in the
    /// log, after reserving memory for it.
    pub(super) fn pull(&mut self, id: RequestId, name: RoomName, pull: Pull) {
        let Some(room) = self.permit.room(&name) else {
            return self.feed(Input::PullFailed { id, room: name });
        };
        match pull::take(room, pull, pick(self.permit.session())) {
            Ok(batch) if self.wire.has_room_for(&batch.frames) => {
                return self.pulled(id, name, Ok(batch));
            }
            Err(Nothing::CutOff) => return self.pulled(id, name, Err(Nothing::CutOff)),
            Ok(_) | Err(_) => {}
        }
        let (hub, room) = (Arc::clone(self.permit.hub()), Arc::clone(room));
        let (own, network) = (self.permit.session().cloned(), self.permit.network());
        let span = self.span("replay");
        let reading = async move {
            let pick = pick(own.as_ref());
            let page = pull::take_much(&hub, &room, pull, network, pick).await;
            let room = name;
            Answer::Page { id, room, page }
        };
        let reading = Reading::new(reading.instrument(span));
        self.rare().reads.push_back(reading);
    }

    /// Deals with an answer.
    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Told(input) => self.feed(input),
            Answer::Session {
                opened,
                is_wanted,
                owner,
                asking,
            } => {
                self.session_opened(opened, is_wanted, owner);
                drop(asking);
            }
            Answer::Room { id, name, room } => {
                let member = self.machine.name().filter(|_| self.machine.awaits(id));
                let (Some(member), Some(entered)) = (member.cloned(), room) else {
                    let view = None;
                    return self.feed(Input::RoomOpened {
                        id,
                        room: name,
                        view,
                    });
                };
                let room = entered.name().clone();
                let view = self.permit.enter(entered, member, self.owner.as_ref());
                self.trace("room joined", &room);
                self.feed(Input::RoomOpened { id, room, view });
            }
            Answer::History(room, page) => {
                let page = page.map(|(page, owed)| {
                    self.permit.hub().owes(self.permit.id, owed);
                    (page.messages, page.more)
                });
                self.feed(Input::HistoryRead { room, page });
            }
            Answer::Page { id, room, page } => {
                let page = match page {
                    Ok(_) if !self.machine.awaits(id) => Err(Nothing::Unavailable),
                    Ok((batch, owed)) => {
                        self.rare().owed.push(owed);
                        Ok(batch)
                    }
                    Err(nothing) => Err(nothing),
                };
                self.pulled(id, room, page);
            }
        }
    }

    fn session_opened(
        &mut self,
        opened: Option<(SessionOpened, Generation)>,
        is_wanted: bool,
        owner: Option<Subject>,
    ) {
        let mut what = None;
        if let Some((opened, generation)) = &opened {
            let session = opened.credentials.id.clone();
            let Attached { was_held, ring } = self.permit.attach(session.clone(), *generation);
            self.attach_trace(session.clone(), ring);
            self.owner = owner;
            self.metrics().session_opened(is_wanted, opened.resumed);
            what = Some(match (is_wanted, opened.resumed) {
                (_, true) => {
                    let returns = self.metrics().returns();
                    What::Resumed(returns.returned(&session, was_held))
                }
                (true, false) => What::NotResumed,
                (false, false) => What::Opened,
            });
            let is_logged = self.permit.is_logged();
            self.is_logged = Some(is_logged);
            if is_logged {
                tracing::info!(
                    session.id = %opened.credentials.id,
                    connection.id = %self.permit.id,
                    resumed = opened.resumed,
                    last_seq = opened.last_seq,
                    "session start"
                );
            }
        }
        let opened = opened.map(|(opened, _)| opened);
        self.feed(Input::SessionOpened(opened));
        // By now the machine knows the session's name.
        if let Some(what) = what.filter(|_| self.is_logged()) {
            self.permit.note(what, self.machine.name().cloned());
        }
    }

    /// Queues what was pulled, and reports it to the machine.
    fn pulled(&mut self, id: RequestId, room: RoomName, taken: Result<Batch<TextFrame>, Nothing>) {
        let input = match taken {
            Ok(batch) => {
                pull::count(&batch.frames, self.metrics());
                self.push_all(batch.frames);
                Input::Pulled {
                    id,
                    room,
                    through: batch.through,
                    version: batch.version,
                }
            }
            Err(Nothing::CutOff) => Input::CutOff { id, room },
            Err(Nothing::InLog | Nothing::Unavailable) => Input::PullFailed { id, room },
        };
        self.feed(input);
    }

    pub(super) fn append(
        &mut self,
        seq: Seq,
        room: RoomName,
        (name, body): (Name, String),
        is_repeat: bool,
    ) {
        let Some((session, generation)) = self.permit.opening() else {
            return;
        };
        // A repeat, which is only looked up, counts as a frame instead.
        if !is_repeat && let Some(wait) = self.over_rate() {
            let result = Err(AppendError::RateLimited(wait));
            self.metrics().published(result.map(drop));
            let refused = Input::Appended { seq, room, result };
            let refused = now_ready(Answer::Told(refused));
            return self.writes.push_back(Box::pin(refused));
        }
        let here = self.permit.room(&room).cloned();
        if let Some(here) = &here {
            here.published(&session);
        }
        let append = Append {
            session: session.clone(),
            generation,
            seq,
            room: room.clone(),
            name,
            body,
            at_ms: self.permit.hub().stamp(),
            is_repeat,
            erased: None,
        };
        let hub = Arc::clone(self.permit.hub());
        let answer = hub.log().append(append).instrument(self.span("append"));
        self.writes.push_back(Box::pin(async move {
            let result = answer.await.map_err(|error| append_error(&error));
            hub.metrics().published(result.map(drop));
            if let (Err(_), Some(here)) = (&result, here) {
                here.publish_failed(&session, seq);
            }
            Answer::Told(Input::Appended { seq, room, result })
        }));
    }

    pub(super) fn refuse(&mut self, seq: Seq, code: ErrorCode) {
        let Some((session, generation)) = self.permit.opening() else {
            return;
        };
        // A refusal is stored as durably as a message, so it counts as one.
        if let Some(wait) = self.over_rate() {
            let result = Err(AppendError::RateLimited(wait));
            let refused = now_ready(Answer::Told(Input::NumberUsed { seq, result }));
            return self.writes.push_back(Box::pin(refused));
        }
        let refuse = Refuse {
            session,
            generation,
            seq,
            code,
        };
        let answer = self.permit.hub().log().refuse(refuse);
        let answer = answer.instrument(self.span("refuse"));
        self.writes.push_back(Box::pin(async move {
            let result = answer.await.map_err(|error| append_error(&error));
            Answer::Told(Input::NumberUsed { seq, result })
        }));
    }

    /// Counts a message for its author and the author's address. Returns the wait until the next one where there are
    /// too many.
    fn over_rate(&self) -> Option<Duration> {
        let limits = self.permit.everbeat.limits();
        let counted = limits.publish(self.now(), self.owner.as_ref(), self.permit.network());
        let (met, wait) = counted.err()?;
        self.metrics().limited(met);
        Some(wait)
    }

    /// The span of one step in the life of a session.
    fn span(&self, step: &'static str) -> Span {
        tracing::trace_span!(
            target: SPANS,
            "step",
            otel.name = step,
            session.id = self.permit.session().map(SessionId::as_str),
            connection.id = %self.permit.id,
        )
    }
}

/// New credentials for a session.
fn fresh() -> Option<Credentials> {
    Some(Credentials {
        id: SessionId::new(&secret::random_hex::<16>()?).ok()?,
        key: SessionKey::new(&secret::random_hex::<32>()?).ok()?,
    })
}

/// What is written of an entry: nothing of this session's own draft.
fn pick(own: Option<&SessionId>) -> impl Fn(&Entry) -> Option<TextFrame> {
    move |entry| {
        let is_own = entry.author.is_some() && entry.author.as_ref() == own;
        (!is_own).then(|| entry.frame.clone())
    }
}

fn append_error(error: &LogError) -> AppendError {
    match error {
        LogError::Number(error) => (*error).into(),
        LogError::Unavailable(reason) => {
            journal::log_trouble(reason);
            AppendError::Unavailable
        }
        LogError::Unknown(reason) => {
            journal::log_trouble(reason);
            AppendError::Unknown
        }
    }
}
