//! What connections rely on: pulls from rooms, marks, takeovers, departures.

mod connections;
mod nodes;
mod removals;
mod replays;
mod rooms;
mod tails;

use std::io::Cursor;
use std::sync::Arc;
use std::task::{Context, Waker};

use protocol::frame::Message;
use protocol::id::{ConnectionId, Generation, Holder, Name, RoomName, Seq, SessionId};
use protocol::position::Offset;
use protocol::server::{Pull, RoomView};
use protocol::time::Timestamp;
use tungstenite::protocol::frame::FrameSocket;

use super::mailbox::Mailbox;
use super::room::{Entry, Room, Taken};
use super::{Hub, Rooms};
use crate::clock::Clock;
use crate::log::memory::MemoryLog;
use crate::log::{Append, Log, OpenSession};
use crate::text_frame::TextFrame;

/// A hub over a log in memory.
struct Place {
    hub: Hub,
    rooms: Arc<Rooms>,
    log: Arc<MemoryLog>,
}

/// A connection that is in one room.
struct Reader {
    id: ConnectionId,
    session: SessionId,
    mailbox: Arc<Mailbox>,
    room: Arc<Room>,
    view: RoomView,
}

impl Place {
    /// A hub whose rooms keep so many messages.
    fn new(history_per_room: u64) -> Self {
        Self::naming(100, history_per_room)
    }

    /// A hub whose rooms name so many members, and keep so many messages.
    fn naming(members: usize, history_per_room: u64) -> Self {
        Self::over(Rooms::new(members), history_per_room)
    }

    /// A hub with these rooms, which keep so many messages.
    fn over(rooms: Rooms, history_per_room: u64) -> Self {
        let rooms = Arc::new(rooms);
        let log = Arc::new(MemoryLog::new(history_per_room, rooms.clone()));
        Self {
            hub: Hub::new(rooms.clone(), log.clone(), 1 << 20, Clock::start()),
            rooms,
            log,
        }
    }

    /// Connects a session, and makes it a member of a room.
    async fn reader(&self, session: &str, room: &str) -> Reader {
        let (id, mailbox) = self.hub.connect(usize::MAX).unwrap();
        let session = SessionId::new(session).unwrap();
        self.hub.attach(&session, by(id));
        self.enter(id, mailbox, session, room).await
    }

    async fn enter(
        &self,
        id: ConnectionId,
        mailbox: Arc<Mailbox>,
        session: SessionId,
        room: &str,
    ) -> Reader {
        let member = (session.clone(), Name::tidy(session.as_str()));
        let room = self.hub.load_room(&name(room)).await.unwrap();
        // Time 0, at which the times of tests begin.
        let view = room.enter(at(0), member, None, (by(id), &mailbox));
        Reader {
            id,
            session,
            mailbox,
            room,
            view,
        }
    }

    /// Appends messages with these texts, in a session.
    async fn append(&self, session: &str, room: &str, bodies: &[&str]) {
        let id = SessionId::new(session).unwrap();
        let open = OpenSession {
            resume: Some((id.clone(), vec![[7; 32]])),
            fresh: (id.clone(), [7; 32]),
            at_ms: 1,
        };
        let opened = self.log.open_session(open).await.unwrap();
        for (number, body) in (opened.last_seq + 1..).zip(bodies) {
            let append = Append {
                session: id.clone(),
                generation: opened.generation,
                seq: seq(number),
                room: name(room),
                name: Name::tidy(session),
                body: (*body).to_owned(),
                at_ms: 1,
                is_repeat: false,
                erased: None,
            };
            self.log.append(append).await.unwrap();
        }
    }
}

impl Reader {
    /// The rooms whose marks it has got since the last look.
    fn moved(&self) -> Vec<String> {
        let moved = self.mailbox.take().moved;
        moved.iter().map(ToString::to_string).collect()
    }

    /// Whether its task would be woken.
    fn is_woken(&self) -> bool {
        is_woken(&self.mailbox)
    }

    fn take(&self, after: u64, limit: u32, since: u64) -> Taken<Entry> {
        let after = offset(after);
        let pull = Pull {
            after,
            limit,
            since,
        };
        self.room.take(pull, |entry| Some(entry.clone()))
    }

    /// What changed among drafts and members after a version, as frames.
    fn changes(&self, since: u64) -> Vec<String> {
        let (head, _) = self.room.marks();
        match self.take(head.get(), 1, since) {
            Taken::Entries { changes, .. } => {
                changes.iter().map(|entry| text(&entry.frame)).collect()
            }
            other => panic!("no changes but {other:?}"),
        }
    }
}

fn name(room: &str) -> RoomName {
    RoomName::new(room).unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

/// A connection as the holder of a session that was opened once.
fn by(connection: ConnectionId) -> Holder {
    let generation = Generation(1);
    Holder {
        connection,
        generation,
    }
}

fn offset(number: u64) -> Offset {
    Offset::new(number).unwrap()
}

fn at(s: u64) -> Timestamp {
    Timestamp::from_millis(s * 1000)
}

fn message(room: &str, number: u64, body: &str) -> Message {
    Message {
        room: name(room),
        offset: offset(number),
        session: SessionId::new("ada").unwrap(),
        seq: seq(number),
        name: Name::tidy("Ada"),
        at_ms: 1,
        body: body.to_owned(),
        removed: false,
    }
}

/// The offsets and texts of what was taken, and up to where that reaches.
fn taken(taken: Taken<Entry>) -> (Vec<(u64, String)>, u64, u64) {
    let Taken::Entries {
        messages,
        through,
        version,
        ..
    } = taken
    else {
        panic!("nothing in the tail: {taken:?}");
    };
    let messages = messages
        .iter()
        .map(|entry| (entry.offset.get(), text(entry.text.as_ref().unwrap())));
    (messages.collect(), through.get(), version)
}

/// What a client reads.
fn text(frame: &TextFrame) -> String {
    let mut socket = FrameSocket::new(Cursor::new(frame.clone().into_bytes()));
    let frame = socket.read(None).unwrap().unwrap();
    frame.into_text().unwrap().to_string()
}

fn is_woken(mailbox: &Mailbox) -> bool {
    let mut nobody = Context::from_waker(Waker::noop());
    mailbox.poll_marked(&mut nobody).is_ready()
}
