//! The link: the connection as the engine's calls see it, and how well it does.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::{EngineError, EngineState};
use super::config::NatsConfig;
use super::names::Names;

/// How long a publish that failed outweighs a leader that answers: its sender repeats it more often than that.
const DOUBT: Duration = Duration::from_secs(5);

/// The connection; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) names: Arc<Names>,
    attached: watch::Receiver<Option<Context>>,
    health: Arc<Health>,
}

/// The keeper's ends of a link.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) names: Arc<Names>,
    /// What calls use, from the first time on at which the streams were found to be good.
    pub(super) attached: watch::Sender<Option<Context>>,
    pub(super) health: Arc<Health>,
}

/// A link that is not attached yet.
pub(super) fn new(config: &NatsConfig) -> (Link, Ends) {
    let names = Arc::new(Names::new(config));
    let (sender, attached) = watch::channel(None);
    let health = Arc::new(Health::new());
    let ends = Ends {
        names: Arc::clone(&names),
        attached: sender,
        health: Arc::clone(&health),
    };
    let link = Link {
        names,
        attached,
        health,
    };
    (link, ends)
}

impl Link {
    /// What requests are made with.
    ///
    /// # Errors
    /// Without a connection now: the client would keep a request until there is one, and send it then. And where the
    /// stream is no longer the one that was attached to.
    pub(super) fn context(&self) -> Result<Context, EngineError> {
        let attached = self.attached.borrow().clone();
        let is_connected =
            |context: &Context| context.client().connection_state() == State::Connected;
        match attached.filter(is_connected) {
            Some(context) if !self.health.is_unfit() => Ok(context),
            _ => Err(self.health.why()),
        }
    }

    /// What requests are made with, once there is a connection; `None` once the engine is gone.
    pub(super) async fn attached(&self) -> Option<Context> {
        let mut attached = self.attached.clone();
        let found = attached.wait_for(Option::is_some).await.ok()?;
        found.clone()
    }

    /// Waits a moment, after something that should not fail.
    pub(super) async fn pause(&self) {
        sleep(Duration::from_millis(250)).await;
    }

    /// Notes how a publish went.
    pub(super) fn note_publish<T>(&self, outcome: &Result<T, EngineError>) {
        self.health
            .note(|facts, now| facts.publish(now, outcome.as_ref().err()));
    }

    /// Whether the engine serves.
    pub(super) fn state(&self) -> watch::Receiver<EngineState> {
        self.health.state.subscribe()
    }
}

/// How well the link does.
#[derive(Debug)]
pub(super) struct Health {
    facts: Mutex<Facts>,
    state: watch::Sender<EngineState>,
}

impl Health {
    fn new() -> Self {
        let facts = Facts {
            link: Some(EngineError::Unavailable("not connected yet".into())),
            publish: None,
        };
        let (state, _) = watch::channel(facts.state());
        Self {
            facts: Mutex::new(facts),
            state,
        }
    }

    /// Notes whether the stream's leader answers, and is good.
    pub(super) fn note_link<T>(&self, outcome: &Result<T, EngineError>) {
        self.note(|facts, now| facts.link(now, outcome.as_ref().err()));
    }

    fn note(&self, change: impl FnOnce(&mut Facts, Instant)) {
        let mut facts = self.facts.lock();
        change(&mut facts, Instant::now());
        let state = facts.state();
        self.state.send_if_modified(|before| {
            if kind(before) != kind(&state) {
                match &state {
                    EngineState::Ready => tracing::info!("the engine serves"),
                    EngineState::Failing(error) => tracing::warn!("{error}"),
                }
            }
            let is_new = *before != state;
            if is_new {
                *before = state;
            }
            is_new
        });
    }

    /// Whether the streams are not those that they should be.
    fn is_unfit(&self) -> bool {
        matches!(self.facts.lock().link, Some(EngineError::Unfit(_)))
    }

    fn why(&self) -> EngineError {
        match self.facts.lock().state() {
            EngineState::Failing(error) => error,
            EngineState::Ready => EngineError::Unavailable("the connection was lost".into()),
        }
    }
}

/// What the journal tells apart: while servers fail the reasons come and go.
fn kind(state: &EngineState) -> Option<std::mem::Discriminant<EngineError>> {
    match state {
        EngineState::Ready => None,
        EngineState::Failing(error) => Some(std::mem::discriminant(error)),
    }
}

/// What the state follows from.
#[derive(Debug)]
struct Facts {
    /// What is wrong with the connection or the streams.
    link: Option<EngineError>,
    /// Why the last publish failed, and when.
    publish: Option<(EngineError, Instant)>,
}

impl Facts {
    fn link(&mut self, now: Instant, error: Option<&EngineError>) {
        self.link = error.cloned();
        if let Some((_, at)) = self.publish
            && now.duration_since(at) >= DOUBT
        {
            self.publish = None;
        }
    }

    fn publish(&mut self, now: Instant, error: Option<&EngineError>) {
        self.publish = error.cloned().map(|error| (error, now));
    }

    fn state(&self) -> EngineState {
        let publish = self.publish.as_ref().map(|(error, _)| error);
        let error = self.link.as_ref().or(publish);
        error
            .cloned()
            .map_or(EngineState::Ready, EngineState::Failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(text: &str) -> EngineError {
        EngineError::Unavailable(text.into())
    }

    /// A leader that answers does not mean that packs are stored: with a full disk it answers, too.
    #[test]
    fn a_failed_publish_counts_until_one_is_stored_or_none_was_tried_for_long() {
        let start = Instant::now();
        let mut facts = Facts {
            link: None,
            publish: None,
        };
        assert!(facts.state().is_ready());
        facts.publish(start, Some(&failing("full")));
        facts.link(start + DOUBT / 2, None);
        assert_eq!(facts.state(), EngineState::Failing(failing("full")));
        facts.publish(start + DOUBT / 2, None);
        assert!(facts.state().is_ready());
        facts.publish(start, Some(&failing("full")));
        facts.link(start + DOUBT, None);
        assert!(facts.state().is_ready());
    }

    #[test]
    fn what_is_wrong_with_the_connection_is_told_first() {
        let start = Instant::now();
        let mut facts = Facts {
            link: Some(failing("lost")),
            publish: Some((failing("full"), start)),
        };
        assert_eq!(facts.state(), EngineState::Failing(failing("lost")));
        facts.link(start, None);
        assert_eq!(facts.state(), EngineState::Failing(failing("full")));
    }
}
