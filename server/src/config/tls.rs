//! Options about TLS.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;
use crate::listener::CertificateFiles;

/// TLS, where no proxy in front does it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsOptions {
    /// File with the certificate as PEM, and those that lead to its issuer after it; with it HTTPS is
    /// served, and nothing else
    #[arg(
        long,
        env = "EVERBEAT_TLS_CERT",
        requires = "tls_key",
        value_name = "FILE"
    )]
    pub tls_cert: Option<PathBuf>,

    /// File with the certificate's private key as PEM
    #[arg(
        long,
        env = "EVERBEAT_TLS_KEY",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    pub tls_key: Option<PathBuf>,

    /// How often these files are looked at: what is new in them is used for new connections. Whoever
    /// renews a certificate does so weeks before its end
    #[arg(long, env = "EVERBEAT_TLS_LOOK", default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub tls_look: Duration,
}

impl TlsOptions {
    /// The certificate, where there is one.
    pub(super) fn files(&self) -> Option<CertificateFiles> {
        Some(CertificateFiles {
            cert: self.tls_cert.clone()?,
            key: self.tls_key.clone()?,
            look_every: self.tls_look,
        })
    }
}
