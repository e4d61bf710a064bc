//! TLS, in a program that was built without it.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpStream;

use crate::write_deadline::WriteDeadline;

/// A connection over TLS: there is none.
pub type TlsStream = WriteDeadline<TcpStream>;

/// What TLS needs: there is none.
#[derive(Clone, Debug)]
pub struct Tls(Infallible);

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
#[error(
    "this program was built without TLS: --tls-cert and --tls-key are for one with the feature tls"
)]
pub struct TlsError;

impl Tls {
    /// No TLS.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: PathBuf, _: PathBuf, _: Duration) -> Result<Self, TlsError> {
        Err(TlsError)
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub async fn accept(&self, _: WriteDeadline<TcpStream>) -> io::Result<TlsStream> {
        match self.0 {}
    }

    /// Never called.
    pub async fn keep(self) {
        match self.0 {}
    }
}
