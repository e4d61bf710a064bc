//! The driver of a tutorial page's connection: bare text (PROTOCOL.md, "The tutorial's dialect").

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use protocol::close::CloseCode;
use protocol::id::{Name, RoomName, SessionId};
use protocol::server::{Pull, Tutorial, TutorialInput, TutorialTransmit};
use tungstenite::{Error as WebSocketError, Message};

use super::wire::{self, Alarm, Wire, WriteError};
use crate::hub::pull::{self, Nothing};
use crate::hub::report::{Kind, Question, Vitals};
use crate::hub::room::{Entry, Room};
use crate::metrics::Metrics;
use crate::secret;
use crate::serve::Stream;
use crate::state::Place;
use crate::text_frame::TextFrame;

/// Serves one connection to its end.
pub(super) async fn drive<S: Stream>(wire: Wire<S>, place: Place, room: RoomName) {
    let hub = Arc::clone(&place.state.hub);
    let id = place.id;
    let Some(session) = secret::random_hex::<16>().and_then(|id| SessionId::new(&id).ok()) else {
        return;
    };
    let clock = hub.clock();
    let mut driver = Box::new(Driver {
        machine: Tutorial::new(clock.now(), &place.state.protocol),
        wire,
        alarm: Alarm::new(clock),
        place,
        session: session.clone(),
        name: room,
        room: None,
    });
    tracing::info!(session.id = %session, connection.id = %id, "tutorial session start");
    let code = driver.run().await;
    hub.disconnect(id, None);
    if let Some(room) = &driver.room {
        // Nobody can come back as this session: it leaves at once.
        room.leave(clock.now(), &session, id);
    }
    let reason = code.unwrap_or(CloseCode::ABNORMAL);
    hub.metrics().closed(reason);
    tracing::info!(session.id = %session, connection.id = %id, %reason, "tutorial session end");
    match code {
        Some(code) => Box::pin(driver.wire.close(code)).await,
        None => Box::pin(driver.wire.answer_close()).await,
    }
}

/// What a driver waits for.
enum Fact {
    Rang,
    Marked,
    Heard(Option<Result<Message, WebSocketError>>),
}

struct Driver<S> {
    place: Place,
    machine: Tutorial,
    wire: Wire<S>,
    alarm: Alarm,
    session: SessionId,
    name: RoomName,
    room: Option<Arc<Room>>,
}

impl<S: Stream> Driver<S> {
    /// Returns the code to close with, if the client is still there.
    async fn run(&mut self) -> Option<CloseCode> {
        loop {
            while let Some(transmit) = self.machine.poll_transmit() {
                if let TutorialTransmit::Close(code) = transmit {
                    return Some(code);
                }
                if let Err(error) = self.perform(transmit).await {
                    return self.write_failed(error);
                }
            }
            if let Err(error) = self.wire.flush().await {
                return self.write_failed(error);
            }
            self.alarm.arm(self.machine.poll_timeout());
            match self.wait().await {
                Fact::Rang => {
                    let now = self.place.state.hub.clock().now();
                    self.machine.handle_timeout(now);
                }
                Fact::Marked => self.look_into_mailbox(),
                Fact::Heard(heard) => self.feed(match heard {
                    Some(Ok(Message::Text(text))) => {
                        self.metrics().received(text.len());
                        TutorialInput::Text(text.as_str().to_owned())
                    }
                    Some(Ok(Message::Binary(_))) => TutorialInput::Binary,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => TutorialInput::SignOfLife,
                    Some(Err(error)) => return wire::code_for(&error),
                    // Reading gives whole messages, never a bare frame.
                    Some(Ok(Message::Close(_) | Message::Frame(_))) | None => return None,
                }),
            }
        }
    }

    /// Waits for one fact.
    async fn wait(&mut self) -> Fact {
        poll_fn(|cx| {
            if self.alarm.poll_ring(cx).is_ready() {
                return Poll::Ready(Fact::Rang);
            }
            if self.place.mailbox.poll_marked(cx).is_ready() {
                return Poll::Ready(Fact::Marked);
            }
            self.wire.poll_read(cx).map(Fact::Heard)
        })
        .await
    }

    fn feed(&mut self, input: TutorialInput) {
        self.machine
            .handle_input(self.place.state.hub.clock().now(), input);
    }

    fn look_into_mailbox(&mut self) {
        let marks = self.place.mailbox.take();
        for room in marks.moved {
            let (head, version) = room.marks();
            self.feed(TutorialInput::RoomMoved { head, version });
        }
        if marks.removed {
            self.feed(TutorialInput::Removed);
        }
        if let Some(asked) = marks.asked {
            self.report(&asked);
        }
        // A tutorial page knows no go-away; it is served until the server goes.
        if marks.shut_down {
            self.feed(TutorialInput::Shutdown);
        }
    }

    async fn perform(&mut self, transmit: TutorialTransmit) -> Result<(), WriteError> {
        match transmit {
            TutorialTransmit::OpenRoom => {
                let member = (self.session.clone(), Name::guest(&self.session));
                let connection = (self.place.id, &self.place.mailbox);
                let opened = self
                    .place
                    .state
                    .hub
                    .open_room(&self.name, member, connection)
                    .await;
                let view = opened.ok().map(|(room, view)| {
                    self.room = Some(room);
                    view
                });
                self.feed(TutorialInput::RoomOpened(view));
                Ok(())
            }
            TutorialTransmit::Text(text) => {
                let text = TextFrame::new(text);
                self.metrics().sent(text.len());
                self.wire.write(text).await
            }
            TutorialTransmit::Draft(body) => {
                if let Some(room) = &self.room {
                    room.draft(&self.session, body);
                }
                Ok(())
            }
            TutorialTransmit::Pull(pull) => self.pull(pull).await,
            TutorialTransmit::Ping => {
                self.metrics().pinged();
                self.wire.ping().await
            }
            // The caller returns on it.
            TutorialTransmit::Close(_) => Ok(()),
        }
    }

    async fn pull(&mut self, pull: Pull) -> Result<(), WriteError> {
        let Some(room) = self.room.clone() else {
            return Ok(());
        };
        let pick = |entry: &Entry| {
            let is_own = entry.author.as_ref() == Some(&self.session);
            entry.text.clone().filter(|_| !is_own)
        };
        let taken = match pull::take(&room, pull, pick) {
            Ok(batch) if self.wire.has_room_for(&batch.frames) => Ok((batch, None)),
            Err(Nothing::CutOff) => Err(Nothing::CutOff),
            _ => {
                // Before it waits for room: others may wait for what is held here.
                self.wire.flush().await?;
                let (hub, network) = (&self.place.state.hub, self.place.network());
                let taken = Box::pin(pull::take_much(hub, &room, pull, network, pick)).await;
                taken.map(|(batch, owed)| (batch, Some(owed)))
            }
        };
        let Ok((batch, owed)) = taken else {
            // Whatever the reason: this page knows no history, and reads from now on.
            self.feed(TutorialInput::CutOff);
            return Ok(());
        };
        pull::count(&batch.frames, self.metrics());
        for text in batch.frames {
            self.wire.write(text).await?;
        }
        drop(owed);
        let (through, version) = (batch.through, batch.version);
        self.feed(TutorialInput::Pulled { through, version });
        Ok(())
    }

    /// Tells the operator how this connection is.
    fn report(&self, asked: &Question) {
        let now = self.place.state.hub.clock().now();
        let vitals = Vitals {
            session: Some(self.session.clone()),
            name: None,
            subject: None,
            rooms: vec![self.name.clone()],
            // Browsers answer its pings without telling when.
            round_trip: None,
            quiet: Some(now - self.machine.heard_at()),
            kind: Kind::Tutorial,
        };
        asked.answer(self.place.id, vitals);
    }

    fn metrics(&self) -> &Metrics {
        self.place.state.hub.metrics()
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
