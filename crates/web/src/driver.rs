//! A session's driver: feeds facts to the machine, does the I/O that it asks for, and decides nothing.
//!
//! It is the body of the loop in [`crate::run`]: a fact or a command is fed in with the clock's present time,
//! then the machine is drained. All I/O is behind [`Environment`], so that the driver runs in a test without a
//! browser.

use std::time::Duration;

use protocol::address::Address;
use protocol::client::{Event, Input, Session, Store, Transmit};
use protocol::close::CloseCode;
use protocol::codec::{self, DecodeError};
use protocol::frame::{Message, RECEIVED_BYTES_MAX, ServerFrame};
use protocol::id::{ConnectionId, Name};
use protocol::outbox::Entry;
use protocol::time::Timestamp;
use view::{Command, Report};

use crate::clock::Timer;
use crate::faulty::Faulty;
use crate::observe::{Inspect, Recorder};
use crate::queue::BrowserEvent;
use crate::run::Reporter;
use crate::storage::StorageFailed;

/// The I/O of a driver. No method waits; its result comes as a [`BrowserEvent`].
pub trait Environment {
    /// Monotonic time.
    fn now(&self) -> Timestamp;
    /// Begins to open a connection, to the address of a node if the session has several.
    fn open(&mut self, id: ConnectionId, address: Option<&Address>);
    /// Sends a frame.
    fn send(&mut self, id: ConnectionId, text: &str);
    /// Drops a connection, with a code if that can be done without waiting.
    fn close(&mut self, id: ConnectionId, code: CloseCode);
    /// The present connection, and how many of the bytes sent on it the socket still holds.
    fn buffered(&self) -> Option<(ConnectionId, u64)>;
    /// Frees what belonged to a connection that is closed already.
    fn release(&mut self, id: ConnectionId);
    /// Keeps a change where it survives a reload.
    ///
    /// # Errors
    /// [`StorageFailed`] the first time that it cannot.
    fn store(&mut self, change: &Store) -> Result<(), StorageFailed>;
    /// Begins to fetch a token.
    fn fetch_token(&mut self);
    /// Sets the only timer, in place of an earlier one. At most [`Timer::LONGEST`].
    fn wake_after(&mut self, delay: Duration);
}

/// The body of the loop: a session, its environment, and the page that gets its reports.
pub struct Driver<O> {
    session: Session,
    environment: Faulty<O>,
    report: Reporter,
    recorder: Recorder,
    /// When the timer rings, if one is set.
    armed: Option<Timestamp>,
    /// The bytes in the socket when the machine was last informed.
    buffered: Option<(ConnectionId, u64)>,
    /// Whether what is stored survives a reload.
    keeps: bool,
}

impl<O: Environment> Driver<O> {
    /// A driver that has not done anything yet.
    pub fn new(session: Session, environment: O, report: Reporter) -> Self {
        Self {
            session,
            environment: Faulty::new(environment),
            report,
            recorder: Recorder::default(),
            armed: None,
            buffered: None,
            keeps: true,
        }
    }

    /// The same driver, of a session that may be inspected by this handle.
    #[must_use]
    pub fn inspected_by(mut self, inspect: Inspect) -> Self {
        self.recorder = Recorder::new(inspect);
        self
    }

    /// Reports to the page what was restored, and connects.
    pub fn start(&mut self) {
        self.recorder.begin(self.environment.now(), &self.session);
        (self.report)(Report::restored(&self.session));
        self.session.connect(self.environment.now());
        self.drain();
    }

    /// Feeds a fact, as far as a fault lets it pass.
    pub fn handle(&mut self, event: BrowserEvent) {
        if let Some(event) = self.environment.pass(event, self.session.id()) {
            self.feed(event);
        }
    }

    /// How long the page's machine is to sleep now (a fault): until then the driver must be fed nothing.
    pub const fn take_sleep(&mut self) -> Option<Duration> {
        self.environment.take_sleep()
    }

    fn feed(&mut self, event: BrowserEvent) {
        let now = self.environment.now();
        self.look(now);
        match event {
            BrowserEvent::Opened { id } => {
                self.recorder.opened(now, id);
                self.session.handle_input(now, Input::Opened { id });
            }
            BrowserEvent::Text { id, text } => {
                let frame = codec::decode(&text, RECEIVED_BYTES_MAX);
                self.recorder.received(now, id, &text, frame.as_ref().ok());
                self.received(now, id, frame);
            }
            BrowserEvent::Binary { id } => self.received(now, id, Err(DecodeError::Binary)),
            BrowserEvent::Closed { id, code } => {
                self.recorder.closed(now, id, code);
                self.environment.release(id);
                self.session.handle_input(
                    now,
                    Input::Closed {
                        id,
                        end: code.into(),
                    },
                );
            }
            BrowserEvent::Forbidden => (self.report)(Report::Forbidden),
            BrowserEvent::Page(network) => {
                self.recorder.network(now, network);
                self.session.handle_input(now, Input::Network(network));
            }
            BrowserEvent::Token(answer) => self.session.handle_input(now, Input::Token(answer)),
            BrowserEvent::Hidden => self.recorder.fact(now, "hidden"),
            // Not about this session in particular.
            BrowserEvent::Shared => {}
            BrowserEvent::Timer => {
                self.armed = None;
                self.session.handle_timeout(now);
            }
            BrowserEvent::Observed => self.recorder.begin(now, &self.session),
            BrowserEvent::Fault(fault) => {
                self.recorder.fault(now, fault);
                if let Some(event) = self.environment.cause(fault) {
                    self.feed(event);
                }
            }
        }
        self.drain();
    }

    /// Feeds a command of the page.
    pub fn command(&mut self, command: Command) {
        let now = self.environment.now();
        self.look(now);
        match command {
            Command::Join { room, since, shown } => {
                self.session.handle_input(now, Input::Seen(shown));
                self.session.join(now, room, since);
            }
            Command::Leave { room } => self.session.leave(now, &room),
            Command::Draft { room, body } => self.session.draft(now, &room, body),
            Command::Publish { room, body } => {
                if let Err(error) = self.session.publish(now, room.clone(), body.clone()) {
                    (self.report)(Report::NotTaken { room, body, error });
                }
            }
            Command::History {
                room,
                before,
                limit,
            } => {
                self.session.history(now, room, before, limit);
            }
            Command::Rename { name } => self.session.rename(now, name),
            Command::SendAgain { id } => self.session.send_again(now, id),
            Command::Discard { id } => self.session.discard(now, id),
            Command::ConnectNow => self.session.connect(now),
        }
        self.drain();
    }

    /// Feeds messages of the log that the page has from elsewhere.
    pub fn seen(&mut self, messages: Vec<Message>) {
        let seen = Input::Seen(messages);
        self.session.handle_input(self.environment.now(), seen);
        self.drain();
    }

    /// The name that the user wishes.
    pub const fn name(&self) -> Option<&Name> {
        self.session.name()
    }

    /// Whether the outbox holds a message that the session will send by itself.
    pub fn is_owing(&self) -> bool {
        self.session.is_owing()
    }

    /// Takes over the messages that wait for the user in a closed page's session (RS-8): each is kept here before it
    /// is forgotten there, and one that cannot be kept here stays there. Returns whether that was all.
    pub fn inherit_from(&mut self, heir: &mut Self) -> bool {
        let left: Vec<Entry> = heir.session.outbox().cloned().collect();
        let mut is_all = true;
        for entry in left {
            let id = entry.id;
            is_all &= self.keeps && self.inherit(entry) && {
                heir.session.discard(heir.environment.now(), id);
                heir.drain();
                (self.report)(Report::HandedOver { id });
                true
            };
        }
        is_all
    }

    /// Takes a message over. Returns whether it is kept.
    fn inherit(&mut self, entry: Entry) -> bool {
        let Ok(id) = self.session.inherit(self.environment.now(), entry) else {
            return false;
        };
        self.drain();
        if !self.keeps {
            self.session.discard(self.environment.now(), id);
            self.drain();
            (self.report)(Report::HandedOver { id });
        }
        self.keeps
    }

    fn received(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        frame: Result<ServerFrame, DecodeError>,
    ) {
        self.session
            .handle_input(now, Input::Received { id, frame });
    }

    /// Tells the machine how many bytes the socket holds, if that has changed. No event of the browser does.
    fn look(&mut self, now: Timestamp) {
        let buffered = self.environment.buffered();
        if buffered != self.buffered {
            self.buffered = buffered;
            if let Some((id, bytes)) = buffered {
                self.session
                    .handle_input(now, Input::Buffered { id, bytes });
            }
        }
    }

    /// Does the machine's I/O in order, and reports its events.
    fn drain(&mut self) {
        while let Some(transmit) = self.session.poll_transmit() {
            let is_frame = matches!(transmit, Transmit::Frame { .. });
            self.perform(transmit);
            if is_frame {
                self.look(self.environment.now());
            }
        }
        while let Some(event) = self.session.poll_event() {
            self.report_event(event);
        }
        self.arm();
    }

    fn perform(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Open { id, address } => {
                let url = address.as_ref().map(Address::as_str);
                self.recorder.open(self.environment.now(), id, url);
                self.environment.open(id, address.as_ref());
            }
            Transmit::Frame { id, frame } => {
                let text = codec::encode(&frame);
                self.recorder.sent(self.environment.now(), &text);
                self.environment.send(id, &text);
            }
            Transmit::Close { id, code } => {
                self.recorder.close(self.environment.now(), id, code);
                self.environment.close(id, code);
            }
            Transmit::FetchToken => self.environment.fetch_token(),
            Transmit::Store(change) => {
                if let Store::Session(Some(session)) = &change {
                    self.recorder.watch(session);
                }
                if self.environment.store(&change) == Err(StorageFailed) {
                    self.keeps = false;
                    (self.report)(Report::StorageFailed);
                }
            }
        }
    }

    fn report_event(&mut self, event: Event) {
        let now = self.environment.now();
        self.recorder.event(now, &event);
        (self.report)(Report::of(event, now));
    }

    /// HB-8: a deadline that moves away leaves the timer as it is. It then rings too early, which
    /// has no effect, and is set again.
    fn arm(&mut self) {
        let Some(deadline) = self.session.poll_timeout() else {
            return;
        };
        if self.armed.is_none_or(|armed| deadline < armed) {
            let now = self.environment.now();
            let delay = deadline.since(now).min(Timer::LONGEST);
            self.environment.wake_after(delay);
            self.armed = Some(now + delay);
        }
    }
}

#[cfg(test)]
mod tests;
