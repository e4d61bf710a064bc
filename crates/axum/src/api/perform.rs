//! The driver of a request: performs the core's transmits, and feeds it the results.

use std::sync::Arc;
use std::time::Duration;

use protocol::access::Subject;
use protocol::id::RoomName;
use protocol::position::Offset;
use protocol::server::{
    AppendError, Call, PostError, Redaction, Request, RequestAnswer, RequestInput, RequestTransmit,
    Span,
};
use tokio::time::timeout;

use super::caller::Caller;
use super::problem::{Code, Problem};
use crate::answers::{NoRoom, Owed};
use crate::everbeat::Everbeat;
use crate::journal;
use crate::log::{LogError, Page, Post, in_time};

/// The core's answer.
pub(super) struct Performed {
    /// The answer to the call.
    pub(super) answer: RequestAnswer,
    /// The memory reserved for the answer, where it may be large.
    pub(super) owed: Option<Owed>,
}

/// Has the core decide a call, and performs what it asks for.
///
/// # Errors
/// Why the core refuses the call.
pub(super) async fn perform(
    everbeat: &Everbeat,
    caller: &Caller,
    call: Call,
) -> Result<Performed, Problem> {
    let now = everbeat.hub().clock().now();
    let config = Arc::clone(everbeat.protocol());
    let mut request = Request::new(now, &caller.access, call, config);
    let mut driver = Driver {
        everbeat,
        caller,
        owed: None,
    };
    while let Some(transmit) = request.poll_transmit() {
        request.handle_input(match transmit {
            RequestTransmit::Answer(answer) => {
                let owed = driver.owed;
                return Ok(Performed { answer, owed });
            }
            RequestTransmit::Refuse(error) => return Err(error.into()),
            RequestTransmit::Count => RequestInput::Counted(driver.count()),
            RequestTransmit::Post {
                room,
                key,
                session,
                name,
                body,
            } => {
                let at_ms = everbeat.hub().stamp();
                let post = Post {
                    key,
                    session,
                    room,
                    name,
                    body,
                    at_ms,
                    erased: None,
                };
                driver.post(post).await
            }
            RequestTransmit::Barrier { within } => {
                let reached = timeout(within, everbeat.hub().log().barrier()).await;
                RequestInput::Reached(matches!(reached, Ok(Ok(()))))
            }
            RequestTransmit::LogSpan { room } => RequestInput::LogSpan(driver.log_span(room).await),
            RequestTransmit::Read { room, after, limit } => {
                page(everbeat.hub().log().read(room, after, limit).await)
            }
            RequestTransmit::ReadBefore {
                room,
                before,
                limit,
            } => page(everbeat.hub().log().read_before(room, before, limit).await),
            RequestTransmit::Redact { room, offset } => {
                RequestInput::Redacted(driver.remove(room, offset).await)
            }
            RequestTransmit::Scrub { within } => {
                // Too early, or the server ends: that a scrub is due is as durable as the redaction.
                let scrubbed = timeout(within, everbeat.hub().log().scrubbed()).await;
                RequestInput::Scrubbed(matches!(scrubbed, Ok(Ok(()))))
            }
            RequestTransmit::Members { room } => {
                let (members, count) = everbeat.hub().members(&room).await;
                RequestInput::Members(members, count)
            }
        });
    }
    // The core has a transmit until it answers or refuses.
    Err(Problem::new(Code::Internal))
}

/// The parts that a call is performed with.
struct Driver<'a> {
    everbeat: &'a Everbeat,
    caller: &'a Caller,
    owed: Option<Owed>,
}

impl Driver<'_> {
    fn count(&self) -> Result<(), Duration> {
        let Self {
            everbeat, caller, ..
        } = self;
        let author = caller.access.identity.subject();
        let now = everbeat.hub().clock().now();
        let counted = everbeat
            .limits()
            .publish(now, author, caller.client.counted());
        counted.map_err(|(met, wait)| {
            let metrics = everbeat.hub().metrics();
            metrics.limited(met);
            metrics.published(Err(AppendError::RateLimited(wait)));
            wait
        })
    }

    async fn post(&self, post: Post) -> RequestInput {
        let hub = self.everbeat.hub();
        // A log that hangs may still store it: then a repeat with the same key finds it.
        RequestInput::Posted(match in_time(hub.log().post(post)).await {
            Ok(posted) => {
                hub.metrics().published(Ok(()));
                Ok(posted)
            }
            Err(LogError::Number(error)) => Err(error.into()),
            Err(error) => {
                journal::log_trouble(&error);
                Err(match error {
                    LogError::Unknown(_) => PostError::Unknown,
                    _ => PostError::Unavailable,
                })
            }
        })
    }

    /// Reads the extent of a room's log, after reserving memory for the answer.
    async fn log_span(&mut self, room: RoomName) -> Option<Span> {
        let hub = self.everbeat.hub();
        self.owed = match hub.owe(self.caller.client.counted()).await {
            Ok(owed) => Some(owed),
            Err(NoRoom) => return None,
        };
        let held = done(hub.log().room(room).await)?;
        Some(Span {
            epoch: held.epoch,
            head: held.head,
            trimmed: held.trimmed,
        })
    }

    async fn remove(&self, room: RoomName, offset: Offset) -> Option<Redaction> {
        let hub = self.everbeat.hub();
        let removal = hub.log().redact(room.clone(), offset, hub.stamp()).await;
        let removal = done(removal)?;
        if removal == Redaction::Done {
            let by = self.caller.access.identity.subject().map(Subject::as_str);
            tracing::info!(%room, %offset, by, "a text was removed");
        }
        Some(removal)
    }
}

fn page(page: Result<Page, LogError>) -> RequestInput {
    let page = done(page);
    RequestInput::PageRead(page.map(|page| (page.messages, page.more)))
}

/// The log's answer; `None` where it failed.
fn done<T>(result: Result<T, LogError>) -> Option<T> {
    result.map_err(|error| journal::log_trouble(&error)).ok()
}
