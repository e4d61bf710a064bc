//! One WebSocket, owned: its callbacks are dropped with it.

use protocol::close::CloseCode;
use protocol::frame::SUBPROTOCOL;
use protocol::id::ConnectionId;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CloseEvent, Location, MessageEvent, WebSocket};

use crate::queue::{BrowserEvent, Queue};

/// A connection as the browser has it. Its drop closes it without waiting (HB-7), and its later
/// events are ignored.
#[derive(Debug)]
pub struct Socket {
    id: ConnectionId,
    socket: WebSocket,
    _opened: Closure<dyn FnMut()>,
    _received: Closure<dyn FnMut(MessageEvent)>,
    _closed: Closure<dyn FnMut(CloseEvent)>,
}

impl Socket {
    /// Begins to connect; the outcome comes through `queue` under `id`.
    ///
    /// # Errors
    /// The browser's exception where it does not even try, such as a `SecurityError`.
    pub fn open(url: &str, id: ConnectionId, queue: &Queue) -> Result<Self, JsValue> {
        let socket = WebSocket::new_with_str(url, SUBPROTOCOL)?;
        let opened = {
            let queue = queue.clone();
            Closure::<dyn FnMut()>::new(move || queue.push(BrowserEvent::Opened { id }))
        };
        let received = {
            let queue = queue.clone();
            Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                queue.push(match event.data().as_string() {
                    Some(text) => BrowserEvent::Text { id, text },
                    None => BrowserEvent::Binary { id },
                });
            })
        };
        let closed = {
            let queue = queue.clone();
            Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
                queue.push(BrowserEvent::Closed {
                    id,
                    code: Some(CloseCode::new(event.code())),
                });
            })
        };
        // No `onerror`: it does not describe the error, and `onclose` always follows.
        socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(received.as_ref().unchecked_ref()));
        socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
        Ok(Self {
            id,
            socket,
            _opened: opened,
            _received: received,
            _closed: closed,
        })
    }

    /// Hands a frame to the browser, which sends it in its own time.
    ///
    /// # Errors
    /// The browser's exception if the connection is not open yet.
    pub fn send(&self, text: &str) -> Result<(), JsValue> {
        self.socket.send_with_str(text)
    }

    /// How many bytes the browser has not sent yet.
    pub fn buffered(&self) -> u64 {
        self.socket.buffered_amount().into()
    }

    /// Closes with a code, without waiting.
    pub fn close(self, code: CloseCode) {
        // A page may send only 1000 and 3000 to 4999. For other codes, 1001 above all, the browser
        // throws, and the drop that follows closes without a code.
        let _ = self
            .socket
            .close_with_code_and_reason(code.get(), code.reason());
    }

    /// The id of this connection.
    pub const fn id(&self) -> ConnectionId {
        self.id
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onerror(None);
        self.socket.set_onclose(None);
        // Without a code it cannot fail.
        let _ = self.socket.close();
    }
}

/// The whole URL of a WebSocket: a path is one of the page's own host.
///
/// # Errors
/// The browser's exception for a page whose location may not be read.
pub fn url(location: &Location, url: &str) -> Result<String, JsValue> {
    if !url.starts_with('/') {
        return Ok(url.to_owned());
    }
    let scheme = if location.protocol()? == "https:" {
        "wss"
    } else {
        "ws"
    };
    Ok(format!("{scheme}://{}{url}", location.host()?))
}
