//! A server with access tokens, and their issuer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::raw::Raw;
use crate::test_server::TestServer;

pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes";

/// The claims of a subject's token, valid for this long.
pub(crate) fn claims(sub: &str, good_for: Duration) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    json!({"sub": sub, "name": sub, "exp": (now + good_for).as_secs_f64()})
}

pub(crate) fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), claims, &key).unwrap()
}

/// A token that is valid for an hour.
pub(crate) fn token(sub: &str) -> String {
    sign(&claims(sub, Duration::from_secs(3600)))
}

/// A token with rights in these rooms only.
pub(crate) fn token_for(sub: &str, rooms: &Value) -> String {
    let mut claims = claims(sub, Duration::from_secs(3600));
    claims["rooms"] = rooms.clone();
    sign(&claims)
}

/// A running server that takes tokens, and the file of its key.
pub(crate) struct Guarded {
    pub(crate) server: TestServer,
    _keys: TempDir,
}

impl Guarded {
    pub(crate) async fn start(options: &[&str]) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let file = keys.path().join("secret");
        std::fs::write(&file, SECRET).unwrap();
        let guarded = ["--token-keys", file.to_str().unwrap()];
        let server = TestServer::start(&[&guarded, options].concat()).await;
        let _keys = keys;
        Self { server, _keys }
    }

    /// Connects and sends `hello` with this token and session; returns `welcome`, too.
    pub(crate) async fn hello(&self, token: &str, session: &Value) -> (Raw, Value) {
        let mut raw = self.server.raw().await;
        let mut hello = json!({"type": "hello", "token": token, "name": "Mallory"});
        if !session.is_null() {
            hello["session"] = session.clone();
        }
        raw.send(&hello.to_string()).await;
        let welcome = raw.next_of("welcome").await;
        (raw, welcome)
    }

    pub(crate) async fn page(&self, path: &str, cookie: &str) -> (u16, String, Option<String>) {
        page(&self.server, path, cookie).await
    }
}

/// A page's status, its body and the cookie that it sets.
pub(crate) async fn page(
    server: &TestServer,
    path: &str,
    cookie: &str,
) -> (u16, String, Option<String>) {
    let client = reqwest::Client::new();
    let request = client.get(format!("http://{}{path}", server.address));
    let answer = request.header("cookie", cookie).send().await.unwrap();
    let set = answer.headers().get("set-cookie");
    let set = set.map(|set| set.to_str().unwrap().to_owned());
    (answer.status().as_u16(), answer.text().await.unwrap(), set)
}

pub(crate) async fn join(raw: &mut Raw, room: &str) -> Value {
    raw.send(&json!({"type": "join", "room": room}).to_string())
        .await;
    raw.next_of("joined").await
}
