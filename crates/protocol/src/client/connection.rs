//! The client's connection: its states, and how one leads to the next.

use std::collections::BTreeSet;
use std::time::Duration;

use super::output::{Cause, Event, Fate, Store, Transmit};
use super::pages::Pages;
use super::uplink::Uplink;
use super::{End, Network, Session};
use crate::backoff::uniform;
use crate::close::{CloseCode, ReconnectPolicy};
use crate::frame::{Beat, ClientFrame, Welcome};
use crate::heartbeat::{Heartbeat, HeartbeatConfig};
use crate::id::{ConnectionId, RoomName};
use crate::outbox::Entry;
use crate::time::Timestamp;

/// The state of the connection. Each state carries what only it needs (PU-5).
#[derive(Debug)]
pub(super) enum State {
    /// Not asked to connect.
    Idle,
    /// There is no connection until the next try.
    Waiting {
        until: Timestamp,
        cause: Cause,
        /// The longest that the wait could have become, where it was drawn.
        ceiling: Option<Duration>,
        /// What the network does makes the next try no earlier than this: a refused handshake's `Retry-After`.
        not_before: Timestamp,
    },
    /// A token is fetched, to open a connection with (AC-6).
    Fetching { deadline: Timestamp },
    /// The connection is being opened.
    Connecting {
        id: ConnectionId,
        deadline: Timestamp,
    },
    /// `hello` was sent.
    Handshaking {
        id: ConnectionId,
        since: Timestamp,
        deadline: Timestamp,
        /// Too many clients came at once: this client's slot (RC-7).
        slot: Option<Timestamp>,
    },
    /// `welcome` came.
    Live(Box<Live>),
    /// There is no connection until the user acts.
    Stopped { cause: Cause },
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: ConnectionId,
    pub(super) since: Timestamp,
    pub(super) heartbeat: Heartbeat,
    /// The server will end: this client's slot (RC-3).
    pub(super) slot: Option<Timestamp>,
    /// A publish was refused for now: nothing is sent before this time (EO-7).
    pub(super) publish_from: Timestamp,
    /// The time from one message to the next, once one was refused over the rate, until all were sent (EO-7).
    pub(super) publish_pace: Option<Duration>,
    /// No draft is sent before this time: drafts are paced.
    pub(super) draft_from: Timestamp,
    /// The frames in flight to the server.
    pub(super) uplink: Uplink,
    /// The pages of history that the server owes.
    pub(super) pages: Pages,
    /// Whether [`Event::Doubt`] was reported, and nothing came since.
    pub(super) doubtful: bool,
    /// Rooms that were joined on this connection, whether they were left since or not.
    pub(super) seated: BTreeSet<RoomName>,
}

/// The longest `Retry-After` that counts: a mistake of a proxy does not keep a client away for good.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

impl Session {
    pub(super) fn is_current(&self, id: ConnectionId) -> bool {
        self.connection() == Some(id)
    }

    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match &self.state {
            State::Connecting { id, .. } | State::Handshaking { id, .. } => Some(*id),
            State::Live(live) => Some(live.id),
            State::Idle
            | State::Waiting { .. }
            | State::Fetching { .. }
            | State::Stopped { .. } => None,
        }
    }

    pub(super) fn enter(&mut self, state: State) {
        self.state = state;
        self.events.push_back(Event::Status(self.status()));
    }

    pub(super) fn open(&mut self, now: Timestamp) {
        if self.tokens.is_wanted() {
            self.fetch_token();
            let deadline = now + self.config.connect_timeout;
            return self.enter(State::Fetching { deadline });
        }
        self.connections = self.connections.saturating_add(1);
        let id = ConnectionId::new(self.connections);
        let address = self.route.address().cloned();
        self.transmits.push_back(Transmit::Open { id, address });
        self.enter(State::Connecting {
            id,
            deadline: now + self.config.connect_timeout,
        });
    }

    pub(super) fn opened(&mut self, now: Timestamp) {
        let State::Connecting { id, .. } = self.state else {
            return;
        };
        let hello = ClientFrame::Hello {
            session: self.credentials.clone(),
            name: self.name.clone(),
            token: self.tokens.shown().cloned(),
        };
        self.transmits
            .push_back(Transmit::Frame { id, frame: hello });
        let deadline = now + self.config.welcome_timeout;
        self.state = State::Handshaking {
            id,
            since: now,
            deadline,
            slot: None,
        };
    }

    pub(super) fn ended(&mut self, now: Timestamp, end: End) {
        match end {
            End::Lost => self.lose(now, Cause::Closed(None)),
            End::Closed(code) => self.closed(now, code),
            End::Refused {
                status,
                retry_after,
            } => self.handshake_refused(now, status, retry_after),
        }
    }

    fn closed(&mut self, now: Timestamp, code: CloseCode) {
        let cause = Cause::Closed(Some(code));
        match code.reconnect_policy() {
            ReconnectPolicy::Resume => self.lose(now, cause),
            ReconnectPolicy::Fresh => {
                self.abandon_session();
                self.lose(now, cause);
            }
            ReconnectPolicy::Never if self.wants_token(code) => self.lose(now, cause),
            ReconnectPolicy::Never => self.stop(cause),
        }
    }

    /// What the status of a refused handshake means (PROTOCOL.md, Handshake).
    fn handshake_refused(&mut self, now: Timestamp, status: u16, retry_after: Option<Duration>) {
        let cause = Cause::Refused { status };
        if matches!(status, 400 | 403 | 405 | 426) && self.route.refused() {
            // The same handshake would be refused again, by each node.
            return self.stop(cause);
        }
        let pause = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        self.lose_for(now, cause, pause);
    }

    fn stop(&mut self, cause: Cause) {
        self.forget_connection();
        self.enter(State::Stopped { cause });
    }

    pub(super) fn network(&mut self, now: Timestamp, network: Network) {
        match network {
            Network::Online => {
                self.believe(true);
                self.wake(now);
            }
            Network::Visible => self.wake(now),
            Network::Offline => {
                self.believe(false);
                self.probe(now);
                // A slot given by the server is obeyed whatever happens (RC-3).
                if let State::Waiting {
                    cause, not_before, ..
                } = self.state
                    && cause != Cause::GoAway
                {
                    self.enter(State::Waiting {
                        until: not_before.max(now + self.config.offline_retry),
                        cause,
                        ceiling: None,
                        not_before,
                    });
                }
            }
            Network::Frozen if self.connection().is_some() => {
                self.drop_connection(now, CloseCode::GOING_AWAY, Cause::Frozen);
            }
            Network::Frozen => {}
        }
    }

    /// Takes the browser's report of the network, and reports it where it is part of the status.
    fn believe(&mut self, online: bool) {
        let before = std::mem::replace(&mut self.online, online);
        if before != online && matches!(self.state, State::Waiting { .. }) {
            self.events.push_back(Event::Status(self.status()));
        }
    }

    /// Lets go of the connection without waiting for a closing handshake (HB-7).
    pub(super) fn drop_connection(&mut self, now: Timestamp, code: CloseCode, cause: Cause) {
        if let Some(id) = self.connection() {
            self.transmits.push_back(Transmit::Close { id, code });
        }
        self.lose(now, cause);
    }

    /// On the next connection messages in flight are to be sent again, and rooms to be joined again.
    pub(super) fn forget_connection(&mut self) {
        let interrupted: Vec<Entry> = self.outbox.in_flight().cloned().collect();
        self.outage_begins();
        self.outbox.disconnected();
        for entry in interrupted {
            self.report_fate(&entry, Fate::Waiting);
        }
        for room in self.rooms.values_mut() {
            room.disconnected();
        }
        self.tokens.disconnected();
    }

    pub(super) fn lose(&mut self, now: Timestamp, cause: Cause) {
        self.lose_for(now, cause, Duration::ZERO);
    }

    /// The connection is gone; the next try comes after this pause at the earliest.
    fn lose_for(&mut self, now: Timestamp, cause: Cause, pause: Duration) {
        let slot = match &self.state {
            State::Live(live) => {
                // A server that sends its clients away with slots is not in trouble, and spreads them by it (RC-2).
                if now - live.since >= self.config.stable_after || live.slot.is_some() {
                    self.backoff.reset();
                }
                live.slot
            }
            State::Handshaking { slot, .. } => *slot,
            _ => None,
        };
        let pause = match &self.state {
            State::Connecting { .. } | State::Handshaking { slot: None, .. }
                if cause != Cause::Frozen =>
            {
                self.route.failed(now, pause)
            }
            // A machine that is off answers nothing, and would keep the next try for as long as one may take.
            State::Live(live) if live.slot.is_none() && cause == Cause::NoAnswer => {
                self.route.failed(now, pause)
            }
            _ => pause,
        };
        self.forget_connection();
        let (delay, ceiling) = match slot {
            Some(slot) => (slot - now, None),
            // The jitter comes after the pause: other clients got the same one.
            None if self.online => {
                let ceiling = pause.saturating_add(self.backoff.ceiling());
                let delay = pause.saturating_add(self.backoff.next(&mut self.rng));
                (delay, Some(ceiling))
            }
            None => (pause.max(self.config.offline_retry), None),
        };
        let cause = if slot.is_some() { Cause::GoAway } else { cause };
        self.enter(State::Waiting {
            until: now + delay,
            cause,
            ceiling,
            not_before: now + pause,
        });
    }

    /// The page can be seen or the network is back: try at once, or ask whether the link lives.
    fn wake(&mut self, now: Timestamp) {
        self.probe(now);
        if let State::Waiting {
            until,
            cause,
            not_before,
            ..
        } = self.state
        {
            // A slot given by the server is obeyed whatever happens (RC-3).
            let jitter = uniform(&mut self.rng, Duration::ZERO, self.config.wake_jitter);
            let earliest = not_before.max(now);
            let sooner = earliest + jitter;
            if cause != Cause::GoAway && sooner < until {
                self.enter(State::Waiting {
                    until: sooner,
                    cause,
                    ceiling: Some(earliest.since(now).saturating_add(self.config.wake_jitter)),
                    not_before,
                });
            }
        }
    }

    pub(super) fn welcomed(&mut self, now: Timestamp, welcome: Welcome) {
        let State::Handshaking { id, since, .. } = self.state else {
            return;
        };
        let is_another = self
            .vouched
            .as_ref()
            .is_some_and(|before| *before != welcome.vouched);
        if !welcome.resumed && is_another {
            // What was written before may be another user's (RS-8).
            self.note_lost();
            self.outbox.orphan();
        }
        if !welcome.resumed && (is_another || self.credentials.is_some()) {
            self.abandon_session();
        }
        self.route.reached();
        self.vouched = Some(welcome.vouched.clone());
        self.limits = welcome.limits;
        self.settle_through(welcome.last_seq, &welcome.refused);
        if !self.continue_after(welcome.last_seq) {
            // An older copy of the log: what it lacks cannot be numbered into this session.
            self.abandon_session();
            return self.drop_connection(now, CloseCode::NORMAL, Cause::BadAnswer);
        }
        self.outage_welcomed(welcome.resumed);
        let session = welcome.session.id.clone();
        if self.credentials.as_ref() != Some(&welcome.session) {
            self.credentials = Some(welcome.session.clone());
            self.transmits
                .push_back(Transmit::Store(Store::Session(Some(welcome.session))));
        }
        let mut heartbeat = Heartbeat::new(now, self.heartbeat_config(welcome.heartbeat));
        // The round trip of `hello` holds a commit of the log. Only a long one tells of a slow link,
        // for which the deadlines of HB-6 have to grow.
        if now - since >= self.config.answer_within {
            heartbeat.sample_rtt(now - since);
        }
        let live = Live {
            id,
            since: now,
            heartbeat,
            slot: None,
            publish_from: now,
            publish_pace: None,
            draft_from: now,
            uplink: Uplink::new(now, now - since, &self.config),
            pages: Pages::default(),
            doubtful: false,
            seated: BTreeSet::new(),
        };
        self.enter(State::Live(Box::new(live)));
        let limits = self.limits;
        self.events.push_back(Event::Welcomed {
            session,
            resumed: welcome.resumed,
            limits,
            vouched: welcome.vouched,
        });
        let rtt = Some(now - since);
        self.events.push_back(Event::Beat { rtt });
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.send_join(now, &room);
        }
        self.flush_outbox(now);
    }

    fn heartbeat_config(&mut self, beat: Beat) -> HeartbeatConfig {
        let idle = Duration::from_millis(beat.interval_ms);
        HeartbeatConfig {
            idle,
            first_idle: uniform(&mut self.rng, idle / 2, idle),
            timeout: Duration::from_millis(beat.timeout_ms),
            probe_timeout: self.config.probe_timeout,
            align: Duration::ZERO,
            answer_within: Some(self.config.answer_within),
        }
    }
}
