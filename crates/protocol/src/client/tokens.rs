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
#[non_exhaustive]
pub enum NoToken {
    /// The token endpoint could not be reached: the client tries again later.
    Unavailable,
    /// The token endpoint denies this user a token: a client that needs one to connect stops (AC-6).
    Denied,
}

/// The token that `hello` shows, and the fetch of the next one.
#[derive(Debug)]
pub(super) struct Tokens {
    shown: Shown,
    fetch: Fetch,
    backoff: Backoff,
}

/// The token that the next `hello` shows.
#[derive(Debug)]
enum Shown {
    /// Nothing: a cookie authenticates the client, or the server takes guests.
    Nothing,
    /// This token.
    Token(Token),
    /// Nothing: the server refused what was shown. Another token has to come before the next connection.
    TurnedAway,
}

/// The state of the fetch of the next token.
#[derive(Debug)]
enum Fetch {
    /// No fetch is under way.
    Idle,
    /// The driver was asked for one.
    Asked,
    /// A fetch failed on a live connection: the next one begins at this time.
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

    /// Whether another token has to come before the next connection.
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

    /// The connection is closed: on the next one the server says what it wants.
    pub(super) fn disconnected(&mut self) {
        if self.due().is_some() {
            self.fetch = Fetch::Idle;
        }
    }

    /// The driver answered, or its deadline is over.
    fn answered(&mut self) {
        if matches!(self.fetch, Fetch::Asked) {
            self.fetch = Fetch::Idle;
        }
    }
}

impl Session {
    /// Takes the answer to [`Transmit::FetchToken`], or a token that the application has anyway.
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
                let cause = Cause::Closed(Some(CloseCode::UNAUTHORIZED));
                self.enter(State::Stopped { cause });
            }
            // The server will say when it no longer takes the old one.
            Err(_) => {}
        }
    }

    /// AC-2: the server says that the token is about to end.
    pub(super) fn renew(&mut self) {
        self.tokens.backoff.reset();
        self.fetch_token();
    }

    /// AC-6: whether a refusal is about a token, so that another token can mend it. On a live connection the refused
    /// token may be an old one from a cache: it is fetched again.
    pub(super) fn token_refused(&mut self, now: Timestamp, refusal: &Refusal) -> bool {
        let is_live = matches!(self.state, State::Live(_));
        let is_about_token = match refusal.code {
            ErrorCode::TokenExpired | ErrorCode::TokenInvalid | ErrorCode::TokenRequired => true,
            // Any other refusal for now names a message or a room.
            ErrorCode::RateLimited | ErrorCode::Unavailable => is_live && refusal.room.is_none(),
            _ => false,
        };
        if is_about_token && is_live {
            self.fetch_again(now);
        }
        is_about_token && self.config.fetches_tokens
    }

    /// Whether the server refused the client for a reason that another token can mend; if so, one is fetched before
    /// the next connection.
    pub(super) fn wants_token(&mut self, code: CloseCode) -> bool {
        let is_mended = matches!(code, CloseCode::UNAUTHORIZED | CloseCode::TOKEN_EXPIRED);
        let wants = is_mended && self.config.fetches_tokens;
        if wants {
            self.tokens.shown = Shown::TurnedAway;
        }
        wants
    }

    /// The fetch had no answer in time: the client tries again, after a pause.
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
