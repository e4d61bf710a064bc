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

/// The token that is shown, and the next one.
#[derive(Debug)]
pub(super) struct Tokens {
    shown: Option<Token>,
    /// The server lets nobody in with the one that is shown: another one comes before the next
    /// connection.
    is_wanted: bool,
    /// The driver fetches one.
    is_asked: bool,
    /// Fetching failed on a live connection: again at this time.
    again: Option<Timestamp>,
    backoff: Backoff,
}

impl Tokens {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self {
            shown: None,
            is_wanted: false,
            is_asked: false,
            again: None,
            backoff,
        }
    }

    pub(super) const fn shown(&self) -> Option<&Token> {
        self.shown.as_ref()
    }

    /// Whether another one has to come before the next connection.
    pub(super) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// When to fetch again on a live connection.
    pub(super) const fn due(&self) -> Option<Timestamp> {
        self.again
    }

    /// The connection is gone: on the next one the server says what it wants.
    pub(super) const fn disconnected(&mut self) {
        self.again = None;
    }
}

impl Session {
    /// The answer to [`Transmit::FetchToken`]; or a token that the person has anyway.
    pub(super) fn token(&mut self, now: Timestamp, answer: Result<Token, NoToken>) {
        self.tokens.is_asked = false;
        let is_live = matches!(self.state, State::Live(_));
        let is_fetching = matches!(self.state, State::Fetching { .. });
        match answer {
            Ok(token) => {
                self.tokens.shown = Some(token.clone());
                self.tokens.is_wanted = false;
                self.tokens.again = None;
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
        self.tokens.is_wanted |= wants;
        wants
    }

    /// Nobody answered: it is asked again, after a pause.
    pub(super) fn not_fetched(&mut self, now: Timestamp) {
        self.tokens.is_asked = false;
        self.lose(now, Cause::NoToken);
    }

    pub(super) fn fetch_token_if_due(&mut self, now: Timestamp) {
        if self.tokens.again.is_some_and(|at| now >= at) {
            self.fetch_token();
        }
    }

    pub(super) fn fetch_token(&mut self) {
        if self.config.fetches_tokens && !self.tokens.is_asked {
            self.tokens.is_asked = true;
            self.tokens.again = None;
            self.transmits.push_back(Transmit::FetchToken);
        }
    }

    fn fetch_again(&mut self, now: Timestamp) {
        if self.config.fetches_tokens && !self.tokens.is_asked {
            let wait = self.tokens.backoff.next(&mut self.rng);
            self.tokens.again = Some(now + wait);
        }
    }
}
