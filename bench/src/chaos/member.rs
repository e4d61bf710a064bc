//! One client of the crowd: publishes, and keeps an account of all that it receives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use everbeat_client::{Client, Config, Event, Fate, MemoryStorage, Options, Status};
use fastrand::Rng;
use protocol::frame::Message;
use protocol::id::RoomName;
use protocol::outbox::{Entry, EntryId, Stage};
use protocol::position::{Offset, Position};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as Moment, sleep_until};

use super::mark::Mark;
use crate::session::Entrance;

/// The time that a client stays after it has every message: a doubled one may come late.
const LINGER: Duration = Duration::from_secs(1);

/// The phase of a scenario, for all clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All clients join; none publishes yet, so that each gets the logs from their beginning.
    Gather,
    /// The writers publish.
    Load,
    /// No client publishes any more; the outboxes get empty.
    Settle,
    /// Each client waits for the rest of its rooms, up to these offsets, and ends.
    Collect(BTreeMap<RoomName, Offset>),
    /// Clients that have not ended give up.
    GiveUp,
}

/// Progress of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has joined all of its rooms.
    Joined,
    /// Its outbox is empty and it is live, after the load.
    Settled,
}

/// The plan of one client.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The client's number.
    pub number: u32,
    /// Its rooms; it publishes into each of them.
    pub rooms: Vec<RoomName>,
    /// The mean time between two of its messages; `None`: it only reads.
    pub pace: Option<Duration>,
    /// The mean time between two reloads of its page; `None`: never.
    pub reload: Option<Duration>,
    /// The number of the crowd's live clients.
    pub live: watch::Sender<u32>,
}

/// A message that was published, and its reported fates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The mark of its text.
    pub mark: Mark,
    /// Its room.
    pub room: RoomName,
    /// When it was published.
    pub at: Instant,
    /// All final fates that were reported: exactly one, if all is well.
    pub told: Vec<Told>,
}

impl Published {
    /// A message that is published now.
    pub fn new(mark: Mark, room: RoomName) -> Self {
        Self {
            mark,
            room,
            at: Instant::now(),
            told: Vec::new(),
        }
    }
}

/// The final fate of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// In the log, at this offset if the server named one.
    Durable(Option<Offset>),
    /// Refused for good.
    Refused,
    /// The session was lost.
    Uncertain,
}

/// A message that was received, as far as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its offset.
    pub offset: u64,
    /// The mark of its text; `None` for one that no client of the crowd published.
    pub mark: Option<Mark>,
}

/// A time without a live connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the client noticed.
    pub from: Instant,
    /// When it was live again; `None` while it is not.
    pub until: Option<Instant>,
}

impl Outage {
    /// Its length, so far if it goes on.
    pub fn lasted(&self) -> Duration {
        let until = self.until.unwrap_or_else(Instant::now);
        until.duration_since(self.from)
    }
}

/// The account of one client: what it published and received.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The client's number.
    pub number: u32,
    /// Its messages, in the order of their numbers.
    pub published: Vec<Published>,
    /// What it received, room by room, in the order of arrival.
    pub received: BTreeMap<RoomName, Vec<Received>>,
    /// The number of reported gaps, of which there must be none.
    pub gaps: u64,
    /// When it was not live.
    pub outages: Vec<Outage>,
    /// Why it did not finish; `None` if it did.
    pub unsettled: Option<String>,
    /// Connections that it opened or tried to open.
    pub connections: u64,
    /// Messages refused for now.
    pub held: u64,
    /// When its acks came.
    pub acks: Vec<Ack>,
}

impl Account {
    /// Notes the fate of one of its messages, and when it was told.
    pub fn note(&mut self, index: usize, told: Told) {
        let Some(published) = self.published.get_mut(index) else {
            return;
        };
        published.told.push(told);
        if matches!(told, Told::Durable(_)) {
            self.acks.push(Ack {
                published: published.at,
                at: Instant::now(),
            });
        }
    }
}

/// The ack of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// When the message was published.
    pub published: Instant,
    /// When its ack came.
    pub at: Instant,
}

/// A running client.
struct Member {
    entrance: Entrance,
    config: Config,
    client: Client,
    storage: MemoryStorage,
    plan: Plan,
    rng: Rng,
    account: Account,
    /// The message of each of the machine's ids, as its place in the account.
    names: BTreeMap<EntryId, usize>,
    absent: BTreeSet<RoomName>,
    progress: mpsc::Sender<Progress>,
    is_live: bool,
    has_joined: bool,
    has_settled: bool,
}

/// Runs one client from its connection to the end of the last phase.
pub async fn run(
    entrance: Entrance,
    config: Config,
    plan: Plan,
    mut phase: watch::Receiver<Phase>,
    progress: mpsc::Sender<Progress>,
) -> anyhow::Result<Account> {
    let storage = MemoryStorage::default();
    let mut member = Member {
        account: Account {
            number: plan.number,
            received: plan.rooms.iter().map(|r| (r.clone(), Vec::new())).collect(),
            ..Account::default()
        },
        names: BTreeMap::new(),
        absent: plan.rooms.iter().cloned().collect(),
        rng: Rng::with_seed(config.seed),
        is_live: false,
        has_joined: false,
        has_settled: false,
        client: begin(&entrance, config, &storage)?,
        storage,
        entrance,
        config,
        plan,
        progress,
    };
    member.enter(&BTreeMap::new());
    let (mut publish_at, mut reload_at) = (None, None);
    let mut complete_since = None;
    loop {
        let now = phase.borrow_and_update().clone();
        if now == Phase::GiveUp || member.is_complete(&now, &mut complete_since) {
            return Ok(member.end());
        }
        if now == Phase::Load && publish_at.is_none() {
            publish_at = member.draw(member.plan.pace);
            reload_at = reload_at.or_else(|| member.draw(member.plan.reload));
        }
        let is_load = now == Phase::Load;
        let lingering = complete_since.map(|since: Instant| since + LINGER);
        tokio::select! {
            Some(event) = member.client.next() => member.take(event).await,
            () = until(publish_at), if is_load => {
                member.publish();
                publish_at = None;
            }
            () = until(reload_at), if is_load => {
                member.reload().await?;
                reload_at = None;
            }
            () = until(lingering) => {}
            _ = phase.changed() => {}
        }
        member.settle(&now).await;
    }
}

impl Member {
    fn enter(&mut self, known: &BTreeMap<RoomName, Position>) {
        for room in &self.plan.rooms {
            self.client.join(room.clone(), known.get(room).cloned());
        }
    }

    fn draw(&mut self, mean: Option<Duration>) -> Option<Instant> {
        Some(Instant::now() + mean?.mul_f64(0.5 + self.rng.f64()))
    }

    /// Reloads the page, as a browser does: the next one has the storage and the shown messages (EO-4, RS-7).
    async fn reload(&mut self) -> anyhow::Result<()> {
        while let Some(event) = self.client.try_next() {
            self.take(event).await;
        }
        let client = &self.client;
        let position = |room: &RoomName| Some((room.clone(), client.position(room)?.clone()));
        let known: BTreeMap<RoomName, Position> =
            self.plan.rooms.iter().filter_map(position).collect();
        self.count();
        let stored = self.storage.stored();
        // Ids belong to one page: the stored texts identify the messages.
        self.names = stored
            .outbox
            .iter()
            .filter_map(|entry| {
                let is_this = |published: &Published| published.mark.body() == entry.body;
                let index = self.account.published.iter().rposition(is_this)?;
                Some((entry.id, index))
            })
            .collect();
        self.config.seed = self.rng.u64(..);
        self.storage = stored.into();
        self.client = begin(&self.entrance, self.config, &self.storage)?;
        self.enter(&known);
        Ok(())
    }

    fn publish(&mut self) {
        let Ok(number) = u32::try_from(self.account.published.len()) else {
            return;
        };
        let mark = Mark {
            client: self.plan.number,
            number,
        };
        let room = self.plan.rooms[self.rng.usize(..self.plan.rooms.len())].clone();
        // A full outbox refuses at once; then nothing was published.
        if let Ok(id) = self.client.publish(room.clone(), mark.body()) {
            self.names.insert(id, self.account.published.len());
            self.account.published.push(Published::new(mark, room));
        }
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Status(status) => self.status(status),
            Event::Message(message) => self.received(&message),
            Event::Joined { joined, gap } => {
                self.account.gaps += u64::from(gap);
                self.absent.remove(&joined.room);
            }
            Event::Fate { id, fate, .. } => self.told(id, fate),
            _ => {}
        }
        if self.absent.is_empty() && !self.has_joined {
            self.has_joined = true;
            // The receiver is dropped only if the scenario has failed.
            let _ = self.progress.send(Progress::Joined).await;
        }
    }

    fn status(&mut self, status: Status) {
        let is_live = status == Status::Live;
        let was_live = std::mem::replace(&mut self.is_live, is_live);
        self.plan
            .live
            .send_modify(|live| *live = *live + u32::from(is_live) - u32::from(was_live));
        let (now, outages) = (Instant::now(), &mut self.account.outages);
        match outages.last_mut().filter(|outage| outage.until.is_none()) {
            Some(outage) if is_live => outage.until = Some(now),
            None if !is_live && self.has_joined => outages.push(Outage {
                from: now,
                until: None,
            }),
            Some(_) | None => {}
        }
    }

    fn received(&mut self, message: &Message) {
        let received = Received {
            offset: message.offset.get(),
            mark: Mark::of(message),
        };
        let room = self.account.received.entry(message.room.clone());
        room.or_default().push(received);
    }

    fn told(&mut self, id: EntryId, fate: Fate) {
        let told = match fate {
            Fate::Waiting | Fate::Sent => return,
            Fate::Durable { offset } => Told::Durable(offset),
            Fate::Refused { .. } => Told::Refused,
            Fate::Uncertain | Fate::Held => Told::Uncertain,
        };
        if let Some(&index) = self.names.get(&id) {
            self.account.note(index, told);
        }
    }

    /// Reports once that none of this client's messages is on its way.
    async fn settle(&mut self, phase: &Phase) {
        let is_settled = !matches!(phase, Phase::Gather | Phase::Load) && self.trouble().is_none();
        if is_settled && !self.has_settled {
            self.has_settled = true;
            let _ = self.progress.send(Progress::Settled).await;
        }
    }

    fn trouble(&self) -> Option<String> {
        // A refused message stays for the user to decide; it is not on its way.
        let is_open = |entry: &&Entry| !matches!(entry.stage, Stage::Refused(_));
        let waiting = self.client.outbox().filter(is_open).count();
        let status = self.client.status();
        if status != Status::Live {
            Some(format!("not live but {status:?}"))
        } else if waiting > 0 {
            Some(format!("{waiting} messages still in the outbox"))
        } else {
            None
        }
    }

    fn is_complete(&self, phase: &Phase, since: &mut Option<Instant>) -> bool {
        let Phase::Collect(heads) = phase else {
            return false;
        };
        if self.trouble().is_some() || self.plan.rooms.iter().any(|r| self.is_behind(r, heads)) {
            *since = None;
            return false;
        }
        since.get_or_insert_with(Instant::now).elapsed() >= LINGER
    }

    fn is_behind(&self, room: &RoomName, heads: &BTreeMap<RoomName, Offset>) -> bool {
        let head = heads.get(room).copied().unwrap_or_default();
        let position = self.client.position(room);
        position.is_none_or(|position| position.offset < head)
    }

    /// Adds the counts of the client before it is dropped.
    fn count(&mut self) {
        let counts = self.client.counts();
        self.account.connections += counts.connections;
        self.account.held += counts.held;
    }

    fn end(mut self) -> Account {
        self.count();
        self.account.unsettled = self.trouble();
        self.account
    }
}

/// A client that goes on with what `storage` holds.
fn begin(entrance: &Entrance, config: Config, storage: &MemoryStorage) -> anyhow::Result<Client> {
    let options = Options::new(config.seed).configure(|all| *all = config);
    entrance.connect(options.storage(storage.clone()))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(Moment::from_std(at)).await,
        None => std::future::pending().await,
    }
}
