//! The last answers: connections on descriptors of the reserve, when the process has no others left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::stream::HalfOpen;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::Begun;
use crate::descriptors::Share;
use crate::tls::Tls;

/// The deadline of a request's head while no other connection waits for the descriptor.
pub(super) const LAST_HEAD: Duration = Duration::from_millis(250);

/// The deadline of a connection and its answer: a little more than that of `/readyz`.
const LAST_ANSWER: Duration = Duration::from_millis(2_500);

/// How long a connection has to send its request while others wait: one that waited itself has sent it by then.
/// With the descriptors of the clients' share, 600 silent connections a second give way.
const MOMENT: Duration = Duration::from_millis(10);

/// Connections that are being answered, each on a descriptor of the reserve: all at once, so that none waits for
/// a silent one.
pub(super) struct LastAnswers {
    reserve: Share,
    tasks: JoinSet<()>,
    /// Oldest first.
    connections: VecDeque<LastAnswer>,
}

struct LastAnswer {
    half_open: Arc<HalfOpen>,
    since: Instant,
    task: AbortHandle,
}

impl LastAnswers {
    pub(super) fn new(reserve: Share) -> Self {
        Self {
            reserve,
            tasks: JoinSet::new(),
            connections: VecDeque::new(),
        }
    }

    /// Frees a descriptor for the next connection: one of the reserve, or that of the
    /// oldest connection that has sent no request. Returns false where there is none.
    pub(super) async fn lend(&mut self) -> bool {
        self.refill();
        if self.reserve.lend() {
            return true;
        }
        let has_asked = |last: &LastAnswer| last.half_open.has_asked();
        let Some(at) = self.connections.iter().position(|last| !has_asked(last)) else {
            return false;
        };
        let age = self.connections[at].since.elapsed();
        if age < MOMENT {
            sleep(MOMENT - age).await;
        }
        if has_asked(&self.connections[at]) {
            return false;
        }
        self.connections[at].task.abort();
        // It may be another task that ended: its descriptor is free as well.
        self.tasks.join_next().await.is_some()
    }

    /// Answers one request on this connection.
    pub(super) fn answer(&mut self, begun: Begun, tls: Option<Tls>) {
        let half_open = Arc::clone(&begun.requests.half_open);
        let answering = async move {
            // Large, so in a box.
            let _ = timeout(LAST_ANSWER, Box::pin(begun.run_last(tls))).await;
        };
        self.connections.push_back(LastAnswer {
            half_open,
            since: Instant::now(),
            task: self.tasks.spawn(answering),
        });
    }

    /// Waits until a connection ends; for ever where there is none.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Fills the reserve as far as descriptors are free.
    pub(super) fn refill(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.connections.retain(|last| !last.task.is_finished());
        self.reserve.refill();
    }
}
