//! Another node, as far as it has members in a room: which version of them is known here, and what is to be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::News;
use crate::id::Life;
use crate::time::Timestamp;

/// How long an answer may take before it is asked for again; the wait doubles up to [`ASK_MAX`].
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The longest wait between two questions.
const ASK_MAX: Duration = Duration::from_secs(5);

/// The most parts of one roster: 64 MiB, or a million members. A roster of more is not taken.
const PARTS_MAX: u32 = 1024;

/// What is known of another node in one room.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Its life; `None` before its first message.
    life: Option<Life>,
    /// The version of its members that is known here.
    version: Option<u64>,
    /// The newest version that it mentioned.
    mentioned: Option<u64>,
    /// When it is asked next.
    ask_at: Option<Timestamp>,
    patience: Duration,
    gathering: Option<Gathering>,
}

/// Parts of a roster, until all of them are there.
#[derive(Debug)]
struct Gathering {
    version: u64,
    parts: BTreeMap<u32, News>,
}

impl Peer {
    /// A node of which nothing is known, to be asked at that time.
    pub(super) fn new(ask_at: Option<Timestamp>) -> Self {
        Self {
            ask_at,
            patience: ASK_AGAIN,
            ..Self::default()
        }
    }

    /// Takes the life of a message. `None` for an earlier life, whose messages are void; else whether it is a new one,
    /// in which nothing of the earlier one counts.
    pub(super) fn lives(&mut self, life: Life) -> Option<bool> {
        let life = Some(life);
        if self.life > life {
            return None;
        }
        let is_new = self.life < life;
        if is_new {
            let ask_at = self.ask_at;
            *self = Self::new(ask_at);
            self.life = life;
        }
        Some(is_new)
    }

    /// Whether a change to this version is the next one.
    pub(super) fn is_next(&self, version: u64) -> bool {
        self.version
            .is_some_and(|known| known.checked_add(1) == Some(version))
    }

    /// Whether this version is newer than what is known.
    pub(super) fn is_newer(&self, version: u64) -> bool {
        self.version < Some(version)
    }

    /// The node is at this version. It is asked for what is missing here.
    pub(super) fn mentions(&mut self, now: Timestamp, version: u64) {
        self.mentioned = self.mentioned.max(Some(version));
        if self.is_behind() && self.ask_at.is_none() {
            self.ask_at = Some(now);
            self.patience = ASK_AGAIN;
        }
    }

    /// Its members are known up to this version.
    pub(super) fn reached(&mut self, now: Timestamp, version: u64) {
        self.version = Some(version);
        self.gathering.take_if(|parts| parts.version <= version);
        self.ask_at = None;
        self.mentions(now, version);
    }

    /// Takes a part of its roster at a version; returns the whole once it is there.
    pub(super) fn gather(
        &mut self,
        version: u64,
        (part, parts): (u32, u32),
        news: News,
    ) -> Option<News> {
        let older = self.gathering.as_ref().map(|gathering| gathering.version);
        if part >= parts || parts > PARTS_MAX || !self.is_newer(version) || older > Some(version) {
            return None;
        }
        let fresh = || Gathering {
            version,
            parts: BTreeMap::new(),
        };
        let mut gathering = self.gathering.take().unwrap_or_else(fresh);
        if gathering.version < version {
            gathering = fresh();
        }
        gathering.parts.insert(part, news);
        if gathering.parts.len() < parts as usize {
            self.gathering = Some(gathering);
            return None;
        }
        let mut all = News::default();
        for part in gathering.parts.into_values() {
            all.extend(part);
        }
        Some(all)
    }

    /// When it is asked next.
    pub(super) const fn ask_at(&self) -> Option<Timestamp> {
        self.ask_at
    }

    /// Notes that it is asked now, and when to ask again.
    pub(super) fn asked(&mut self, now: Timestamp) {
        self.ask_at = self.is_behind().then(|| now + self.patience);
        self.patience = self.patience.saturating_mul(2).min(ASK_MAX);
    }

    /// Whether it mentioned more than is known. One that was never heard of has the room not open.
    fn is_behind(&self) -> bool {
        self.mentioned > self.version
    }
}
