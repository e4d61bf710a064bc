//! New names: all members of all rooms of a session get them, so they are announced at a rate, the latest one wins.

use super::allowance::NEWS;
use super::{Config, Connection, State, Transmit};
use crate::id::Name;
use crate::rate::Bucket;
use crate::time::Timestamp;

/// How many new names in a row are announced at once: users try some.
const BURST: u32 = 5;

/// The rate of one session's new names.
#[derive(Debug)]
pub(super) struct Renames {
    rate: Bucket,
    /// The latest name is not announced yet, but will be at this time.
    due: Option<Timestamp>,
}

impl Renames {
    fn new(now: Timestamp, config: &Config) -> Self {
        Self {
            rate: Bucket::every(now, config.rename_every, BURST),
            due: None,
        }
    }

    /// Whether the latest name may be announced now; if not, it is due later.
    fn take(&mut self, now: Timestamp) -> bool {
        if self.due.is_some_and(|due| now < due) {
            return false;
        }
        self.due = self.rate.take(now).err().map(|wait| now + wait);
        self.due.is_none()
    }

    pub(super) const fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

impl Connection {
    /// Takes a new name. Messages carry it from now on; rooms get it as often as the rate allows.
    pub(super) fn rename(&mut self, now: Timestamp, name: &Name) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let name = live.permit.name(Some(name), &live.session);
        if name == live.name {
            return;
        }
        live.name = name;
        let renames = live
            .renames
            .get_or_insert_with(|| Box::new(Renames::new(now, &self.config)));
        if renames.take(now) {
            self.announce_name();
        }
    }

    /// Announces the latest name if that is due.
    pub(super) fn flush_rename(&mut self, now: Timestamp) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if let Some(renames) = &mut live.renames
            && renames.due.is_some_and(|due| now >= due)
            && renames.take(now)
        {
            self.announce_name();
        }
    }

    fn announce_name(&mut self) {
        let State::Live(live) = &self.state else {
            return;
        };
        for room in live.seats.rooms() {
            let (room, name) = (room.clone(), live.name.clone());
            self.transmits.push_back(Transmit::Rename { room, name });
            self.allowance.share(NEWS);
        }
    }
}
