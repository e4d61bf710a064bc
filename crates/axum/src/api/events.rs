//! A room's events over HTTP: Server-Sent Events (HTML Standard, section 9.2).
//!
//! A listener pulls from the room as a session's reader does, once the connection has taken what was
//! written before: a slow listener costs a cursor.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use futures_util::stream;
use protocol::access::Subject;
use protocol::id::RoomName;
use protocol::position::{Epoch, Offset, Position};
use protocol::server::{Call, Feed, FeedInput, FeedTransmit, Full, Pull, RequestAnswer};
use serde::Deserialize;
use tokio::time::sleep_until;

use super::caller::Caller;
use super::input::{ApiQuery, InRoom};
use super::perform::perform;
use super::problem::{Code, Problem, ProblemBody};
use crate::answers::Owed;
use crate::clock::Second;
use crate::everbeat::Everbeat;
use crate::hub::inspect::{Kind, Question, Vitals};
use crate::hub::pull::{self, Batch, Nothing};
use crate::hub::room::{Entry, Room};
use crate::permit::ConnectionPermit;
use crate::stream::{HalfOpen, Placed};
use crate::text_frame::TextFrame;
use crate::ws::wire::WRITE_BYTES;

/// The query: the position to begin after.
#[derive(Deserialize)]
pub(super) struct From {
    since: Option<String>,
}

/// Follow a room
///
/// Server-Sent Events. The id of an event is a position, `EPOCH:OFFSET`. A browser's `EventSource` sends the
/// last one when it reconnects (`Last-Event-ID`), so nothing is lost in between. The first thing sent
/// is an id without an event: the position at which listening begins.
///
/// - `message`: a message, as on a WebSocket
/// - `removed`: a message that may have been shown was redacted; it moves no position
/// - `gap`: messages are missing between the listener's position and what follows, as the log does not go back so
///   far, or is another one. What follows are the newest messages
///
/// In quiet there is a comment now and then. The answer ends when the server ends, or the caller's token.
#[utoipa::path(
    get,
    path = "/api/rooms/{room}/events",
    tag = "messages",
    params(
        ("room" = String, Path, pattern = "^[a-z0-9_-]{1,64}$"),
        (
            "since" = Option<String>, Query, pattern = "^[^:]*:[0-9]{1,15}$",
            description = "Everything up to this position, `EPOCH:OFFSET`, is there already; without it, from now on"
        ),
        (
            "Last-Event-ID" = Option<String>, Header, pattern = "^[^:]*:[0-9]{1,15}$",
            description = "The same; what counts where both are there"
        ),
    ),
    security((), ("token" = [])),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "Events, for as long as it goes"),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json", description = "Refused: `code` says why"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json", description = "Not now: `Retry-After` says when"),
    )
)]
pub(super) async fn events(
    State(everbeat): State<Everbeat>,
    caller: Caller,
    InRoom(room): InRoom,
    ApiQuery(From { since }): ApiQuery<From>,
    half_open: Option<Extension<Arc<HalfOpen>>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").map(HeaderValue::as_bytes);
    let since = match last.filter(|last| !last.is_empty()) {
        Some(last) => Some(position(std::str::from_utf8(last).unwrap_or_default())?),
        None => since.as_deref().map(position).transpose()?,
    };
    let call = Call::Follow {
        room: room.clone(),
        since,
    };
    let feed = match perform(&everbeat, &caller, call).await?.answer {
        RequestAnswer::Feed(config) => Feed::new(config),
        _ => return Err(Problem::mismatched()),
    };
    let heartbeat = KeepAlive::new().interval(everbeat.protocol().heartbeat_interval);
    let permit = everbeat.connect(caller.client.counted());
    let permit = permit.map_err(|_| Problem::later(Code::Unavailable, Full::LATER))?;
    let mut listener = Listener {
        opened: permit.hub().clock().second(),
        permit,
        // Held until this listener ends, also if its answer is to HEAD or an error.
        _placed: half_open.map(|Extension(half_open)| half_open.place()),
        subject: caller.access.identity.subject().cloned(),
        room,
        epoch: Epoch::new(""),
        feed,
        answer: None,
        events: VecDeque::new(),
        owed: None,
    };
    listener.begin().await?;
    let events = stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let head = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that buffer answers would hold events back.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((head, Sse::new(events).keep_alive(heartbeat)).into_response())
}

/// A position as the id of an event.
fn position(text: &str) -> Result<Position, Problem> {
    let parts = text.rsplit_once(':');
    let offset = parts.and_then(|(_, offset)| Offset::new(offset.parse().ok()?).ok());
    match (parts, offset) {
        (Some((epoch, _)), Some(offset)) => Ok(Position {
            epoch: Epoch::new(epoch),
            offset,
        }),
        _ => Err(Problem::new(Code::BadRequest).detail("a position is EPOCH:OFFSET")),
    }
}

fn id(epoch: &Epoch, offset: Offset) -> String {
    format!("{}:{offset}", epoch.as_str())
}

/// The answer to what the machine asked for.
enum Answer {
    /// The room; `None` where the log cannot be read now.
    Room(Option<Arc<Room>>),
    /// What the room has, with the memory reserved for it.
    Page(Pull, Result<(Batch<Entry>, Owed), Nothing>),
}

/// A listener, which counts as a connection.
struct Listener {
    permit: ConnectionPermit,
    opened: Second,
    _placed: Option<Placed>,
    subject: Option<Subject>,
    room: RoomName,
    epoch: Epoch,
    feed: Feed,
    /// The request that is under way; there is one at most.
    answer: Option<BoxFuture<'static, Answer>>,
    /// The events that were pulled and are not taken yet; of one pull at most.
    events: VecDeque<Event>,
    /// The memory reserved for the events, where these are many.
    owed: Option<Owed>,
}

impl Listener {
    /// Waits until the room is open, and the first event is there.
    ///
    /// # Errors
    /// Why listening cannot begin, and when to try again.
    async fn begin(&mut self) -> Result<(), Problem> {
        loop {
            match self.feed.poll_transmit() {
                Some(FeedTransmit::Refuse(wait)) => {
                    return Err(Problem::later(Code::Unavailable, wait));
                }
                Some(begun @ FeedTransmit::Begin { .. }) => {
                    self.perform(begun);
                    return Ok(());
                }
                Some(transmit) => self.perform(transmit),
                None => self.wait().await,
            }
        }
    }

    /// The next event; called when the connection has room for it.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            self.owed = None;
            match self.feed.poll_transmit() {
                Some(FeedTransmit::End | FeedTransmit::Refuse(_)) => return None,
                Some(transmit) => self.perform(transmit),
                None => self.wait().await,
            }
        }
    }

    /// Performs a transmit, or begins it: what takes time is answered later.
    fn perform(&mut self, transmit: FeedTransmit) {
        match transmit {
            FeedTransmit::OpenRoom => {
                let (hub, name) = (Arc::clone(self.permit.hub()), self.room.clone());
                let opening = async move { Answer::Room(hub.load_room(&name).await.ok()) };
                self.answer = Some(Box::pin(opening));
            }
            FeedTransmit::Begin { position, gap } => {
                let at = id(&position.epoch, position.offset);
                let event = Event::default().id(at);
                self.events.push_back(if gap {
                    self.permit.hub().metrics().gap();
                    let (epoch, from) = (position.epoch.as_str(), position.offset.get());
                    let data = serde_json::json!({"epoch": epoch, "from": from});
                    event.event("gap").data(data.to_string())
                } else {
                    event
                });
                self.epoch = position.epoch;
            }
            FeedTransmit::Redacted(message) => {
                let entry = Entry::message(message);
                self.events.push_back(removed(&entry));
            }
            FeedTransmit::Pull(pull) => self.pull(pull),
            FeedTransmit::Retry(wait) => self.events.push_back(Event::default().retry(wait)),
            // The callers return on them.
            FeedTransmit::End | FeedTransmit::Refuse(_) => {}
        }
    }

    /// Pulls what the room has: at once, or, if it is much or in the log, after reserving memory for it.
    fn pull(&mut self, pull: Pull) {
        let Some(room) = self.permit.room(&self.room) else {
            return self.input(FeedInput::PullFailed);
        };
        match pull::take(room, pull, pick) {
            Ok(batch) if batch.bytes < WRITE_BYTES => return self.pulled(pull, Ok(batch)),
            Err(Nothing::CutOff) => return self.pulled(pull, Err(Nothing::CutOff)),
            Ok(_) | Err(_) => {}
        }
        let (hub, room) = (Arc::clone(self.permit.hub()), Arc::clone(room));
        let network = self.permit.network();
        self.answer = Some(Box::pin(async move {
            Answer::Page(
                pull,
                pull::take_much(&hub, &room, pull, network, pick).await,
            )
        }));
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Room(room) => {
                let view = room.map(|room| self.permit.watch(room));
                self.input(FeedInput::RoomOpened(view));
            }
            Answer::Page(pull, page) => {
                let page = page.map(|(batch, owed)| {
                    self.owed = Some(owed);
                    batch
                });
                self.pulled(pull, page);
            }
        }
    }

    fn pulled(&mut self, pull: Pull, taken: Result<Batch<Entry>, Nothing>) {
        let batch = match taken {
            Ok(batch) => batch,
            Err(Nothing::CutOff) => return self.input(FeedInput::CutOff),
            Err(Nothing::InLog | Nothing::Unavailable) => return self.input(FeedInput::PullFailed),
        };
        let metrics = self.permit.hub().metrics();
        metrics.delivered(batch.frames.len());
        let mut last = pull.after;
        for entry in &batch.frames {
            self.events.push_back(if entry.offset > last {
                last = entry.offset;
                let at = id(&self.epoch, last);
                Event::default()
                    .id(at)
                    .event("message")
                    .data(entry.frame.text())
            } else {
                removed(entry)
            });
        }
        let (through, version) = (batch.through, batch.version);
        self.input(FeedInput::Pulled { through, version });
    }

    /// Waits for a mark, an answer or a deadline.
    async fn wait(&mut self) {
        let clock = self.permit.hub().clock();
        let due = self.feed.poll_timeout().map(|due| clock.instant(due));
        let due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let answer = poll_fn(|cx| match &mut self.answer {
            Some(answer) => answer.as_mut().poll(cx),
            None => Poll::Pending,
        });
        tokio::select! {
            answer = answer => {
                self.answer = None;
                self.answered(answer);
            }
            () = poll_fn(|cx| self.permit.mailbox.poll_marked(cx)) => self.look_into_mailbox(),
            () = due => self.feed.handle_timeout(clock.now()),
        }
    }

    fn look_into_mailbox(&mut self) {
        let marks = self.permit.mailbox.take();
        for room in marks.moved {
            if let Some((head, version)) = self.permit.room(&room).map(|room| room.marks()) {
                self.input(FeedInput::RoomMoved { head, version });
            }
        }
        if marks.disconnected {
            self.input(FeedInput::Disconnected);
        }
        if let Some(asked) = marks.asked {
            self.report(&asked);
        }
        let slot = marks
            .go_away
            // A listener asks this server again: an `EventSource` cannot be led to another one.
            .map(|slot| slot.reconnect_after)
            .or_else(|| marks.shut_down.then_some(Full::LATER));
        if let Some(reconnect_after) = slot {
            self.input(FeedInput::GoAway { reconnect_after });
        }
    }

    /// Reports the state of the connection to the operator.
    fn report(&self, asked: &Question) {
        let vitals = Vitals {
            session: None,
            name: None,
            subject: self.subject.as_ref().map(|who| who.as_str().to_owned()),
            rooms: vec![self.room.clone()],
            round_trip: None,
            quiet: None,
            kind: Kind::Events,
            network: self.permit.network(),
            open: self.permit.hub().clock().since(self.opened),
        };
        asked.answer(self.permit.id, vitals);
    }

    fn input(&mut self, input: FeedInput) {
        let now = self.permit.hub().clock().now();
        self.feed.handle_input(now, input);
    }
}

/// What a listener gets of an entry: messages and redactions, but no drafts and members.
fn pick(entry: &Entry) -> Option<Entry> {
    (entry.offset > Offset::ZERO).then(|| entry.clone())
}

fn removed(entry: &Entry) -> Event {
    Event::default()
        .event("removed")
        .data(TextFrame::text(&entry.frame))
}
