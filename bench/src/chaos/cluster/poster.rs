//! Programs that publish over HTTP: one message after the other, each repeated with its key, at one node or
//! another, until it is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use fastrand::Rng;
use protocol::id::RoomName;
use protocol::position::Offset;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::chaos::mark::Mark;
use crate::chaos::member::{Account, Published, Told};
use crate::http::{self, Answer};

/// The number of posters.
pub const POSTERS: u32 = 6;

/// The deadline of one request.
const ANSWER: Duration = Duration::from_secs(20);

/// The pause before a message is repeated.
const PAUSE: Duration = Duration::from_millis(250);

/// The deadline of one message, over all of its requests.
const PATIENCE: Duration = Duration::from_secs(90);

/// Running posters.
#[derive(Debug)]
pub struct Posters {
    stop: watch::Sender<bool>,
    posting: JoinSet<Account>,
}

/// One poster.
struct Poster {
    nodes: Vec<SocketAddr>,
    room: RoomName,
    pace: Duration,
    rng: Rng,
    account: Account,
}

/// The part of an answer that is compared.
#[derive(Deserialize)]
struct Posted {
    offset: u64,
}

impl Posters {
    /// Lets them post to these nodes. Their numbers as authors begin with `first`.
    pub fn start(
        nodes: &[SocketAddr],
        rooms: &[RoomName],
        first: u32,
        pace: Duration,
        rng: &mut Rng,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut posting = JoinSet::new();
        for (number, room) in (first..first + POSTERS).zip(rooms.iter().cycle()) {
            let poster = Poster {
                nodes: nodes.to_vec(),
                room: room.clone(),
                pace,
                rng: rng.fork(),
                account: Account {
                    number,
                    ..Account::default()
                },
            };
            posting.spawn(poster.run(stopped.clone()));
        }
        Self { stop, posting }
    }

    /// Lets each finish its message; returns their accounts. A message that is not settled in time is noted there.
    ///
    /// # Errors
    /// If a poster's task died.
    pub async fn end(mut self) -> anyhow::Result<Vec<Account>> {
        self.stop.send_replace(true);
        let mut accounts = Vec::new();
        while let Some(account) = self.posting.join_next().await {
            accounts.push(account?);
        }
        Ok(accounts)
    }
}

impl Poster {
    async fn run(mut self, stopped: watch::Receiver<bool>) -> Account {
        while !*stopped.borrow() && self.account.unsettled.is_none() {
            sleep(self.pace.mul_f64(0.5 + self.rng.f64())).await;
            let index = self.account.published.len();
            let mark = Mark {
                client: self.account.number,
                number: u32::try_from(index).unwrap_or(u32::MAX),
            };
            let published = Published::new(mark, self.room.clone());
            self.account.published.push(published);
            match self.post(mark).await {
                Ok(told) => self.account.note(index, told),
                Err(error) => self.account.unsettled = Some(format!("{error:#}")),
            }
        }
        self.account
    }

    /// Posts a message until its fate is known.
    async fn post(&mut self, mark: Mark) -> anyhow::Result<Told> {
        let begun = Instant::now();
        let head = format!(
            "POST /api/rooms/{}/messages\nIdempotency-Key: {mark}",
            self.room
        );
        let content = json!({ "body": mark.body(), "name": "poster" }).to_string();
        loop {
            let node = self.nodes[self.rng.usize(..self.nodes.len())];
            let last = match http::request(node, &head, &content, ANSWER).await {
                Ok(answer) => match told(&answer)? {
                    Some(told) => return Ok(told),
                    None => answer.body,
                },
                Err(error) => format!("{error:#}"),
            };
            self.account.held += 1;
            let is_late = begun.elapsed() > PATIENCE;
            ensure!(!is_late, "{mark} is not in the log yet: {last}");
            sleep(PAUSE.mul_f64(0.5 + self.rng.f64())).await;
        }
    }
}

/// The fate of a message by an answer; `None`: to be repeated.
fn told(answer: &Answer) -> anyhow::Result<Option<Told>> {
    match answer.status {
        200 | 201 => {
            let posted: Posted = serde_json::from_str(&answer.body)?;
            Ok(Some(Told::Durable(Some(Offset::new(posted.offset)?))))
        }
        408 | 429 | 500 | 502 | 503 | 504 => Ok(None),
        status => bail!("refused with {status}: {}", answer.body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_fate_or_to_be_repeated() {
        let told = |status: u16, body: &str| {
            let body = body.to_owned();
            told(&Answer { status, body }).ok()
        };
        let third = Some(Told::Durable(Offset::new(3).ok()));
        assert_eq!(
            told(201, r#"{"offset": 3, "repeated": false}"#),
            Some(third)
        );
        assert_eq!(told(200, r#"{"offset": 3, "repeated": true}"#), Some(third));
        assert_eq!(told(503, ""), Some(None));
        assert_eq!(told(409, ""), None);
        assert_eq!(told(201, "{}"), None);
    }
}
