//! The users' actions, and what happens to their pages.

use std::collections::BTreeMap;

use protocol::client::Stored;
use protocol::id::{Name, RoomName};
use protocol::outbox::{EntryId, Stage};
use protocol::position::Offset;

use crate::ledger::aside;
use crate::profile::Action;
use crate::run::{Run, Tab};

/// The most pages at once.
const PAGES_MAX: usize = 8;

impl Run {
    /// Does an action of a user, or a fault of a page. `false` if it was not possible.
    pub(crate) fn act_on_page(&mut self, action: Action) -> bool {
        let Some(index) = self.any_tab() else {
            return action == Action::OpenPage && self.open_page(Stored::default(), None);
        };
        let client = self.tabs[index].client;
        let room = self.any_room();
        self.note(format!("{action:?} page {client} {}", room.as_str()));
        match action {
            Action::Publish => self.publish(index, &room),
            Action::Draft => self.draft(index, &room),
            Action::Rename => {
                let name = Name::tidy(&format!("name {}", self.rng.u8(..)));
                self.pair
                    .command(client, |session, now| session.rename(now, name));
                true
            }
            Action::Join => self.join(index, &room),
            Action::Leave => {
                let is_there = self.tabs[index].rooms.remove(&room).is_some();
                self.pair.leave(client, &room);
                is_there
            }
            Action::History => {
                let number = self.rng.u64(1..50);
                if self.tabs[index].rooms.contains_key(&room) {
                    let limit = u32::try_from(number).unwrap();
                    self.pair.older(client, &room, limit);
                } else {
                    let before = Offset::new(number).unwrap();
                    self.pair.command(client, |session, now| {
                        session.history(now, room, before, 10);
                    });
                }
                true
            }
            Action::Remove => self.remove(&room),
            Action::Decide => self.decide(client),
            Action::OpenPage => self.open_page(Stored::default(), None),
            Action::ClosePage => self.close_page(index),
            Action::TryNow => {
                self.pair.connect(client);
                true
            }
            Action::Reload => {
                let storage = self.pair.clients[client].storage.clone();
                self.reload(index, storage)
            }
            Action::ReloadBare => self.reload(index, Stored::default()),
            // The copy finds the lock taken: it starts with nothing (RS-8).
            Action::Duplicate => self.open_page(Stored::default(), Some(index)),
            _ => false,
        }
    }

    fn publish(&mut self, index: usize, room: &RoomName) -> bool {
        let Tab { client, author, .. } = self.tabs[index];
        self.written += 1;
        let padding = "x".repeat(self.rng.usize(0..60).pow(2) / 8);
        let body = format!("{author}.{} {padding}", self.written);
        let Ok(id) = self.pair.try_publish(client, room, &body) else {
            return false;
        };
        self.ledger.publish((client, id), author, room, &body);
        if let Some(draft) = self.tabs[index].rooms.get_mut(room) {
            draft.clear();
        }
        true
    }

    fn draft(&mut self, index: usize, room: &RoomName) -> bool {
        let tab = &mut self.tabs[index];
        let Some(draft) = tab.rooms.get_mut(room) else {
            return false;
        };
        *draft = match self.rng.u8(..4) {
            0 => String::new(),
            _ => format!(
                "draft {} {}",
                self.rng.u16(..),
                "x".repeat(self.profile.draft_bytes)
            ),
        };
        let (client, body) = (tab.client, draft.clone());
        self.pair
            .command(client, |session, now| session.draft(now, room, body));
        true
    }

    /// Redacts a message, mostly a new one.
    fn remove(&mut self, room: &RoomName) -> bool {
        let node = self.any_node();
        let (_, head, _) = self.pair.node_mut(node).log.state(room);
        let back = self.rng.u64(0..5).pow(2);
        self.pair
            .remove_at(node, room, head.back(back.min(head.get())))
    }

    fn join(&mut self, index: usize, room: &RoomName) -> bool {
        let tab = &self.tabs[index];
        if tab.rooms.contains_key(room)
            || tab.rooms.len() >= self.profile.server.limits.rooms as usize
        {
            return false;
        }
        let client = tab.client;
        // A page that the server rendered has a position (RS-7).
        if self.rng.bool() {
            self.pair.join_rendered(client, room);
        } else {
            self.pair.join(client, room, None);
        }
        self.tabs[index].rooms.insert(room.clone(), String::new());
        true
    }

    /// Opens a page; `like` another one, in the same rooms.
    pub(crate) fn open_page(&mut self, storage: Stored, like: Option<usize>) -> bool {
        if self.tabs.len() >= PAGES_MAX {
            return false;
        }
        let author = self.authors;
        self.authors += 1;
        self.start_page(storage, author, like);
        true
    }

    fn start_page(&mut self, storage: Stored, author: usize, like: Option<usize>) -> usize {
        let rooms = like.map(|like| self.tabs[like].rooms.keys().cloned().collect());
        let rooms: Vec<RoomName> = rooms.unwrap_or_else(|| vec![self.any_room()]);
        let client = self.pair.page(storage);
        self.pair.clients[client].person = author;
        self.tabs.push(Tab {
            client,
            author,
            rooms: BTreeMap::new(),
        });
        for room in rooms {
            self.join(self.tabs.len() - 1, &room);
        }
        self.pair.connect(client);
        client
    }

    fn close_page(&mut self, index: usize) -> bool {
        if self.tabs.len() < 2 {
            return false;
        }
        let tab = self.tabs.remove(index);
        self.pair.close(tab.client);
        self.ledger
            .pass_on(tab.client, &self.pair.clients[tab.client], None);
        true
    }

    fn reload(&mut self, index: usize, storage: Stored) -> bool {
        let is_heir = storage.credentials.is_some() || !storage.outbox.is_empty();
        let Tab { client, author, .. } = self.tabs[index];
        let author = if is_heir {
            author
        } else {
            self.authors += 1;
            self.authors - 1
        };
        self.pair.close(client);
        let heir = self.start_page(storage, author, Some(index));
        self.tabs.swap_remove(index);
        let machine = &self.pair.clients[client];
        self.ledger
            .pass_on(client, machine, is_heir.then_some(heir));
        true
    }

    fn decide(&mut self, client: usize) -> bool {
        let waiting = aside(&self.pair.clients[client]);
        for (id, stage) in &waiting {
            self.decide_about(client, *id, *stage);
        }
        !waiting.is_empty()
    }

    fn decide_about(&mut self, client: usize, id: EntryId, stage: Stage) {
        let machine = &self.pair.clients[client];
        self.ledger.settle(client, machine);
        // A refused message can only be dropped.
        if !matches!(stage, Stage::Refused(_)) && self.rng.bool() {
            self.ledger.send_again(client, id);
            self.pair
                .command(client, |session, now| session.send_again(now, id));
        } else {
            self.ledger.discard(client, id);
            self.pair.discard(client, id);
        }
    }

    pub(crate) fn decide_all(&mut self) {
        for index in 0..self.tabs.len() {
            self.decide(self.tabs[index].client);
        }
    }
}
