//! Guests, without the feature `jwt`: no cookie makes them known.

use std::convert::Infallible;
use std::path::Path;

use axum::http::{HeaderMap, HeaderValue};
use protocol::access::{Access, Identity, Naming, Rights, Subject};
use thiserror::Error;

/// Why guests' cookies cannot be signed: there is no reason.
#[derive(Debug, Error)]
pub enum GuestError {}

/// A cookie that makes a guest known: there is none.
#[derive(Clone)]
pub struct GuestCookie(Infallible);

impl GuestCookie {
    /// Never called.
    pub fn header(&self) -> Option<HeaderValue> {
        match self.0 {}
    }
}

/// A guest who has shown a cookie.
#[derive(Clone)]
pub(super) struct Known {
    /// Who it is.
    pub(super) subject: Subject,
}

/// Any client.
pub(super) struct Guests {
    rights: Rights,
    is_marked: bool,
}

impl Guests {
    /// Guests who may do this.
    pub(super) fn new(
        _: &Path,
        _: Option<&Path>,
        rights: Rights,
        is_marked: bool,
    ) -> Result<Self, GuestError> {
        Ok(Self { rights, is_marked })
    }

    /// What a guest may do.
    pub(super) fn admit(&self, subject: Option<Subject>) -> Access {
        Access {
            naming: Naming::Own {
                usual: None,
                is_marked: self.is_marked,
            },
            identity: Identity::Guest(subject),
            rights: self.rights.clone(),
            expires_in: None,
        }
    }

    /// No cookie.
    pub(super) fn cookie(&self, _: Option<&Known>, _: bool) -> Option<GuestCookie> {
        None
    }

    /// No key.
    pub(super) const fn mark(&self) -> Option<&str> {
        None
    }

    /// No guest is known.
    pub(super) fn known(&self, _: &HeaderMap) -> Option<Known> {
        None
    }
}
