//! The write deadline: a write that makes no progress for too long fails.
//!
//! Otherwise a client that asks for much and reads none of it would hold it in memory for as long as it likes. The
//! deadline is right above the socket: bytes that TLS has taken are not on their way yet. WebSockets have their own
//! deadline, with a close code: see `ws`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream with a deadline for writes: a write fails with [`io::ErrorKind::TimedOut`] once it has made no progress
/// for so long.
#[derive(Debug)]
pub struct WriteDeadline<S> {
    stream: S,
    patience: Option<Duration>,
    /// The deadline, while a write waits.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteDeadline<S> {
    /// A stream whose writes must make progress within `patience`.
    pub const fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience: Some(patience),
            due: None,
        }
    }

    /// Removes the deadline.
    pub fn be_patient(&mut self) {
        (self.patience, self.due) = (None, None);
    }

    /// The stream below.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream itself.
    pub fn into_inner(self) -> S {
        self.stream
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, step: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(patience) = self.patience.filter(|_| step.is_pending()) else {
            self.due = None;
            return step;
        };
        let due = self.due.get_or_insert_with(|| Box::pin(sleep(patience)));
        let is_over = due.as_mut().poll(cx);
        is_over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, step)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, step)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, step)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, step)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_write_that_makes_no_progress_fails() {
        let (near, far) = duplex(8);
        let mut stream = WriteDeadline::new(near, PATIENCE);
        let begun = tokio::time::Instant::now();
        let written = stream.write_all(&[0; 9]).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_may_be_slow() {
        let (near, mut far) = duplex(8);
        let mut stream = WriteDeadline::new(near, PATIENCE);
        let reading = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(PATIENCE - Duration::from_secs(1)).await;
                far.read_exact(&mut [0; 8]).await.unwrap();
            }
        });
        stream.write_all(&[0; 80]).await.unwrap();
        reading.await.unwrap();
    }
}
