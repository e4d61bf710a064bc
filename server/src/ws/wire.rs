//! A WebSocket with a deadline for each write, and a timer that is seldom touched.

use std::pin::Pin;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use protocol::close::CloseCode;
use protocol::time::Timestamp;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::clock::Clock;

/// Anything that carries WebSocket messages: the real socket, or channels in a test.
pub(super) trait Socket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin
{
}

impl<S> Socket for S where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin
{
}

/// Why a write did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteError {
    /// No progress within the deadline: a slow consumer.
    Stuck,
    /// The connection is gone.
    Gone,
}

/// The connection's I/O.
pub(super) struct Wire<S> {
    socket: S,
    write_timeout: Duration,
}

impl<S: Socket> Wire<S> {
    pub(super) const fn new(socket: S, write_timeout: Duration) -> Self {
        Self {
            socket,
            write_timeout,
        }
    }

    /// The next message; `None` when the connection is gone.
    pub(super) async fn read(&mut self) -> Option<Result<Message, axum::Error>> {
        self.socket.next().await
    }

    /// The next message if it is there already.
    pub(super) fn read_now(&mut self) -> Option<Option<Result<Message, axum::Error>>> {
        self.socket.next().now_or_never()
    }

    /// Hands a message over; it may wait for others until [`Wire::flush`].
    pub(super) async fn write(&mut self, message: Message) -> Result<(), WriteError> {
        within(self.write_timeout, self.socket.feed(message)).await
    }

    pub(super) async fn flush(&mut self) -> Result<(), WriteError> {
        within(self.write_timeout, self.socket.flush()).await
    }

    /// Sends a close frame and lets go, if that can be done without waiting long (HB-7).
    pub(super) async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame {
            code: code.0,
            reason: code.reason().into(),
        };
        let farewell = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            if !code.is_answered() {
                return Ok(());
            }
            // Until the other end has answered, or said all that it was about to say: where a socket
            // is closed with something unread in it, TCP resets the connection, and the other end
            // never learns the code.
            while self.socket.next().await.transpose()?.is_some() {}
            Ok(())
        };
        // Whoever does not answer is not waited for; the drop below ends the connection.
        let _: Result<Result<(), axum::Error>, _> = timeout(FAREWELL, farewell).await;
    }

    /// The other end closed: sends the answer that this calls for (RFC 6455 section 5.5.1), so that
    /// the other end knows its close for a clean one.
    pub(super) async fn answer_close(mut self) {
        // The answer was queued when the close frame was read.
        let _ = timeout(FAREWELL, self.socket.flush()).await;
    }
}

/// How long a closing handshake may take.
const FAREWELL: Duration = Duration::from_secs(1);

async fn within(
    limit: Duration,
    write: impl Future<Output = Result<(), axum::Error>>,
) -> Result<(), WriteError> {
    match timeout(limit, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(WriteError::Gone),
        Err(_) => Err(WriteError::Stuck),
    }
}

/// A timer that is moved only towards the present: a later deadline is found when it fires (HB-8).
pub(super) struct Alarm {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
    armed: Option<Timestamp>,
}

impl Alarm {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            sleep: Box::pin(sleep_until(Instant::now())),
            armed: None,
        }
    }

    /// Makes sure that it rings at `deadline` at the latest.
    pub(super) fn arm(&mut self, deadline: Option<Timestamp>) {
        let Some(deadline) = deadline else { return };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.armed = Some(deadline);
            self.sleep
                .as_mut()
                .reset(self.clock.instant(deadline).into());
        }
    }

    /// Waits until it rings; for ever if it is not armed.
    pub(super) async fn rings(&mut self) {
        if self.armed.is_none() {
            return std::future::pending().await;
        }
        self.sleep.as_mut().await;
        self.armed = None;
    }
}
