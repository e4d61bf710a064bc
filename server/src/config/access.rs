//! Options of authentication: guests, tokens and the tutorial's pages.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use everbeat_axum::access::{KeySource, TokenConfig};
use protocol::access::{Grants, Rights};

use super::duration;

/// Something that is there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is there.
    On,
    /// It is not.
    Off,
}

impl Switch {
    /// Whether it is on.
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// Authentication and rights.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessOptions {
    /// Whether people without a token may enter
    #[arg(long, env = "EVERBEAT_GUESTS", value_enum, default_value_t = Switch::On)]
    pub guests: Switch,

    /// What guests may do in which rooms, for example '*=r,lobby=rw'; all of it if this is not given
    #[arg(long, env = "EVERBEAT_GUEST_ROOMS", value_name = "PATTERN=RIGHTS,…")]
    pub guest_rooms: Option<Grants>,

    /// The key of guests' cookies: a file of 32 random bytes, the same on all nodes of a cluster, as each has to know
    /// the guests of the others. Without it each server makes one of its own in its data directory (guests.key)
    #[arg(long, env = "EVERBEAT_GUEST_KEY_FILE", value_name = "FILE")]
    pub guest_key_file: Option<PathBuf>,

    /// Keys of the tokens that are taken: a file with a JWK set, a public key as PEM (RSA, P-256 or Ed25519) or a
    /// secret of 32 bytes or more, or the address of a JWK set
    #[arg(long, env = "EVERBEAT_TOKEN_KEYS", value_name = "FILE|URL")]
    pub token_keys: Option<KeySource>,

    /// How often the keys are read again; also at a token with an unknown key
    #[arg(long, env = "EVERBEAT_TOKEN_REFRESH", default_value = "5m", value_name = "TIME", value_parser = duration)]
    pub token_refresh: Duration,

    /// For whom tokens must be meant (aud); without this it is not asked, and tokens for other programs
    /// of the same issuer are good here
    #[arg(long, env = "EVERBEAT_TOKEN_AUDIENCE", value_name = "NAME")]
    pub token_audience: Option<String>,

    /// Who must have made them (iss); without this it is not asked
    #[arg(long, env = "EVERBEAT_TOKEN_ISSUER", value_name = "NAME")]
    pub token_issuer: Option<String>,

    /// The cookie in which a browser shows its token
    #[arg(
        long,
        env = "EVERBEAT_TOKEN_COOKIE",
        default_value = "everbeat-token",
        value_name = "NAME"
    )]
    pub token_cookie: String,

    /// Address at which the page fetches a newer token, with the person's cookies; it answers with the
    /// token as text, or 401 if they have to sign in again
    #[arg(long, env = "EVERBEAT_TOKEN_URL", value_name = "URL")]
    pub token_url: Option<String>,

    /// How long before its end a client is told to renew its token
    #[arg(long, env = "EVERBEAT_TOKEN_WARNING", default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub token_warning: Duration,

    /// How long after its token's end a session is still served
    #[arg(long, env = "EVERBEAT_TOKEN_GRACE", default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub token_grace: Duration,

    /// Whether pages that speak the tutorial's bare text are served; they are guests, and show no cookie
    /// and no token
    #[arg(long, env = "EVERBEAT_TUTORIAL", value_enum, default_value_t = Switch::On)]
    pub tutorial: Switch,
}

impl AccessOptions {
    /// How tokens are checked; `None` where no tokens are taken.
    pub(super) fn tokens(&self) -> Option<TokenConfig> {
        Some(TokenConfig {
            keys: self.token_keys.clone()?,
            refresh: self.token_refresh,
            audience: self.token_audience.clone(),
            issuer: self.token_issuer.clone(),
        })
    }

    /// The rights of guests; `None` where no guests are taken.
    pub(super) fn guest_rights(&self) -> Option<Rights> {
        let rights = |grants: &Grants| Rights::from(grants.clone());
        let rights = self.guest_rooms.as_ref().map_or(Rights::ALL, rights);
        self.guests.is_on().then_some(rights)
    }
}
