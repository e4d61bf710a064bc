//! The way of rooms to the other nodes, over a node's engine.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use axum::body::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use protocol::id::RoomName;
use tokio_util::task::AbortOnDropHandle;

use super::Rooms;
use super::nodes::Bus;
use crate::log::engine::{Engine, Topic};

/// A bus over an engine. Rooms are opened on a runtime, on which each open room has a task that hears the others.
pub struct EngineBus {
    engine: Arc<dyn Engine>,
    /// The rooms hold their bus.
    rooms: Weak<Rooms>,
    listening: Mutex<HashMap<RoomName, AbortOnDropHandle<()>>>,
}

impl EngineBus {
    /// A bus that passes what it hears on to these rooms.
    pub fn new(engine: Arc<dyn Engine>, rooms: &Arc<Rooms>) -> Self {
        Self {
            engine,
            rooms: Arc::downgrade(rooms),
            listening: Mutex::default(),
        }
    }
}

impl Bus for EngineBus {
    fn tell(&self, room: &RoomName, message: Vec<u8>) {
        let topic = Topic::Room(room.clone());
        self.engine.tell(topic, Bytes::from(message));
    }

    fn listen(&self, room: &RoomName) {
        let mut heard = self.engine.hear(Topic::Room(room.clone()));
        let (rooms, name) = (Weak::clone(&self.rooms), room.clone());
        let hearing = tokio::spawn(async move {
            while let Some(message) = heard.next().await {
                let Some(rooms) = rooms.upgrade() else { return };
                rooms.heard(&name, &message);
            }
        });
        let hearing = AbortOnDropHandle::new(hearing);
        self.listening.lock().insert(room.clone(), hearing);
    }

    fn ignore(&self, room: &RoomName) {
        self.listening.lock().remove(room);
    }
}
