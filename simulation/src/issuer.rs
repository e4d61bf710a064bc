//! The issuer: gives tokens to users, and reads them for the server (AC).

use std::collections::VecDeque;
use std::time::Duration;

use protocol::access::{Access, Denied, Identity, Naming, Rights, Subject};
use protocol::client::NoToken;
use protocol::id::Token;
use protocol::time::Timestamp;

/// How long a page waits for its token.
const LATENCY: Duration = Duration::from_millis(30);

/// The issuer that the server trusts.
#[derive(Debug, Default)]
pub struct Issuer {
    /// How long a token is good. None: the server takes guests, and no user needs a token.
    pub ttl: Option<Duration>,
    /// No user gets a token now.
    pub is_down: bool,
    asked: VecDeque<(Timestamp, usize)>,
}

impl Issuer {
    /// A page asks for a token.
    pub fn ask(&mut self, now: Timestamp, client: usize) {
        self.asked.push_back((now + LATENCY, client));
    }

    /// When the next page has its answer.
    pub fn due(&self) -> Option<Timestamp> {
        self.asked.front().map(|(at, _)| *at)
    }

    /// The next page whose answer has come.
    pub fn answered(&mut self, now: Timestamp) -> Option<usize> {
        self.due().filter(|due| *due <= now)?;
        self.asked.pop_front().map(|(_, client)| client)
    }

    /// A token for a user.
    ///
    /// # Errors
    /// [`NoToken`] while the issuer is down.
    pub fn give(&self, now: Timestamp, person: usize) -> Result<Token, NoToken> {
        if self.is_down {
            return Err(NoToken::Unavailable);
        }
        let ends = now + self.ttl.unwrap_or_default();
        let ends = ends.since_origin().as_nanos();
        Ok(Token::new(&format!("{person}.{ends}")).unwrap())
    }

    /// The access that the server reads in a token, or that of a guest.
    ///
    /// # Errors
    /// Why the server refuses the client.
    pub fn admit(&self, now: Timestamp, token: Option<&Token>) -> Result<Access, Denied> {
        if self.ttl.is_none() {
            return Ok(Access::ANYBODY);
        }
        let token = token.ok_or(Denied::TokenRequired)?;
        let (person, ends) = token.expose().split_once('.').ok_or(Denied::TokenInvalid)?;
        let ends = ends.parse().map_err(|_| Denied::TokenInvalid)?;
        let ends = Timestamp::from_origin(Duration::from_nanos(ends));
        if ends <= now {
            return Err(Denied::TokenExpired);
        }
        let person = Subject::new(person).map_err(|_| Denied::TokenInvalid)?;
        Ok(Access {
            identity: Identity::Subject(person),
            naming: Naming::Own {
                usual: None,
                is_marked: false,
            },
            rights: Rights::ALL,
            expires_in: Some(ends - now),
        })
    }
}
