//! The wire: a WebSocket that costs little while it is quiet; and a timer that is seldom moved.
//!
//! The protocol is tungstenite's. Around it: what is read goes through a buffer that all connections
//! of a thread share, and what is written is a queue of frames that were encoded once for all their
//! readers. So a quiet connection keeps no buffer.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use protocol::close::CloseCode;
use protocol::heartbeat::SendQueue;
use protocol::time::Timestamp;
use protocol::trace::Ordinals;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error, Message};

use crate::clock::Clock;
use crate::stream::SendQueueReader;
use crate::text_frame::TextFrame;

/// The most bytes that are read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// The buffer in which tungstenite assembles a frame, for each connection; a larger frame grows it for as long
/// as it takes. A heartbeat has 21 bytes.
const FRAME_BUFFER: usize = 64;

/// Frames are gathered up to this size before they are written. The queue never holds more than this and
/// one frame, so that the peer feels back-pressure.
pub const WRITE_BYTES: usize = 16 * 1024;

/// The most bytes that a connection writes before others have their turn.
const TURN_BYTES: u64 = 64 * 1024;

/// The most frames that are written in one system call.
const WRITE_FRAMES: usize = 64;

/// The largest capacity that an empty queue keeps for the next frames.
const QUEUE_KEPT: usize = 4;

/// The deadline of a closing handshake.
const FAREWELL: Duration = Duration::from_secs(1);

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Why a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// No progress within the deadline: a slow consumer.
    Stuck,
    /// The connection is closed or broken.
    Gone,
}

/// The close code for input that cannot be read (RFC 6455 section 7.4.1); `None` where the connection just
/// broke.
pub const fn code_for(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::TOO_BIG),
        Error::Utf8(_) => Some(CloseCode::INVALID_DATA),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::PROTOCOL_ERROR),
        _ => None,
    }
}

/// Takes a driver's turns until it has to wait, or ends. A connection that has written its part yields: else some
/// hundred connections with megabytes to write would hold up all others for as long as that takes.
pub fn poll_turns<D, E>(
    driver: &mut D,
    cx: &mut Context<'_>,
    written: impl Fn(&D) -> u64,
    mut turn: impl FnMut(&mut D, &mut Context<'_>) -> Poll<Result<(), E>>,
) -> Poll<E> {
    let before = written(driver);
    loop {
        if let Err(end) = ready!(turn(driver, cx)) {
            return Poll::Ready(end);
        }
        if written(driver) - before >= TURN_BYTES {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
    }
}

/// One connection's WebSocket.
pub struct Wire<S> {
    stream: S,
    context: WebSocketContext,
    /// Bytes that were read from the stream and are not decoded yet.
    rest: Bytes,
    /// Whether the input could not be read, so that what follows cannot be read either.
    is_garbled: bool,
    /// How many text messages came, those included that were too large.
    texts: u32,
    queue: Queue,
    write_timeout: Duration,
    /// The deadline of a write, while the peer takes nothing.
    stall: Option<Box<Stall>>,
    /// The TCP socket below the stream, where there is one.
    socket: Option<fn(&S) -> BorrowedFd<'_>>,
}

/// A write that makes no progress.
struct Stall {
    patience: Pin<Box<Sleep>>,
    /// How many bytes had been written at the last progress.
    written: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A WebSocket after its handshake; `rest` is input that came with the handshake. A message or a frame larger
    /// than `frame_bytes` is an error.
    pub fn new(stream: S, rest: Bytes, frame_bytes: usize, write_timeout: Duration) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(FRAME_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(frame_bytes))
            .max_frame_size(Some(frame_bytes));
        Self {
            stream,
            context: WebSocketContext::new(Role::Server, Some(config)),
            // A copy: `rest` may be a part of a large buffer that is mostly unused.
            rest: Bytes::copy_from_slice(&rest),
            is_garbled: false,
            texts: 0,
            queue: Queue::default(),
            write_timeout,
            stall: None,
            socket: None,
        }
    }

    /// Says which TCP socket is below the stream.
    #[must_use]
    pub fn over(mut self, socket: fn(&S) -> BorrowedFd<'_>) -> Self {
        self.socket = Some(socket);
        self
    }

    /// What the system holds of what was written, where that is known.
    pub fn send_queue(&self, reader: SendQueueReader) -> Option<SendQueue> {
        let socket = self.socket?;
        (reader.0)(socket(&self.stream))
    }

    /// The next message; `None` once the connection is closed.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let read = self.with_context(cx, |context, exchange| context.read(exchange));
        match read {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                // Reading queues answers to pings as a side effect.
                let _ = self.poll_flush(cx);
                Poll::Pending
            }
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(None),
            read => {
                if matches!(read, Ok(Message::Text(_)) | Err(Error::Capacity(_))) {
                    self.texts = self.texts.wrapping_add(1);
                }
                self.is_garbled = read.is_err();
                Poll::Ready(Some(read))
            }
        }
    }

    /// How many text frames went each way: those that came, also where they were too large to be read, and those that
    /// were queued.
    pub const fn ordinals(&self) -> Ordinals {
        Ordinals {
            received: self.texts,
            sent: self.queue.texts,
        }
    }

    /// Queues a frame for the next [`Wire::poll_write`]. While the wire is full, only small and rare frames
    /// should be queued.
    pub fn push(&mut self, frame: TextFrame) {
        self.queue.texts = self.queue.texts.wrapping_add(1);
        self.queue.push(frame.into_bytes());
    }

    /// Whether the peer has to take something before more is gathered for it.
    pub fn is_full(&self) -> bool {
        self.queue.bytes as usize >= WRITE_BYTES
    }

    /// Whether these frames may wait with others until the next [`Wire::poll_write`].
    pub fn has_room_for(&self, frames: &[TextFrame]) -> bool {
        let bytes: usize = frames.iter().map(TextFrame::len).sum();
        self.queue.bytes as usize + bytes < WRITE_BYTES
    }

    /// Whether everything is written.
    pub const fn is_idle(&self) -> bool {
        self.queue.bytes == 0
    }

    /// How many bytes were written in all.
    pub const fn written(&self) -> u64 {
        self.queue.written
    }

    /// Queues a WebSocket Ping.
    pub fn ping(&mut self) {
        let mut bytes = Vec::new();
        // Writing to a vector does not fail.
        let _ = Frame::ping(Bytes::new()).format(&mut bytes);
        self.queue.push(bytes.into());
    }

    /// Writes the queue, as far as the peer takes it. That may take long, as long as the peer takes
    /// something.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        match self.poll_flush(cx) {
            Poll::Ready(flushed) => {
                self.stall = None;
                Poll::Ready(flushed.map_err(|_| WriteError::Gone))
            }
            Poll::Pending => {
                let (timeout, written) = (self.write_timeout, self.queue.written);
                let stall = self.stall.get_or_insert_with(|| {
                    let patience = Box::pin(sleep(timeout));
                    Box::new(Stall { patience, written })
                });
                if stall.written < written {
                    stall.written = written;
                    stall.patience.as_mut().reset(Instant::now() + timeout);
                }
                ready!(stall.patience.as_mut().poll(cx));
                Poll::Ready(Err(WriteError::Stuck))
            }
        }
    }

    /// Waits until the queue is written.
    async fn flush(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.poll_write(cx)).await
    }

    /// Sends a close frame and waits for the answer, but not for long (HB-7).
    pub async fn close(&mut self, code: CloseCode) {
        let frame = CloseFrame {
            code: code.get().into(),
            reason: code.reason().into(),
        };
        let farewell = async {
            poll_fn(|cx| {
                Poll::Ready(self.with_context(cx, |context, exchange| {
                    context.close(exchange, Some(frame.clone()))
                }))
            })
            .await
            .ok()?;
            self.flush().await.ok()?;
            if !code.is_answered() {
                return None;
            }
            // Reads until the peer has answered, or has sent all that it was about to send: if a socket
            // is closed with unread input, TCP resets the connection, and the peer
            // never gets the code.
            while !self.is_garbled && poll_fn(|cx| self.poll_read(cx)).await.is_some() {}
            if self.is_garbled {
                // The answer cannot be found in garbled input: the end of our stream says that we wait for none.
                poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx))
                    .await
                    .ok()?;
                poll_fn(|cx| self.poll_discard(cx)).await.ok()?;
            }
            Some(())
        };
        // A peer that does not answer is not waited for; dropping the wire closes the connection.
        let _: Result<Option<()>, _> = timeout(FAREWELL, farewell).await;
    }

    /// Reads and drops what comes, up to the end of the stream.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        READ.with_borrow_mut(|buffer| {
            loop {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
                if buffer.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
        })
    }

    /// Answers the peer's close frame (RFC 6455 section 5.5.1), so that the peer sees a clean close.
    pub async fn answer_close(&mut self) {
        let answer = async {
            // Fails with "connection closed" once the answer is queued.
            let _ = poll_fn(|cx| {
                Poll::Ready(self.with_context(cx, |context, exchange| context.flush(exchange)))
            })
            .await;
            self.flush().await
        };
        let _ = timeout(FAREWELL, answer).await;
    }

    /// Lets tungstenite read from the stream and write to the queue.
    fn with_context<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut WebSocketContext, &mut Exchange<'_, '_, S>) -> T,
    ) -> T {
        READ.with_borrow_mut(|buffer| {
            let mut exchange = Exchange {
                stream: &mut self.stream,
                cx,
                rest: &mut self.rest,
                buffer,
                filled: 0..0,
                queue: &mut self.queue,
            };
            let result = work(&mut self.context, &mut exchange);
            exchange.keep_rest();
            result
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(first) = self.queue.frames.front() {
            let stream = Pin::new(&mut self.stream);
            let written = if self.queue.frames.len() == 1 {
                ready!(stream.poll_write(cx, first))?
            } else {
                let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
                let count = self.queue.frames.len().min(WRITE_FRAMES);
                for (slice, frame) in slices.iter_mut().zip(&self.queue.frames) {
                    *slice = IoSlice::new(frame);
                }
                ready!(stream.poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.queue.written(written);
        }
        self.queue.shrink();
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

/// The frames to write, in order.
#[derive(Default)]
struct Queue {
    /// The first one may be written in part: that part is cut off.
    frames: VecDeque<Bytes>,
    /// The bytes in all of them: a few frames', of which none has more than some MiB.
    bytes: u32,
    /// How many text frames were queued in all.
    texts: u32,
    /// How many bytes were written in all.
    written: u64,
}

/// A number of bytes in a queue.
fn bytes_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Queue {
    fn push(&mut self, frame: Bytes) {
        self.bytes += bytes_of(frame.len());
        self.frames.push_back(frame);
    }

    fn written(&mut self, mut count: usize) {
        self.bytes -= bytes_of(count);
        self.written += count as u64;
        while let Some(first) = self.frames.front_mut() {
            if count < first.len() {
                let _ = first.split_to(count);
                return;
            }
            count -= first.len();
            self.frames.pop_front();
        }
    }

    /// Frees the memory for many frames once they are written.
    fn shrink(&mut self) {
        if self.frames.capacity() > QUEUE_KEPT {
            self.frames = VecDeque::new();
        }
    }
}

/// The stream as tungstenite sees it: reads what is there, and writes to the queue, which never
/// blocks. tungstenite itself writes little: answers to pings and to a close.
struct Exchange<'wire, 'task, S> {
    stream: &'wire mut S,
    cx: &'wire mut Context<'task>,
    rest: &'wire mut Bytes,
    /// The thread's buffer, and the part of it that is not decoded yet.
    buffer: &'wire mut [u8],
    filled: Range<usize>,
    queue: &'wire mut Queue,
}

impl<S> Exchange<'_, '_, S> {
    /// Moves what is not decoded out of the buffer, which the next connection uses.
    fn keep_rest(&mut self) {
        if !self.filled.is_empty() {
            *self.rest = Bytes::copy_from_slice(&self.buffer[self.filled.clone()]);
        }
    }
}

impl<S: AsyncRead + Unpin> Read for Exchange<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.rest.is_empty() {
            let count = into.len().min(self.rest.len());
            into[..count].copy_from_slice(&self.rest.split_to(count));
            return Ok(count);
        }
        if self.filled.is_empty() {
            let mut buffer = ReadBuf::new(self.buffer);
            match Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer) {
                Poll::Ready(Ok(())) => self.filled = 0..buffer.filled().len(),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        let count = into.len().min(self.filled.len());
        let taken = self.filled.start..self.filled.start + count;
        into[..count].copy_from_slice(&self.buffer[taken]);
        self.filled.start += count;
        Ok(count)
    }
}

impl<S> Write for Exchange<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.queue.push(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much too early an alarm may ring. An alarm that would ring earlier still (that for the answer to a ping,
/// once the answer is there) is moved: that costs less than waking a task for nothing.
const EARLY: Duration = Duration::from_secs(10);

/// A timer that is seldom moved to a later time: when it rings, the machine finds that it rang too early (HB-8).
pub struct Alarm {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
    armed: Option<Timestamp>,
    /// Whether the timer has the task's waker, which stays the same: then it needs no poll before its time.
    is_watched: bool,
}

impl Alarm {
    /// A timer that is not armed.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            sleep: Box::pin(sleep_until(Instant::now())),
            armed: None,
            is_watched: false,
        }
    }

    /// Sets the alarm to ring at `deadline` at the latest.
    pub fn arm(&mut self, deadline: Option<Timestamp>) {
        let Some(deadline) = deadline else { return };
        let is_right = |armed: Timestamp| armed <= deadline && deadline - armed < EARLY;
        if !self.armed.is_some_and(is_right) {
            self.armed = Some(deadline);
            self.is_watched = false;
            self.sleep.as_mut().reset(self.clock.instant(deadline));
        }
    }

    /// Ready when it rings; never if it is not armed.
    pub fn poll_ring(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(armed) = self.armed else {
            return Poll::Pending;
        };
        if self.is_watched && self.clock.now() < armed {
            return Poll::Pending;
        }
        self.is_watched = true;
        ready!(self.sleep.as_mut().poll(cx));
        self.armed = None;
        Poll::Ready(())
    }
}
