//! A driver's environment with faults: they act on the real connection and clock, beneath the driver, which knows
//! nothing of them. While there is none, all passes as it is.

use std::time::Duration;

use protocol::address::Address;
use protocol::client::Store;
use protocol::close::CloseCode;
use protocol::codec;
use protocol::frame::{RECEIVED_BYTES_MAX, ServerFrame};
use protocol::id::{ConnectionId, SessionId};
use protocol::time::Timestamp;
use view::Fault;

use crate::driver::Environment;
use crate::queue::BrowserEvent;
use crate::storage::StorageFailed;

/// An environment with the faults that were [caused](Faulty::cause).
#[derive(Debug)]
pub struct Faulty<E> {
    inner: E,
    is_mute: bool,
    is_deaf: bool,
    loses_ack: bool,
    /// How far the clock has jumped.
    ahead: Duration,
    /// A sleep that is to begin.
    sleep: Option<Duration>,
    /// The connection as the driver has it.
    connection: Option<ConnectionId>,
    /// The connection that the inner environment has. The driver may have dropped it while nothing could be sent.
    real: Option<ConnectionId>,
    /// Something of the driver's connection was swallowed: it must never go on.
    has_hole: bool,
}

impl<E: Environment> Faulty<E> {
    /// The same environment, without faults.
    pub const fn new(inner: E) -> Self {
        Self {
            inner,
            is_mute: false,
            is_deaf: false,
            loses_ack: false,
            ahead: Duration::ZERO,
            sleep: None,
            connection: None,
            real: None,
            has_hole: false,
        }
    }

    /// Causes a fault. Returns what the driver notices of it at once.
    pub fn cause(&mut self, fault: Fault) -> Option<BrowserEvent> {
        match fault {
            Fault::Cut => return self.lost(),
            Fault::Mute => self.is_mute = true,
            Fault::Deafen => self.is_deaf = true,
            Fault::LostAck => self.loses_ack = true,
            Fault::Clock(time) => {
                self.ahead = self.ahead.saturating_add(time);
                // Timers go by the clock.
                return Some(BrowserEvent::Timer);
            }
            Fault::Sleep(time) => self.sleep = Some(time),
            Fault::Heal => return self.heal(),
        }
        None
    }

    /// What reaches the driver of an event. `own`: its session.
    pub fn pass(&mut self, event: BrowserEvent, own: Option<&SessionId>) -> Option<BrowserEvent> {
        let Some(id) = event.connection() else {
            return Some(event);
        };
        // What comes of a connection that the driver has dropped, it drops (PU-3).
        let is_current = self.connection == Some(id);
        if self.is_deaf {
            self.has_hole |= is_current;
            return None;
        }
        if self.loses_ack && is_current && is_ack(&event, own) {
            self.loses_ack = false;
            return self.lost();
        }
        Some(event)
    }

    /// How long the machine is to sleep now: until then the driver must be fed nothing.
    pub const fn take_sleep(&mut self) -> Option<Duration> {
        self.sleep.take()
    }

    fn heal(&mut self) -> Option<BrowserEvent> {
        (self.is_mute, self.is_deaf, self.loses_ack) = (false, false, false);
        if let Some(id) = self.real
            && self.connection != self.real
        {
            self.release(id);
        }
        if self.has_hole { self.lost() } else { None }
    }

    /// The driver's connection is lost.
    fn lost(&self) -> Option<BrowserEvent> {
        let id = self.connection?;
        Some(BrowserEvent::Closed { id, code: None })
    }
}

/// Whether an event says that a message of this session is durable.
fn is_ack(event: &BrowserEvent, own: Option<&SessionId>) -> bool {
    let BrowserEvent::Text { text, .. } = event else {
        return false;
    };
    match codec::decode(text, RECEIVED_BYTES_MAX) {
        Ok(ServerFrame::Ack { .. }) => true,
        Ok(ServerFrame::Message(message)) => own == Some(&message.session),
        _ => false,
    }
}

impl<E: Environment> Environment for Faulty<E> {
    fn now(&self) -> Timestamp {
        self.inner.now() + self.ahead
    }

    fn open(&mut self, id: ConnectionId, address: Option<&Address>) {
        self.connection = Some(id);
        self.has_hole = self.is_mute;
        if !self.is_mute {
            self.real = Some(id);
            self.inner.open(id, address);
        }
    }

    fn send(&mut self, id: ConnectionId, text: &str) {
        if self.is_mute {
            self.has_hole = true;
        } else {
            self.inner.send(id, text);
        }
    }

    fn close(&mut self, id: ConnectionId, code: CloseCode) {
        self.connection = None;
        if !self.is_mute {
            self.real = None;
            self.inner.close(id, code);
        }
    }

    fn buffered(&self) -> Option<(ConnectionId, u64)> {
        self.inner.buffered()
    }

    fn release(&mut self, id: ConnectionId) {
        self.connection.take_if(|it| *it == id);
        self.real.take_if(|it| *it == id);
        self.inner.release(id);
    }

    fn store(&mut self, change: &Store) -> Result<(), StorageFailed> {
        self.inner.store(change)
    }

    fn fetch_token(&mut self) {
        self.inner.fetch_token();
    }

    fn wake_after(&mut self, delay: Duration) {
        self.inner.wake_after(delay);
    }
}
