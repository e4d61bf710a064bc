//! The thread that tells what the writer committed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::batch::Committed;
use crate::log::Observer;
use crate::supervise::reason;

/// The most committed batches that wait to be told. One more has the writer wait: that is the back-pressure of
/// readers on writers. More would only let answers grow old in memory.
const BATCHES_MAX: usize = 2;

/// How long the writer waits for a batch to be told before it goes on. In most rooms that is over sooner, and what
/// came meanwhile is one batch instead of two: to go on at once cost 5 % of all publishes.
const GRACE: Duration = Duration::from_micros(500);

/// Tells the observer of committed batches, then answers them, in the order of their commits. Waking readers and
/// encoding frames takes as long as a commit does in a large room: the writer commits the next batch meanwhile.
pub(super) struct Notifier {
    /// `None` once it is ended.
    batches: Option<SyncSender<Committed>>,
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
    /// Held so that the writer's thread drops it last: an observer may own the log, and a log that is dropped
    /// waits for every thread but its own.
    _observer: Arc<dyn Observer>,
}

impl Notifier {
    /// Starts the thread.
    pub(super) fn start(observer: Arc<dyn Observer>) -> io::Result<Self> {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        let told = Arc::clone(&observer);
        let waiting = Arc::<Waiting>::default();
        let counted = Arc::clone(&waiting);
        let thread = thread::Builder::new()
            .name("log-notifier".to_owned())
            .spawn(move || run(&batches, told, &counted))?;
        Ok(Self {
            batches: Some(sender),
            waiting,
            thread: Some(thread),
            _observer: observer,
        })
    }

    /// Takes a batch over. Waits until it is told, but no longer than [`GRACE`]; and while [`BATCHES_MAX`] others
    /// wait.
    pub(super) fn notify(&self, committed: Committed) {
        self.waiting.begin();
        // The thread lives until this is dropped: it survives a panic, so the batch is never refused.
        if let Some(batches) = &self.batches {
            drop(batches.send(committed));
        }
        self.waiting.end_within(GRACE);
    }
}

impl Drop for Notifier {
    /// Waits until the observer has every batch, and each operation its answer.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// How many batches are not told and answered yet.
#[derive(Default)]
struct Waiting {
    batches: Mutex<usize>,
    none_left: Condvar,
}

impl Waiting {
    fn begin(&self) {
        *self.batches.lock() += 1;
    }

    fn ended(&self) {
        let mut batches = self.batches.lock();
        *batches -= 1;
        if *batches == 0 {
            self.none_left.notify_one();
        }
    }

    /// Waits until none is left, or for so long.
    fn end_within(&self, patience: Duration) {
        let mut batches = self.batches.lock();
        let until = Instant::now() + patience;
        while *batches > 0 && !self.none_left.wait_until(&mut batches, until).timed_out() {}
    }
}

fn run(batches: &Receiver<Committed>, observer: Arc<dyn Observer>, waiting: &Waiting) {
    for committed in batches {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(&committed, observer.as_ref()))) {
            let panic = reason(panic.as_ref());
            tracing::error!(
                panic,
                "telling what the log committed panicked: this is a bug; the log goes on"
            );
        }
        // Also after a panic: what was committed is durable, whatever became of its readers.
        for answer in committed.answers {
            answer(committed.failure.clone());
        }
        waiting.ended();
    }
}

fn tell(committed: &Committed, observer: &dyn Observer) {
    if !committed.messages.is_empty() {
        observer.committed(&committed.messages);
    }
    for message in &committed.removed {
        observer.removed(message);
    }
    for (room, through) in &committed.trimmed {
        observer.trimmed(room, *through);
    }
    if committed.failure.is_none() && !committed.answers.is_empty() {
        observer.synced(committed.answers.len(), committed.took);
    }
}

#[cfg(test)]
mod tests {
    use protocol::frame::Message;
    use protocol::id::{Name, RoomName, Seq, SessionId};
    use protocol::position::Offset;
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::log::sqlite::state::Chain;

    /// Waits in each call until the test lets it go on; panics at the message that says so.
    struct Slow(Mutex<Receiver<()>>);

    impl Observer for Slow {
        fn committed(&self, messages: &[Message]) {
            self.0.lock().recv().unwrap_or_default();
            assert!(messages[0].body != "panic", "a panic for a test");
        }

        fn removed(&self, _: &Message) {}

        fn trimmed(&self, _: &RoomName, _: Offset) {}
    }

    fn slow() -> (Notifier, Sender<()>) {
        let (go_on, gate) = channel();
        let notifier = Notifier::start(Arc::new(Slow(Mutex::new(gate)))).unwrap();
        (notifier, go_on)
    }

    /// A batch of one message, whose answer says its number.
    fn batch(number: u64, body: &str, answers: &Sender<u64>) -> Committed {
        let answers = answers.clone();
        let message = Message {
            room: RoomName::lobby(),
            offset: Offset::new(number).unwrap(),
            session: SessionId::new("ada").unwrap(),
            seq: Seq::new(number).unwrap(),
            name: Name::tidy("Ada"),
            at_ms: 1,
            body: body.into(),
            removed: false,
        };
        Committed {
            messages: vec![message],
            removed: Vec::new(),
            trimmed: Vec::new(),
            chain: Chain::default(),
            answers: vec![Box::new(move |_| answers.send(number).unwrap())],
            failure: None,
            took: Duration::ZERO,
        }
    }

    /// The writer goes on while readers are woken, and each batch is answered after they were.
    #[test]
    fn the_writer_does_not_wait_for_readers() {
        let (notifier, go_on) = slow();
        let (sender, answers) = channel();
        notifier.notify(batch(1, "a", &sender));
        notifier.notify(batch(2, "b", &sender));
        assert!(answers.try_recv().is_err(), "answered before it was told");
        go_on.send(()).unwrap();
        assert_eq!(answers.recv(), Ok(1));
        go_on.send(()).unwrap();
        assert_eq!(answers.recv(), Ok(2));
    }

    /// A panic of the observer costs no answer, and the observer gets the next batch as before.
    #[test]
    fn a_panic_costs_no_answer() {
        let (notifier, go_on) = slow();
        let (sender, answers) = channel();
        notifier.notify(batch(1, "panic", &sender));
        notifier.notify(batch(2, "b", &sender));
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        assert_eq!((answers.recv(), answers.recv()), (Ok(1), Ok(2)));
    }

    /// Nothing that was committed goes unanswered at the end.
    #[test]
    fn the_end_answers_what_waits() {
        let (notifier, go_on) = slow();
        let (sender, answers) = channel();
        notifier.notify(batch(1, "a", &sender));
        notifier.notify(batch(2, "b", &sender));
        drop(go_on);
        drop(notifier);
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [1, 2]);
    }
}
