//! The drivers of pages: they carry packets in, look at sockets, and do the machines' I/O. Two rules are checked
//! here: no verdict on a healthy line, and no draft beyond what the line takes.

use std::time::Duration;

use protocol::client::{Input, Transmit};
use protocol::close::CloseCode;
use protocol::codec;
use protocol::frame::ServerFrame;
use protocol::id::ConnectionId;
use protocol::time::Timestamp;

use super::Pair;
use crate::link::{Packet, Way};
use crate::machine::Step;

/// The shortest timeout of heartbeats from which a verdict on a healthy link counts as a fault.
const TIMEOUT_FAIR: Duration = Duration::from_secs(2);

impl Pair {
    /// The page's fetch of a token is answered.
    pub(super) fn fetched(&mut self, client: usize) {
        let machine = &mut self.clients[client];
        if machine.is_closed {
            return;
        }
        let answer = self.world.issuer.give(self.now, machine.person);
        let now = machine.clock(self.now);
        machine.session.handle_input(now, Input::Token(answer));
        self.drain(client);
    }

    /// The page's timer fires, if it is due.
    pub(super) fn timeout(&mut self, client: usize) {
        if self.clients[client]
            .due()
            .is_some_and(|due| due <= self.now)
        {
            self.look(client);
            let machine = &mut self.clients[client];
            machine.session.handle_timeout(machine.clock(self.now));
            self.drain(client);
        }
    }

    pub(super) fn arrived(&mut self, number: u64, way: Way, packet: Packet) {
        let Some(link) = self.links.link(number) else {
            return;
        };
        let (client, id, node) = (link.client, link.id, link.node);
        let now = self.now;
        let is_end = matches!(packet, Packet::End(_));
        match way {
            Way::Up => {
                let (world, links) = self.served(node);
                world.receive(now, number, packet, links);
            }
            Way::Down => {
                self.received(client, id, packet);
                let (world, links) = self.served(node);
                world.written(now, number, links);
            }
        }
        // The client itself ended this connection: nothing comes back on it.
        let is_over = is_end && (way == Way::Down || !self.clients[client].holds(id));
        if is_over {
            self.links.remove(number);
            if way == Way::Down {
                let gone = Packet::End(None);
                let (world, links) = self.served(node);
                world.receive(now, number, gone, links);
            }
        }
    }

    fn received(&mut self, client: usize, id: ConnectionId, packet: Packet) {
        let machine = &mut self.clients[client];
        if machine.is_closed {
            return;
        }
        let input = match packet {
            Packet::Open => {
                machine.note(self.now, id, Step::Opened);
                Input::Opened { id }
            }
            Packet::Text(text) => {
                let frame = codec::decode(&text, u32::MAX);
                if let Ok(frame) = &frame {
                    machine.note(self.now, id, Step::Received(Clone::clone(frame)));
                }
                Input::Received { id, frame }
            }
            Packet::End(code) => {
                if code == Some(CloseCode::DEAD) {
                    self.check_verdict(client, id);
                }
                let machine = &mut self.clients[client];
                machine.note(self.now, id, Step::Closed(code));
                let end = code.into();
                Input::Closed { id, end }
            }
        };
        self.look(client);
        let machine = &mut self.clients[client];
        machine.session.handle_input(machine.clock(self.now), input);
        self.drain(client);
    }

    /// The driver looks at its socket, and informs the machine if the bytes there have changed.
    pub(super) fn look(&mut self, client: usize) -> bool {
        let machine = &mut self.clients[client];
        let Some(link) = self.links.newest(client) else {
            return false;
        };
        let id = self.links.link(link).map(|link| link.id);
        let Some(id) = id.filter(|id| machine.holds(*id)) else {
            return false;
        };
        let bytes = self.links.held(self.now, link);
        let has_changed = std::mem::replace(&mut machine.held, bytes) != bytes;
        if has_changed {
            let now = machine.clock(self.now);
            let held = Input::Buffered { id, bytes };
            machine.session.handle_input(now, held);
        }
        has_changed
    }

    /// HB-6: an undisturbed link, however slow, is not taken for a dead one.
    fn check_verdict(&self, client: usize, id: ConnectionId) {
        let link = self.links.find(client, id);
        let link = link.and_then(|link| self.links.link(link));
        let is_healthy = link.is_some_and(|link| !link.was_disturbed);
        let world = self.node(link.map_or(0, |link| link.node));
        let is_reached = world.is_up && self.clients[client].is_timely();
        // A timeout that is hardly longer than a round trip is a verdict on distance.
        let is_fair = world.config.heartbeat_timeout >= TIMEOUT_FAIR;
        assert!(
            !is_healthy || !is_reached || !is_fair || self.is_log_awaited(client, id),
            "a healthy line counted as dead: {:?}",
            self.clients[client]
        );
    }

    /// RC-5: a connection without `welcome` may wait for a frozen log. The server says so after 9 s, which
    /// on a slow line is too late.
    fn is_log_awaited(&self, client: usize, id: ConnectionId) -> bool {
        let is_welcomed = self.clients[client].steps.iter().any(|(_, of, step)| {
            *of == id && matches!(step, Step::Received(ServerFrame::Welcome(_)))
        });
        let since = self.now.since_origin();
        let since = since.saturating_sub(self.client_config.welcome_timeout);
        let log = &self.node(self.node_of(client)).log;
        let was_frozen = log.was_frozen_since(Timestamp::from_origin(since));
        // Several nodes may wait for their engine.
        !is_welcomed && (was_frozen || self.cluster.is_some())
    }

    /// PR-2: of the drafts, at most the newest and a little more is before the line.
    fn check_drafts(&self, client: usize, link: u64) {
        let (bytes, most) = self.links.drafts_under_way(self.now, link);
        let little = usize::try_from(self.client_config.draft_flight).unwrap_or(usize::MAX);
        assert!(
            bytes <= little.saturating_add(most),
            "{bytes} bytes of drafts of client {client} wait for the line"
        );
    }

    /// Does the machine's I/O after each call, in order.
    pub(super) fn drain(&mut self, client: usize) {
        self.drain_once(client);
        while self.look(client) {
            self.drain_once(client);
        }
    }

    fn drain_once(&mut self, client: usize) {
        let now = self.now;
        self.is_touched = true;
        while let Some(transmit) = self.clients[client].session.poll_transmit() {
            let machine = &mut self.clients[client];
            match transmit {
                Transmit::Open { id, .. } => {
                    machine.note(now, id, Step::Open);
                    let before = self.node_of(client);
                    let cluster = self.cluster.as_mut();
                    let node = cluster.map_or(0, |cluster| cluster.route(now, client, before));
                    self.links.open(now, client, id, node);
                }
                Transmit::Frame { id, frame } => {
                    let text = codec::encode(&frame);
                    machine.note(now, id, Step::Sent(frame));
                    if let Some(link) = self.links.find(client, id) {
                        self.links.send(now, link, Way::Up, Packet::Text(text));
                        self.check_drafts(client, link);
                    }
                }
                Transmit::Close { id, code } => {
                    if code == CloseCode::DEAD {
                        self.check_verdict(client, id);
                    }
                    let machine = &mut self.clients[client];
                    machine.note(now, id, Step::Dropped(code));
                    if let Some(link) = self.links.find(client, id) {
                        self.links.send(now, link, Way::Up, Packet::End(Some(code)));
                    }
                }
                Transmit::FetchToken => self.world.issuer.ask(now, client),
                Transmit::Store(store) => machine.storage.apply(store),
            }
        }
        let node = self.node_of(client);
        let log = match node.checked_sub(1) {
            None => &self.world.log,
            Some(other) => &self.others[other].log,
        };
        self.clients[client].drain_events(now, log);
    }
}
