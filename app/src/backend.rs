//! What only the server can do for the page while it renders it. Nothing of this exists in the browser.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use leptos::prelude::use_context;
use protocol::frame::Message;
use protocol::id::RoomName;
use protocol::position::Position;
use serde::{Deserialize, Serialize};

/// What the server gives the page while rendering; absent in the browser.
pub trait Backend: Send + Sync + 'static {
    /// The newest messages of a room, at most `limit`; `None` where they cannot be had now.
    fn newest(
        &self,
        room: RoomName,
        limit: u32,
    ) -> Pin<Box<dyn Future<Output = Option<Snapshot>> + Send>>;
}

/// A room as it was when the page was rendered (RS-7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// From where the browser joins.
    pub position: Position,
    /// The newest messages up to that position, oldest first.
    pub messages: Vec<Message>,
    /// Whether the log holds older ones.
    pub more: bool,
}

/// The backend as the server puts it into the context.
#[derive(Clone)]
pub struct BackendHandle(pub Arc<dyn Backend>);

/// How a page sets the HTTP status of its response. The server may put one into the context; the
/// browser has none.
#[derive(Clone)]
pub struct StatusHook(Arc<dyn Fn(u16) + Send + Sync>);

impl StatusHook {
    /// Wraps what sets the status.
    pub fn new(set: impl Fn(u16) + Send + Sync + 'static) -> Self {
        Self(Arc::new(set))
    }
}

/// Sets the HTTP status of the response that is being rendered; does nothing in the browser.
pub(crate) fn set_status(code: u16) {
    if let Some(StatusHook(set)) = use_context::<StatusHook>() {
        set(code);
    }
}
