//! The notifier: notifies the observer of commits, and gives the answers.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use everbeat_log::fold::Changes;

use super::batch::Committed;
use crate::log::{self, Observer};
use crate::supervise::reason;

/// The most committed batches that wait for the thread. With one more the writer waits: that is the back-pressure
/// of readers on writers. A larger queue would only delay answers.
const BATCHES_MAX: usize = 2;

/// The most readers that the writer wakes itself: 0.1 to 0.3 ms, less than a sync takes. Encoding the messages takes
/// some 2 % to 10 % of their commit, however many there are; only readers can be many more. On another thread both cost
/// 5 % of the CPU of all publishes, in switches and in memory that is freed far from where it came from.
const WAKES_MAX: usize = 256;

/// Notifies the observer of committed batches, then answers them, in the order of their commits. What takes long is
/// done on a thread of its own, while the writer commits the next batch: a large room's readers take as long to wake
/// as a commit does.
pub(super) struct Notifier {
    /// `None` once it has ended.
    batches: Option<SyncSender<Committed>>,
    /// How many batches the thread has still to do.
    pending: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
    /// Also held so that the writer's thread drops it last: an observer may own the log, and a log that is dropped
    /// waits for every thread but its own.
    observer: Arc<dyn Observer>,
}

impl Notifier {
    /// Starts the thread.
    pub(super) fn start(observer: Arc<dyn Observer>) -> io::Result<Self> {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        let pending = Arc::<AtomicUsize>::default();
        let thread = {
            let (observer, pending) = (Arc::clone(&observer), Arc::clone(&pending));
            thread::Builder::new()
                .name("log-notifier".to_owned())
                .spawn(move || run(&batches, observer, &pending))?
        };
        Ok(Self {
            batches: Some(sender),
            pending,
            thread: Some(thread),
            observer,
        })
    }

    /// Notifies and answers a short batch at once, unless earlier ones are still to be done; leaves the others to the
    /// thread. Waits while [`BATCHES_MAX`] wait there.
    pub(super) fn notify(&self, committed: Committed) {
        if self.pending.load(Ordering::Acquire) == 0 && is_short(&committed, self.observer.as_ref())
        {
            deliver(committed, self.observer.as_ref());
        } else if let Some(batches) = &self.batches {
            self.pending.fetch_add(1, Ordering::Relaxed);
            // The thread lives until this is dropped: it survives a panic, so it never refuses a batch.
            drop(batches.send(committed));
        }
    }
}

impl Drop for Notifier {
    /// Waits until the observer was notified of every batch, and every operation has its answer.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Whether notifying takes less time than a commit does.
fn is_short(committed: &Committed, observer: &dyn Observer) -> bool {
    // A redaction wakes the readers of its room, however many these are.
    let Changes {
        messages, redacted, ..
    } = &committed.changes;
    redacted.is_empty() && observer.wakes(messages) <= WAKES_MAX
}

fn run(batches: &Receiver<Committed>, observer: Arc<dyn Observer>, pending: &AtomicUsize) {
    for committed in batches {
        deliver(committed, observer.as_ref());
        // Pairs with the writer's look: what the thread did for a room comes before what the writer does next.
        pending.fetch_sub(1, Ordering::Release);
    }
}

/// Notifies, then answers.
fn deliver(committed: Committed, observer: &dyn Observer) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| notify(&committed, observer))) {
        let panic = reason(panic.as_ref());
        tracing::error!(
            panic,
            "telling what the log committed panicked: this is a bug; the log goes on"
        );
    }
    // Also after the observer panicked: what was committed is durable, whatever became of its readers.
    for operation in committed.operations {
        operation.answer(committed.failure.as_ref());
    }
}

fn notify(committed: &Committed, observer: &dyn Observer) {
    log::notify(&committed.changes, observer);
    if committed.failure.is_none() && !committed.operations.is_empty() {
        observer.synced(committed.operations.len(), committed.took);
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use protocol::frame::Message;
    use protocol::id::{Name, RoomName, Seq, SessionId};
    use protocol::position::Offset;

    use everbeat_log::command::Outcome;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::log::LogError;
    use crate::log::sqlite::queue::{Effect, Operation, Work};
    use crate::log::sqlite::state::Chain;
    use tokio::sync::oneshot;

    /// An observer with as many readers as the first message says. For a large room it waits in each call until the
    /// test releases it; it panics at the message that says so.
    struct Slow(Mutex<Receiver<()>>);

    impl Observer for Slow {
        fn wakes(&self, messages: &[Message]) -> usize {
            messages[0].body.parse().unwrap_or(WAKES_MAX + 1)
        }

        fn committed(&self, messages: &[Message]) {
            if self.wakes(messages) > WAKES_MAX {
                self.0.lock().recv().unwrap_or_default();
            }
            assert!(messages[0].body != "panic", "a panic for a test");
        }

        fn redacted(&self, _: &Message) {}

        fn trimmed(&self, _: &RoomName, _: Offset) {}
    }

    fn slow() -> (Notifier, Sender<()>) {
        let (go_on, gate) = channel();
        let notifier = Notifier::start(Arc::new(Slow(Mutex::new(gate)))).unwrap();
        (notifier, go_on)
    }

    type Answered = oneshot::Receiver<Result<Effect, LogError>>;

    /// A batch of one message, and where its answer comes.
    fn batch(number: u64, body: &str) -> (Committed, Answered) {
        let offset = Offset::new(number).unwrap();
        let message = Message {
            room: RoomName::lobby(),
            offset,
            session: SessionId::new("ada").unwrap(),
            seq: Seq::new(number).unwrap(),
            name: Name::tidy("Ada"),
            at_ms: 1,
            body: body.into(),
            removed: false,
        };
        let (mut operation, answer) = Operation::new(None, Work::Probe);
        operation.perform(|_| Ok(Effect::Outcome(Outcome::Appended(offset))));
        let committed = Committed {
            changes: Changes {
                messages: vec![message],
                ..Changes::default()
            },
            folded: None,
            chain: Chain::default(),
            operations: vec![operation],
            failure: None,
            took: Duration::ZERO,
        };
        (committed, answer)
    }

    /// Notifies of a batch of one message.
    fn notify(notifier: &Notifier, number: u64, body: &str) -> Answered {
        let (committed, answer) = batch(number, body);
        notifier.notify(committed);
        answer
    }

    /// Waits for an answer, and returns the number of the message.
    fn answered(answer: Answered) -> u64 {
        match answer.blocking_recv().unwrap() {
            Ok(Effect::Outcome(Outcome::Appended(offset))) => offset.get(),
            other => panic!("{other:?}"),
        }
    }

    /// The writer goes on while readers are woken, and each batch is answered after they were.
    #[test]
    fn the_writer_does_not_wait_for_readers() {
        let (notifier, go_on) = slow();
        let mut first = notify(&notifier, 1, "a");
        let second = notify(&notifier, 2, "b");
        assert!(first.try_recv().is_err(), "answered too early");
        go_on.send(()).unwrap();
        assert_eq!(answered(first), 1);
        go_on.send(()).unwrap();
        assert_eq!(answered(second), 2);
    }

    /// A small room's readers are woken before the writer goes on, but not before those of an earlier batch.
    #[test]
    fn few_readers_are_woken_at_once_and_in_order() {
        let (notifier, go_on) = slow();
        let mut first = notify(&notifier, 1, "256");
        assert!(first.try_recv().is_ok());
        let second = notify(&notifier, 2, "257");
        let mut third = notify(&notifier, 3, "256");
        assert!(third.try_recv().is_err(), "overtook an earlier batch");
        go_on.send(()).unwrap();
        assert_eq!((answered(second), answered(third)), (2, 3));
    }

    /// A panic of the observer costs no answer, and the observer is notified of the next batch as before.
    #[test]
    fn a_panic_costs_no_answer() {
        let (notifier, go_on) = slow();
        let first = notify(&notifier, 1, "panic");
        let second = notify(&notifier, 2, "b");
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        assert_eq!((answered(first), answered(second)), (1, 2));
    }

    /// Every committed batch is answered before the notifier ends.
    #[test]
    fn the_end_answers_what_waits() {
        let (notifier, go_on) = slow();
        let answers = [notify(&notifier, 1, "a"), notify(&notifier, 2, "b")];
        drop(go_on);
        drop(notifier);
        for mut answer in answers {
            assert!(answer.try_recv().is_ok());
        }
    }
}
