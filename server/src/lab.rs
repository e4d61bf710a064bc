//! The lab (`--lab`): a page of this server may kill, drain and stall the server, to see what becomes of its session.
//! For experiments on one machine: a server with it listens nowhere else.

use std::net::SocketAddr;
use std::sync::Arc;

use everbeat_axum::origin::Origin;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// The names by which a browser of this machine opens the page.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// The lab cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LabError {
    /// A program elsewhere could end the server.
    #[error(
        "--lab lets pages kill the server, so it is for this machine alone: {option} must be an address of the loopback, as \
         127.0.0.1, and is {address}"
    )]
    NotLoopback {
        /// The option of the listener.
        option: &'static str,
        /// Its address.
        address: SocketAddr,
    },
    /// There is no listener that could take the commands.
    #[error("--lab needs the operator's listener, and --admin is off")]
    NoAdmin,
}

/// A handle on the lab.
#[derive(Clone, Debug)]
pub struct Lab(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    admin: SocketAddr,
    pages: Vec<Origin>,
    drain: CancellationToken,
}

impl Lab {
    /// Opens the lab of a server with these listeners; by HTTPS, its page's origin has that scheme.
    ///
    /// # Errors
    /// [`LabError`] unless both listeners are on the loopback.
    pub fn open(
        listener: SocketAddr,
        admin: Option<SocketAddr>,
        is_tls: bool,
    ) -> Result<Self, LabError> {
        let admin = admin.ok_or(LabError::NoAdmin)?;
        for (option, address) in [("--listen", listener), ("--admin", admin)] {
            if !address.ip().to_canonical().is_loopback() {
                return Err(LabError::NotLoopback { option, address });
            }
        }
        let scheme = if is_tls { "https" } else { "http" };
        let port = listener.port();
        let pages = HOSTS.map(|host| format!("{scheme}://{host}:{port}"));
        Ok(Self(Arc::new(Parts {
            admin,
            // Made of a scheme, a host and a port.
            pages: pages.iter().filter_map(|page| page.parse().ok()).collect(),
            drain: CancellationToken::new(),
        })))
    }

    /// The origin at which a page finds the lab.
    pub fn origin(&self) -> String {
        format!("http://{}", self.0.admin)
    }

    /// The origins of the server's own pages, which may use the lab.
    pub fn pages(&self) -> &[Origin] {
        &self.0.pages
    }

    /// Begins the drain, as SIGTERM does.
    pub fn drain(&self) {
        self.0.drain.cancel();
    }

    /// Waits for [`Lab::drain`].
    pub async fn drained(&self) {
        self.0.drain.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(listener: &str, admin: Option<&str>) -> Result<Lab, LabError> {
        let admin = admin.map(|admin| admin.parse().unwrap());
        Lab::open(listener.parse().unwrap(), admin, false)
    }

    /// A lab is for one machine: both listeners have to be on its loopback.
    #[test]
    fn a_lab_is_for_the_loopback() {
        let lab = open("127.0.0.1:8080", Some("127.0.0.1:8090")).unwrap();
        assert_eq!(lab.origin(), "http://127.0.0.1:8090");
        let pages: Vec<&str> = lab.pages().iter().map(Origin::as_str).collect();
        let expected = [
            "http://127.0.0.1:8080",
            "http://localhost:8080",
            "http://[::1]:8080",
        ];
        assert_eq!(pages, expected);
        assert!(open("[::1]:1", Some("127.0.0.2:2")).is_ok());
        assert_eq!(open("127.0.0.1:1", None).err(), Some(LabError::NoAdmin));
        for (listener, admin) in [
            ("0.0.0.0:8080", "127.0.0.1:8090"),
            ("127.0.0.1:8080", "0.0.0.0:8090"),
            ("[::]:8080", "[::1]:8090"),
            ("192.0.2.1:8080", "127.0.0.1:8090"),
        ] {
            let error = open(listener, Some(admin)).err().unwrap();
            assert!(error.to_string().contains("loopback"), "{listener} {admin}");
        }
    }
}
