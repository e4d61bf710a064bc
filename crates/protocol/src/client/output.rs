//! The output of the client's machine: I/O to perform, and events to show.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::outage::Recovery;
use crate::address::Address;
use crate::close::CloseCode;
use crate::frame::{ClientFrame, Draft, ErrorCode, Joined, Limits, Member, Message, Refusal};
use crate::id::{ConnectionId, Credentials, Name, RoomName, Seq, SessionId};
use crate::outbox::{Entry, EntryId};
use crate::position::Offset;
use crate::time::{Timestamp, millis};

/// I/O that the driver must perform, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Open a connection and report about it under this id.
    Open {
        /// Its id.
        id: ConnectionId,
        /// Where to; `None` where the session was made without addresses.
        address: Option<Address>,
    },
    /// Send a frame.
    Frame {
        /// On which connection.
        id: ConnectionId,
        /// The frame.
        frame: ClientFrame,
    },
    /// Drop a connection at once; its later events are ignored (HB-7).
    Close {
        /// Which one.
        id: ConnectionId,
        /// The code to send if that can be done without waiting.
        code: CloseCode,
    },
    /// Fetch a token from the token endpoint, and answer with
    /// [`Input::Token`](super::Input::Token). It has as long as a connection may take to open (RC-5).
    FetchToken,
    /// Keep something where it survives a reload, before anything that follows is done (EO-4).
    Store(Store),
}

/// A change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// The session to resume; `None` forgets it.
    Session(Option<Credentials>),
    /// A message of the outbox, new or changed.
    Put(Entry),
    /// A message that is settled.
    Remove(EntryId),
}

/// An event: a report to the application. As JSON it is an object with a `type`; times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The connection's state changed.
    Status(Status),
    /// The server welcomed the session.
    Welcomed {
        /// Its public id.
        session: SessionId,
        /// Whether it is the one that the page had.
        resumed: bool,
        /// The server's limits.
        limits: Limits,
        /// The name that a token vouches for: the client cannot change it (AC-4).
        vouched: Option<Name>,
    },
    /// A room's state: its members, and where its messages go on.
    Joined {
        /// The server's answer.
        joined: Joined,
        /// Messages between what the page shows and what follows are missing (RS-6).
        gap: bool,
    },
    /// The next message of a room, exactly once and in order (EO-3).
    Message(Message),
    /// The text of a message that may be shown is redacted (EO-8). As JSON its type is `removed`, as on the wire.
    #[serde(rename = "removed")]
    Redacted(Message),
    /// Older messages, oldest first.
    History {
        /// Which room.
        room: RoomName,
        /// The messages.
        messages: Vec<Message>,
        /// Whether there are still older ones.
        more: bool,
    },
    /// Another member's input box changed.
    Draft(Draft),
    /// Members came, left or changed their names.
    Presence {
        /// Which room.
        room: RoomName,
        /// Members that came or changed their names.
        joined: Vec<Member>,
        /// Members that left.
        left: Vec<SessionId>,
        /// How many members the room has now, where that is more than are named (PR-3).
        count: Option<u32>,
    },
    /// A message entered the outbox: it waits to be sent or, if another page left it, for the user.
    Queued(Entry),
    /// A message's fate changed (EO-5).
    Fate {
        /// Which one.
        id: EntryId,
        /// The number it has now.
        seq: Seq,
        /// The new fate.
        fate: Fate,
    },
    /// A heartbeat: a ping was answered, by the server or by this client.
    Beat {
        /// The round trip, where this client asked.
        #[serde(rename = "rtt_ms", serialize_with = "optional_millis")]
        rtt: Option<Duration>,
    },
    /// Whether the live connection is in doubt: an answer of the server takes longer than usual (HB-6), or something
    /// came after all. A new status ends the doubt, too.
    Doubt {
        /// Whether it is in doubt from now on.
        doubtful: bool,
    },
    /// The server takes no message for now (EO-7).
    Paused {
        /// Why.
        code: ErrorCode,
        /// How long it takes until the last message that waits now can go.
        #[serde(rename = "wait_ms", serialize_with = "one_millis")]
        wait: Duration,
    },
    /// An outage is over: the session is live, its messages have their fates, and its rooms are caught up.
    Recovered(Recovery),
    /// Something other than a message was refused.
    Refused(Refusal),
}

/// The fate of a message (EO-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// In the outbox, not on the wire.
    Waiting,
    /// On the wire, not yet acked.
    Sent,
    /// In the log for good.
    Durable {
        /// Its offset, where the server named it.
        offset: Option<Offset>,
    },
    /// Refused for good. The text stays in the outbox until the user drops it (EO-7).
    Refused {
        /// Why.
        code: ErrorCode,
    },
    /// Not sent, and not to be sent before the user decides (RS-8).
    Held,
    /// Perhaps in the log, perhaps not; the user decides (RS-9).
    Uncertain,
}

/// The connection's state as a page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Not asked to connect.
    Idle,
    /// Trying.
    Connecting,
    /// Connected and resumed.
    Live,
    /// Waiting for the next try.
    Waiting {
        /// When it comes.
        #[serde(rename = "until_ms")]
        until: Timestamp,
        /// Why the last connection ended.
        cause: Cause,
        /// How many tries failed in a row.
        attempt: u32,
        /// Whether the browser says that there is no network.
        offline: bool,
        /// How long the wait could have become at most, where it was drawn (RC-1, RC-4): not of a slot (RC-3, RC-7),
        /// nor without a network.
        #[serde(rename = "ceiling_ms", serialize_with = "optional_millis")]
        ceiling: Option<Duration>,
    },
    /// Stopped until the user acts.
    Stopped {
        /// Why.
        cause: Cause,
    },
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Closed, with or without a code; or not opened, where the driver cannot see why.
    Closed(Option<CloseCode>),
    /// The opening handshake was answered over HTTP.
    Refused {
        /// With this status.
        status: u16,
    },
    /// The server sent nothing in time (HB-3, RC-5).
    NoAnswer,
    /// The server asked for it (RC-3).
    GoAway,
    /// The page was frozen (RC-6).
    Frozen,
    /// The server sent something that is not a frame, or continued another session.
    BadAnswer,
    /// A token is needed, and none could be fetched (AC-6).
    NoToken,
}

fn one_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    millis(*time).serialize(serializer)
}

fn optional_millis<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(millis).serialize(serializer)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn events_serialise() {
        let until = Timestamp::from_millis(1_500);
        let (id, seq) = (EntryId(3), Seq::FIRST);
        let fate = |fate| Event::Fate { id, seq, fate };
        let waiting = Status::Waiting {
            until,
            cause: Cause::Closed(Some(CloseCode::DEAD)),
            attempt: 2,
            offline: false,
            ceiling: Some(Duration::from_millis(500)),
        };
        let events = [
            (
                Event::Status(Status::Live),
                r#"{"type":"status","status":"live"}"#,
            ),
            (
                Event::Status(waiting),
                concat!(
                    r#"{"type":"status","status":"waiting","until_ms":1500,"#,
                    r#""cause":{"closed":4000},"attempt":2,"offline":false,"ceiling_ms":500}"#
                ),
            ),
            (
                fate(Fate::Sent),
                r#"{"type":"fate","id":3,"seq":1,"fate":"sent"}"#,
            ),
            (
                fate(Fate::Durable { offset: None }),
                r#"{"type":"fate","id":3,"seq":1,"fate":{"durable":{"offset":null}}}"#,
            ),
            (
                Event::Beat {
                    rtt: Some(Duration::from_millis(20)),
                },
                r#"{"type":"beat","rtt_ms":20}"#,
            ),
            (
                Event::Doubt { doubtful: true },
                r#"{"type":"doubt","doubtful":true}"#,
            ),
            (
                Event::Paused {
                    code: ErrorCode::RateLimited,
                    wait: Duration::from_secs(4),
                },
                r#"{"type":"paused","code":"rate_limited","wait_ms":4000}"#,
            ),
            (
                Event::Refused(Refusal::new(ErrorCode::TooManyRooms)),
                concat!(
                    r#"{"type":"refused","code":"too_many_rooms","#,
                    r#""message":"leave a room before joining another"}"#
                ),
            ),
        ];
        for (event, json) in events {
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
        }
    }
}
