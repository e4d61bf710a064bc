//! One row of the timeline.

use std::sync::Arc;

use protocol::client::Fate;
use protocol::frame::Message;
use protocol::id::{RoomName, Seq, SessionId};
use protocol::outbox::{Entry, EntryId, Stage};
use protocol::position::Offset;

/// One row of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A message in the log.
    Logged(Logged),
    /// Messages are missing here (RS-6). Gaps are numbered.
    Gap(u32),
    /// A message of this page on its way to the log.
    Pending(Pending),
}

/// A message in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The message.
    pub message: Arc<Message>,
    /// The number of its epoch among those that the page saw.
    pub epoch: u32,
    /// The number of its [`super::Page`].
    pub page: u32,
    /// Whether this page sent it.
    pub own: bool,
    /// The outbox entry of the message, if the page had it on its way.
    pub entry: Option<EntryId>,
}

/// A message of this page on its way to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its id in the outbox.
    pub id: EntryId,
    /// Which room it is for.
    pub room: RoomName,
    /// The text.
    pub body: Arc<str>,
    /// Its fate (EO-5).
    pub fate: Fate,
    seq: Seq,
    /// The session of the closed page that left it, in which it is sent (RS-8). None: the page's own.
    home: Option<SessionId>,
    /// The session in which it was sent with `seq`; only then can the log hold it.
    sent_in: Option<SessionId>,
}

/// How far a message of this page has got, in the log or on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The session that sent it, or will.
    pub session: Option<SessionId>,
    /// Its fate (EO-5).
    pub fate: Fate,
    /// Its offset in the log.
    pub offset: Option<Offset>,
    /// When it entered the log: Unix time in milliseconds.
    pub at_ms: Option<u64>,
}

/// What identifies a row while it moves and changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// A message of this page, from the outbox on: one row before and after it is in the log.
    Entry(u64),
    /// Any other message.
    Logged {
        /// The number of its epoch.
        epoch: u32,
        /// Its offset there.
        offset: u64,
        /// Whether this page sent it.
        own: bool,
        /// Whether its text is redacted.
        removed: bool,
    },
    /// A gap.
    Gap(u32),
}

impl Row {
    /// What identifies this row.
    pub fn key(&self) -> RowKey {
        match self {
            Self::Logged(Logged {
                entry: Some(id), ..
            })
            | Self::Pending(Pending { id, .. }) => RowKey::Entry(id.0),
            Self::Logged(Logged {
                message,
                epoch,
                own,
                entry: None,
                ..
            }) => RowKey::Logged {
                epoch: *epoch,
                offset: message.offset.get(),
                own: *own,
                removed: message.removed,
            },
            Self::Gap(number) => RowKey::Gap(*number),
        }
    }

    pub(super) const fn logged(&self) -> Option<&Logged> {
        if let Self::Logged(logged) = self {
            Some(logged)
        } else {
            None
        }
    }

    pub(super) const fn gap(&self) -> Option<u32> {
        if let Self::Gap(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    pub(super) fn offset(&self) -> Option<Offset> {
        self.logged().map(|logged| logged.message.offset)
    }
}

impl Logged {
    /// Its progress: durable.
    pub(super) fn progress(&self) -> Progress {
        let offset = Some(self.message.offset);
        Progress {
            session: Some(self.message.session.clone()),
            fate: Fate::Durable { offset },
            offset,
            at_ms: Some(self.message.at_ms),
        }
    }
}

impl Pending {
    /// A message of the outbox. `session`: that of the page that left it, if it is not new.
    pub(super) fn new(entry: &Entry, session: Option<&SessionId>) -> Self {
        let (fate, sent_in) = match entry.stage {
            Stage::Unsent => (Fate::Waiting, None),
            Stage::Sent => (Fate::Sent, session),
            Stage::Uncertain => (Fate::Uncertain, None),
            Stage::Held => (Fate::Held, None),
            Stage::Refused(code) => (Fate::Refused { code }, None),
        };
        Self {
            id: entry.id,
            room: entry.room.clone(),
            body: entry.body.as_str().into(),
            fate,
            seq: entry.seq,
            home: None,
            sent_in: sent_in.cloned(),
        }
    }

    /// Makes it a message that is sent in another session than the page's own.
    pub(super) fn at_home_in(mut self, session: Option<&SessionId>) -> Self {
        self.home = session.cloned();
        self
    }

    /// Its progress; `session` is the page's own.
    pub(super) fn progress(&self, session: Option<&SessionId>) -> Progress {
        let offset = self.offset();
        let session = self.sent_in.as_ref().or(self.home.as_ref()).or(session);
        let session = session.cloned();
        Progress {
            session,
            fate: self.fate,
            offset,
            at_ms: None,
        }
    }

    /// Its place in the log, once the server named it.
    pub(super) const fn offset(&self) -> Option<Offset> {
        if let Fate::Durable { offset } = self.fate {
            offset
        } else {
            None
        }
    }

    /// Whether it is not durable yet, and will be without the user.
    pub const fn is_on_the_way(&self) -> bool {
        matches!(self.fate, Fate::Waiting | Fate::Sent)
    }

    /// Whether it waits for the user.
    pub(super) const fn is_aside(&self) -> bool {
        matches!(
            self.fate,
            Fate::Uncertain | Fate::Held | Fate::Refused { .. }
        )
    }

    /// It waits to be sent. Under another number it was not sent yet.
    pub(super) fn become_waiting(&mut self, seq: Seq) {
        if self.seq != seq || self.is_aside() {
            self.sent_in = None;
        }
        self.seq = seq;
        self.fate = Fate::Waiting;
    }

    /// It was sent. `session` is the page's own.
    pub(super) fn become_sent(&mut self, seq: Seq, session: Option<&SessionId>) {
        self.seq = seq;
        self.sent_in = self.home.as_ref().or(session).cloned();
        self.fate = Fate::Sent;
    }

    /// Whether a message of the log is this one: it was sent so, or acked at that offset.
    pub(super) fn is(&self, message: &Message) -> bool {
        if self.offset() == Some(message.offset) {
            return self.room == message.room && (message.removed || *self.body == *message.body);
        }
        self.sent_in.as_ref() == Some(&message.session)
            && message.is_published_as(&self.room, self.seq, &self.body)
    }
}
