//! TLS: a certificate from files, replaced as soon as they change.
//!
//! The files are checked at intervals rather than on a signal: that works with any program that renews
//! them, also if it may not signal us, or does not know of us, as in a container.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::{TlsAcceptor, server};

use crate::write_deadline::WriteDeadline;

/// The most bytes that TLS holds of a connection, and its client has not taken. The rest waits in its frames,
/// which are shared; and a reader's progress is seen by what leaves here.
const WAITING_BYTES: usize = 16 * 1024;

/// A connection over TLS. Its state is large and in a box: so a task is as small as over TCP.
pub type TlsStream = Box<server::TlsStream<WriteDeadline<TcpStream>>>;

/// TLS for connections, with a certificate that is reloaded.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    files: Files,
    every: Duration,
    /// The files' contents at the last look.
    seen: Seen,
}

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is missing, or cannot be read.
    #[error("cannot read {path}: see --tls-cert and --tls-key", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} should hold {what} as PEM", path = path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What was expected in it.
        what: &'static str,
        /// The error.
        source: pem::Error,
    },
    /// The certificate or its key is of no use, or they do not belong together.
    #[error("the certificate in {cert} cannot be used with the key in {key}", cert = cert.display(), key = key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's.
        key: PathBuf,
        /// The error.
        source: rustls::Error,
    },
}

impl Tls {
    /// TLS with a certificate and its key from files, which are read again when they change.
    ///
    /// # Errors
    /// If the files cannot be used.
    pub fn open(cert: PathBuf, key: PathBuf, look_every: Duration) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = Files {
            cert,
            key,
            provider: Arc::clone(&provider),
        };
        let texts = files.read()?;
        let certified = files.certified(&texts)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(certified))));
        let unusable = |source| files.unusable(source);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        // WebSockets are served over HTTP/1.1 only (RFC 6455); nothing is served over HTTP/2.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A client that reconnects after a cut shows a ticket, which saves a signature; the server keeps nothing
        // for it.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
            seen: Ok(texts.digest()),
            files,
            every: look_every,
        })
    }

    /// Performs the handshake.
    ///
    /// # Errors
    /// If the peer does not.
    pub async fn accept(&self, stream: WriteDeadline<TcpStream>) -> io::Result<TlsStream> {
        let limited = |connection: &mut rustls::ServerConnection| {
            connection.set_buffer_limit(Some(WAITING_BYTES));
        };
        let stream = self.acceptor.accept_with(stream, limited).await?;
        Ok(Box::new(stream))
    }

    /// Checks the files at intervals; never returns. A good certificate is used for the next
    /// connections; a bad one is one line in the journal, and changes nothing.
    pub async fn keep(mut self) {
        let mut look = interval(self.every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let files = self.files.clone();
            let read = match tokio::task::spawn_blocking(move || files.read()).await {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(%error, "the certificate could not be looked at");
                    continue;
                }
            };
            let now = match &read {
                Ok(texts) => Ok(texts.digest()),
                Err(error) => Err(error.to_string()),
            };
            if now == self.seen {
                continue;
            }
            self.seen = now;
            match read.and_then(|texts| self.files.certified(&texts)) {
                Ok(certified) => {
                    self.current.set(certified);
                    tracing::info!("new connections get the newer certificate");
                }
                Err(error) => {
                    let error = crate::in_full(&error);
                    tracing::error!(%error, "the certificate stays as it was");
                }
            }
        }
    }
}

/// A fingerprint of the files, or why there is none.
type Seen = Result<[u8; 32], String>;

/// The files of the certificate and its key.
#[derive(Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
}

/// The contents of the files.
struct Texts {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Texts {
    fn digest(&self) -> [u8; 32] {
        let cert = Sha256::digest(&self.cert);
        let key = Sha256::digest(&self.key);
        Sha256::new()
            .chain_update(cert)
            .chain_update(key)
            .finalize()
            .into()
    }
}

impl Files {
    fn read(&self) -> Result<Texts, TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Texts {
            cert: read(&self.cert)?,
            key: read(&self.key)?,
        })
    }

    /// The certificate with its key, if they belong together.
    fn certified(&self, texts: &Texts) -> Result<CertifiedKey, TlsError> {
        let not_pem = |path: &Path, what, source| TlsError::NotPem {
            path: path.to_owned(),
            what,
            source,
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&texts.cert).collect();
        let chain = chain
            .and_then(|chain| match chain[..] {
                [] => Err(pem::Error::NoItemsFound),
                _ => Ok(chain),
            })
            .map_err(|source| not_pem(&self.cert, "a certificate", source))?;
        let key = PrivateKeyDer::from_pem_slice(&texts.key)
            .map_err(|source| not_pem(&self.key, "a private key", source))?;
        CertifiedKey::from_der(chain, key, &self.provider).map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: rustls::Error) -> TlsError {
        TlsError::Unusable {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        }
    }
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn set(&self, certified: CertifiedKey) {
        *self.0.write() = Arc::new(certified);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read();
        Some(Arc::clone(&current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection's task is as large as its stream: over TLS no larger than over TCP.
    #[test]
    fn the_state_of_tls_is_in_a_box() {
        assert!(size_of::<TlsStream>() <= size_of::<TcpStream>());
    }
}
