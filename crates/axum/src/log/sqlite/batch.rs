//! A batch: one transaction, and the operations in it.

mod moderation;
mod posts;
mod refusals;

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, Instant};

use everbeat_log::fold::{BodyHash, Changes, Session, body_hash};
use protocol::id::{Generation, RoomName, Seq, SessionId};
use protocol::position::Offset;
use protocol::server::{NumberError, Standing, Use, fence, repeated_append, standing};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, params};

use super::state::{self, Chain, State};
use super::{integer, row, unavailable};
use crate::log::trimming::trim_to;
use crate::log::{Append, KeyHash, LogError, OpenSession, OpenedSession};

/// The answer to one operation, given after the commit: the operation's own, or the batch's failure.
type LateAnswer = Box<dyn FnOnce(Option<LogError>) + Send>;

/// How much a probe stores: a database without room for this has none for messages.
const PROBE_BYTES: usize = 16 * 1024;

/// Why an operation was not done.
pub(super) enum Fault {
    /// The rules forbid it. The rest of the batch is not concerned.
    Log(LogError),
    /// SQLite could not do it: the whole batch fails.
    Sqlite(rusqlite::Error),
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<NumberError> for Fault {
    fn from(error: NumberError) -> Self {
        Self::Log(error.into())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// A batch. Last numbers and heads are kept in memory until its end: many messages of a batch are often of
/// one room, and some of one session.
pub(super) struct Batch<'c> {
    connection: &'c Connection,
    history_per_room: u64,
    sessions: HashMap<SessionId, Known>,
    rooms: HashMap<RoomName, Room>,
    changes: Changes,
    /// Each with the session that asked, if there is one.
    answers: Vec<(Option<SessionId>, LateAnswer)>,
    /// The log's state before the batch, and how many rows had been changed on this connection by then.
    state: State,
    rows_changed: u64,
    failure: Option<LogError>,
}

/// The outcome of a batch.
pub(super) struct Committed {
    /// What readers want to know of; it is durable now.
    pub(super) changes: Changes,
    /// The history of all commits, this one included.
    pub(super) chain: Chain,
    /// To be called with `failure`, in this order.
    pub(super) answers: Vec<LateAnswer>,
    /// Why the operations failed; `None` where they did not.
    pub(super) failure: Option<LogError>,
    /// How long the commit took, with its sync.
    pub(super) took: Duration,
}

impl Committed {
    /// Has the operations answered with this failure, and returns what was committed, to be shown later.
    pub(super) fn withhold(&mut self, failure: LogError) -> Self {
        self.failure = Some(failure);
        Self {
            changes: mem::take(&mut self.changes),
            chain: self.chain,
            answers: Vec::new(),
            failure: None,
            took: self.took,
        }
    }
}

#[derive(Clone, Copy)]
struct Known {
    session: Session,
    is_changed: bool,
}

/// A room that got a message in this batch.
#[derive(Clone, Copy)]
struct Room {
    id: i64,
    head: Offset,
    trimmed: Offset,
}

impl<'c> Batch<'c> {
    /// Begins a transaction. Where that fails, the whole batch fails.
    pub(super) fn begin(connection: &'c Connection, history_per_room: u64, state: State) -> Self {
        let mut batch = Self {
            connection,
            history_per_room,
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            changes: Changes::default(),
            answers: Vec::new(),
            state,
            rows_changed: connection.total_changes(),
            failure: None,
        };
        // Takes the write lock at once: SQLite may refuse it to a transaction that read first.
        let begun = batch.run("BEGIN IMMEDIATE", []);
        batch.note(begun);
        batch
    }

    /// Fails the whole batch.
    pub(super) fn fail(&mut self, failure: LogError) {
        self.failure.get_or_insert(failure);
    }

    /// Runs an operation, unless the batch has failed already.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, LogError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        work(self).map_err(|fault| match fault {
            Fault::Log(error) => error,
            Fault::Sqlite(error) => self.failure.insert(unavailable(&error)).clone(),
        })
    }

    /// Queues an answer, to be given after the commit.
    pub(super) fn answer_later(
        &mut self,
        session: Option<SessionId>,
        answer: impl FnOnce(Option<LogError>) + Send + 'static,
    ) {
        self.answers.push((session, Box::new(answer)));
    }

    /// Ends the transaction.
    pub(super) fn commit(mut self) -> Committed {
        let before = self.state.chain;
        if self.failure.is_none() {
            let stored = self.store().and_then(|()| self.count());
            self.note(stored);
        }
        let begun = Instant::now();
        if self.failure.is_none() {
            let committed = self.run("COMMIT", []);
            self.note(committed);
        }
        let took = begun.elapsed();
        if self.failure.is_some() {
            self.state.chain = before;
            self.changes = Changes::default();
            // SQLite may have rolled back by itself already. If the rollback fails, so does the next BEGIN, which
            // ends in another rollback.
            if !self.connection.is_autocommit() {
                drop(self.run("ROLLBACK", []));
            }
        }
        // A session's answers in a row: its task, once woken, finds them all, and sends them in one write.
        self.answers.sort_by(|(one, _), (other, _)| one.cmp(other));
        Committed {
            changes: self.changes,
            chain: self.state.chain,
            answers: self.answers.into_iter().map(|(_, answer)| answer).collect(),
            failure: self.failure,
            took,
        }
    }

    /// Appends a message (EO-1, EO-2, EO-6).
    pub(super) fn append(&mut self, append: Append) -> Result<Offset, Fault> {
        let known = self.known(&append.session)?;
        fence(known.map(|known| known.generation), append.generation)?;
        if standing(
            known.map(|known| known.last_seq),
            append.seq,
            append.is_repeat,
        )? == Standing::Settled
        {
            let used = self.used(&append.session, append.seq, Some(&append))?;
            return Ok(repeated_append(used)?);
        }
        let (session, seq, body_hash) =
            (append.session.clone(), append.seq, body_hash(&append.body));
        let (room, offset) = self.store_message(append)?;
        self.run(
            "INSERT INTO receipts (session, seq, room, offset, body_hash)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                session.as_str(),
                integer(seq.get()),
                room,
                integer(offset.get()),
                body_hash,
            ],
        )?;
        self.use_up(&session, known, seq);
        Ok(offset)
    }

    /// Puts a message into its room. Returns the room's row id, too.
    fn store_message(&mut self, append: Append) -> rusqlite::Result<(i64, Offset)> {
        let room = self.room(&append.room)?;
        let offset = room.head.next();
        self.run(
            "INSERT INTO messages (room, offset, session, seq, name, at_ms, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                room.id,
                integer(offset.get()),
                append.session.as_str(),
                integer(append.seq.get()),
                append.name.as_str(),
                integer(append.at_ms),
                append.body,
            ],
        )?;
        if let Some(room) = self.rooms.get_mut(&append.room) {
            room.head = offset;
        }
        self.changes.messages.push(append.at(offset));
        Ok((room.id, offset))
    }

    /// Resumes or opens a session (RS-2, RS-3).
    pub(super) fn open_session(&mut self, open: OpenSession) -> Result<OpenedSession, Fault> {
        if let Some((id, key_hashes)) = &open.resume {
            let stored = self
                .prepare("SELECT key_hash FROM sessions WHERE id = ?1")?
                .query_row([id.as_str()], |row| row.get::<_, KeyHash>(0))
                .optional()?;
            // Not compared in constant time: the time tells something about the hash of 128 random bits or more, and
            // brings an attacker no nearer to the key.
            if stored.is_some_and(|stored| key_hashes.contains(&stored)) {
                self.touch(std::slice::from_ref(id), open.at_ms)?;
                let mut session = self.known(id)?.unwrap_or_default();
                session.generation = session.generation.next();
                self.keep(id, session);
                self.changes.opened.push((id.clone(), session.generation));
                return Ok(OpenedSession {
                    resumed: true,
                    generation: session.generation,
                    last_seq: session.last_seq,
                    refused: self.refused(id)?,
                });
            }
        }
        let (id, key_hash) = &open.fresh;
        let generation = Generation::default().next();
        let opened = self.run(
            "INSERT INTO sessions (id, key_hash, last_seq, touched_ms, generation)
             VALUES (?1, ?2, 0, ?3, ?4) ON CONFLICT DO NOTHING",
            params![
                id.as_str(),
                key_hash,
                integer(open.at_ms),
                integer(generation.0)
            ],
        )?;
        if opened == 0 {
            let reason = "the session id is taken".into();
            return Err(LogError::Unavailable(reason).into());
        }
        self.changes.opened.push((id.clone(), generation));
        Ok(OpenedSession {
            resumed: false,
            generation,
            last_seq: 0,
            refused: Vec::new(),
        })
    }

    /// Notes that sessions are connected (RS-9). The time only moves forward, also where the clock is set back.
    pub(super) fn touch(&self, sessions: &[SessionId], at_ms: u64) -> Result<(), Fault> {
        let mut touch =
            self.prepare("UPDATE sessions SET touched_ms = ?2 WHERE id = ?1 AND touched_ms < ?2")?;
        for id in sessions {
            touch.execute(params![id.as_str(), integer(at_ms)])?;
        }
        Ok(())
    }

    /// Forgets sessions (RS-9): at most so many, the oldest first.
    pub(super) fn expire(&mut self, before_ms: u64, limit: usize) -> Result<usize, Fault> {
        let old = "SELECT id FROM sessions WHERE touched_ms < ?1 ORDER BY touched_ms LIMIT ?2";
        self.forget_sessions(old, before_ms, limit)
    }

    /// The same for sessions that used no number.
    pub(super) fn expire_unused(&mut self, before_ms: u64, limit: usize) -> Result<usize, Fault> {
        let old = "SELECT id FROM sessions WHERE last_seq = 0 AND touched_ms < ?1
                   ORDER BY touched_ms LIMIT ?2";
        self.forget_sessions(old, before_ms, limit)
    }

    fn forget_sessions(&mut self, old: &str, before_ms: u64, limit: usize) -> Result<usize, Fault> {
        // What the batch holds of them in memory goes too; the others are read again when they are needed.
        self.store_sessions()?;
        self.sessions.clear();
        let ids: Vec<String> = self
            .prepare(old)?
            .query_map([integer(before_ms), integer(limit as u64)], |row| {
                row.get(0)
            })?
            .collect::<Result<_, _>>()?;
        let mut receipts = self.prepare("DELETE FROM receipts WHERE session = ?1")?;
        let mut refusals = self.prepare("DELETE FROM refusals WHERE session = ?1")?;
        let mut sessions = self.prepare("DELETE FROM sessions WHERE id = ?1")?;
        for id in &ids {
            receipts.execute([id])?;
            refusals.execute([id])?;
            sessions.execute([id])?;
        }
        Ok(ids.len())
    }

    /// Stores as much as a message takes, and removes it.
    pub(super) fn probe(&self) -> Result<(), Fault> {
        let value = "x".repeat(PROBE_BYTES);
        self.run(
            "INSERT INTO meta (key, value) VALUES ('probe', ?1)",
            [value],
        )?;
        self.run("DELETE FROM meta WHERE key = 'probe'", [])?;
        Ok(())
    }

    fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.connection.prepare_cached(sql)
    }

    fn run(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.prepare(sql)?.execute(params)
    }

    fn note<T>(&mut self, result: rusqlite::Result<T>) {
        if let Err(error) = result {
            self.failure = Some(unavailable(&error));
        }
    }

    fn known(&mut self, id: &SessionId) -> rusqlite::Result<Option<Session>> {
        if let Some(known) = self.sessions.get(id) {
            return Ok(Some(known.session));
        }
        let stored = self
            .prepare("SELECT last_seq, generation FROM sessions WHERE id = ?1")?
            .query_row([id.as_str()], |row| {
                Ok(Session {
                    last_seq: row::number(row, 0)?,
                    generation: Generation(row::number(row, 1)?),
                })
            })
            .optional()?;
        if let Some(session) = stored {
            let is_changed = false;
            let known = Known {
                session,
                is_changed,
            };
            self.sessions.insert(id.clone(), known);
        }
        Ok(stored)
    }

    fn use_up(&mut self, id: &SessionId, known: Option<Session>, seq: Seq) {
        let session = Session {
            last_seq: seq.get(),
            ..known.unwrap_or_default()
        };
        self.keep(id, session);
    }

    fn keep(&mut self, id: &SessionId, session: Session) {
        let is_changed = true;
        let known = Known {
            session,
            is_changed,
        };
        self.sessions.insert(id.clone(), known);
    }

    /// The room's row, which is made where there is none.
    fn room(&mut self, name: &RoomName) -> rusqlite::Result<Room> {
        if let Some(room) = self.rooms.get(name) {
            return Ok(*room);
        }
        let stored = self
            .prepare("SELECT id, head, trimmed FROM rooms WHERE name = ?1")?
            .query_row([name.as_str()], |row| {
                Ok(Room {
                    id: row.get(0)?,
                    head: row::offset(row, 1)?,
                    trimmed: row::offset(row, 2)?,
                })
            })
            .optional()?;
        let room = match stored {
            Some(room) => room,
            None => {
                let sql = "INSERT INTO rooms (name, head, trimmed) VALUES (?1, 0, 0)";
                self.run(sql, [name.as_str()])?;
                Room {
                    id: self.connection.last_insert_rowid(),
                    head: Offset::ZERO,
                    trimmed: Offset::ZERO,
                }
            }
        };
        self.rooms.insert(name.clone(), room);
        Ok(room)
    }

    /// What a settled number was used for, seen from the append that repeats it, if it is one.
    fn used(
        &self,
        session: &SessionId,
        seq: Seq,
        append: Option<&Append>,
    ) -> rusqlite::Result<Option<Use>> {
        let key = params![session.as_str(), integer(seq.get())];
        let receipt = self
            .prepare(
                "SELECT receipts.offset, rooms.name, receipts.body_hash
                 FROM receipts JOIN rooms ON rooms.id = receipts.room
                 WHERE receipts.session = ?1 AND receipts.seq = ?2",
            )?
            .query_row(key, |row| {
                let (room, hash) = (row.get_ref(1)?.as_str()?, row.get::<_, BodyHash>(2)?);
                let same =
                    append.is_some_and(|a| a.room.as_str() == room && body_hash(&a.body) == hash);
                let offset = row::offset(row, 0)?;
                Ok(Use::Message { offset, same })
            })
            .optional()?;
        if receipt.is_some() {
            return Ok(receipt);
        }
        let refusal = self.refusal(session, seq)?;
        Ok(refusal.map(Use::Refusal))
    }

    /// Writes what was kept in memory, and trims full rooms.
    fn store(&self) -> rusqlite::Result<()> {
        self.store_sessions()?;
        let mut head = self.prepare("UPDATE rooms SET head = ?2, trimmed = ?3 WHERE id = ?1")?;
        for room in self.rooms.values() {
            let trim = trim_to(room.head, room.trimmed, self.history_per_room);
            if let Some(trimmed) = trim {
                self.run(
                    "DELETE FROM messages WHERE room = ?1 AND offset <= ?2",
                    params![room.id, integer(trimmed.get())],
                )?;
            }
            let trimmed = trim.unwrap_or(room.trimmed);
            head.execute(params![
                room.id,
                integer(room.head.get()),
                integer(trimmed.get())
            ])?;
        }
        Ok(())
    }

    /// Counts the commit, if it changes anything: a commit that changes nothing needs no sync.
    fn count(&mut self) -> rusqlite::Result<()> {
        if self.connection.total_changes() == self.rows_changed {
            return Ok(());
        }
        let State { chain, must_scrub } = self.state;
        let Changes {
            messages, redacted, ..
        } = &self.changes;
        self.state = State {
            chain: chain.after(messages, redacted),
            must_scrub: must_scrub || !redacted.is_empty(),
        };
        state::store(self.connection, &self.state)
    }

    fn store_sessions(&self) -> rusqlite::Result<()> {
        let sql = "UPDATE sessions SET last_seq = ?2, generation = ?3 WHERE id = ?1";
        let mut update = self.prepare(sql)?;
        for (id, known) in self.sessions.iter().filter(|(_, known)| known.is_changed) {
            let Session {
                last_seq,
                generation,
            } = known.session;
            update.execute(params![
                id.as_str(),
                integer(last_seq),
                integer(generation.0)
            ])?;
        }
        Ok(())
    }
}
