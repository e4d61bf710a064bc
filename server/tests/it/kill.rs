//! The server's process killed again and again, while native clients publish.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use everbeat_client::{Event, Fate, Options};
use protocol::frame::Message;
use protocol::id::RoomName;
use protocol::outbox::EntryId;
use protocol::position::Offset;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Interval, interval, sleep, timeout};

/// The number of kills.
const KILLS: u32 = 20;

/// Two clients that publish, and one that only reads.
const CLIENTS: u64 = 3;

/// What one client published and received.
#[derive(Debug, Default)]
struct Account {
    published: Vec<String>,
    received: Vec<Message>,
    acked: BTreeMap<EntryId, Option<Offset>>,
    gaps: u32,
}

/// RS-3, EO-1, EO-2, EO-3: no acked message is lost, no message is lost or doubled, and all clients see
/// the same order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_and_double_nothing() {
    let data = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut server = start(address, data.path()).await;
    let (stop, stopped) = watch::channel(false);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(run(address, number, stopped.clone())))
        .collect();
    let mut rng = fastrand::Rng::with_seed(2026);
    for _ in 0..KILLS {
        sleep(Duration::from_millis(rng.u64(20..400))).await;
        server.kill().await.unwrap();
        server = start(address, data.path()).await;
    }
    stop.send(true).unwrap();
    let mut accounts = Vec::new();
    for client in clients {
        let account = timeout(Duration::from_secs(60), client)
            .await
            .expect("every client settles");
        accounts.push(account.unwrap());
    }
    let first: Vec<&Message> = accounts[0].received.iter().collect();
    for (offset, message) in (1..).zip(&first) {
        assert_eq!(message.offset.get(), offset, "dense and once");
    }
    let mut published: Vec<&String> = accounts.iter().flat_map(|a| &a.published).collect();
    let mut received: Vec<&String> = first.iter().map(|message| &message.body).collect();
    published.sort_unstable();
    received.sort_unstable();
    assert!(
        published.len() > 100,
        "only {} messages were published",
        published.len()
    );
    assert_eq!(published, received, "each published message is there once");
    for account in &accounts {
        assert_eq!(
            account.received.iter().collect::<Vec<_>>(),
            first,
            "the same for all"
        );
        assert_eq!(
            (account.gaps, account.acked.len()),
            (0, account.published.len())
        );
    }
    server.kill().await.unwrap();
}

async fn start(address: SocketAddr, data: &Path) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_everbeat"))
        .args([
            "--listen",
            &address.to_string(),
            "--admin",
            "off",
            "--data",
            data.to_str().unwrap(),
        ])
        .env("EVERBEAT_LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the server does not start"
        );
        sleep(Duration::from_millis(5)).await;
    }
    child
}

/// One client: publishes until `stopped`, then runs until all messages are settled and the room is quiet.
async fn run(address: SocketAddr, number: u64, mut stopped: watch::Receiver<bool>) -> Account {
    let room = RoomName::lobby();
    let options = Options::new(number).configure(|config| {
        config.backoff_cap = Duration::from_millis(200);
        // A client that joins a moment after the first messages gets them, too.
        config.join_limit = 200;
    });
    let mut client = everbeat_client::connect(&format!("ws://{address}/ws"), options).unwrap();
    let mut account = Account::default();
    client.join(room.clone(), None);
    let mut pace: Interval = interval(Duration::from_millis(7));
    let mut quiet_since = Instant::now();
    loop {
        let is_stopped = *stopped.borrow();
        let publishes = number > 0 && !is_stopped;
        let settled = is_stopped && client.outbox().next().is_none();
        if settled && quiet_since.elapsed() > Duration::from_secs(2) {
            return account;
        }
        tokio::select! {
            event = client.next() => {
                quiet_since = Instant::now();
                account.take(event.unwrap());
            }
            _ = pace.tick(), if publishes => {
                let body = format!("{number}:{}", account.published.len());
                if client.publish(room.clone(), body.clone()).is_ok() {
                    account.published.push(body);
                }
            }
            _ = stopped.changed(), if !is_stopped => {}
            () = sleep(Duration::from_millis(100)), if is_stopped => {}
        }
    }
}

impl Account {
    fn take(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.received.push(message),
            Event::Joined { gap: true, .. } => self.gaps += 1,
            Event::Fate {
                id,
                fate: Fate::Durable { offset },
                ..
            } => {
                assert_eq!(self.acked.insert(id, offset), None, "acked once");
            }
            Event::Fate {
                fate: fate @ (Fate::Refused { .. } | Fate::Uncertain),
                ..
            } => {
                panic!("{fate:?}");
            }
            _ => {}
        }
    }
}
