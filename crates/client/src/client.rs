//! The driver of a native client: feeds facts to its session and does the I/O that it asks for; it decides nothing.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_core::Stream;
use protocol::address::{Address, Addresses};
use protocol::client::{Event, Input, Network, NoToken, Session, Stats, Status, Store, Transmit};
use protocol::close::CloseCode;
use protocol::codec::{self, DecodeError};
use protocol::frame::{RECEIVED_BYTES_MAX, ServerFrame};
use protocol::id::{ConnectionId, Name, RoomName, SessionId, Token};
use protocol::outbox::{Entry, EntryId, PublishError};
use protocol::position::{Offset, Position};
use protocol::time::Timestamp;
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use view::{Report, RoomView};

use crate::link::{Heard, Link, Target};
use crate::options::{ConnectError, Fetch, Options, TokenSource};
use crate::storage::Storage;

/// One session with a server, over as many connections as it needs. See the crate's documentation for how it runs.
///
/// Its drop ends the connection without a close frame; [`Client::close_after_flush`] ends it in order.
pub struct Client {
    /// The server's nodes, the first one first; the addresses of further ones.
    targets: Vec<(Option<Address>, Target)>,
    origin: Instant,
    session: Session,
    storage: Box<dyn Storage>,
    storage_error: Option<io::Error>,
    tokens: Option<TokenSource>,
    fetch: Option<Fetch>,
    connection: Option<(ConnectionId, Link)>,
    /// The bytes that the connection held when the session was last informed.
    buffered: u64,
    alarm: Option<Alarm>,
    counts: Counts,
}

/// Counters of the driver, beside those of the session ([`Client::stats`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections tried.
    pub connections: u64,
    /// Messages refused for now: errors with a `seq` and a `retry_after_ms` (EO-7).
    pub held: u64,
}

/// An error: messages were not durable in time when a client was closed. They stay in its [`Storage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{messages} messages were not durable in time")]
#[non_exhaustive]
pub struct NotFlushed {
    /// How many.
    pub messages: usize,
}

/// A timer that may ring early, never late: it is set anew only when something is due before it.
struct Alarm {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Client {
    /// A client that continues what its storage keeps. It connects on [`Client::connect`].
    ///
    /// # Errors
    /// [`ConnectError`]: the URL or the options cannot work.
    pub fn new(url: &str, options: Options) -> Result<Self, ConnectError> {
        let Options {
            config,
            headers,
            further,
            mut storage,
            tokens,
            tls,
        } = options;
        let mut targets = vec![(None, Target::parse(url, &headers, &tls)?)];
        let stored = storage.load().map_err(ConnectError::Storage)?;
        let mut session = Session::new(config, stored);
        if !further.is_empty() {
            let own = address(url)?;
            let mut addresses = Vec::new();
            for url in further {
                let address = address(&url)?;
                let target = Target::parse(&url, &headers, &tls)?;
                targets.push((Some(address.clone()), target));
                addresses.push(address);
            }
            session = session.with_addresses(&Addresses::new(own, addresses)?);
        }
        Ok(Self {
            targets,
            origin: Instant::now(),
            session,
            storage,
            storage_error: None,
            tokens,
            fetch: None,
            connection: None,
            buffered: 0,
            alarm: None,
            counts: Counts::default(),
        })
    }

    /// The next event. `None` while the session is [`Status::Idle`] or [`Status::Stopped`] and all events were taken:
    /// nothing happens then before another command, [`Client::connect`] above all.
    ///
    /// Safe to cancel: no fact, frame or event is lost by a drop of the future.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The next event as a [view](Client::view) folds it. In all else it is [`Client::next`].
    pub async fn next_report(&mut self) -> Option<Report> {
        let event = self.next().await?;
        Some(Report::of(event, self.now()))
    }

    /// The next event that is there already, without a look at the connection. It never waits.
    pub fn try_next(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    /// What [`Client::next`] awaits.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            self.settle(cx);
            if let Some(event) = self.session.poll_event() {
                return Poll::Ready(Some(event));
            }
            if matches!(self.session.status(), Status::Idle | Status::Stopped { .. }) {
                return Poll::Ready(None);
            }
            ready!(self.poll_fact(cx));
        }
    }

    /// Connects now, whatever the session waits for; also after [`Client::disconnect`] and [`Status::Stopped`].
    pub fn connect(&mut self) {
        self.command(Session::connect);
    }

    /// Ends the connection, and stays away until [`Client::connect`].
    pub fn disconnect(&mut self) {
        self.command(Session::disconnect);
    }

    /// Joins a room over all connections, until [`Client::leave`]. `since`: where its messages go on; `None` begins with
    /// the newest [`Config::join_limit`](crate::Config::join_limit) messages. The answer is [`Event::Joined`].
    pub fn join(&mut self, room: RoomName, since: Option<Position>) {
        self.command(|session, now| session.join(now, room, since));
    }

    /// Leaves a room.
    pub fn leave(&mut self, room: &RoomName) {
        self.command(|session, now| session.leave(now, room));
    }

    /// What a user interface shows of a room: timeline, members, drafts. It begins with the messages that wait in the
    /// outbox, and changes by every later [`Client::next_report`] that is folded into it. To be taken before
    /// [`Client::join`], once for each room: a view that begins later lacks what came before.
    pub fn view(&self, room: RoomName) -> RoomView {
        let mut view = RoomView::new(room, None);
        view.fold(&Report::restored(&self.session));
        view
    }

    /// Puts a message into the outbox, from which it is sent as soon as possible, once. [`Event::Fate`] reports its
    /// fate under this id.
    ///
    /// # Errors
    /// [`PublishError`]: the message is not taken, and the caller keeps the text.
    pub fn publish(
        &mut self,
        room: RoomName,
        body: impl Into<String>,
    ) -> Result<EntryId, PublishError> {
        self.command(|session, now| session.publish(now, room, body.into()))
    }

    /// Shows a draft to the other members of a room. The newest text replaces those before it; an empty one ends it.
    pub fn draft(&mut self, room: &RoomName, body: impl Into<String>) {
        self.command(|session, now| session.draft(now, room, body.into()));
    }

    /// Asks for at most `limit` messages before an offset. The answer is [`Event::History`]; without a live connection
    /// there is none.
    pub fn history(&mut self, room: RoomName, before: Offset, limit: u32) {
        self.command(|session, now| session.history(now, room, before, limit));
    }

    /// Sets the name that others see, now and after each reconnect.
    pub fn rename(&mut self, name: Name) {
        self.command(|session, now| session.rename(now, name));
    }

    /// Sends a message again whose fate was [`Fate::Held`](crate::Fate::Held) or
    /// [`Fate::Uncertain`](crate::Fate::Uncertain).
    pub fn send_again(&mut self, id: EntryId) {
        self.command(|session, now| session.send_again(now, id));
    }

    /// Drops a message whose fate was one of those, or [`Fate::Refused`](crate::Fate::Refused).
    pub fn discard(&mut self, id: EntryId) {
        self.command(|session, now| session.discard(now, id));
    }

    /// Shows a token: on the live connection, or with the next one (AC-6).
    pub fn show_token(&mut self, token: Token) {
        self.command(|session, now| session.handle_input(now, Input::Token(Ok(token))));
    }

    /// Reports a change of the network, or of the application's visibility, as the system reported it (RC-4, RC-6).
    pub fn network(&mut self, network: Network) {
        self.command(|session, now| session.handle_input(now, Input::Network(network)));
    }

    /// Waits until the outbox is empty, at most this long, then ends the session's connection with the closing handshake
    /// of a WebSocket. Events of this time are dropped.
    ///
    /// # Errors
    /// [`NotFlushed`] if messages are not durable in time.
    pub async fn close_after_flush(mut self, patience: Duration) -> Result<(), NotFlushed> {
        let end = Instant::now() + patience;
        let flush = async { while self.session.is_owing() && self.next().await.is_some() {} };
        // The outbox shows which messages did not become durable in time.
        let _ = timeout_at(end, flush).await;
        if let Some((_, Link::Open(line))) = self.connection.take() {
            // A server that does not answer in time learns of the end from its system.
            let _ = timeout_at(end, line.close(CloseCode::NORMAL)).await;
        }
        match self
            .session
            .outbox()
            .filter(|entry| !entry.stage.is_aside())
            .count()
        {
            0 => Ok(()),
            messages => Err(NotFlushed { messages }),
        }
    }

    /// The connection's state.
    pub fn status(&self) -> Status {
        self.session.status()
    }

    /// The address of the node in use, or of the next try; `None` where the client has only one.
    pub fn address(&self) -> Option<&Address> {
        self.session.address()
    }

    /// The session's public id, once the server gave one. The session's own messages carry it.
    pub fn id(&self) -> Option<&SessionId> {
        self.session.id()
    }

    /// The messages that are not durable; those that wait for the user's decision come last.
    pub fn outbox(&self) -> impl Iterator<Item = &Entry> {
        self.session.outbox()
    }

    /// This client's position in a room: the `since` of a later join. Messages that wait in [`Client::try_next`] count
    /// as received: take them first.
    pub fn position(&self, room: &RoomName) -> Option<&Position> {
        self.session.position(room)
    }

    /// The error after which the storage keeps nothing any more, if there was one. The client goes on without it.
    pub const fn storage_error(&self) -> Option<&io::Error> {
        self.storage_error.as_ref()
    }

    /// The session's counters.
    pub const fn stats(&self) -> Stats {
        self.session.stats()
    }

    /// The driver's own counters.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_origin(self.origin.elapsed())
    }

    /// Gives the session a command, and does at once what can be done without waiting. The rest is done while
    /// [`Client::next`] waits.
    fn command<T>(&mut self, command: impl FnOnce(&mut Session, Timestamp) -> T) -> T {
        self.look();
        let now = self.now();
        let result = command(&mut self.session, now);
        self.settle(&mut Context::from_waker(Waker::noop()));
        result
    }

    fn feed(&mut self, input: Input) {
        self.look();
        let now = self.now();
        self.session.handle_input(now, input);
    }

    /// Waits for the next fact, and feeds it.
    fn poll_fact(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(Poll::Ready(answer)) = self.fetch.as_mut().map(|fetch| fetch.as_mut().poll(cx))
        {
            self.fetch = None;
            self.feed(Input::Token(answer));
            return Poll::Ready(());
        }
        if let Some((id, link)) = &mut self.connection
            && let Poll::Ready(heard) = link.poll_heard(cx)
        {
            let id = *id;
            self.heard(id, heard);
            return Poll::Ready(());
        }
        if self.poll_alarm(cx).is_ready() {
            self.look();
            let now = self.now();
            self.session.handle_timeout(now);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.session.poll_timeout() else {
            return Poll::Pending;
        };
        let due = self.origin + due.since_origin();
        let alarm = self.alarm.get_or_insert_with(|| Alarm {
            at: due,
            sleep: Box::pin(sleep_until(due)),
        });
        if due < alarm.at {
            alarm.at = due;
            alarm.sleep.as_mut().reset(due);
        }
        ready!(alarm.sleep.as_mut().poll(cx));
        self.alarm = None;
        Poll::Ready(())
    }

    fn heard(&mut self, id: ConnectionId, heard: Heard) {
        let input = match heard {
            Heard::Opened(line) => {
                self.connection = Some((id, Link::Open(line)));
                Input::Opened { id }
            }
            Heard::Text(text) => {
                let frame = codec::decode::<ServerFrame>(&text, RECEIVED_BYTES_MAX);
                self.counts.held += u64::from(matches!(
                    &frame,
                    Ok(ServerFrame::Error(refusal))
                        if refusal.seq.is_some() && refusal.retry_after_ms.is_some()
                ));
                Input::Received { id, frame }
            }
            Heard::Binary => Input::Received {
                id,
                frame: Err(DecodeError::Binary),
            },
            Heard::TooLarge => {
                let limit = RECEIVED_BYTES_MAX;
                let frame = Err(DecodeError::TooLarge { limit });
                Input::Received { id, frame }
            }
            Heard::Ended(end) => {
                self.connection = None;
                Input::Closed { id, end }
            }
        };
        self.feed(input);
    }

    /// Does the I/O that the session asks for, and writes what the socket takes, until neither changes the other.
    fn settle(&mut self, cx: &mut Context<'_>) {
        loop {
            self.drain();
            if let Some((_, Link::Open(line))) = &mut self.connection {
                line.write(cx);
            }
            if !self.look() {
                return;
            }
        }
    }

    /// Informs the session of how many bytes the connection holds, if that has changed.
    fn look(&mut self) -> bool {
        let Some((id, Link::Open(line))) = &self.connection else {
            self.buffered = 0;
            return false;
        };
        let (id, bytes) = (*id, line.buffered() as u64);
        let has_changed = bytes != self.buffered;
        if has_changed {
            self.buffered = bytes;
            let now = self.now();
            self.session
                .handle_input(now, Input::Buffered { id, bytes });
        }
        has_changed
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.session.poll_transmit() {
            match transmit {
                Transmit::Open { id, address } => {
                    self.counts.connections += 1;
                    self.connection = self.target(address.as_ref()).map(|to| (id, to.open()));
                }
                Transmit::Frame { id, frame } => {
                    if let Some((open, Link::Open(line))) = &mut self.connection
                        && *open == id
                    {
                        line.push(codec::encode(&frame));
                    }
                }
                Transmit::Close { id, code } => {
                    if let Some((_, link)) = self.connection.take_if(|(open, _)| *open == id) {
                        link.abandon(code);
                    }
                }
                Transmit::FetchToken => {
                    self.fetch = Some(match &mut self.tokens {
                        Some(fetch) => fetch(),
                        None => Box::pin(std::future::ready(Err(NoToken::Denied))),
                    });
                }
                Transmit::Store(change) => self.keep(&change),
            }
        }
    }

    /// The node of an address; the first one where it is that one's, or there is none.
    fn target(&self, address: Option<&Address>) -> Option<&Target> {
        let mut targets = self.targets.iter();
        let further = targets.find(|(at, _)| at.as_ref() == address);
        let (_, target) = further.or_else(|| self.targets.first())?;
        Some(target)
    }

    fn keep(&mut self, change: &Store) {
        if self.storage_error.is_none()
            && let Err(error) = self.storage.apply(change)
        {
            self.storage.clear();
            self.storage_error = Some(error);
        }
    }
}

fn address(url: &str) -> Result<Address, ConnectError> {
    Address::new(url).map_err(|_| ConnectError::Url(url.to_owned()))
}

/// The events. The stream ends, and may go on later, as [`Client::next`] does.
impl Stream for Client {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(cx)
    }
}

/// Without messages and secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("status", &self.status())
            .field("id", &self.id())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
