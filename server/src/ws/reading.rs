//! A read for one connection, whose answer is taken when everything before it is written.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

/// A read of the log. It begins when everything is written, as its answer holds room that other connections wait
/// for. Once begun it goes on, whatever its connection does: it may hold a reader of the database, or make what
/// others wait for, too. Its answer waits until everything is written.
pub(super) struct Reading<A> {
    future: Option<BoxFuture<'static, A>>,
    is_begun: bool,
    answer: Option<A>,
}

impl<A> Reading<A> {
    /// Not begun yet.
    pub(super) fn new(future: impl Future<Output = A> + Send + 'static) -> Self {
        Self {
            future: Some(Box::pin(future)),
            is_begun: false,
            answer: None,
        }
    }

    /// Goes on. `is_idle`: whether everything is written.
    pub(super) fn poll_when(&mut self, cx: &mut Context<'_>, is_idle: bool) -> Poll<A> {
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

    /// A client that takes nothing begins no read, and keeps none from its end that had begun before.
    #[test]
    fn what_is_begun_goes_on() {
        let cx = &mut Context::from_waker(Waker::noop());
        let (tell, told) = oneshot::channel();
        let mut reading = Reading::new(async { told.await.unwrap() });
        assert!(reading.poll_when(cx, false).is_pending() && !reading.is_begun);
        assert!(reading.poll_when(cx, true).is_pending());
        tell.send(7).unwrap();
        assert!(reading.poll_when(cx, false).is_pending());
        assert!(reading.future.is_none(), "it is over, and holds nothing");
        assert_eq!(reading.poll_when(cx, true), Poll::Ready(7));
    }
}
