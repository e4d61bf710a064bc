//! Short constructors for tests.

use protocol::client::Event;
use protocol::frame::{Draft, Joined, Limits, Member, Message};
use protocol::id::{Name, RoomName, Seq, SessionId};
use protocol::outbox::{Entry, EntryId, Stage};
use protocol::position::{Epoch, Offset, Position};

use crate::Report;
use crate::Snapshot;

pub(crate) fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

pub(crate) fn offset(number: u64) -> Offset {
    Offset::new(number).unwrap()
}

pub(crate) fn member(name: &str) -> Member {
    Member::new(session(name), Name::tidy(name))
}

pub(crate) fn message(author: &str, number: u64, seq: u64, body: &str) -> Message {
    message_at(author, number, seq, number * 1000, body)
}

pub(crate) fn message_at(author: &str, number: u64, seq: u64, at_ms: u64, body: &str) -> Message {
    Message {
        room: RoomName::lobby(),
        offset: offset(number),
        session: session(author),
        seq: Seq::new(seq).unwrap(),
        name: Name::tidy(author),
        at_ms,
        body: body.to_owned(),
        removed: false,
    }
}

/// An entry of the outbox: the ids are from 0, and the seqs follow them.
pub(crate) fn entry(id: u64, body: &str, stage: Stage) -> Entry {
    Entry {
        id: EntryId(id),
        seq: Seq::after(id),
        room: RoomName::lobby(),
        body: body.into(),
        stage,
    }
}

pub(crate) fn welcomed(name: &str) -> Report {
    let limits = Limits::default();
    Report::Event(Event::Welcomed {
        session: session(name),
        resumed: true,
        limits,
        vouched: None,
    })
}

pub(crate) fn joined(members: &[&str], epoch: &str, from: u64, gap: bool) -> Report {
    let joined = Joined {
        room: RoomName::lobby(),
        epoch: Epoch::new(epoch),
        head: offset(from),
        from: offset(from),
        recovered: !gap,
        members: members.iter().map(|name| member(name)).collect(),
        count: None,
        drafts: Vec::new(),
        read_only: false,
    };
    Report::Event(Event::Joined { joined, gap })
}

pub(crate) fn draft(author: &str, body: &str) -> Report {
    Report::Event(Event::Draft(Draft {
        room: RoomName::lobby(),
        session: session(author),
        name: Name::tidy(author),
        body: body.to_owned(),
    }))
}

/// Messages with offsets and seqs from 1.
pub(crate) fn snapshot(said: &[(&str, &str)]) -> Snapshot {
    let numbered = (1..).zip(said);
    let messages: Vec<Message> = numbered
        .map(|(number, (author, body))| message(author, number, number, body))
        .collect();
    let newest = messages
        .last()
        .map_or(Offset::ZERO, |message| message.offset);
    Snapshot {
        position: Position {
            epoch: Epoch::new("e"),
            offset: newest,
        },
        messages,
        more: false,
    }
}
