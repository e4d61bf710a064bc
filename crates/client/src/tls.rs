//! What lies below a WebSocket: TCP for `ws://`, TLS over it for `wss://` (feature `rustls`).

#[cfg(feature = "rustls")]
use std::cell::OnceCell;
use std::io;
use std::pin::Pin;
#[cfg(feature = "rustls")]
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(feature = "rustls")]
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, ClientConfig, pki_types::ServerName},
};

use crate::options::ConnectError;

/// What the application chose for `wss://`: nothing is the platform's certificates, which are loaded once.
#[derive(Clone, Default)]
pub(crate) struct TlsChoice(#[cfg(feature = "rustls")] pub(crate) OnceCell<Arc<ClientConfig>>);

/// How the connections of one client are secured.
#[derive(Clone)]
pub(crate) enum Security {
    Plain,
    #[cfg(feature = "rustls")]
    Tls {
        connector: TlsConnector,
        /// The name, or the address, that the server's certificate has to bear.
        name: ServerName<'static>,
    },
}

/// A connection of either kind.
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Boxed: a client without TLS pays nothing for its state.
    #[cfg(feature = "rustls")]
    Tls(Box<TlsStream<TcpStream>>),
}

impl TlsChoice {
    #[cfg(feature = "rustls")]
    pub(crate) fn security(&self, host: &str) -> Result<Security, ConnectError> {
        let config = match self.0.get() {
            Some(config) => config,
            None => {
                let config = platform().map_err(|error| ConnectError::Tls(error.to_string()))?;
                self.0.get_or_init(|| Arc::new(config))
            }
        };
        let config = Arc::clone(config);
        let name = ServerName::try_from(host.to_owned());
        Ok(Security::Tls {
            connector: config.into(),
            name: name.map_err(|error| ConnectError::Tls(error.to_string()))?,
        })
    }

    #[cfg(not(feature = "rustls"))]
    pub(crate) fn security(&self, _host: &str) -> Result<Security, ConnectError> {
        Err(ConnectError::Tls("the feature `rustls` is off".to_owned()))
    }
}

/// Certificates are verified as the platform does it.
#[cfg(feature = "rustls")]
fn platform() -> Result<ClientConfig, rustls::Error> {
    use rustls_platform_verifier::BuilderVerifierExt;

    // Named, as a program that uses rustls elsewhere may have built in several.
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?;
    Ok(config.with_no_client_auth())
}

impl Security {
    /// Shakes hands over a connection, where it is to be secured.
    pub(crate) async fn secure(self, stream: TcpStream) -> io::Result<Stream> {
        match self {
            Self::Plain => Ok(Stream::Plain(stream)),
            #[cfg(feature = "rustls")]
            Self::Tls { connector, name } => {
                let stream = connector.connect(name, stream).await?;
                Ok(Stream::Tls(Box::new(stream)))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
