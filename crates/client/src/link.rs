//! One connection: its target, its opening, and its queue of frames.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use protocol::client::End;
use protocol::close::CloseCode;
use protocol::frame::{RECEIVED_BYTES_MAX, SUBPROTOCOL};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::http::header::RETRY_AFTER;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::options::ConnectError;
use crate::tls::{Security, Stream, TlsChoice};

/// Small: many clients may run in one process. Longer frames are read in several steps.
const READ_BUFFER: usize = 1024;

type Socket = WebSocketStream<Stream>;

/// The server that a client connects to.
#[derive(Clone)]
pub(crate) struct Target {
    url: Uri,
    /// In the form that a resolver takes: an IPv6 address has no brackets.
    host: String,
    port: u16,
    security: Security,
    headers: HeaderMap,
}

/// A connection that is opening or open.
pub(crate) enum Link {
    Opening(Opening),
    Open(Box<Line>),
}

/// A connection that is being opened. Its drop ends the try.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Box<Line>, Error>> + Send>>;

/// An open connection, and the frames that wait to be written to it.
pub(crate) struct Line {
    socket: Socket,
    /// Frames that the socket has not taken yet. The core bounds them: it sends only as much ahead of the answers as its
    /// window says.
    waiting: VecDeque<String>,
    /// How many bytes wait here and in the socket.
    buffered: usize,
    /// The bytes of the frame that the socket took last, as long as it may hold some of them.
    in_socket: usize,
}

/// What a connection reports.
pub(crate) enum Heard {
    Opened(Box<Line>),
    Text(Utf8Bytes),
    Binary,
    TooLarge,
    Ended(End),
}

impl Target {
    pub(crate) fn parse(
        url: &str,
        headers: &[(String, String)],
        tls: &TlsChoice,
    ) -> Result<Self, ConnectError> {
        let bad = || ConnectError::Url(url.to_owned());
        let parsed: Uri = url.parse().map_err(|_| bad())?;
        let host = parsed.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let (security, port) = match parsed.scheme_str() {
            Some("ws") => (Security::Plain, 80),
            Some("wss") => (tls.security(&host)?, 443),
            _ => return Err(bad()),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let bad = || ConnectError::Header(name.clone());
            let value = HeaderValue::from_str(value).map_err(|_| bad())?;
            map.append(HeaderName::try_from(name).map_err(|_| bad())?, value);
        }
        let target = Self {
            port: parsed.port_u16().unwrap_or(port),
            url: parsed,
            host,
            security,
            headers: map,
        };
        // Any other fault of the URL is found now, not at each connection.
        target
            .url
            .clone()
            .into_client_request()
            .map_err(|_| bad())?;
        Ok(target)
    }

    /// Opens a connection. The core has the deadline (RC-5).
    pub(crate) fn open(&self) -> Link {
        let target = self.clone();
        Link::Opening(Box::pin(async move { target.shake_hands().await }))
    }

    async fn shake_hands(self) -> Result<Box<Line>, Error> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        let stream = self.security.secure(stream).await?;
        let mut request = self.url.into_client_request()?;
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        request.headers_mut().extend(self.headers);
        let bytes_max = Some(RECEIVED_BYTES_MAX as usize);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(bytes_max)
            .max_frame_size(bytes_max);
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(Box::new(Line::new(socket)))
    }
}

impl Link {
    /// The next report. Until it comes, waiting frames are written.
    pub(crate) fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        match self {
            Self::Opening(opening) => opening.poll_unpin(cx).map(|opened| {
                opened.map_or_else(|error| Heard::Ended(not_opened(&error)), Heard::Opened)
            }),
            Self::Open(line) => line.poll_heard(cx),
        }
    }

    /// Closes without waiting. Frames that the socket takes at once leave, the close frame last.
    pub(crate) fn abandon(self, code: CloseCode) {
        if let Self::Open(mut line) = self {
            // Frames that cannot leave now are lost with the connection.
            let _ = line.close_now(code);
        }
    }
}

/// Why a connection did not open. The session decides what that means; a `Retry-After` that is a date is not read: this
/// end has no clock that agrees with the server's.
fn not_opened(error: &Error) -> End {
    let Error::Http(answer) = error else {
        return End::Lost;
    };
    let seconds = answer.headers().get(RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    End::Refused {
        status: answer.status().as_u16(),
        retry_after: seconds.map(Duration::from_secs),
    }
}

impl Line {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            waiting: VecDeque::new(),
            buffered: 0,
            in_socket: 0,
        }
    }

    /// Bytes that have not left.
    pub(crate) const fn buffered(&self) -> usize {
        self.buffered
    }

    /// Queues a frame.
    pub(crate) fn push(&mut self, text: String) {
        self.buffered += text.len();
        self.waiting.push_back(text);
    }

    /// Writes as much as the socket takes. A socket that takes nothing any more is noticed by reading.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>) {
        if self.buffered > 0 && matches!(self.poll_write(cx), Poll::Ready(Err(_))) {
            self.waiting.clear();
            (self.buffered, self.in_socket) = (0, 0);
        }
    }

    /// Closes the connection in order: the close frame after all frames, then the server's answer to it.
    pub(crate) async fn close(mut self, code: CloseCode) -> Result<(), Error> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        self.say_close(code)?;
        self.socket.flush().await?;
        while self.socket.next().await.transpose()?.is_some() {}
        Ok(())
    }

    fn close_now(&mut self, code: CloseCode) -> Option<()> {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(())) = self.poll_write(&mut cx) else {
            return None;
        };
        self.say_close(code).ok()?;
        self.socket.flush().now_or_never()?.ok()
    }

    fn say_close(&mut self, code: CloseCode) -> Result<(), Error> {
        self.socket
            .start_send_unpin(Message::Close(Some(CloseFrame {
                code: code.get().into(),
                reason: code.reason().into(),
            })))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.waiting.is_empty() {
            ready!(self.socket.poll_ready_unpin(cx))?;
            self.buffered -= std::mem::take(&mut self.in_socket);
            if let Some(text) = self.waiting.pop_front() {
                self.in_socket = text.len();
                self.socket.start_send_unpin(Message::text(text))?;
            }
        }
        ready!(self.socket.poll_flush_unpin(cx))?;
        (self.buffered, self.in_socket) = (0, 0);
        Poll::Ready(Ok(()))
    }

    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        self.write(cx);
        loop {
            return Poll::Ready(match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Text(text))) => Heard::Text(text),
                Some(Ok(Message::Binary(_))) => Heard::Binary,
                // The library answers pings. Browsers show neither, so the core has no input for them.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    // The answer to the server's close frame, if it can leave at once.
                    let _ = self.socket.flush().now_or_never();
                    let code = frame.map(|frame| CloseCode::new(frame.code.into()));
                    Heard::Ended(code.into())
                }
                Some(Err(Error::Capacity(_))) => Heard::TooLarge,
                Some(Err(_)) | None => Heard::Ended(End::Lost),
            });
        }
    }
}
