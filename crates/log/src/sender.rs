//! The sender: brings one node's commands into the order of all nodes, each exactly once.
//!
//! It gathers commands into packs, and sends the same bytes of a pack again until the node's own fold has met it. What
//! the engine says of a publish is only a hint: an error does not tell whether the pack was stored.
//!
//! Facts go in through [`Sender::stored`], [`Sender::failed`], [`Sender::folded`] and [`Sender::handle_timeout`],
//! commands through [`Sender::push`]. After each of them the driver drains [`Sender::poll_transmit`] and
//! [`Sender::poll_event`], and arms its timer with [`Sender::poll_timeout`]. A pack is filled when it is polled for, so a
//! driver pushes all that it has before it drains.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use protocol::backoff::Backoff;
use protocol::id::NodeName;
use protocol::time::{Latest, Timestamp};
use thiserror::Error;

use crate::command::{Command, CommandError, Outcome, Settings};
use crate::order::Verdict;
use crate::pack::{Life, PACK_BYTES, PACK_COMMANDS, Pack, PackId, size_of_command};

/// The first delay, at most, after a publish that failed.
const RETRY_BASE: Duration = Duration::from_millis(100);

/// The longest delay after a publish that failed: elections take 4 to 9 s, so a few attempts meet one.
const RETRY_CAP: Duration = Duration::from_secs(2);

/// How long after a publish without any answer the pack is sent again: a publish under load takes tens of
/// milliseconds, and each repeat is stored by all.
const SILENCE: Duration = Duration::from_secs(2);

/// How long after a publish that was stored the pack is sent again: the node's fold may be behind, and only a stream
/// that lost its tail needs the repeat.
const STORED_SILENCE: Duration = Duration::from_secs(10);

/// The settings of a [`Sender`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub node: NodeName,
    /// This process's life: [`Life::after`] the last one of that name in the store, when it is caught up.
    pub life: Life,
    /// What the life's first pack sets.
    pub settings: Settings,
    /// The Unix time in milliseconds at the driver's origin of time.
    pub origin_ms: u64,
    /// The seed of the jitter.
    pub seed: u64,
    /// The most packs in flight, at least 1. More than 1 brought no more throughput when it was measured.
    pub in_flight: usize,
    /// How long a command waits to be sent: shorter than a request waits for the log.
    pub patience: Duration,
    /// The most bytes of commands that wait to be sent: 16 packs.
    pub queue_bytes: usize,
    /// The most commands that wait to be sent.
    pub queue_commands: usize,
}

impl Config {
    /// The defaults.
    pub const fn new(
        node: NodeName,
        life: Life,
        settings: Settings,
        origin_ms: u64,
        seed: u64,
    ) -> Self {
        Self {
            node,
            life,
            settings,
            origin_ms,
            seed,
            in_flight: 1,
            patience: Duration::from_secs(2),
            queue_bytes: 16 * PACK_BYTES,
            queue_commands: 16_384,
        }
    }
}

/// What the driver knows a command by. The driver chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// I/O to perform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Publish a pack; report [`Sender::stored`] or [`Sender::failed`].
    Publish {
        /// The pack's number.
        number: u64,
        /// The encoded pack: the same bytes at every attempt.
        pack: Arc<[u8]>,
    },
}

/// A report to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The life's first pack was folded: this node is part of the order.
    Ready,
    /// A command was folded.
    Folded {
        /// Which one.
        ticket: Ticket,
        /// What became of it.
        result: Result<Outcome, CommandError>,
    },
    /// A command will never be folded: it waited for longer than [`Config::patience`], or this life is fenced. Its
    /// number is not used.
    NotSent {
        /// Which one.
        ticket: Ticket,
    },
    /// A later life of this node's name was folded: two processes have one name, or this one was given up. The process
    /// must stop; all commands that were not folded are answered [`Event::NotSent`].
    Fenced,
}

/// Why a command was not queued. It will never be folded, and its number is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotQueued {
    /// The queue is full, in bytes or in commands.
    #[error("too many commands wait to be sent")]
    QueueFull,
    /// The command fits into no pack.
    #[error("the command is too large for a pack")]
    TooLarge,
    /// A later life of this node's name was folded.
    #[error("another process has this node's name")]
    Fenced,
}

/// The machine; see the module.
#[derive(Debug)]
pub struct Sender {
    config: Config,
    /// The bytes of a pack without commands, at most.
    envelope: usize,
    latest: Latest,
    rng: Rng,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    flying: VecDeque<Flying>,
    /// The number of the next pack that is made.
    next_number: u64,
    /// How many packs were sent, repeats included.
    sent: u64,
    events: VecDeque<Event>,
    is_fenced: bool,
}

#[derive(Debug)]
struct Queued {
    ticket: Ticket,
    command: Command,
    bytes: usize,
    since: Timestamp,
}

/// A pack that was made, and not yet folded.
#[derive(Debug)]
struct Flying {
    number: u64,
    pack: Arc<[u8]>,
    /// Whose commands it holds, in order; `None` for the settings.
    tickets: Vec<Option<Ticket>>,
    /// When it is sent next.
    due: Timestamp,
    /// The count of [`Sender::sent`] when it was sent last.
    sent: u64,
    backoff: Backoff,
}

impl Sender {
    /// A sender at the start of a life. Its first pack is ready at once.
    pub fn new(config: Config, now: Timestamp) -> Self {
        let empty = Pack {
            node: config.node.clone(),
            life: config.life.clone(),
            number: u64::MAX,
            at_ms: u64::MAX,
            commands: Vec::new(),
        };
        Self {
            rng: Rng::with_seed(config.seed),
            // A name and four numbers can be encoded; were they not, nothing would fit.
            envelope: empty.encode().map_or(PACK_BYTES, |bytes| bytes.len()),
            config,
            latest: Latest::new(now),
            queue: VecDeque::new(),
            queued_bytes: 0,
            flying: VecDeque::new(),
            next_number: 1,
            sent: 0,
            events: VecDeque::new(),
            is_fenced: false,
        }
    }

    /// Takes a command. Its ticket comes back in [`Event::Folded`] or [`Event::NotSent`], once.
    ///
    /// # Errors
    /// [`NotQueued`]; then no event has its ticket.
    pub fn push(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        command: Command,
    ) -> Result<(), NotQueued> {
        self.advance(now);
        if self.is_fenced {
            return Err(NotQueued::Fenced);
        }
        let bytes = size_of_command(&command);
        if self.envelope.saturating_add(bytes) > PACK_BYTES {
            return Err(NotQueued::TooLarge);
        }
        let queued_bytes = self.queued_bytes.saturating_add(bytes);
        let is_full = self.queue.len() >= self.config.queue_commands;
        if is_full || queued_bytes > self.config.queue_bytes {
            return Err(NotQueued::QueueFull);
        }
        self.queued_bytes = queued_bytes;
        self.queue.push_back(Queued {
            ticket,
            command,
            bytes,
            since: self.latest.get(),
        });
        Ok(())
    }

    /// The engine says that it stored a pack: a hint that the fold will meet it.
    pub fn stored(&mut self, now: Timestamp, number: u64) {
        self.advance(now);
        let due = self.latest.get() + STORED_SILENCE;
        if let Some(flying) = self.find(number) {
            flying.due = due;
        }
    }

    /// A publish failed. That does not tell whether the pack was stored.
    pub fn failed(&mut self, now: Timestamp, number: u64) {
        self.advance(now);
        self.back_off(number);
    }

    /// The node's fold met a pack. The driver reports every pack of every node.
    pub fn folded(&mut self, now: Timestamp, id: &PackId, verdict: Verdict) {
        self.advance(now);
        if id.node != self.config.node {
            return;
        }
        if id.life != self.config.life {
            // A pack of a later life that is not its first, say, has not fenced this one yet.
            if id.life > self.config.life && matches!(verdict, Verdict::Applied(_)) {
                self.fence();
            }
            return;
        }
        match verdict {
            Verdict::Applied(results) => self.applied(id.number, results),
            // The engine stored it twice.
            Verdict::Repeat => {}
            Verdict::Gap => self.go_back(id.number),
            Verdict::Fenced => self.fence(),
        }
    }

    /// The connection to the engine is back: what waits for its next attempt is sent at once.
    pub fn reconnected(&mut self, now: Timestamp) {
        self.advance(now);
        let now = self.latest.get();
        for flying in &mut self.flying {
            flying.backoff.reset();
            flying.due = now;
        }
    }

    /// Notes the time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }

    /// The next I/O to perform.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.is_fenced {
            return None;
        }
        self.fill();
        let now = self.latest.get();
        let flying = self.flying.iter_mut().find(|flying| flying.due <= now)?;
        self.sent = self.sent.saturating_add(1);
        flying.sent = self.sent;
        flying.due = now + SILENCE;
        Some(Transmit::Publish {
            number: flying.number,
            pack: flying.pack.clone(),
        })
    }

    /// The next report.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let patience = self.queue.front().map(|first| self.gives_up(first));
        let due = self.flying.iter().map(|flying| flying.due);
        due.chain(patience).min()
    }

    /// Whether no command waits for its fold.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.flying.is_empty()
    }

    /// How many commands wait to be sent.
    pub fn queued_commands(&self) -> usize {
        self.queue.len()
    }

    /// How many bytes of commands wait to be sent.
    pub const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    fn gives_up(&self, queued: &Queued) -> Timestamp {
        queued.since + self.config.patience
    }

    fn advance(&mut self, now: Timestamp) {
        let now = self.latest.advance(now);
        while let Some(first) = self.queue.front()
            && self.gives_up(first) <= now
            && let Some(first) = self.dequeue()
        {
            let ticket = first.ticket;
            self.events.push_back(Event::NotSent { ticket });
        }
    }

    fn dequeue(&mut self) -> Option<Queued> {
        let first = self.queue.pop_front()?;
        self.queued_bytes = self.queued_bytes.saturating_sub(first.bytes);
        Some(first)
    }

    fn find(&mut self, number: u64) -> Option<&mut Flying> {
        self.flying
            .iter_mut()
            .find(|flying| flying.number == number)
    }

    /// Makes packs of what waits, as far as they may be in flight.
    fn fill(&mut self) {
        while self.flying.len() < self.config.in_flight.max(1)
            && (self.next_number == 1 || !self.queue.is_empty())
        {
            self.make_pack();
        }
    }

    fn make_pack(&mut self) {
        let (mut commands, mut tickets) = (Vec::new(), Vec::new());
        let mut bytes = self.envelope;
        if self.next_number == 1 {
            let settings = Command::Settings(self.config.settings.clone());
            bytes = bytes.saturating_add(size_of_command(&settings));
            commands.push(settings);
            tickets.push(None);
        }
        while let Some(first) = self.queue.front()
            && bytes.saturating_add(first.bytes) <= PACK_BYTES
            && commands.len() < PACK_COMMANDS
            && let Some(first) = self.dequeue()
        {
            bytes = bytes.saturating_add(first.bytes);
            commands.push(first.command);
            tickets.push(Some(first.ticket));
        }
        let now = self.latest.get();
        let since_origin = u64::try_from(now.since_origin().as_millis()).unwrap_or(u64::MAX);
        let pack = Pack {
            node: self.config.node.clone(),
            life: self.config.life.clone(),
            number: self.next_number,
            at_ms: self.config.origin_ms.saturating_add(since_origin),
            commands,
        };
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        match pack.encode() {
            Ok(pack) => self.flying.push_back(Flying {
                number,
                pack: pack.into(),
                tickets,
                due: now,
                sent: 0,
                backoff: Backoff::new(RETRY_BASE, RETRY_CAP),
            }),
            // Its size was counted, so this cannot be. No number may be left out: the life is over.
            Err(_) => {
                self.give_up(tickets);
                self.fence();
            }
        }
    }

    fn back_off(&mut self, number: u64) {
        let now = self.latest.get();
        let index = self
            .flying
            .iter()
            .position(|flying| flying.number == number);
        if let Some(flying) = index.and_then(|index| self.flying.get_mut(index)) {
            flying.due = now + flying.backoff.next(&mut self.rng);
        }
    }

    fn applied(&mut self, number: u64, results: Vec<Result<Outcome, CommandError>>) {
        let first = self.flying.front().map(|flying| flying.number);
        if first != Some(number) {
            return;
        }
        let tickets = self.flying.pop_front().map(|flying| flying.tickets);
        for (ticket, result) in tickets.unwrap_or_default().into_iter().zip(results) {
            if let Some(ticket) = ticket {
                self.events.push_back(Event::Folded { ticket, result });
            } else {
                self.events.push_back(Event::Ready);
            }
        }
    }

    /// A pack was stored before an earlier one: sends both again, the earlier one only if that has not happened since.
    fn go_back(&mut self, number: u64) {
        let now = self.latest.get();
        let Some((first, first_sent)) = self.flying.front().map(|first| (first.number, first.sent))
        else {
            return;
        };
        if first >= number {
            // A copy that was stored before the earlier pack was applied: this one is on its way.
            return self.back_off(number);
        }
        let Some(late) = self.find(number) else {
            return;
        };
        late.due = now;
        let is_missing = first_sent < late.sent;
        if is_missing && let Some(first) = self.flying.front_mut() {
            first.due = now;
        }
    }

    fn fence(&mut self) {
        if self.is_fenced {
            return;
        }
        self.is_fenced = true;
        for flying in std::mem::take(&mut self.flying) {
            self.give_up(flying.tickets);
        }
        while let Some(first) = self.dequeue() {
            self.give_up(vec![Some(first.ticket)]);
        }
        self.events.push_back(Event::Fenced);
    }

    fn give_up(&mut self, tickets: Vec<Option<Ticket>>) {
        let tickets = tickets.into_iter().flatten();
        let events = tickets.map(|ticket| Event::NotSent { ticket });
        self.events.extend(events);
    }
}

#[cfg(test)]
mod tests;
