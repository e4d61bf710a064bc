//! Reads of the log for one connection, each answered once everything before it is written.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

/// A read of the log. It begins when everything is written, as it reserves memory for its answer that other
/// connections wait for. Once begun it goes on, even if the client takes nothing: it may hold a reader of the
/// database, or load what others wait for, too. Its answer waits until everything is written.
pub struct Reading<A> {
    future: Option<BoxFuture<'static, A>>,
    is_begun: bool,
    answer: Option<A>,
}

impl<A> Reading<A> {
    /// A read that has not begun.
    pub fn new(future: impl Future<Output = A> + Send + 'static) -> Self {
        Self {
            future: Some(Box::pin(future)),
            is_begun: false,
            answer: None,
        }
    }

    /// Polls the read. `is_idle` is whether everything is written.
    pub fn poll_when(&mut self, cx: &mut Context<'_>, is_idle: bool) -> Poll<A> {
        self.is_begun |= is_idle;
        if self.is_begun
            && let Some(future) = &mut self.future
            && let Poll::Ready(answer) = future.as_mut().poll(cx)
        {
            self.future = None;
            self.answer = Some(answer);
        }
        match self.answer.take_if(|_| is_idle) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::sync::oneshot;

    use super::*;

    /// While a client takes nothing, its reads do not begin; one that had begun ends all the same.
    #[test]
    fn what_is_begun_goes_on() {
        let cx = &mut Context::from_waker(Waker::noop());
        let (tell, told) = oneshot::channel();
        let mut reading = Reading::new(async { told.await.unwrap() });
        assert!(reading.poll_when(cx, false).is_pending() && !reading.is_begun);
        assert!(reading.poll_when(cx, true).is_pending());
        tell.send(7).unwrap();
        assert!(reading.poll_when(cx, false).is_pending());
        assert!(reading.future.is_none(), "the read has ended");
        assert_eq!(reading.poll_when(cx, true), Poll::Ready(7));
    }
}
