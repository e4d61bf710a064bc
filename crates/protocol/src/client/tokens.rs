//! Tokens: fetched when the server wants one, and again where that failed (AC-6).

use super::Session;
use super::connection::State;
use super::output::{Cause, Transmit};
use crate::backoff::Backoff;
use crate::close::CloseCode;
use crate::frame::{ClientFrame, ErrorCode, Refusal};
use crate::id::Token;
use crate::time::Timestamp;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// Whoever gives tokens could not be asked: again later.
    Unavailable,
    /// Whoever gives tokens gives none: a person has to act.
    Denied,
}

/// The token that is shown, and how the next one comes.
#[derive(Debug)]
pub(super) struct Tokens {
    shown: Shown,
    fetch: Fetch,
    backoff: Backoff,
}

/// What the next `hello` shows.
#[derive(Debug)]
enum Shown {
    /// Nothing: a cookie says who it is, or nobody has to.
    Nothing,
    /// This token.
    Token(Token),
    /// The server let nobody in with what was shown: another token comes before the next connection.
    TurnedAway,
}

/// What the driver does for the next token.
#[derive(Debug)]
enum Fetch {
    /// Nothing.
    Idle,
    /// It was asked for one.
    Asked,
    /// That failed on a live connection: it is asked again at this time.
    Again(Timestamp),
}

impl Tokens {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self {
            shown: Shown::Nothing,
            fetch: Fetch::Idle,
            backoff,
        }
    }

    pub(super) const fn shown(&self) -> Option<&Token> {
        match &self.shown {
            Shown::Token(token) => Some(token),
            Shown::Nothing | Shown::TurnedAway => None,
        }
    }

    /// Whether another one has to come before the next connection.
    pub(super) const fn is_wanted(&self) -> bool {
        matches!(self.shown, Shown::TurnedAway)
    }

    /// When to fetch again on a live connection.
    pub(super) const fn due(&self) -> Option<Timestamp> {
        match self.fetch {
            Fetch::Again(at) => Some(at),
            Fetch::Idle | Fetch::Asked => None,
        }
    }

    /// The connection is gone: on the next one the server says what it wants.
    pub(super) fn disconnected(&mut self) {
        if self.due().is_some() {
            self.fetch = Fetch::Idle;
        }
    }

    /// The driver answered, or its time is over.
    fn answered(&mut self) {
        if matches!(self.fetch, Fetch::Asked) {
            self.fetch = Fetch::Idle;
        }
    }
}

impl Session {
    /// The answer to [`Transmit::FetchToken`]; or a token that the person has anyway.
    pub(super) fn token(&mut self, now: Timestamp, answer: Result<Token, NoToken>) {
        self.tokens.answered();
        let is_live = matches!(self.state, State::Live(_));
        let is_fetching = matches!(self.state, State::Fetching { .. });
        match answer {
            Ok(token) => {
                self.tokens.shown = Shown::Token(token.clone());
                self.tokens.fetch = Fetch::Idle;
                if is_live {
                    self.send(now, ClientFrame::Token { token });
                } else if is_fetching {
                    self.open(now);
                }
            }
            Err(NoToken::Unavailable) if is_live => self.fetch_again(now),
            Err(NoToken::Unavailable) if is_fetching => self.lose(now, Cause::NoToken),
            Err(NoToken::Denied) if is_fetching => {
                let code = CloseCode::UNAUTHORIZED;
                self.enter(State::Stopped { code });
            }
            // The server will say when it has had enough of the old one.
            Err(_) => {}
        }
    }

    /// AC-2: the server says that the token is about to end.
    pub(super) fn renew(&mut self) {
        self.tokens.backoff.reset();
        self.fetch_token();
    }

    /// AC-6: whether a refusal is about a token that another one can mend. Where that is a newer one
    /// that was not taken, it may have been kept by somebody for too long: it is fetched again.
    pub(super) fn token_refused(&mut self, now: Timestamp, refusal: &Refusal) -> bool {
        let is_live = matches!(self.state, State::Live(_));
        let is_about_token = match refusal.code {
            ErrorCode::TokenExpired | ErrorCode::TokenInvalid | ErrorCode::TokenRequired => true,
            // What else is refused for now names a message or a room.
            ErrorCode::RateLimited | ErrorCode::Unavailable => is_live && refusal.room.is_none(),
            _ => false,
        };
        if is_about_token && is_live {
            self.fetch_again(now);
        }
        is_about_token && self.config.fetches_tokens
    }

    /// Whether the server turned away what another token could mend; if so, one is fetched before the
    /// next connection.
    pub(super) fn wants_token(&mut self, code: Option<CloseCode>) -> bool {
        let is_mended = matches!(
            code,
            Some(CloseCode::UNAUTHORIZED | CloseCode::TOKEN_EXPIRED)
        );
        let wants = is_mended && self.config.fetches_tokens;
        if wants {
            self.tokens.shown = Shown::TurnedAway;
        }
        wants
    }

    /// Nobody answered: it is asked again, after a pause.
    pub(super) fn not_fetched(&mut self, now: Timestamp) {
        self.tokens.answered();
        self.lose(now, Cause::NoToken);
    }

    pub(super) fn fetch_token_if_due(&mut self, now: Timestamp) {
        if self.tokens.due().is_some_and(|at| now >= at) {
            self.fetch_token();
        }
    }

    pub(super) fn fetch_token(&mut self) {
        if self.config.fetches_tokens && !matches!(self.tokens.fetch, Fetch::Asked) {
            self.tokens.fetch = Fetch::Asked;
            self.transmits.push_back(Transmit::FetchToken);
        }
    }

    fn fetch_again(&mut self, now: Timestamp) {
        if self.config.fetches_tokens && !matches!(self.tokens.fetch, Fetch::Asked) {
            let wait = self.tokens.backoff.next(&mut self.rng);
            self.tokens.fetch = Fetch::Again(now + wait);
        }
    }
}
