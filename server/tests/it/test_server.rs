//! A server within the test's process: real sockets, a real database, a data directory of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use everbeat_axum::access::Authenticator;
use everbeat_axum::clock::Clock;
use everbeat_axum::hub::{Hub, Rooms};
use everbeat_axum::log::sqlite::{SqliteConfig, SqliteLog};
use everbeat_axum::stream::SendQueueReader;
use leptos::config::LeptosOptions;
use server::config::Config;
use server::heap::Allocator;
use server::lab::Lab;
use server::listener::Listener;
use server::{Server, Stopped};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::raw::Raw;

/// A running server; it ends with the test.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    /// The operator's listener.
    pub(crate) admin: SocketAddr,
    pub(crate) hub: Arc<Hub>,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), Stopped>>,
    /// Removed on drop.
    data: TempDir,
}

impl TestServer {
    /// The URL for clients.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// The path of the log's database.
    pub(crate) fn database(&self) -> PathBuf {
        self.data.path().join("everbeat.db")
    }

    /// Starts a server with these command-line options.
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::start_over(options, |config| server::open_hub(config).unwrap()).await
    }

    /// Starts a server whose database has room for 256 KiB, with a rate that lets a client fill it.
    pub(crate) async fn start_with_little_room(options: &[&str]) -> Self {
        let fast = ["--publishes", "100000", "--publish-burst", "100000"];
        Self::start_over(&[&fast, options].concat(), |config| {
            let rooms = Arc::new(Rooms::new(100));
            let small = SqliteConfig {
                bytes_max: Some(256 * 1024),
                ..SqliteConfig::default()
            };
            let log = SqliteLog::open(&config.database(), small, rooms.clone()).unwrap();
            Arc::new(Hub::new(rooms, Arc::new(log), 1 << 20, Clock::start()))
        })
        .await
    }

    /// Starts a server over a hub of the test's own.
    pub(crate) async fn start_over(
        options: &[&str],
        open_hub: impl FnOnce(&Config) -> Arc<Hub>,
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let directory = data.path().to_str().unwrap().to_owned();
        let fixed = ["everbeat", "--listen", "127.0.0.1:0", "--data", &directory];
        let drain: &[&str] = match options.contains(&"--drain") {
            true => &[],
            false => &["--drain", "200ms"],
        };
        let config = Config::parse_from([&fixed, drain, options].concat());
        config.check().unwrap();
        let listener = Listener::open(config.listener()).await.unwrap();
        let address = listener.socket.local_addr().unwrap();
        let hub = open_hub(&config);
        let authenticator = Arc::new(Authenticator::new(config.authenticator()).await.unwrap());
        let (shutdown, stopped) = oneshot::channel();
        let leptos = LeptosOptions::builder().output_name("everbeat").build();
        let stopped = async {
            // A test that ends without `terminate` drops the sender, which stops the server, too.
            let _ = stopped.await;
        };
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let admin_address = admin.local_addr().unwrap();
        let lab = config
            .operation
            .lab
            .then(|| Lab::open(address, Some(admin_address), listener.tls.is_some()).unwrap());
        let server = Server {
            config,
            leptos,
            listener,
            admin: Some(admin),
            peers: None,
            hub: Arc::clone(&hub),
            authenticator,
            allocator: Allocator::default(),
            send_queues: SendQueueReader::default(),
            lab,
        };
        let running = tokio::spawn(server.run(stopped));
        Self {
            address,
            admin: admin_address,
            hub,
            shutdown: Some(shutdown),
            running,
            data,
        }
    }

    /// Tells the server to drain, as SIGTERM does.
    pub(crate) fn terminate(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(self) {
        self.running.await.unwrap().unwrap();
    }

    /// A raw connection with our subprotocol, before `hello`.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// A raw connection in the lobby.
    pub(crate) async fn joined(&self) -> Raw {
        let mut raw = self.raw().await;
        raw.hello().await;
        raw.send(r#"{"type":"join","room":"lobby"}"#).await;
        raw.next_of("joined").await;
        raw
    }
}
