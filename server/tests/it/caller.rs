//! A caller of the HTTP API.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::guarded::token_for;
use crate::raw::{PATIENCE, Raw};
use crate::test_server::TestServer;

/// The API's answer to one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem document (RFC 9457); returns its status and code.
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.body["type"], "about:blank");
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        (self.status, self.body["code"].as_str().unwrap())
    }

    pub(crate) fn bodies(&self) -> Vec<&str> {
        let messages = self.body["messages"].as_array().unwrap();
        let body = |message: &Value| message["body"].as_str().map(str::len);
        assert!(messages.iter().all(|message| body(message).is_some()));
        messages.iter().filter_map(|m| m["body"].as_str()).collect()
    }

    pub(crate) fn offsets(&self) -> Vec<u64> {
        let messages = self.body["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|m| m["offset"].as_u64().unwrap())
            .collect()
    }
}

/// A caller of one server's API, with the headers that it sends.
pub(crate) struct Caller {
    address: SocketAddr,
    headers: Vec<(&'static str, String)>,
}

impl Caller {
    pub(crate) fn of(server: &TestServer) -> Self {
        Self {
            address: server.address,
            headers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn showing(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let url = format!("http://{}/api{path}", self.address);
        let mut request = reqwest::Client::new().request(method, url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            let json = "application/json";
            request = request.header("content-type", json).body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = timeout(PATIENCE, answer.text());
        let text = text.await.expect("an answer that ends").unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer {
            status,
            headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, room: &str, key: &str, message: &Value) -> Answer {
        let path = format!("/rooms/{room}/messages");
        let mut caller = Self {
            address: self.address,
            headers: self.headers.clone(),
        };
        caller.headers.push(("idempotency-key", key.to_owned()));
        caller.ask(Method::POST, &path, Some(message)).await
    }

    pub(crate) async fn remove(&self, room: &str, offset: u64) -> Answer {
        let path = format!("/rooms/{room}/messages/{offset}");
        self.ask(Method::DELETE, &path, None).await
    }
}

/// The JSON of a message to publish.
pub(crate) fn said(body: &str) -> Value {
    json!({"body": body})
}

/// A token with every right in all rooms.
pub(crate) fn moderator() -> String {
    token_for("mod", &json!({"*": ["read", "write", "moderate"]}))
}

/// Publishes so many messages in the lobby, over a socket.
pub(crate) async fn publish(server: &TestServer, count: u64) -> Raw {
    let mut raw = server.raw().await;
    raw.hello().await;
    for seq in 1..=count {
        raw.publish(seq, &format!("body {seq}")).await;
        raw.next_of("ack").await;
    }
    raw
}
