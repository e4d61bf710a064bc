//! Tokens, without the feature `jwt`: there are none.

use std::convert::Infallible;
use std::sync::Arc;

use protocol::access::{Access, Denied};
use protocol::id::Token;

/// Checks tokens: there is none of these.
pub(super) struct Tokens(Infallible);

impl Tokens {
    /// Never called.
    pub(super) async fn check(self: &Arc<Self>, _: &Token) -> Result<Access, Denied> {
        match self.0 {}
    }

    /// Never called.
    pub(super) async fn keep(&self) {
        match self.0 {}
    }
}
