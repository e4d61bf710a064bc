//! The claim on a shared port: which data the servers behind it have.
//!
//! The kernel gives each server a part of the connections. Servers over different data would show users one
//! of two worlds by chance, and neither server would notice. So each claims the port for its data directory by the
//! name of an abstract socket (unix(7)): these belong to the network namespace, as ports do, and end with
//! their process, however that ends.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{self as unix, UnixListener};
use std::path::Path;

use everbeat_axum::secret;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixStream;

/// The prefix of our sockets' names.
const MARK: &str = "everbeat/";

/// The most bytes of a name: those of `sun_path`, without the zero before it.
const NAME_BYTES: usize = 107;

/// A claimed port, until the server ends.
#[derive(Debug)]
pub(crate) struct Claim {
    _socket: UnixListener,
}

/// The outcome of a claim.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// No server serves other data at this port.
    Alone(Claim),
    /// Another server does: the end of its data directory's path.
    OtherData(String),
}

impl Claim {
    /// Claims an address for a data directory, which must exist.
    ///
    /// # Errors
    /// If the system does not tell which other claims there are.
    pub(crate) fn make(address: SocketAddr, data: &Path) -> io::Result<Claimed> {
        let own = Name::new(address, data)?;
        // First claims, then looks: of two servers that start at once at least one sees the other.
        let name = unix::SocketAddr::from_abstract_name(own.to_string())?;
        let socket = UnixListener::bind_addr(&name)?;
        let names = fs::read_to_string("/proc/self/net/unix")?;
        let mut others = names.lines().filter_map(Name::listed);
        let other = others.find(|other| own.is_against(other) && other.is_of_same_user());
        Ok(match other {
            Some(other) => Claimed::OtherData(other.path),
            None => Claimed::Alone(Self { _socket: socket }),
        })
    }
}

/// The name of a claim's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    address: SocketAddr,
    /// Device and inode of the data directory, whatever its path.
    data: (u64, u64),
    /// Tells claims for one directory apart: the next server makes one before this one ends.
    nonce: String,
    /// The end of the data directory's path, for error texts.
    path: String,
}

impl Name {
    fn new(address: SocketAddr, data: &Path) -> io::Result<Self> {
        let found = fs::metadata(data)?;
        let path = std::path::absolute(data)?;
        let mut path = path.to_string_lossy().replace(char::is_control, "?");
        let nonce = secret::random_hex::<4>().ok_or(io::ErrorKind::Unsupported)?;
        let mut name = Self {
            address,
            data: (found.dev(), found.ino()),
            nonce,
            path: String::new(),
        };
        let room = NAME_BYTES.saturating_sub(name.to_string().len());
        let mut from = path.len().saturating_sub(room);
        while !path.is_char_boundary(from) {
            from += 1;
        }
        name.path = path.split_off(from);
        Ok(name)
    }

    /// The name in a line of `/proc/net/unix`; `None` if it is not one of ours.
    fn listed(line: &str) -> Option<Self> {
        let (_, name) = line.split_once(&format!(" @{MARK}"))?;
        let mut parts = name.splitn(6, '/');
        let mut next = || parts.next();
        let (ip, port) = (next()?.parse::<IpAddr>().ok()?, next()?.parse().ok()?);
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let data = (number(next()?)?, number(next()?)?);
        let (nonce, path) = (next()?.to_owned(), next()?.to_owned());
        Some(Self {
            address: SocketAddr::new(ip, port),
            data,
            nonce,
            path,
        })
    }

    /// Whether this claim conflicts with another one: connections may reach both servers, over different data.
    fn is_against(&self, other: &Self) -> bool {
        let [own, theirs] = [self, other].map(|name| name.address.ip().to_canonical());
        let is_one = own == theirs || own.is_unspecified() || theirs.is_unspecified();
        self.address.port() == other.address.port() && is_one && self.data != other.data
    }

    /// Whether the socket is of our user: only servers of one user share a port (socket(7)).
    fn is_of_same_user(&self) -> bool {
        let user = || -> io::Result<bool> {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            // A listener that takes no connection must not block this server.
            socket.set_nonblocking(true)?;
            socket.connect(&SockAddr::unix(format!("\0{self}"))?)?;
            let stream = unix::UnixStream::from(OwnedFd::from(socket));
            let theirs = UnixStream::from_std(stream)?.peer_cred()?.uid();
            Ok(fs::metadata("/proc/self")?.uid() == theirs)
        };
        user().unwrap_or(false)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, port) = (self.address.ip(), self.address.port());
        let (device, inode) = self.data;
        let (nonce, path) = (&self.nonce, &self.path);
        write!(f, "{MARK}{ip}/{port}/{device:x}/{inode:x}/{nonce}/{path}")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn name(address: &str, inode: u64) -> Name {
        Name {
            address: address.parse().unwrap(),
            data: (1, inode),
            nonce: "0".to_owned(),
            path: "/var/lib/every beat/é".to_owned(),
        }
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let own = name("[::1]:8080", 0xfff);
        let line = format!("0000000000000000: 00000002 00000000 00010000 0001 01 1234 @{own}");
        assert_eq!(Name::listed(&line), Some(own));
        for other in [
            "",
            "0: 2 0 0 1 1 7 @/tmp/.X11",
            "0: 2 0 0 1 1 7 @everbeat/x/8080",
        ] {
            assert_eq!(Name::listed(other), None, "{other}");
        }
    }

    #[test]
    fn a_port_is_shared_over_all_addresses() {
        let own = name("127.0.0.1:8080", 1);
        for (address, is_shared) in [
            ("127.0.0.1:8080", true),
            ("0.0.0.0:8080", true),
            ("[::]:8080", true),
            ("[::ffff:127.0.0.1]:8080", true),
            ("127.0.0.2:8080", false),
            ("127.0.0.1:8081", false),
        ] {
            let other = name(address, 2);
            assert_eq!(own.is_against(&other), is_shared, "{address}");
            assert_eq!(other.is_against(&own), is_shared, "{address}");
            assert!(!own.is_against(&name(address, 1)), "{address}");
        }
    }

    /// The longest path, and a directory under two names.
    #[tokio::test]
    async fn two_servers_of_a_port_have_one_directory() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("é".repeat(100));
        fs::create_dir(&data).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&data, &link).unwrap();
        // No server listens there: the claim alone is tested.
        let address = SocketAddr::from((Ipv4Addr::new(127, 83, 1, 9), 1));
        let claim = |data: &Path| Claim::make(address, data).unwrap();
        let first = claim(&data);
        assert!(matches!(first, Claimed::Alone(_)));
        assert!(matches!(claim(&link), Claimed::Alone(_)));
        match claim(place.path()) {
            Claimed::OtherData(path) => assert!(path.ends_with('é'), "{path}"),
            Claimed::Alone(_) => panic!("the port is the other's"),
        }
        drop(first);
        assert!(matches!(claim(place.path()), Claimed::Alone(_)));
    }
}
