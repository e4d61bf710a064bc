//! A log behind a gate: another log, whose calls wait while the gate is closed. For tests of a log that hangs.

use std::sync::Arc;

use protocol::frame::ErrorCode;
use protocol::id::{RoomName, SessionId};
use protocol::position::Offset;
use tokio::sync::watch;

use super::{
    Answer, Append, KeyHash, Log, LogError, OpenSession, OpenedSession, Page, Post, Posted,
    Redaction, Refuse, RoomLog,
};

/// A log that can be frozen: a call made while it is frozen is done and answered once it thaws.
pub struct LateLog {
    log: Arc<dyn Log>,
    writes: watch::Sender<bool>,
    reads: watch::Sender<bool>,
}

impl LateLog {
    /// Wraps this log; not frozen.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            writes: watch::Sender::new(false),
            reads: watch::Sender::new(false),
        }
    }

    /// Whether writes wait from now on.
    pub fn freeze_writes(&self, is_frozen: bool) {
        self.writes.send_replace(is_frozen);
    }

    /// Whether reads wait from now on.
    pub fn freeze_reads(&self, is_frozen: bool) {
        self.reads.send_replace(is_frozen);
    }

    /// Whether writes and reads wait from now on.
    pub fn freeze(&self, is_frozen: bool) {
        self.freeze_writes(is_frozen);
        self.freeze_reads(is_frozen);
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Log) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        self.after(&self.writes, work)
    }

    fn read_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Log) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        self.after(&self.reads, work)
    }

    fn after<T: Send + 'static>(
        &self,
        gate: &watch::Sender<bool>,
        work: impl FnOnce(&dyn Log) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        if !*gate.borrow() {
            return work(self.log.as_ref());
        }
        let (mut gate, log) = (gate.subscribe(), Arc::clone(&self.log));
        Box::pin(async move {
            let thawed = gate.wait_for(|is_frozen| !is_frozen).await.is_ok();
            if !thawed {
                return Err(LogError::Unavailable("the log is gone".into()));
            }
            work(log.as_ref()).await
        })
    }
}

impl Log for LateLog {
    fn open_session(&self, open: OpenSession) -> Answer<OpenedSession> {
        self.write(|log| log.open_session(open))
    }

    fn owns(&self, session: SessionId, shown: Vec<KeyHash>) -> Answer<bool> {
        self.read_with(move |log| log.owns(session, shown))
    }

    fn append(&self, append: Append) -> Answer<Offset> {
        self.write(|log| log.append(append))
    }

    fn refuse(&self, refuse: Refuse) -> Answer<ErrorCode> {
        self.write(|log| log.refuse(refuse))
    }

    fn post(&self, post: Post) -> Answer<Posted> {
        self.write(|log| log.post(post))
    }

    fn redact(&self, room: RoomName, offset: Offset, at_ms: u64) -> Answer<Redaction> {
        self.write(move |log| log.redact(room, offset, at_ms))
    }

    fn scrubbed(&self) -> Answer<()> {
        self.log.scrubbed()
    }

    fn barrier(&self) -> Answer<()> {
        self.read_with(|log| log.barrier())
    }

    fn room(&self, room: RoomName) -> Answer<RoomLog> {
        self.read_with(|log| log.room(room))
    }

    fn read(&self, room: RoomName, after: Offset, limit: u32) -> Answer<Page> {
        self.read_with(move |log| log.read(room, after, limit))
    }

    fn read_before(&self, room: RoomName, before: Offset, limit: u32) -> Answer<Page> {
        self.read_with(move |log| log.read_before(room, before, limit))
    }

    fn touch(&self, sessions: Vec<SessionId>, at_ms: u64) -> Answer<()> {
        self.write(move |log| log.touch(sessions, at_ms))
    }

    fn expire(&self, before_ms: u64) -> Answer<usize> {
        self.write(move |log| log.expire(before_ms))
    }

    fn expire_unused(&self, before_ms: u64) -> Answer<usize> {
        self.write(move |log| log.expire_unused(before_ms))
    }

    fn sessions(&self) -> Answer<u64> {
        self.read_with(|log| log.sessions())
    }

    fn probe(&self) -> Answer<()> {
        self.write(|log| log.probe())
    }

    fn forget_posts(&self, before_ms: u64) -> Answer<usize> {
        self.write(move |log| log.forget_posts(before_ms))
    }

    fn trim(&self, before_ms: u64) -> Answer<u64> {
        self.write(move |log| log.trim(before_ms))
    }

    fn newest_ms(&self) -> Option<u64> {
        self.log.newest_ms()
    }

    fn close(&self) -> Answer<()> {
        self.log.close()
    }
}
