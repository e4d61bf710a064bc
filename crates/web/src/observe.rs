//! The handle by which a session is inspected, and what its driver makes of it: a trace, if an observer takes it.
//!
//! Without an observer nothing is made, not even a string; only frames are counted. A session without a handle, such as
//! that of a closed page (RS-8), is never observed.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use protocol::client::{Event, Network, Session};
use protocol::close::CloseCode;
use protocol::codec;
use protocol::frame::{Beat, ServerFrame};
use protocol::id::{ConnectionId, Credentials};
use protocol::outbox::Entry;
use protocol::time::Timestamp;
use view::{Fault, Observer, TraceEntry, TraceKind};

use crate::masked::masked;
use crate::queue::{BrowserEvent, Queue};

/// A handle on a session that is inspected; clones are the same handle. It goes with the session's
/// [`Options`](crate::Options), and serves the session that was started last.
#[derive(Clone, Default)]
pub struct Inspect(Rc<Inner>);

#[derive(Default)]
struct Inner {
    observer: RefCell<Option<Rc<dyn Observer>>>,
    queue: RefCell<Option<Queue>>,
}

impl Inspect {
    /// Lets `observer` take the session's trace from now on, in place of an earlier one; `None` ends it.
    pub fn observe(&self, observer: Option<Rc<dyn Observer>>) {
        self.0.observer.replace(observer);
        self.push(BrowserEvent::Observed);
    }

    /// Causes a fault. It is handled like any other fact, in order. Without a session nothing happens.
    pub fn fault(&self, fault: Fault) {
        self.push(BrowserEvent::Fault(fault));
    }

    /// Serves the session whose facts come from this queue.
    pub fn attach(&self, queue: &Queue) {
        self.0.queue.replace(Some(queue.clone()));
    }

    fn push(&self, event: BrowserEvent) {
        if let Some(queue) = &*self.0.queue.borrow() {
            queue.push(event);
        }
    }

    /// The observer. It may be exchanged while it is called.
    fn observer(&self) -> Option<Rc<dyn Observer>> {
        self.0.observer.borrow().clone()
    }
}

impl fmt::Debug for Inspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspect(..)")
    }
}

/// Makes a session's trace.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    inspect: Inspect,
    /// The connection in use; what comes of an earlier one is no part of the trace, as the machine drops it (PU-3).
    connection: Option<ConnectionId>,
    received: u64,
    sent: u64,
    /// The heartbeat of the last `welcome`.
    beat: Option<Beat>,
}

impl Recorder {
    pub(crate) fn new(inspect: Inspect) -> Self {
        Self {
            inspect,
            ..Self::default()
        }
    }

    /// What an observer cannot know that came in the middle: the session, its state and its heartbeat.
    pub(crate) fn begin(&self, now: Timestamp, session: &Session) {
        if let (Some(observer), Some(credentials)) =
            (self.inspect.observer(), session.credentials())
        {
            observer.watch(credentials);
        }
        self.note(now, TraceKind::State, 0, &|| {
            let mut state = codec::encode(&session.status());
            if let Some(beat) = &self.beat {
                state.truncate(state.len().saturating_sub(1));
                state.push_str(r#","heartbeat":"#);
                state.push_str(&codec::encode(beat));
                state.push('}');
            }
            state
        });
    }

    /// The session is this one from now on.
    pub(crate) fn watch(&self, session: &Credentials) {
        if let Some(observer) = self.inspect.observer() {
            observer.watch(session);
        }
    }

    pub(crate) fn open(&mut self, now: Timestamp, id: ConnectionId, address: Option<&str>) {
        self.connection = Some(id);
        (self.received, self.sent) = (0, 0);
        self.note(now, TraceKind::Open, 0, &|| {
            address.unwrap_or_default().to_owned()
        });
    }

    pub(crate) fn opened(&self, now: Timestamp, id: ConnectionId) {
        if self.connection == Some(id) {
            self.note(now, TraceKind::Opened, 0, &String::new);
        }
    }

    /// `frame`: what `text` stands for, if it is a frame.
    pub(crate) fn received(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        text: &str,
        frame: Option<&ServerFrame>,
    ) {
        if self.connection != Some(id) {
            return;
        }
        if let Some(ServerFrame::Welcome(welcome)) = frame {
            self.beat = Some(welcome.heartbeat);
        }
        self.received = self.received.saturating_add(1);
        self.note(now, TraceKind::In, self.received, &|| match frame {
            Some(_) => masked(text),
            // It may hold anything.
            None => text.len().to_string(),
        });
    }

    pub(crate) fn sent(&mut self, now: Timestamp, text: &str) {
        self.sent = self.sent.saturating_add(1);
        self.note(now, TraceKind::Out, self.sent, &|| masked(text));
    }

    /// The page drops the connection.
    pub(crate) fn close(&mut self, now: Timestamp, id: ConnectionId, code: CloseCode) {
        self.end(now, id, TraceKind::Close, Some(code));
    }

    /// The connection ended by itself.
    pub(crate) fn closed(&mut self, now: Timestamp, id: ConnectionId, code: Option<CloseCode>) {
        self.end(now, id, TraceKind::Closed, code);
    }

    fn end(&mut self, now: Timestamp, id: ConnectionId, kind: TraceKind, code: Option<CloseCode>) {
        if self.connection == Some(id) {
            self.note(now, kind, 0, &|| {
                code.map_or_else(String::new, |code| code.get().to_string())
            });
            self.connection = None;
        }
    }

    pub(crate) fn event(&self, now: Timestamp, event: &Event) {
        match event {
            Event::Status(status) => {
                self.note(now, TraceKind::State, 0, &|| codec::encode(status));
            }
            Event::Queued(entry) => self.note(now, TraceKind::Event, 0, &|| {
                let Entry { id, seq, room, .. } = entry;
                let (id, seq) = (id.0, seq.get());
                format!(r#"{{"type":"queued","id":{id},"seq":{seq},"room":"{room}"}}"#)
            }),
            Event::Fate { id, seq, fate } => self.note(now, TraceKind::Event, 0, &|| {
                let (id, seq, fate) = (id.0, seq.get(), codec::encode(fate));
                format!(r#"{{"type":"fate","id":{id},"seq":{seq},"fate":{fate}}}"#)
            }),
            Event::Message(message) => self.note(now, TraceKind::Event, 0, &|| {
                let (room, offset) = (&message.room, message.offset.get());
                format!(r#"{{"type":"message","room":"{room}","offset":{offset}}}"#)
            }),
            // Frames tell the rest, and `Serialize` of all events would weigh as much as the trace itself.
            _ => {}
        }
    }

    pub(crate) fn network(&self, now: Timestamp, network: Network) {
        let name = match network {
            Network::Visible => "visible",
            Network::Frozen => "freeze",
            Network::Online => "online",
            Network::Offline => "offline",
            _ => return,
        };
        self.fact(now, name);
    }

    pub(crate) fn fact(&self, now: Timestamp, name: &str) {
        self.note(now, TraceKind::Fact, 0, &|| name.to_owned());
    }

    pub(crate) fn fault(&self, now: Timestamp, fault: Fault) {
        self.note(now, TraceKind::Fault, 0, &|| fault.name().to_owned());
    }

    /// Makes an entry, if an observer takes it.
    fn note(&self, now: Timestamp, kind: TraceKind, ordinal: u64, text: &dyn Fn() -> String) {
        let Some(observer) = self.inspect.observer() else {
            return;
        };
        let text = text();
        observer.take(&TraceEntry {
            kind,
            ms: now.since_origin().as_secs_f64() * 1000.0,
            connection: self.connection.map_or(0, ConnectionId::get),
            ordinal,
            text: &text,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing observed costs a string while there is no observer.
    #[test]
    fn without_an_observer_no_text_is_made() {
        let recorder = Recorder::default();
        recorder.note(Timestamp::ZERO, TraceKind::Fact, 0, &|| {
            panic!("a text for no observer")
        });
    }
}
