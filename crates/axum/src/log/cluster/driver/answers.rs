//! What came of the driver's requests, as facts for the machines.

use axum::body::Bytes;
use everbeat_log::follower::Fetched;

use super::{Done, Driver, Start, words};
use crate::log::LogError;
use crate::log::engine::{Bounds, EngineError, EngineState};

impl Driver {
    pub(super) fn done(&mut self, done: Done) {
        let now = self.clock.now();
        match done {
            Done::Published(number, stored) => {
                self.note_not_stored(stored.as_ref().err());
                let stored = self.heard(stored);
                if let Some(sequence) = stored {
                    self.follower.stored(now, sequence);
                }
                self.shared.desk(|desk| match (&mut desk.sender, stored) {
                    (Some(sender), Some(_)) => sender.stored(now, number),
                    (Some(sender), None) => sender.failed(now, number),
                    (None, _) => {}
                });
            }
            Done::Fetched(sequence, source, pack) => {
                self.follower.fetched(now, sequence, source, answer(&pack));
            }
            Done::Replaced(sequence, pack) => {
                self.follower.replaced(now, sequence, answer(&pack));
            }
            Done::Bounds(bounds) => {
                let bounds = self.heard(bounds);
                self.bounded(bounds);
            }
            Done::Reached(waiting, bounds) => {
                self.is_reaching = false;
                let last = match &bounds {
                    Ok(bounds) => Ok(bounds.last),
                    Err(error) => Err(LogError::Unavailable(error.to_string().into())),
                };
                for waiting in waiting {
                    // The caller may be gone.
                    let _ = waiting.send(last.clone());
                }
                if let Some(bounds) = self.heard(bounds) {
                    self.bounded(Some(bounds));
                }
            }
            Done::CaughtUp(Ok(last)) => self.live(last),
            Done::CaughtUp(Err(error)) | Done::Kept(Err(error)) => {
                self.stop(words::cannot_read(&error));
            }
            Done::Kept(Ok(())) => {}
        }
    }

    fn bounded(&mut self, bounds: Option<Bounds>) {
        if let (Some(bounds), Start::Attaching) = (&bounds, self.start) {
            self.start = Start::CatchingUp(bounds.last);
        }
        self.follower.bounds(self.clock.now(), bounds);
    }

    /// Notes whether the engine did what was asked.
    fn heard<T>(&mut self, result: Result<T, EngineError>) -> Option<T> {
        match result {
            Ok(done) => {
                self.failure = None;
                Some(done)
            }
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    /// Notes why a pack was not stored. That the engine is full is not replaced by what it says when it is asked again.
    fn note_not_stored(&mut self, error: Option<&EngineError>) {
        match (error, &self.not_stored) {
            (Some(EngineError::Unavailable(_)), Some(EngineError::Full(_))) => {}
            (error, _) => self.not_stored = error.cloned(),
        }
    }

    pub(super) fn engine_is(&mut self, state: EngineState) {
        match state {
            EngineState::Ready => {
                let now = self.clock.now();
                self.follower.reconnected(now);
                self.shared.desk(|desk| {
                    if let Some(sender) = &mut desk.sender {
                        sender.reconnected(now);
                    }
                });
            }
            EngineState::Failing(error) => self.failure = Some(error),
        }
    }
}

fn answer(pack: &Result<Option<Bytes>, EngineError>) -> Fetched<'_> {
    match pack {
        Ok(Some(pack)) => Fetched::Found(pack),
        Ok(None) => Fetched::Missing,
        Err(_) => Fetched::Failed,
    }
}
