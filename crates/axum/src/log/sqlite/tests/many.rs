//! Several nodes fold one stream of packs, each in its own way: batched, stopped, killed. They come to the same.

use std::collections::BTreeSet;

use everbeat_log::command::{
    Append, Command, CommandError, Expire, ForgetPosts, Outcome, Post, Redact, Settings, Touch,
    Trim,
};
use everbeat_log::fold::{Changes, Store, body_hash};
use everbeat_log::memory::MemoryStore;
use everbeat_log::order::{Digest, PackStore, Verdict, fold_pack};
use everbeat_log::pack::{Life, Pack};
use fastrand::Rng;
use protocol::id::{Generation, Name, NodeName, RoomName, SessionId};
use protocol::position::Epoch;
use rusqlite::Connection;

use super::batch::Batch;
use super::state::{Chain, State};
use super::*;
use crate::log::tests::support::{key_hash, seq};

const SESSIONS: u64 = 5;
const ROOMS: u64 = 3;
const KEYS: u8 = 6;
const SEEDS: u64 = 8;
const PACKS: u64 = 150;

/// A stream of packs of three nodes, as an engine stores it: with repeats, gaps and packs of older lives.
struct Stream {
    rng: Rng,
    /// What all packs so far made of an empty log: commands are drawn so that many of them succeed.
    model: MemoryStore,
    lives: [(Life, u64); 3],
    at_ms: u64,
}

fn session(number: u64) -> SessionId {
    id(&format!("s{number}"))
}

fn room_of(number: u64) -> RoomName {
    room(&format!("r{number}"))
}

impl Stream {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            model: MemoryStore::new(),
            lives: std::array::from_fn(|_| {
                let nonce = u64::MAX;
                (Life { count: 1, nonce }, 0)
            }),
            at_ms: 1_000,
        }
    }

    /// The next pack of the stream.
    fn pack(&mut self, sequence: u64) -> Pack {
        let node = self.rng.usize(..3);
        let (mut life, last) = self.lives[node].clone();
        let number = match self.rng.u32(..20) {
            // A repeat, a gap, a new life that begins, one that begins too late, an older one.
            0 => last.max(1),
            1 => last + 2,
            2 => {
                life.count += 1;
                1
            }
            3 => {
                life.count += 1;
                2
            }
            4 => {
                life.nonce -= 1;
                last + 1
            }
            _ => last + 1,
        };
        self.at_ms += self.rng.u64(..50);
        let count = self.rng.usize(1..24);
        let mut commands = Vec::new();
        // Some streams begin without settings.
        if sequence == 1 && self.rng.bool() {
            commands.push(self.settings());
        }
        commands.extend((0..count).map(|_| self.command()));
        Pack {
            node: NodeName::new(["a", "b", "c"][node]).unwrap(),
            life,
            number,
            at_ms: self.at_ms,
            commands,
        }
    }

    /// How many messages were trimmed.
    fn trimmed(&self) -> u64 {
        let rooms = (0..ROOMS).map(room_of);
        rooms
            .map(|room| self.model.state(&room).trimmed.get())
            .sum()
    }

    /// Notes what became of a pack.
    fn folded(&mut self, pack: &Pack, verdict: &Verdict) {
        let node = usize::from(pack.node.as_str().as_bytes()[0] - b'a');
        if let Verdict::Applied(_) = verdict {
            self.lives[node] = (pack.life.clone(), pack.number);
        }
    }

    fn settings(&mut self) -> Command {
        Command::Settings(Settings {
            epoch: Epoch::new(&format!("e{}", self.rng.u8(..))),
            history_per_room: self.rng.u64(..20),
        })
    }

    fn command(&mut self) -> Command {
        match self.rng.u32(..100) {
            0 => self.settings(),
            1..15 => self.open(),
            15..60 => Command::Append(self.append()),
            60..68 => self.refuse(),
            68..76 => self.post(),
            76..84 => Command::Redact(Redact {
                room: room_of(self.rng.u64(..=ROOMS)),
                offset: offset(self.rng.u64(..40)),
                at_ms: self.at_ms,
            }),
            84..90 => Command::Touch(Touch {
                sessions: (0..3).map(|_| session(self.rng.u64(..=SESSIONS))).collect(),
                at_ms: self.at_ms - self.rng.u64(..100),
            }),
            90..94 => Command::Expire(Expire {
                before_ms: self.at_ms.saturating_sub(self.rng.u64(..3_000)),
                is_unused: self.rng.bool(),
                limit: self.rng.usize(..3),
            }),
            94..98 => Command::ForgetPosts(ForgetPosts {
                before_ms: self.at_ms - self.rng.u64(..200),
                limit: self.rng.usize(..3),
            }),
            _ => Command::Trim(Trim {
                before_ms: self.at_ms.saturating_sub(self.rng.u64(1_500..8_000)),
                after: self.rng.bool().then(|| room_of(self.rng.u64(..ROOMS))),
            }),
        }
    }

    fn open(&mut self) -> Command {
        let known = session(self.rng.u64(..SESSIONS));
        let key = if self.rng.u32(..8) == 0 {
            "another"
        } else {
            known.as_str()
        };
        let key_hashes = vec![key_hash("first"), key_hash(key)];
        Command::Open(OpenSession {
            resume: self.rng.bool().then(|| (known.clone(), key_hashes)),
            fresh: (known.clone(), key_hash(known.as_str())),
            at_ms: self.at_ms,
        })
    }

    /// A room: the first one gets so many messages that it is full.
    fn room(&mut self) -> RoomName {
        room_of(self.rng.u64(..ROOMS).min(self.rng.u64(..ROOMS)))
    }

    /// A number of a session: mostly the next one, else one that was used or skips some. And its opening, mostly the
    /// newest.
    fn number(&mut self, id: &SessionId) -> (Generation, protocol::id::Seq) {
        let Ok(known) = self.model.session(id);
        let known = known.unwrap_or_default();
        let number = match self.rng.u32(..8) {
            0 => self.rng.u64(..known.last_seq + 3).max(1),
            1 => known.last_seq.max(1),
            _ => known.last_seq + 1,
        };
        let older = u64::from(self.rng.u32(..10) == 0);
        let generation = Generation(known.generation.0.saturating_sub(older));
        (generation, seq(number))
    }

    fn append(&mut self) -> Append {
        let id = session(self.rng.u64(..=SESSIONS));
        let (generation, seq) = self.number(&id);
        let body = format!("text {}", self.rng.u8(..4));
        let is_erased = self.rng.u32(..10) == 0;
        Append {
            session: id,
            generation,
            seq,
            room: self.room(),
            name: Name::tidy("Ada"),
            erased: is_erased.then(|| body_hash(&body)),
            body: if is_erased { String::new() } else { body },
            at_ms: self.at_ms,
            is_repeat: self.rng.u32(..10) == 0,
        }
    }

    fn refuse(&mut self) -> Command {
        let session = session(self.rng.u64(..=SESSIONS));
        let (generation, seq) = self.number(&session);
        let codes = [ErrorCode::BodyEmpty, ErrorCode::BodyTooLarge];
        Command::Refuse(Refuse {
            session,
            generation,
            seq,
            code: codes[self.rng.usize(..2)],
        })
    }

    fn post(&mut self) -> Command {
        Command::Post(Post {
            key: [self.rng.u8(..KEYS); 32],
            session: id("bot"),
            room: self.room(),
            name: Name::tidy("Bot"),
            body: format!("post {}", self.rng.u8(..2)),
            at_ms: self.at_ms,
            erased: None,
        })
    }
}

/// What the seeds must come upon.
const KINDS: [&str; 26] = [
    "Applied",
    "Repeat",
    "Gap",
    "Fenced",
    "a full room",
    "Done",
    "opened afresh",
    "resumed",
    "resumed with refusals",
    "Appended",
    "Refused",
    "posted",
    "posted again",
    "Redacted(Done)",
    "Redacted(Before)",
    "Redacted(Missing)",
    "forgotten",
    "trimmed",
    "SessionTaken",
    "NotFounded",
    "Number(Conflict)",
    "Number(OutOfOrder)",
    "Number(Refused(BodyEmpty))",
    "Number(Refused(BodyTooLarge))",
    "Number(UnknownSession)",
    "Number(Fenced)",
];

/// What became of a pack and its commands.
fn kinds(verdict: &Verdict) -> Vec<String> {
    let Verdict::Applied(results) = verdict else {
        return vec![format!("{verdict:?}")];
    };
    let kind = |result: &Result<Outcome, CommandError>| match result {
        Ok(Outcome::Opened(opened)) => match (opened.resumed, opened.refused.is_empty()) {
            (false, _) => "opened afresh".to_owned(),
            (true, true) => "resumed".to_owned(),
            (true, false) => "resumed with refusals".to_owned(),
        },
        Ok(Outcome::Appended(_)) => "Appended".to_owned(),
        Ok(Outcome::Refused(_)) => "Refused".to_owned(),
        Ok(Outcome::Posted(posted)) if posted.is_repeat => "posted again".to_owned(),
        Ok(Outcome::Posted(_)) => "posted".to_owned(),
        Ok(Outcome::Forgotten(count)) if *count > 0 => "forgotten".to_owned(),
        Ok(Outcome::Trimmed(trimmed)) if trimmed.count > 0 => "trimmed".to_owned(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{error:?}"),
    };
    let applied = std::iter::once("Applied".to_owned());
    applied.chain(results.iter().map(kind)).collect()
}

/// What a store holds, read as the fold reads it.
fn contents<S: Store>(store: &mut S) -> Result<BTreeSet<String>, S::Error> {
    let mut found = BTreeSet::new();
    let mut note = |what: String| {
        found.insert(what);
    };
    note(format!("{:?} {}", store.epoch()?, store.history_per_room()));
    for id in (0..=SESSIONS).map(session) {
        let Some(known) = store.session(&id)? else {
            continue;
        };
        note(format!("{id} {known:?} {:?}", store.key_hash(&id)?));
        note(format!("{id} {:?}", store.refused(&id)?));
        for seq in (1..=known.last_seq).map(seq) {
            let (receipt, refusal) = (store.receipt(&id, seq)?, store.refusal(&id, seq)?);
            note(format!("{id} {seq} {receipt:?} {refusal:?}"));
        }
    }
    for name in store.rooms(None, 100)? {
        let state = store.room(&name)?;
        note(format!("{name} {state:?}"));
        for at in (1..=state.head.get()).map(offset) {
            note(format!("{name} {at:?} {:?}", store.message(&name, at)?));
        }
    }
    for key in 0..KEYS {
        note(format!("{key} {:?}", store.post(&[key; 32])?));
    }
    Ok(found)
}

/// All tables of a database, with the names of rooms in place of row ids.
fn tables(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut rows = Vec::new();
    for sql in [
        "SELECT 'meta', key, value FROM meta ORDER BY key",
        "SELECT 'state', applied, hex(digest) FROM state",
        "SELECT 'nodes', name, life_count, life_nonce, last FROM nodes ORDER BY name",
        "SELECT 'sessions', id, hex(key_hash), last_seq, generation, touched_ms FROM sessions ORDER BY id",
        "SELECT 'rooms', name, head, trimmed FROM rooms ORDER BY name",
        "SELECT 'receipts', session, seq, rooms.name, offset, hex(body_hash) FROM receipts
         JOIN rooms ON rooms.id = room ORDER BY session, seq",
        "SELECT 'refusals', session, seq, code, count FROM refusals ORDER BY session, seq",
        "SELECT 'posts', hex(key), rooms.name, offset, hex(body_hash), at_ms FROM posts
         JOIN rooms ON rooms.id = room ORDER BY key",
        "SELECT 'messages', rooms.name, offset, session, seq, messages.name, at_ms, body, removed_ms, sequence
         FROM messages JOIN rooms ON rooms.id = room ORDER BY rooms.name, offset",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| {
            let values = (0..columns).map(|at| Ok(format!("{:?}", row.get_ref(at)?)));
            values.collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.extend(read.unwrap().map(|row| row.unwrap().join(" ")));
    }
    rows
}

/// A node that folds in its own way.
struct Node {
    place: Place,
    log: Option<SqliteLog>,
    rng: Rng,
}

impl Node {
    fn new(seed: u64) -> Self {
        let place = Place::new();
        let log = Some(nodes::open_node(&place).0);
        Self {
            place,
            log,
            rng: Rng::with_seed(seed),
        }
    }

    fn log(&mut self) -> &SqliteLog {
        self.log
            .get_or_insert_with(|| nodes::open_node(&self.place).0)
    }

    /// Folds what is left of the stream, some packs at a time, and now and then stops or dies in between. After each
    /// pack it has the digest that is expected there.
    async fn fold(&mut self, stream: &[Pack], digests: &[Digest]) {
        loop {
            let done = self.log().applied().unwrap();
            let next = usize::try_from(done.sequence).unwrap();
            assert_eq!(done.digest, digests[next], "pack {next}");
            if next == stream.len() {
                return;
            }
            let some = self.rng.usize(1..=(stream.len() - next).min(8));
            let packs = (done.sequence + 1..).zip(&stream[next..next + some]);
            let log = self.log();
            let folding: Vec<_> = packs.map(|(at, pack)| log.fold(at, pack.clone())).collect();
            match self.rng.u32(..8) {
                // It stops in order, with all that is queued done; or nothing waits for the answers.
                0 => self.log = None,
                1 => drop(folding),
                2 => {
                    join_all(folding).await;
                    self.die_in(stream);
                }
                3 => {
                    join_all(folding).await;
                    self.lose_power();
                }
                _ => drop(join_all(folding).await),
            }
            if self.log.is_some() {
                // The writer answers in order: what was queued before this is done.
                self.log().probe().await.unwrap();
            }
        }
    }

    /// Loses its power, and with it the end of the write-ahead log.
    fn lose_power(&mut self) {
        let after = Place::new();
        for name in ["log.db", "log.db-wal", "log.db.witness"] {
            fs::copy(self.place.path(name), after.path(name)).unwrap();
        }
        let wal = fs::OpenOptions::new()
            .write(true)
            .open(after.path("log.db-wal"));
        let wal = wal.unwrap();
        let length = wal.metadata().unwrap().len();
        wal.set_len(self.rng.u64(..=length)).unwrap();
        self.log = None;
        self.place = after;
    }

    /// Dies in the midst of the next pack's transaction.
    fn die_in(&mut self, stream: &[Pack]) {
        let sequence = self.log().applied().unwrap().sequence;
        self.log = None;
        let Some(pack) = stream.get(usize::try_from(sequence).unwrap()) else {
            return;
        };
        let config = SqliteConfig {
            is_node: true,
            ..config()
        };
        let database = open::open(&self.place.path("log.db"), &config).unwrap();
        let mut batch = Batch::begin(&database.connection, true, &database.kept, database.state);
        batch.work(Work::Fold(sequence + 1, pack.clone())).unwrap();
        drop(batch);
        assert!(!database.connection.is_autocommit(), "not committed");
    }
}

/// RS-3, EO-1: nodes fold the same commands to the same log, whatever happened to them on their way, and to what the
/// store in memory makes of them.
#[test]
fn nodes_come_to_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut drawing = Stream::new(seed);
        let (mut stream, mut digests) = (Vec::new(), vec![Digest::default()]);
        for sequence in 1..=PACKS {
            let pack = drawing.pack(sequence);
            let (before, mut changes) = (drawing.trimmed(), Changes::default());
            let folded = fold_pack(&mut drawing.model, sequence, pack.clone(), &mut changes);
            let folded = folded.unwrap();
            seen.extend(kinds(&folded));
            if changes.trimmed.is_empty() && drawing.trimmed() > before {
                seen.insert("a full room".to_owned());
            }
            drawing.folded(&pack, &folded);
            let Ok(applied) = drawing.model.applied();
            digests.push(applied.digest);
            stream.push(pack);
        }
        let mut nodes = [Node::new(seed), Node::new(seed + SEEDS)];
        for node in &mut nodes {
            runtime.block_on(node.fold(&stream, &digests));
            node.log = None;
            let connection = Connection::open(node.place.path("log.db")).unwrap();
            let (kept, _) = node::join(&connection, Chain::default()).unwrap();
            let mut batch = Batch::begin(&connection, true, &kept, State::default());
            let held = contents(batch.store());
            let wanted = contents(&mut drawing.model);
            assert_eq!(held.unwrap(), wanted.unwrap(), "seed {seed}");
        }
        let [one, other] = nodes.map(|node| tables(&node.place.path("log.db")));
        assert_eq!(one, other, "seed {seed}");
    }
    for kind in KINDS {
        assert!(seen.contains(kind), "no seed has it: {kind}");
    }
}
