//! A client that decides nothing: it sends what the test says, and returns what it receives.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longer than anything that a test waits for; reached only by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The stream below a connection: TCP or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(crate) struct Raw {
    socket: WebSocketStream<Box<dyn Stream>>,
}

/// The status with which an upgrade was refused.
pub(crate) fn refused(opened: Result<Raw, Error>) -> u16 {
    match opened {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("a refusal was expected, not {error}"),
        Ok(_) => panic!("a refusal was expected, not a connection"),
    }
}

impl Raw {
    /// A connection with our subprotocol.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::open(address, "/ws", Some("everbeat.v1"))
            .await
            .unwrap()
    }

    pub(crate) async fn open(
        address: SocketAddr,
        path: &str,
        subprotocol: Option<&'static str>,
    ) -> Result<Self, Error> {
        Self::open_with(address, path, subprotocol, &[]).await
    }

    /// The same with these headers.
    pub(crate) async fn open_with(
        address: SocketAddr,
        path: &str,
        subprotocol: Option<&'static str>,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        Self::over(Box::new(stream), address, path, subprotocol, headers).await
    }

    /// The same over an open stream.
    pub(crate) async fn over(
        stream: Box<dyn Stream>,
        address: SocketAddr,
        path: &str,
        subprotocol: Option<&'static str>,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        if let Some(subprotocol) = subprotocol {
            let value = HeaderValue::from_static(subprotocol);
            request
                .headers_mut()
                .insert("sec-websocket-protocol", value);
        }
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().insert(*name, value);
        }
        let (socket, _) = client_async(request, stream).await?;
        Ok(Self { socket })
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// Sends `hello` and returns `welcome`.
    pub(crate) async fn hello(&mut self) -> Value {
        self.send(r#"{"type":"hello"}"#).await;
        self.next_of("welcome").await
    }

    pub(crate) async fn publish(&mut self, seq: u64, body: &str) {
        let body = Value::from(body);
        self.send(&format!(
            r#"{{"type":"publish","seq":{seq},"room":"lobby","body":{body}}}"#
        ))
        .await;
    }

    /// Publishes in the lobby until the server cannot store more; returns the first `seq` that was refused,
    /// and its error.
    pub(crate) async fn publish_until_refused(&mut self) -> (u64, Value) {
        let body = "x".repeat(8 * 1024);
        for seq in 1..100 {
            self.publish(seq, &body).await;
            let answer = loop {
                let frame = self.next_frame().await;
                if frame["type"] != "message" {
                    break frame;
                }
            };
            if answer["type"] == "error" {
                return (seq, answer);
            }
        }
        panic!("a small database took 800 KiB");
    }

    /// Checks that this client is served: its first message is acked as the room's first.
    pub(crate) async fn is_served(&mut self) {
        self.publish(1, "still here").await;
        assert_eq!(self.next_of("ack").await["offset"], 1);
    }

    /// The next WebSocket message of any kind; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let next = timeout(PATIENCE, self.socket.next())
            .await
            .expect("something within 20 s");
        next.and_then(Result::ok)
    }

    /// The next text message.
    pub(crate) async fn next_text(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => return text.as_str().to_owned(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("a text was expected, not {other:?}"),
            }
        }
    }

    /// The next frame.
    pub(crate) async fn next_frame(&mut self) -> Value {
        serde_json::from_str(&self.next_text().await).unwrap()
    }

    /// The next frame of this type; others are passed over.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next_frame().await;
            if frame["type"] == kind {
                return frame;
            }
            assert_ne!(frame["type"], "error", "{frame}");
        }
    }

    /// The code with which the server ends the connection; frames before it are passed over, the
    /// codes of `error` frames among them kept.
    pub(crate) async fn end(&mut self) -> (Option<u16>, Vec<String>) {
        let mut errors = Vec::new();
        loop {
            match self.next().await {
                Some(Message::Close(frame)) => {
                    return (frame.map(|frame| frame.code.into()), errors);
                }
                Some(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["type"] == "error" {
                        errors.push(frame["code"].as_str().unwrap().to_owned());
                    }
                }
                Some(_) => {}
                None => return (None, errors),
            }
        }
    }
}
