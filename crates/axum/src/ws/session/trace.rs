//! The trace of a connection, while its session is watched.
//!
//! Where no session is, a connection's task has only to count its frames, and to see that there is no [`Tracing`].

use std::sync::Arc;

use protocol::close::CloseCode;
use protocol::id::SessionId;
use protocol::trace::{Ordinals, Recorder, Side};

use super::{Driver, End};
use crate::hub::trace::SharedRing;
use crate::permit::ConnectionPermit;
use crate::stream::Stream;
use crate::text_frame::TextFrame;

/// What records a connection.
pub(super) struct Tracing {
    recorder: Recorder,
    /// The session's; `None` before `hello` is answered, as nothing says yet whose entries these are.
    ring: Option<Arc<SharedRing>>,
}

impl Tracing {
    /// Begins with a connection that opens now, in case that it is one of a watched session. `None` where no session
    /// is watched.
    pub(super) fn begin(permit: &ConnectionPermit) -> Option<Self> {
        permit.hub().is_watched().then(|| {
            let now = permit.hub().clock().now();
            let recorder = Recorder::new(now, permit.id, Ordinals::default(), now);
            Self {
                recorder,
                ring: None,
            }
        })
    }

    /// Whether the entries go into this ring.
    fn is_into(&self, ring: &Arc<SharedRing>) -> bool {
        let own = self.ring.as_ref();
        own.is_some_and(|own| Arc::ptr_eq(own, ring))
    }
}

impl<S: Stream> Driver<S> {
    /// The connection has a session now, with this ring if it is watched.
    pub(super) fn attach_trace(&mut self, session: SessionId, ring: Option<Arc<SharedRing>>) {
        let tracing = self.take_tracing();
        let Some(ring) = ring else { return };
        let mut tracing = tracing.unwrap_or_else(|| {
            let (now, heard_at) = (self.now(), self.machine.heard_at());
            Tracing {
                recorder: Recorder::new(now, self.permit.id, self.wire.ordinals(), heard_at),
                ring: None,
            }
        });
        tracing.recorder.attach(session);
        ring.take(&mut tracing.recorder);
        tracing.ring = Some(ring);
        self.rare().tracing = Some(tracing);
    }

    /// The session began or ceased to be watched. What was before that is in no trace, but for the ordinals.
    pub(super) fn retrace(&mut self) {
        let Some(session) = self.permit.session().cloned() else {
            return;
        };
        let ring = self.permit.hub().ring(&session);
        let tracing = self.rare.as_ref().and_then(|rare| rare.tracing.as_ref());
        let is_same = match (tracing, &ring) {
            (Some(tracing), Some(ring)) => tracing.is_into(ring),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            self.take_tracing();
            self.attach_trace(session, ring);
        }
    }

    /// Queues frames that a room has for all its readers, and has them recorded.
    pub(super) fn push_all(&mut self, frames: Vec<TextFrame>) {
        for frame in frames {
            self.record(|recorder, driver| {
                recorder.sent_text(driver.now(), driver.wire.ordinals(), frame.text());
            });
            self.wire.push(frame);
        }
    }
}

impl<S> Driver<S> {
    /// Has the connection recorded, if it is.
    #[inline]
    pub(super) fn record(&mut self, record: impl FnOnce(&mut Recorder, &Self)) {
        if self.rare.is_some() {
            self.record_now(record);
        }
    }

    #[cold]
    fn record_now(&mut self, record: impl FnOnce(&mut Recorder, &Self)) {
        let Some(mut tracing) = self.take_tracing() else {
            return;
        };
        record(&mut tracing.recorder, self);
        if let Some(ring) = &tracing.ring {
            ring.take(&mut tracing.recorder);
        }
        if let Some(rare) = &mut self.rare {
            rare.tracing = Some(tracing);
        }
    }

    fn take_tracing(&mut self) -> Option<Tracing> {
        self.rare.as_mut().and_then(|rare| rare.tracing.take())
    }

    /// The connection ended, and has given up its session.
    pub(super) fn record_end(&mut self, end: End) {
        let by = match end {
            End::Closed(_) => Side::Server,
            End::Gone(Some(_)) => Side::Client,
            End::Gone(None) => Side::Line,
        };
        self.record_closed(end.code(), by);
    }

    /// The same, by a code.
    pub(super) fn record_closed(&mut self, code: CloseCode, by: Side) {
        self.record(|recorder, driver| recorder.closed(driver.now(), code, by));
    }
}
