//! The desk: where callers leave commands, and the driver takes and answers them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use everbeat_log::command::{Command, Outcome};
use everbeat_log::order::Applied;
use everbeat_log::sender::{Event, Sender, Ticket};
use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use protocol::id::NodeName;
use protocol::time::Timestamp;
use tokio::sync::{Notify, oneshot, watch};

use super::status::{ClusterStatus, Phase};
use crate::clock::Clock;
use crate::log::{LogError, Stop};

/// The outcome of a command, as a future that needs nothing of its caller.
pub(super) type Outcomes = BoxFuture<'static, Result<Outcome, LogError>>;

/// Where an outcome is given.
type Reply = oneshot::Sender<Result<Outcome, LogError>>;

/// A caller that waits for this node to be as far as the engine is.
pub(super) type Waiting = oneshot::Sender<Result<u64, LogError>>;

/// What callers and the driver of a node share. No lock is held across an `await`.
pub(super) struct Shared {
    clock: Clock,
    /// How many connections this node holds.
    load: AtomicUsize,
    is_draining: AtomicBool,
    desk: Mutex<Desk>,
    /// Wakes the driver: something is at the desk.
    pub(super) wake: Notify,
    /// The sequence of the last pack that is folded here.
    pub(super) sequence: watch::Sender<u64>,
    /// Why the node has stopped for good.
    stopped: watch::Sender<Option<Stop>>,
    status: Mutex<ClusterStatus>,
}

/// What waits for the driver.
pub(super) struct Desk {
    /// `None` while nothing is taken.
    pub(super) sender: Option<Sender>,
    /// Why nothing is taken.
    refusal: Arc<str>,
    replies: HashMap<Ticket, Reply>,
    next: u64,
    /// Callers whose barrier has not begun.
    pub(super) barriers: Vec<Waiting>,
    /// The node is to end once what is here is done.
    pub(super) is_closing: bool,
    /// This node's first pack is folded.
    is_live: bool,
    /// This node forgets for all of them.
    pub(super) keeps_house: bool,
}

impl Shared {
    pub(super) fn new(node: NodeName, clock: Clock) -> Self {
        Self {
            clock,
            load: AtomicUsize::new(0),
            is_draining: AtomicBool::new(false),
            desk: Mutex::new(Desk {
                sender: None,
                refusal: "this node has not reached the engine yet".into(),
                replies: HashMap::new(),
                next: 0,
                barriers: Vec::new(),
                is_closing: false,
                is_live: false,
                keeps_house: false,
            }),
            wake: Notify::new(),
            sequence: watch::Sender::new(0),
            stopped: watch::Sender::new(None),
            status: Mutex::new(ClusterStatus::new(node)),
        }
    }

    /// The desk, for the driver.
    pub(super) fn desk<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> T {
        work(&mut self.desk.lock())
    }

    /// What the lease says next: how many connections this node holds, and whether it drains.
    pub(super) fn load(&self) -> (u64, bool) {
        let load = self.load.load(Ordering::Relaxed);
        (load as u64, self.is_draining.load(Ordering::Relaxed))
    }

    pub(super) fn set_load(&self, connections: usize) {
        self.load.store(connections, Ordering::Relaxed);
    }

    pub(super) fn set_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Leaves a command. Its place in the order of this node is settled when this returns.
    pub(super) fn push(&self, command: Command) -> Outcomes {
        let (reply, outcome) = oneshot::channel();
        self.desk(|desk| desk.push(self.clock.now(), command, reply));
        self.wake.notify_one();
        async { outcome.await.unwrap_or_else(|_| Err(unknown())) }.boxed()
    }

    /// Answers once everything is folded here that the engine holds now.
    pub(super) fn barrier(&self) -> BoxFuture<'static, Result<(), LogError>> {
        let (reached, at) = oneshot::channel();
        self.desk(|desk| desk.barriers.push(reached));
        self.wake.notify_one();
        let mut sequence = self.sequence.subscribe();
        async move {
            let last = at.await.unwrap_or_else(|_| Err(ended()))?;
            let folded = sequence.wait_for(|sequence| *sequence >= last).await;
            folded.map(drop).map_err(|_| ended())
        }
        .boxed()
    }

    /// Whether this node forgets for all of them.
    pub(super) fn keeps_house(&self) -> bool {
        self.desk.lock().keeps_house
    }

    /// Why no command is taken now, if so.
    pub(super) fn refusal(&self) -> Option<Arc<str>> {
        let desk = self.desk.lock();
        desk.sender.is_none().then(|| Arc::clone(&desk.refusal))
    }

    pub(super) fn status(&self) -> ClusterStatus {
        self.status.lock().clone()
    }

    /// Notes how far the node is, and lets those go on who waited for that.
    pub(super) fn applied(&self, applied: &Applied) {
        self.note(|status| {
            status.applied = applied.sequence;
            status.digest = applied.digest.to_string();
        });
        self.sequence.send_replace(applied.sequence);
    }

    /// Changes what the operator sees.
    pub(super) fn note(&self, change: impl FnOnce(&mut ClusterStatus)) {
        change(&mut self.status.lock());
    }

    /// Has the driver end once it has done what is at the desk.
    pub(super) fn close(&self) {
        self.desk.lock().is_closing = true;
        self.note(|status| status.phase = Phase::Closing);
        self.wake.notify_one();
    }

    /// Answers all callers: nothing is taken or folded any more. What is not known to be unsent may be folded
    /// by other nodes.
    pub(super) fn end(&self, why: Arc<str>) {
        let (replies, barriers) = self.desk(|desk| {
            desk.sender = None;
            desk.refusal = why;
            (
                std::mem::take(&mut desk.replies),
                std::mem::take(&mut desk.barriers),
            )
        });
        for (_, reply) in replies {
            // The caller may be gone.
            let _ = reply.send(Err(unknown()));
        }
        for barrier in barriers {
            let _ = barrier.send(Err(ended()));
        }
        self.note(|status| status.phase = Phase::Stopped);
    }

    /// The same for good: an operator has to act.
    pub(super) fn stop(&self, stop: Stop) {
        self.end(Arc::clone(&stop.why));
        self.note(|status| status.trouble = Some(stop.why.to_string()));
        self.stopped.send_replace(Some(stop));
    }

    /// Answers once the node has stopped for good.
    pub(super) fn stopped(&self) -> BoxFuture<'static, Stop> {
        let mut stopped = self.stopped.subscribe();
        async move {
            let stop = stopped.wait_for(Option::is_some).await;
            match stop.ok().and_then(|stop| stop.clone()) {
                Some(stop) => stop,
                // The log is dropped without a fault.
                None => std::future::pending().await,
            }
        }
        .boxed()
    }
}

impl Desk {
    fn push(&mut self, now: Timestamp, command: Command, reply: Reply) {
        let refusal = match &mut self.sender {
            Some(_) if self.is_closing => "the node ends".into(),
            Some(sender) => {
                let ticket = Ticket(self.next);
                self.next += 1;
                match sender.push(now, ticket, command) {
                    Ok(()) => {
                        self.replies.insert(ticket, reply);
                        return;
                    }
                    Err(_) => "too many commands are waiting".into(),
                }
            }
            None => Arc::clone(&self.refusal),
        };
        let _ = reply.send(Err(LogError::Unavailable(refusal)));
    }

    /// Answers what the sender settled. Returns whether another process has this node's name.
    pub(super) fn settle(&mut self) -> bool {
        let mut is_fenced = false;
        while let Some(event) = self.sender.as_mut().and_then(Sender::poll_event) {
            match event {
                Event::Ready => self.is_live = true,
                Event::Folded { ticket, result } => {
                    self.answer(ticket, result.map_err(LogError::from));
                }
                Event::NotSent { ticket } => self.answer(ticket, Err(not_sent())),
                Event::Fenced => is_fenced = true,
            }
        }
        is_fenced
    }

    /// How many commands wait to be sent, how many were sent and are not folded, and whether the node takes any.
    pub(super) fn counts(&self) -> (usize, usize, bool) {
        let waiting = self.sender.as_ref().map_or(0, Sender::queued_commands);
        let in_flight = self.replies.len().saturating_sub(waiting);
        (waiting, in_flight, self.is_live)
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.sender.as_ref().is_none_or(Sender::is_idle)
    }

    fn answer(&mut self, ticket: Ticket, outcome: Result<Outcome, LogError>) {
        if let Some(reply) = self.replies.remove(&ticket) {
            // What was done stays done, also where the caller is gone.
            let _ = reply.send(outcome);
        }
    }
}

fn not_sent() -> LogError {
    LogError::Unavailable("the engine took nothing in time".into())
}

fn unknown() -> LogError {
    LogError::Unknown("the node ended before it saw what it had sent".into())
}

fn ended() -> LogError {
    LogError::Unavailable("the node has ended".into())
}
