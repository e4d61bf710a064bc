//! The trace of a session as its driver makes it for an observer, and the faults that an observer may cause.

use std::time::Duration;

use protocol::id::Credentials;

/// An observer of a session. The driver calls it on the page's thread, in the middle of a step: it must not wait.
pub trait Observer {
    /// Takes the next entry of the trace, in order. It holds no body, no key and no token.
    fn take(&self, entry: &TraceEntry<'_>);

    /// Takes the session's id and its key, which opens the server's trace of the same session: when the observer comes, and
    /// whenever the session is another one. Only here does a key leave the driver; it belongs into no trace and no export.
    fn watch(&self, session: &Credentials);
}

/// An entry of the trace: what the driver fed to the session's machine, or took from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceEntry<'a> {
    /// What it is.
    pub kind: TraceKind,
    /// The driver's monotonic clock, in milliseconds with fractions. It goes on by a [`Fault::Clock`], too.
    pub ms: f64,
    /// The number of the connection: the page counts its own, from 1. 0 while there is none.
    pub connection: u64,
    /// Which text frame of this connection and this direction it is, from 1; 0 for what is no text frame. Frames count
    /// from the connection's first one, also before the observer came.
    pub ordinal: u64,
    /// What the [`TraceKind`] says.
    pub text: &'a str,
}

/// The kinds of a [`TraceEntry`], with their texts. JSON is as on the wire with three changes: a `body` is the number of
/// its bytes (UTF-8), and a `key` or a `token` is `"…"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceKind {
    /// The page begins to open a connection. Text: the node's address, if the session has several.
    Open,
    /// The connection is open. No text.
    Opened,
    /// A frame that came. Text: the frame; of what is no frame of the protocol, the number of its bytes.
    In,
    /// A frame that the page sends. Text: the frame.
    Out,
    /// The page drops the connection. Text: the close code.
    Close,
    /// The connection ended, or could not be opened. Text: the code that came, if one did.
    Closed,
    /// The connection's state. Text: [`Status`](protocol::client::Status) as JSON. The first entry that an observer gets is
    /// of this kind; it also holds the `heartbeat` of the connection's `welcome`, if there was one.
    State,
    /// A message of the page changed its fate, or the machine reported the next message of a room: an
    /// [`Event`](protocol::client::Event). Text: JSON with its `type`. `queued` has `id`, `seq` and `room`, `fate` has `id`, `seq` and
    /// `fate`, `message` has `room` and `offset`.
    Event,
    /// The page or its network changed. Text: `visible` (also as it wakes up), `hidden`, `freeze`, `online` or `offline`.
    Fact,
    /// A fault begins, or all end. Text: [`Fault::name`].
    Fault,
}

impl TraceKind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Opened => "opened",
            Self::In => "in",
            Self::Out => "out",
            Self::Close => "close",
            Self::Closed => "closed",
            Self::State => "state",
            Self::Event => "event",
            Self::Fact => "fact",
            Self::Fault => "fault",
        }
    }
}

/// A fault of the page's own connection, its clock, or its machine.
///
/// A connection on which a frame was swallowed has a hole. TCP has none, so such a connection never goes on: it ends by
/// the session's own deadlines, or at [`Fault::Heal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is lost. Without one nothing happens.
    Cut,
    /// All that the page sends is swallowed until [`Fault::Heal`]: handshakes, frames and closes. The server keeps the
    /// connection until its own deadline.
    Mute,
    /// All that comes to the page is swallowed until [`Fault::Heal`]: answers to handshakes, frames and closes.
    Deafen,
    /// The next ack is swallowed, or the page's own message of the room's log where that comes first, which says the same.
    /// The connection is lost with it: else the pongs that follow would tell the page that all is well, and the message
    /// would stay on its way.
    LostAck,
    /// The page's clock jumps ahead. It never goes back.
    Clock(Duration),
    /// The machine sleeps: facts, commands and the timer are held, and handled late. Nothing wakes it earlier, not even
    /// [`Fault::Heal`]. Facts over their limit: the connection is lost; commands: refused as busy.
    Sleep(Duration),
    /// Ends the faults that last. A connection with a hole is lost now.
    Heal,
}

impl Fault {
    /// The fault of this name; `ms`: the milliseconds of `clock` and `sleep`.
    pub fn named(name: &str, ms: u32) -> Option<Self> {
        let time = Duration::from_millis(ms.into());
        let all = [
            Self::Cut,
            Self::Mute,
            Self::Deafen,
            Self::LostAck,
            Self::Clock(time),
            Self::Sleep(time),
            Self::Heal,
        ];
        all.into_iter().find(|fault| fault.name() == name)
    }

    /// Its name, without its time.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Mute => "mute",
            Self::Deafen => "deafen",
            Self::LostAck => "lost-ack",
            Self::Clock(_) => "clock",
            Self::Sleep(_) => "sleep",
            Self::Heal => "heal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_names() {
        let time = Duration::from_millis(8_000);
        for (name, fault) in [
            ("cut", Some(Fault::Cut)),
            ("mute", Some(Fault::Mute)),
            ("deafen", Some(Fault::Deafen)),
            ("lost-ack", Some(Fault::LostAck)),
            ("clock", Some(Fault::Clock(time))),
            ("sleep", Some(Fault::Sleep(time))),
            ("heal", Some(Fault::Heal)),
            ("drain", None),
        ] {
            assert_eq!(Fault::named(name, 8_000), fault);
            assert_eq!(fault.map_or(name, Fault::name), name);
        }
    }
}
