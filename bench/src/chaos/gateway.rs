//! Gateways, the reverse proxies in front of the server: nginx and HAProxy as Debian packages them,
//! with the configuration that the repository recommends.

use std::env;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::server::free_address;

/// The deadline of a start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Directories of system programs, which are not on a user's PATH.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The configuration around the recommended part that lets nginx run in the foreground, as any user.
const NGINX_MAIN: &str = "\
daemon off;
master_process off;
pid {here}/nginx.pid;
error_log {here}/gateway.log warn;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    include {here}/everbeat.conf;
}
";

/// The program of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
}

/// A running gateway. It is killed on drop.
#[derive(Debug)]
pub struct Gateway {
    /// The address for clients.
    pub address: SocketAddr,
    kind: Kind,
    child: Child,
    directory: TempDir,
    _reserved: UdpSocket,
}

impl Kind {
    /// The recommended configuration, and the words in it that name the gateway's address.
    const fn recommended(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::Nginx => {
                let text = include_str!("../../../deploy/nginx.conf");
                (text, ["listen ", "80;"])
            }
            Self::Haproxy => {
                let text = include_str!("../../../deploy/haproxy.cfg");
                (text, ["bind ", ":80\n"])
            }
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// The same with the addresses of this run; the line of the server once for each of them.
    fn configuration(self, address: SocketAddr, servers: &[SocketAddr]) -> anyhow::Result<String> {
        let (text, [verb, entrance]) = self.recommended();
        let (entrance, server) = (format!("{verb}{entrance}"), " 127.0.0.1:8080 ");
        for old in [&*entrance, server] {
            ensure!(
                text.matches(old).count() == 1,
                "the configuration for {self:?} does not say {old:?} once"
            );
        }
        let end = &entrance[entrance.len() - 1..];
        let text = text.replace(&entrance, &format!("{verb}{address}{end}"));
        let mut lines = String::new();
        for line in text.lines() {
            if !line.contains(server) {
                lines += &format!("{line}\n");
                continue;
            }
            for (number, address) in servers.iter().enumerate() {
                let line = line.replace(server, &format!(" {address} "));
                // HAProxy's servers have names.
                lines += &format!("{}\n", line.replace(" one ", &format!(" n{number} ")));
            }
        }
        Ok(lines)
    }

    fn find(self) -> anyhow::Result<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let places = env::split_paths(&path).chain(SYSTEM.map(PathBuf::from));
        let mut found = places.map(|place| place.join(self.program()));
        found.find(|file| file.is_file()).with_context(|| {
            format!(
                "{} is not installed, and the restart tests need it. On Debian: \
                 apt-get install --no-install-recommends nginx-light haproxy",
                self.program()
            )
        })
    }
}

impl Gateway {
    /// Starts it in front of these servers, on a port of its own, and waits until it takes connections.
    ///
    /// # Errors
    /// If it is not installed, or does not run with the recommended configuration.
    pub async fn start(kind: Kind, servers: &[SocketAddr], rng: &mut Rng) -> anyhow::Result<Self> {
        let program = kind.find()?;
        let directory = tempfile::tempdir()?;
        let here = directory.path();
        let (address, reserved) = free_address(rng)?;
        fs::write(
            here.join("everbeat.conf"),
            kind.configuration(address, servers)?,
        )?;
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => {
                let main = here.join("nginx.conf");
                fs::write(&main, NGINX_MAIN.replace("{here}", text(here)?))?;
                command.args(["-p", text(here)?, "-c", text(&main)?]);
                // Before nginx has read its configuration it would write to the system's log.
                command.args(["-e", text(&here.join("gateway.log"))?]);
            }
            Kind::Haproxy => {
                command.args(["-db", "-f", text(&here.join("everbeat.conf"))?]);
            }
        }
        let said = fs::File::create(here.join("said.log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", kind.program()))?;
        let mut gateway = Self {
            address,
            kind,
            child,
            directory,
            _reserved: reserved,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            gateway.check()?;
            if begun.elapsed() > PATIENCE {
                bail!("{} does not answer on {address}", kind.program());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(gateway)
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// If it has ended; the error holds its output.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let said = ["said.log", "gateway.log"]
            .map(|name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default())
            .concat();
        bail!("{} ended: {status}\n{said}", self.kind.program());
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .context("the temporary directory has an odd name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recommended_configurations_take_other_addresses() {
        let [address, one, other] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let nginx = Kind::Nginx.configuration(address, &[one, other]).unwrap();
        assert!(nginx.contains("listen 127.0.0.1:1;"), "{nginx}");
        for server in ["127.0.0.1:2 max_fails=0;", "127.0.0.1:3 max_fails=0;"] {
            assert!(nginx.contains(&format!("server {server}")), "{nginx}");
        }
        let haproxy = Kind::Haproxy.configuration(address, &[one, other]).unwrap();
        assert!(haproxy.contains("bind 127.0.0.1:1\n"), "{haproxy}");
        for server in ["n0 127.0.0.1:2 check", "n1 127.0.0.1:3 check"] {
            assert!(haproxy.contains(&format!("server {server}")), "{haproxy}");
        }
    }
}
