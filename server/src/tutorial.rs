//! The driver of a tutorial page's connection: bare texts (PROTOCOL.md, "The tutorial's dialect").

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use everbeat_axum::access::{Authenticator, ShownCredentials};
use everbeat_axum::address::Client;
use everbeat_axum::answers::Owed;
use everbeat_axum::clock::Second;
use everbeat_axum::everbeat::Everbeat;
use everbeat_axum::hub::feed::What;
use everbeat_axum::hub::inspect::{Kind, Question, Vitals};
use everbeat_axum::hub::pull::{self, Batch, Nothing};
use everbeat_axum::hub::room::{Entry, Room};
use everbeat_axum::metrics::Metrics;
use everbeat_axum::permit::ConnectionPermit;
use everbeat_axum::secret;
use everbeat_axum::stream::Stream;
use everbeat_axum::text_frame::TextFrame;
use protocol::close::CloseCode;
use protocol::id::{Name, RoomName, SessionId};
use protocol::server::{Pull, Tutorial, TutorialInput, TutorialTransmit};
use tungstenite::{Error as WebSocketError, Message};

use everbeat_axum::ws::reading::Reading;
use everbeat_axum::ws::wire::{self, Alarm, Wire, WriteError};
use everbeat_axum::ws::{Dialect, Handshake, Transport};

/// Upgrades a connection to the tutorial's dialect, in this room or in the lobby.
pub(crate) async fn upgrade<T: Transport>(
    everbeat: &Everbeat,
    client: &Client,
    room: Option<&str>,
    mut request: Request,
) -> Response {
    let handshake = match Handshake::of(&mut request) {
        Ok(handshake) => handshake,
        Err(refused) => return refused,
    };
    let room = match room.map_or_else(|| Ok(RoomName::lobby()), RoomName::new) {
        Ok(room) => room,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    if !may_use(everbeat.authenticator(), &room).await {
        let text = "Pages without a session may not use this room here.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    handshake.accept::<T>(everbeat, client, Page(room))
}

/// Whether a tutorial page may use a room. The page is always a guest: it cannot say which site it is from, so the
/// cookies that its browser sends along must not count.
async fn may_use(authenticator: &Authenticator, room: &RoomName) -> bool {
    let access = authenticator
        .authenticate(&ShownCredentials::default(), None)
        .await;
    access.is_ok_and(|access| Tutorial::may_open(&access, room).is_ok())
}

/// The dialect of a page in a room.
struct Page(RoomName);

impl Dialect for Page {
    fn serve<S: Stream>(
        self,
        wire: Wire<S>,
        permit: ConnectionPermit,
    ) -> impl Future<Output = ()> + Send + 'static {
        drive(wire, permit, self.0)
    }
}

/// Serves one connection to its end.
async fn drive<S: Stream>(wire: Wire<S>, mut permit: ConnectionPermit, room: RoomName) {
    let Some(session) = secret::random_hex::<16>().and_then(|id| SessionId::new(&id).ok()) else {
        return;
    };
    let clock = permit.hub().clock();
    let is_logged = permit.is_logged();
    if is_logged {
        tracing::info!(session.id = %session, connection.id = %permit.id, "tutorial session start");
    }
    permit.pass_as(session);
    if is_logged {
        permit.note(What::Opened, None);
    }
    let mut driver = Box::new(Driver {
        machine: Tutorial::new(clock.now(), permit.everbeat.protocol()),
        wire,
        alarm: Alarm::new(clock),
        permit,
        opened: clock.second(),
        room,
        answer: None,
        owed: None,
        postponed: None,
        is_stalled: false,
        is_logged,
        is_over: false,
    });
    let code = poll_fn(|cx| driver.poll_end(cx)).await;
    driver.tell_end(code);
    match code {
        Some(code) => Box::pin(driver.wire.close(code)).await,
        None => Box::pin(driver.wire.answer_close()).await,
    }
}

/// The answer to what the machine asked for.
enum Answer {
    /// The room; `None` where the log cannot be read now.
    Room(Option<Arc<Room>>),
    /// What the room has, with the memory reserved for it.
    Page(Result<(Batch<TextFrame>, Owed), Nothing>),
}

struct Driver<S> {
    permit: ConnectionPermit,
    opened: Second,
    machine: Tutorial,
    wire: Wire<S>,
    alarm: Alarm,
    room: RoomName,
    /// The read that is under way; there is one at most.
    answer: Option<Box<Reading<Answer>>>,
    /// The memory reserved for what is being written.
    owed: Option<Owed>,
    /// A pull that waits until the peer has taken what was written.
    postponed: Option<Pull>,
    /// Whether what was written waits for the peer to take it.
    is_stalled: bool,
    /// Whether the journal has lines for this session.
    is_logged: bool,
    /// Whether the end was reported.
    is_over: bool,
}

impl<S: Stream> Driver<S> {
    /// Serves the connection. Returns the code to close with; `None` if the client has closed it, or it broke.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<CloseCode>> {
        wire::poll_turns(self, cx, |driver| driver.wire.written(), Self::poll_turn)
    }

    /// Performs the machine's transmits, and feeds it what came; pending where nothing came.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Option<CloseCode>>> {
        while let Some(transmit) = self.machine.poll_transmit() {
            if let TutorialTransmit::Close(code) = transmit {
                return Poll::Ready(Err(Some(code)));
            }
            self.perform(transmit);
        }
        let written = self.wire.poll_write(cx);
        if let Poll::Ready(Err(error)) = written {
            return Poll::Ready(Err(self.write_failed(error)));
        }
        if written.is_ready() {
            self.owed = None;
        }
        if written.is_pending() != self.is_stalled {
            self.is_stalled = written.is_pending();
            self.feed(TutorialInput::Stalled(self.is_stalled));
        }
        self.alarm.arm(self.machine.poll_timeout());
        if self.alarm.poll_ring(cx).is_ready() {
            let now = self.permit.hub().clock().now();
            if self.machine.wants_send_queue(now)
                && let Some(queue) = self.wire.send_queue(self.permit.everbeat.send_queues())
            {
                self.feed(TutorialInput::SendQueue(queue));
            }
            self.machine.handle_timeout(now);
            return Poll::Ready(Ok(()));
        }
        if self.permit.mailbox.poll_marked(cx).is_ready() {
            self.look_into_mailbox();
            return Poll::Ready(Ok(()));
        }
        if let Some(answer) = &mut self.answer
            && let Poll::Ready(answer) = answer.poll_when(cx, self.wire.is_idle())
        {
            self.answer = None;
            self.answered(answer);
            return Poll::Ready(Ok(()));
        }
        // While the wire is full, nothing is done that adds to it.
        if self.wire.is_full() {
            return Poll::Pending;
        }
        if let Some(pull) = self.postponed.take() {
            self.pull(pull);
            return Poll::Ready(Ok(()));
        }
        if !self.machine.wants_input() {
            return Poll::Pending;
        }
        let heard = ready!(self.wire.poll_read(cx));
        let heard = self.heard(heard);
        let cost = self.machine.take_cost();
        if let Some(wait) = self.permit.spend(cost, None) {
            self.feed(TutorialInput::Throttled(wait));
        }
        Poll::Ready(heard)
    }

    fn heard(
        &mut self,
        heard: Option<Result<Message, WebSocketError>>,
    ) -> Result<(), Option<CloseCode>> {
        self.feed(match heard {
            Some(Ok(Message::Text(text))) => {
                self.metrics().received(text.len());
                TutorialInput::Text(text.as_str().to_owned())
            }
            Some(Ok(Message::Binary(_))) => TutorialInput::Binary,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => TutorialInput::SignOfLife,
            Some(Err(error)) => return Err(wire::code_for(&error)),
            // tungstenite reads whole messages, never a bare frame.
            Some(Ok(Message::Close(_) | Message::Frame(_))) | None => return Err(None),
        });
        Ok(())
    }

    fn feed(&mut self, input: TutorialInput) {
        self.machine
            .handle_input(self.permit.hub().clock().now(), input);
    }

    fn look_into_mailbox(&mut self) {
        let marks = self.permit.mailbox.take();
        for room in marks.moved {
            if let Some((head, version)) = self.permit.room(&room).map(|room| room.marks()) {
                self.feed(TutorialInput::RoomMoved { head, version });
            }
        }
        if marks.disconnected {
            self.feed(TutorialInput::Disconnected);
        }
        if let Some(asked) = marks.asked {
            self.report(&asked);
        }
        // The tutorial's dialect has no `go_away`: the page is served until the server ends.
        if marks.shut_down {
            self.feed(TutorialInput::Shutdown);
        }
    }

    /// Performs a transmit, or begins it: what takes time is answered later.
    fn perform(&mut self, transmit: TutorialTransmit) {
        match transmit {
            TutorialTransmit::OpenRoom => {
                let (hub, name) = (Arc::clone(self.permit.hub()), self.room.clone());
                let opening = async move { Answer::Room(hub.load_room(&name).await.ok()) };
                self.answer = Some(Box::new(Reading::new(opening)));
            }
            TutorialTransmit::Text(text) => {
                let text = TextFrame::new(text);
                self.metrics().sent(text.len());
                self.wire.push(text);
            }
            TutorialTransmit::Draft(body) => {
                if let (Some(room), Some(session)) =
                    (self.permit.room(&self.room), self.permit.session())
                {
                    // It publishes nothing that could end it.
                    room.draft(session, body, 0);
                }
            }
            TutorialTransmit::Pull(pull) if self.wire.is_full() => self.postponed = Some(pull),
            TutorialTransmit::Pull(pull) => self.pull(pull),
            TutorialTransmit::Ping => {
                self.metrics().pinged();
                self.wire.ping();
            }
            // `poll_turn` returns on it.
            TutorialTransmit::Close(_) => {}
        }
    }

    /// Pulls what the room has: at once, or, if it is much or in the log, after reserving memory for it.
    fn pull(&mut self, pull: Pull) {
        let Some(room) = self.permit.room(&self.room) else {
            return self.feed(TutorialInput::PullFailed);
        };
        match pull::take(room, pull, pick(self.permit.session())) {
            Ok(batch) if self.wire.has_room_for(&batch.frames) => return self.pulled(Ok(batch)),
            Err(Nothing::CutOff) => return self.pulled(Err(Nothing::CutOff)),
            Ok(_) | Err(_) => {}
        }
        let (hub, room) = (Arc::clone(self.permit.hub()), Arc::clone(room));
        let (own, network) = (self.permit.session().cloned(), self.permit.network());
        let reading = Reading::new(async move {
            let pick = pick(own.as_ref());
            Answer::Page(pull::take_much(&hub, &room, pull, network, pick).await)
        });
        self.answer = Some(Box::new(reading));
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Room(room) => {
                let view = room.and_then(|room| {
                    let name = Name::guest(self.permit.session()?);
                    self.permit.enter(room, name, None)
                });
                self.feed(TutorialInput::RoomOpened(view));
            }
            Answer::Page(page) => {
                let page = page.map(|(batch, owed)| {
                    self.owed = Some(owed);
                    batch
                });
                self.pulled(page);
            }
        }
    }

    fn pulled(&mut self, taken: Result<Batch<TextFrame>, Nothing>) {
        let input = match taken {
            Ok(batch) => {
                pull::count(&batch.frames, self.metrics());
                for text in batch.frames {
                    self.wire.push(text);
                }
                let (through, version) = (batch.through, batch.version);
                TutorialInput::Pulled { through, version }
            }
            Err(Nothing::CutOff) => TutorialInput::CutOff,
            Err(Nothing::InLog | Nothing::Unavailable) => TutorialInput::PullFailed,
        };
        self.feed(input);
    }

    /// Reports the state of the connection to the operator.
    fn report(&self, asked: &Question) {
        let now = self.permit.hub().clock().now();
        let vitals = Vitals {
            session: self.permit.session().cloned(),
            name: None,
            subject: None,
            rooms: vec![self.room.clone()],
            // Browsers answer pings by themselves; the round trip is not measured.
            round_trip: None,
            quiet: Some(now - self.machine.heard_at()),
            kind: Kind::Tutorial,
            network: self.permit.network(),
            open: self.permit.hub().clock().since(self.opened),
        };
        asked.answer(self.permit.id, vitals);
    }

    fn metrics(&self) -> &Metrics {
        self.permit.hub().metrics()
    }

    fn write_failed(&mut self, error: WriteError) -> Option<CloseCode> {
        match error {
            WriteError::Gone => None,
            WriteError::Stuck => {
                self.feed(TutorialInput::WriteStuck);
                Some(CloseCode::SLOW)
            }
        }
    }
}

impl<S> Driver<S> {
    /// Reports the end of the connection. Its session leaves its room at once, as it cannot be resumed.
    fn tell_end(&mut self, code: Option<CloseCode>) {
        self.is_over = true;
        let reason = code.unwrap_or(CloseCode::ABNORMAL);
        self.permit.end("tutorial session", reason, self.is_logged);
    }
}

/// Also runs where the task panics, or is aborted.
impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        if !self.is_over {
            self.permit.end_early("tutorial session", self.is_logged);
        }
    }
}

/// What is written of an entry: nothing of the page's own draft.
fn pick(own: Option<&SessionId>) -> impl Fn(&Entry) -> Option<TextFrame> {
    move |entry| {
        let is_own = entry.author.is_some() && entry.author.as_ref() == own;
        entry.text.clone().filter(|_| !is_own)
    }
}
