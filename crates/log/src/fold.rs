//! The fold: what becomes of a log when a command is applied to it. It is the same code for every [`Store`], on one
//! node and on many, so the same commands make the same log.

use protocol::frame::{ErrorCode, Message, Refused};
use protocol::id::{Generation, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::server::{
    NumberError, PostKey, Posted, Redaction, Standing, Use, fence, repeated_append, repeated_post,
    repeated_refusal, standing,
};
use sha2::{Digest, Sha256};

use crate::command::{
    Append, Command, CommandError, Expire, ForgetPosts, KeyHash, OpenSession, OpenedSession,
    Outcome, Post, Redact, Refuse, Settings, Trim, Trimmed,
};
use crate::trimming::{ROOMS_MAX, TRIM_MAX, trim_to};

/// What a log holds. A store keeps and finds; it decides nothing.
pub trait Store {
    /// Why the store cannot keep or find anything now: then nothing of what was begun may last.
    type Error;

    /// The log's epoch; `None` before the first [`Settings`].
    fn epoch(&mut self) -> Result<Option<Epoch>, Self::Error>;

    /// The fewest messages that a full room keeps.
    fn history_per_room(&self) -> u64;

    /// Keeps settings.
    fn set(&mut self, settings: &Settings) -> Result<(), Self::Error>;

    /// A session's last settled number and newest opening; `None` for an unknown session.
    fn session(&mut self, id: &SessionId) -> Result<Option<Session>, Self::Error>;

    /// The hash of a session's key; `None` for an unknown session.
    fn key_hash(&mut self, id: &SessionId) -> Result<Option<KeyHash>, Self::Error>;

    /// Adds a session that is not known.
    fn add_session(
        &mut self,
        id: &SessionId,
        key_hash: &KeyHash,
        session: Session,
        at_ms: u64,
    ) -> Result<(), Self::Error>;

    /// Keeps a known session's last settled number and newest opening.
    fn update_session(&mut self, id: &SessionId, session: Session) -> Result<(), Self::Error>;

    /// Raises the time of a session's last connection to this one, if the session is known.
    fn touch(&mut self, id: &SessionId, at_ms: u64) -> Result<(), Self::Error>;

    /// Forgets sessions and what their numbers were used for; returns how many.
    fn expire(&mut self, expire: &Expire) -> Result<usize, Self::Error>;

    /// What a session's number was used for as a message; `None` where it was not, or the session is unknown.
    fn receipt(&mut self, id: &SessionId, seq: Seq) -> Result<Option<Receipt>, Self::Error>;

    /// Keeps what a number was used for.
    fn add_receipt(
        &mut self,
        id: &SessionId,
        seq: Seq,
        receipt: &Receipt,
    ) -> Result<(), Self::Error>;

    /// Why a number was refused for good, if it was.
    fn refusal(&mut self, id: &SessionId, seq: Seq) -> Result<Option<ErrorCode>, Self::Error>;

    /// Keeps that a number is refused for good.
    fn add_refusal(&mut self, id: &SessionId, seq: Seq, code: ErrorCode)
    -> Result<(), Self::Error>;

    /// The newest refusals of a session, in order, at most [`REFUSED_MAX`](crate::command::REFUSED_MAX).
    fn refused(&mut self, id: &SessionId) -> Result<Vec<Refused>, Self::Error>;

    /// The message that was posted under a key.
    fn post(&mut self, key: &PostKey) -> Result<Option<Receipt>, Self::Error>;

    /// Keeps the message that was posted under a key.
    fn add_post(&mut self, key: &PostKey, receipt: &Receipt, at_ms: u64)
    -> Result<(), Self::Error>;

    /// Forgets keys of posts; returns how many.
    fn forget_posts(&mut self, forget: &ForgetPosts) -> Result<usize, Self::Error>;

    /// A room's head, and the offset up to which it is trimmed; zeros for an unknown room.
    fn room(&mut self, name: &RoomName) -> Result<Room, Self::Error>;

    /// Keeps a message, which is its room's new head.
    fn add_message(&mut self, message: &Message) -> Result<(), Self::Error>;

    /// A message that is not trimmed.
    fn message(&mut self, room: &RoomName, offset: Offset) -> Result<Option<Message>, Self::Error>;

    /// Takes the text from a message, which is there, and keeps the time of that.
    fn redact(&mut self, redact: &Redact) -> Result<(), Self::Error>;

    /// Removes a room's messages up to this offset.
    fn trim(&mut self, room: &RoomName, through: Offset) -> Result<(), Self::Error>;

    /// The offset of the last of a room's oldest messages, at most `limit`, that are all from before this time; `None`
    /// where the oldest is not.
    fn aged(
        &mut self,
        room: &RoomName,
        before_ms: u64,
        limit: u64,
    ) -> Result<Option<Offset>, Self::Error>;

    /// The names of rooms after this one, in order, at most `limit`.
    fn rooms(
        &mut self,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<Vec<RoomName>, Self::Error>;
}

/// A session, as far as its numbers go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Its last settled number; 0 for none.
    pub last_seq: u64,
    /// Its newest opening.
    pub generation: Generation,
}

/// A room, as far as its offsets go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The offset of the newest message; 0 for none.
    pub head: Offset,
    /// Everything up to this offset is no longer there; 0 if nothing was trimmed.
    pub trimmed: Offset,
}

/// What is kept of a message to answer its repeats, also when it is trimmed or redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its room.
    pub room: RoomName,
    /// Its offset.
    pub offset: Offset,
    /// The hash of its text.
    pub body_hash: BodyHash,
}

/// Half a SHA-256. It tells apart the messages that one session sent under one number: a client that finds two
/// bodies with the same hash deceives only itself.
pub type BodyHash = [u8; 16];

/// What a command changed that readers want to know of, in its order.
#[derive(Debug, Default)]
pub struct Changes {
    /// The new messages.
    pub messages: Vec<Message>,
    /// The messages that were redacted.
    pub redacted: Vec<Message>,
    /// The offsets up to which rooms were trimmed for age.
    pub trimmed: Vec<(RoomName, Offset)>,
    /// The sessions that were opened, with that opening.
    pub opened: Vec<(SessionId, Generation)>,
}

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<E> {
    /// The rules forbid it: it changed nothing.
    Command(CommandError),
    /// The store could not do it: nothing of the transaction may last.
    Store(E),
}

impl<E> From<E> for Fault<E> {
    fn from(error: E) -> Self {
        Self::Store(error)
    }
}

/// Applies a command.
///
/// # Errors
/// [`Fault`].
pub fn apply<S: Store>(
    store: &mut S,
    command: Command,
    changes: &mut Changes,
) -> Result<Outcome, Fault<S::Error>> {
    Ok(match command {
        Command::Settings(settings) => {
            store.set(&settings)?;
            Outcome::Done
        }
        Command::Open(open) => Outcome::Opened(open_session(store, open, changes)?),
        Command::Append(new) => Outcome::Appended(append(store, new, changes)?),
        Command::Refuse(number) => Outcome::Refused(refuse(store, &number)?),
        Command::Post(new) => Outcome::Posted(post(store, new, changes)?),
        Command::Redact(which) => Outcome::Redacted(redact(store, &which, changes)?),
        Command::Touch(touch) => {
            for id in &touch.sessions {
                store.touch(id, touch.at_ms)?;
            }
            Outcome::Done
        }
        Command::Expire(expire) => Outcome::Forgotten(store.expire(&expire)?),
        Command::ForgetPosts(forget) => Outcome::Forgotten(store.forget_posts(&forget)?),
        Command::Trim(which) => Outcome::Trimmed(trim(store, &which, changes)?),
    })
}

/// Whether one of the hashes that a client shows is that of a session's key: then the session is the client's own (RS-2,
/// AC-3).
pub fn is_shown(stored: &KeyHash, shown: &[KeyHash]) -> bool {
    shown.contains(stored)
}

/// Resumes or opens a session (RS-2, RS-3).
fn open_session<S: Store>(
    store: &mut S,
    open: OpenSession,
    changes: &mut Changes,
) -> Result<OpenedSession, Fault<S::Error>> {
    if let Some((id, shown)) = open.resume
        && let Some(stored) = store.key_hash(&id)?
        && is_shown(&stored, &shown)
        && let Some(mut session) = store.session(&id)?
    {
        store.touch(&id, open.at_ms)?;
        session.generation = session.generation.next();
        store.update_session(&id, session)?;
        let opened = OpenedSession {
            resumed: true,
            generation: session.generation,
            last_seq: session.last_seq,
            refused: store.refused(&id)?,
        };
        changes.opened.push((id, session.generation));
        return Ok(opened);
    }
    let (id, key_hash) = open.fresh;
    if store.session(&id)?.is_some() {
        return Err(Fault::Command(CommandError::SessionTaken));
    }
    let session = Session {
        last_seq: 0,
        generation: Generation::default().next(),
    };
    store.add_session(&id, &key_hash, session, open.at_ms)?;
    changes.opened.push((id, session.generation));
    Ok(OpenedSession {
        resumed: false,
        generation: session.generation,
        last_seq: 0,
        refused: Vec::new(),
    })
}

/// Appends a message (EO-1, EO-2, EO-6).
fn append<S: Store>(
    store: &mut S,
    new: Append,
    changes: &mut Changes,
) -> Result<Offset, Fault<S::Error>> {
    let body_hash = new.erased.unwrap_or_else(|| body_hash(&new.body));
    let (id, seq) = (new.session.clone(), new.seq);
    let found = store.session(&id)?;
    if stands(found, new.generation, seq, new.is_repeat)? == Standing::Settled {
        let used = match store.receipt(&id, seq)? {
            Some(first) => Some(Use::Message {
                offset: first.offset,
                same: first.room == new.room && first.body_hash == body_hash,
            }),
            None => store.refusal(&id, seq)?.map(Use::Refusal),
        };
        return repeated_append(used).map_err(forbidden);
    }
    let room = store.room(&new.room)?;
    let receipt = Receipt {
        room: new.room.clone(),
        offset: room.head.next(),
        body_hash,
    };
    add_message(store, new.at(receipt.offset), room.trimmed, changes)?;
    store.add_receipt(&id, seq, &receipt)?;
    settle(store, &id, found, seq)?;
    Ok(receipt.offset)
}

/// Uses a number up (EO-7).
fn refuse<S: Store>(store: &mut S, number: &Refuse) -> Result<ErrorCode, Fault<S::Error>> {
    let (id, seq) = (&number.session, number.seq);
    let found = store.session(id)?;
    if stands(found, number.generation, seq, false)? == Standing::Settled {
        let used = match store.receipt(id, seq)? {
            Some(first) => Some(Use::Message {
                offset: first.offset,
                same: false,
            }),
            None => store.refusal(id, seq)?.map(Use::Refusal),
        };
        return repeated_refusal(used).map_err(forbidden);
    }
    store.add_refusal(id, seq, number.code)?;
    settle(store, id, found, seq)?;
    Ok(number.code)
}

/// Appends a post (EO-1 and EO-6, by its key instead of a number).
fn post<S: Store>(
    store: &mut S,
    new: Post,
    changes: &mut Changes,
) -> Result<Posted, Fault<S::Error>> {
    let epoch = store.epoch()?;
    let epoch = epoch.ok_or(Fault::Command(CommandError::NotFounded))?;
    let body_hash = new.erased.unwrap_or_else(|| body_hash(&new.body));
    if let Some(first) = store.post(&new.key)? {
        let is_same = first.room == new.room && first.body_hash == body_hash;
        return repeated_post(epoch, first.offset, is_same).map_err(forbidden);
    }
    let room = store.room(&new.room)?;
    let receipt = Receipt {
        room: new.room.clone(),
        offset: room.head.next(),
        body_hash,
    };
    let (key, at_ms) = (new.key, new.at_ms);
    add_message(store, new.at(receipt.offset), room.trimmed, changes)?;
    store.add_post(&key, &receipt, at_ms)?;
    Ok(Posted {
        epoch,
        offset: receipt.offset,
        is_repeat: false,
    })
}

/// Redacts a message (EO-8).
fn redact<S: Store>(
    store: &mut S,
    which: &Redact,
    changes: &mut Changes,
) -> Result<Redaction, Fault<S::Error>> {
    let Some(mut message) = store.message(&which.room, which.offset)? else {
        return Ok(Redaction::Missing);
    };
    if message.removed {
        return Ok(Redaction::Before);
    }
    store.redact(which)?;
    message.body.clear();
    message.removed = true;
    changes.redacted.push(message);
    Ok(Redaction::Done)
}

/// Trims messages for their age, in some of the rooms.
fn trim<S: Store>(
    store: &mut S,
    which: &Trim,
    changes: &mut Changes,
) -> Result<Trimmed, Fault<S::Error>> {
    let rooms = store.rooms(which.after.as_ref(), ROOMS_MAX)?;
    let is_end = rooms.len() < ROOMS_MAX;
    let (mut count, mut next) = (0_u64, which.clone());
    for name in rooms {
        if let Some(through) = store.aged(&name, which.before_ms, TRIM_MAX)? {
            let before = store.room(&name)?.trimmed;
            store.trim(&name, through)?;
            count = count.saturating_add(through.get().saturating_sub(before.get()));
            changes.trimmed.push((name.clone(), through));
            // The rest is left to the next command, so that this one is short.
            if count >= TRIM_MAX {
                let next = Some(next);
                return Ok(Trimmed { count, next });
            }
        }
        next.after = Some(name);
    }
    let next = (!is_end).then_some(next);
    Ok(Trimmed { count, next })
}

fn add_message<S: Store>(
    store: &mut S,
    message: Message,
    trimmed: Offset,
    changes: &mut Changes,
) -> Result<(), S::Error> {
    store.add_message(&message)?;
    if let Some(through) = trim_to(message.offset, trimmed, store.history_per_room()) {
        store.trim(&message.room, through)?;
    }
    changes.messages.push(message);
    Ok(())
}

fn stands<E>(
    found: Option<Session>,
    generation: Generation,
    seq: Seq,
    is_repeat: bool,
) -> Result<Standing, Fault<E>> {
    let newest = found.map(|session| session.generation);
    fence(newest, generation).map_err(forbidden)?;
    let last_seq = found.map(|session| session.last_seq);
    standing(last_seq, seq, is_repeat).map_err(forbidden)
}

fn settle<S: Store>(
    store: &mut S,
    id: &SessionId,
    found: Option<Session>,
    seq: Seq,
) -> Result<(), S::Error> {
    let session = Session {
        last_seq: seq.get(),
        ..found.unwrap_or_default()
    };
    store.update_session(id, session)
}

const fn forbidden<E>(error: NumberError) -> Fault<E> {
    Fault::Command(CommandError::Number(error))
}

/// The hash of a text.
pub fn body_hash(body: &str) -> BodyHash {
    let hash: [u8; 32] = Sha256::digest(body).into();
    hash.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use protocol::id::Name;

    use super::*;
    use crate::memory::MemoryStore;

    fn done(store: &mut MemoryStore, command: Command) -> Outcome {
        apply(store, command, &mut Changes::default()).unwrap()
    }

    /// A part of a round that ends within its first room is not the round's end.
    #[test]
    fn a_round_goes_through_every_room_also_where_the_first_one_is_long() {
        let mut store = MemoryStore::new();
        done(
            &mut store,
            Command::Settings(Settings {
                epoch: Epoch::new("e"),
                history_per_room: u64::MAX,
            }),
        );
        let rooms = ["a", "b"].map(|name| RoomName::new(name).unwrap());
        for (room, count) in rooms.iter().zip([2 * TRIM_MAX + 1, 1]) {
            for number in 1..=count {
                let mut key = [0; 32];
                key[..8].copy_from_slice(&number.to_be_bytes());
                key[8] = room.as_str().as_bytes()[0];
                done(
                    &mut store,
                    Command::Post(Post {
                        key,
                        session: SessionId::new("bot").unwrap(),
                        room: room.clone(),
                        name: Name::tidy("Bot"),
                        body: "x".into(),
                        at_ms: 1,
                        erased: None,
                    }),
                );
            }
        }
        let (mut counts, mut next) = (Vec::new(), Some(Trim::new(2)));
        while let Some(part) = next {
            let Outcome::Trimmed(trimmed) = done(&mut store, Command::Trim(part)) else {
                panic!("not the outcome of a trim");
            };
            counts.push(trimmed.count);
            next = trimmed.next;
        }
        assert_eq!(counts, [TRIM_MAX, TRIM_MAX, 2]);
        for room in rooms {
            let state = store.state(&room);
            assert_eq!(state.head, state.trimmed, "{room}");
        }
    }
}
