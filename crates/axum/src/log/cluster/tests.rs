//! Several nodes in one process, over an engine in memory and real databases.

mod engine;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use protocol::id::{Generation, NodeName};
use protocol::server::NumberError;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use self::engine::{Faults, Stream, VirtualEngine};
use super::status::Phase;
use super::{ClusterConfig, ClusterLog};
use crate::clock::Clock;
use crate::log::sqlite::{SqliteConfig, SqliteLog};
use crate::log::tests::support::{Recorder, append, fresh, offset, resume, room};
use crate::log::{Append, Log, LogError, Offset, Redaction};

/// The deadline of what takes milliseconds.
const SOON: Duration = Duration::from_secs(10);

/// A node, on a directory that outlives it.
struct Node {
    log: ClusterLog,
    engine: Arc<VirtualEngine>,
    observer: Arc<Recorder>,
}

impl Node {
    fn start(name: &str, stream: &Arc<Stream>, directory: &Path) -> Self {
        let observer = Arc::<Recorder>::default();
        let engine = stream.node();
        let sqlite = SqliteConfig {
            is_node: true,
            ..SqliteConfig::default()
        };
        let sqlite = SqliteLog::open(&directory.join("log.db"), sqlite, observer.clone()).unwrap();
        let config = ClusterConfig {
            node: NodeName::new(name).unwrap(),
            history_per_room: 1_000_000,
            address: None,
        };
        let log = ClusterLog::start(
            sqlite,
            engine.clone(),
            config,
            observer.clone(),
            Clock::start(),
        )
        .unwrap();
        Self {
            log,
            engine,
            observer,
        }
    }

    /// Waits until it takes commands.
    async fn live(self) -> Self {
        until(|| self.log.shared.status().phase == Phase::Live).await;
        self
    }

    async fn read(&self, name: &str) -> Vec<(u64, String)> {
        let page = self
            .log
            .read(room(name), Offset::ZERO, 10_000)
            .await
            .unwrap();
        let messages = page.messages.into_iter();
        messages
            .map(|message| (message.offset.get(), message.body))
            .collect()
    }

    async fn open(&self, session: &str) -> Generation {
        self.log
            .open_session(fresh(session, 1))
            .await
            .unwrap()
            .generation
    }
}

/// Three nodes, and the directories of their databases.
struct Trio {
    stream: Arc<Stream>,
    nodes: Vec<Node>,
    directories: Vec<TempDir>,
}

impl Trio {
    async fn start() -> Self {
        let stream = Arc::<Stream>::default();
        let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut nodes = Vec::new();
        for (name, directory) in ["a", "b", "c"].iter().zip(&directories) {
            nodes.push(Node::start(name, &stream, directory.path()).live().await);
        }
        Self {
            stream,
            nodes,
            directories,
        }
    }

    /// Waits until all nodes have folded all packs, and checks that they agree.
    async fn agree(&self) {
        for node in &self.nodes {
            timeout(SOON, node.log.barrier()).await.unwrap().unwrap();
        }
        let digests = self
            .nodes
            .iter()
            .map(|node| node.log.shared.status().digest);
        let digests: std::collections::BTreeSet<_> = digests.collect();
        assert_eq!(digests.len(), 1, "{digests:?}");
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, waiting).await.expect("it takes too long");
}

fn of(generation: Generation, append: Append) -> Append {
    Append {
        generation,
        ..append
    }
}

/// EO-1, EO-2: sessions on three nodes publish into one room at once; all nodes have the same messages in the same order,
/// each once, and the same digest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_have_one_order() {
    const EACH: u64 = 100;
    let trio = Trio::start().await;
    let mut appends = Vec::new();
    for (node, session) in trio.nodes.iter().zip(["ada", "bob", "cleo"]) {
        let generation = node.open(session).await;
        for number in 1..=EACH {
            let body = format!("{session} {number}");
            appends.push(
                node.log
                    .append(of(generation, append(session, number, "lobby", &body))),
            );
        }
    }
    let offsets = join_all(appends).await;
    let mut offsets: Vec<u64> = offsets.into_iter().map(|o| o.unwrap().get()).collect();
    // The numbers of one session are in order.
    assert!(offsets.chunks(EACH as usize).all(|own| own.is_sorted()));
    offsets.sort_unstable();
    assert!(offsets.into_iter().eq(1..=3 * EACH));
    trio.agree().await;
    let read = trio.nodes[0].read("lobby").await;
    assert_eq!(read.len() as u64, 3 * EACH);
    for node in &trio.nodes {
        assert_eq!(node.read("lobby").await, read);
        let seen = node.observer.seen();
        assert!(
            seen.iter()
                .map(|message| message.offset.get())
                .eq(1..=3 * EACH)
        );
    }
}

/// RS-3, RS-4: a session that is resumed on another node finds every number that was acknowledged; what its earlier
/// opening still sends is fenced, on every node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_moves_to_another_node() {
    let trio = Trio::start().await;
    let [a, b, c] = &trio.nodes[..] else { panic!() };
    let first = a.open("ada").await;
    let before = append("ada", 1, "lobby", "before");
    assert_eq!(a.log.append(of(first, before.clone())).await, Ok(offset(1)));
    let opened = b.log.open_session(resume("ada", 2)).await.unwrap();
    assert!(opened.resumed && opened.generation > first);
    assert_eq!(opened.last_seq, 1);
    // A repeat is found, also on a node that never heard the first.
    assert_eq!(
        b.log.append(of(opened.generation, before)).await,
        Ok(offset(1))
    );
    let late = of(first, append("ada", 2, "lobby", "late"));
    assert_eq!(a.log.append(late).await, Err(NumberError::Fenced.into()));
    let after = of(opened.generation, append("ada", 2, "lobby", "after"));
    assert_eq!(b.log.append(after).await, Ok(offset(2)));
    trio.agree().await;
    for node in [a, b, c] {
        let opened: Vec<_> = node.observer.opened().into_iter().map(|(_, g)| g).collect();
        assert_eq!(opened.len(), 2, "the node hears of both openings");
        assert!(opened.is_sorted());
    }
}

/// Without a quorum a node goes on reading; what was not sent yet is refused after 2 s, and its number is not used; what
/// was sent is acknowledged once the quorum is back, and is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_nothing_is_lost_or_doubled() {
    let trio = Trio::start().await;
    let node = &trio.nodes[0];
    let generation = node.open("ada").await;
    let say = |number: u64| {
        let body = format!("number {number}");
        node.log
            .append(of(generation, append("ada", number, "lobby", &body)))
    };
    say(1).await.unwrap();
    // The ack of the second is lost, and so is its delivery: no node here knows whether it is stored.
    trio.stream.set(Faults {
        loses_acks: true,
        is_silent: true,
        ..Faults::default()
    });
    let sent = tokio::spawn(say(2));
    until(|| {
        trio.stream
            .packs()
            .iter()
            .any(|pack| is_in(pack, "number 2"))
    })
    .await;
    trio.stream.set(Faults {
        has_no_quorum: true,
        ..Faults::default()
    });
    let begun = Instant::now();
    let unsent = say(3).await;
    assert!(
        matches!(unsent, Err(LogError::Unavailable(_))),
        "{unsent:?}"
    );
    let took = begun.elapsed();
    assert!((1_500..4_000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(node.read("lobby").await.len(), 1, "reading goes on");
    let probed = timeout(Duration::from_secs(3), node.log.probe()).await;
    assert!(!matches!(probed, Ok(Ok(()))), "it is not ready");
    trio.stream.set(Faults::default());
    assert_eq!(timeout(SOON, sent).await.unwrap().unwrap(), Ok(offset(2)));
    // The number is free, and the client sends it again.
    assert_eq!(say(3).await, Ok(offset(3)));
    trio.agree().await;
    assert_eq!(trio.nodes[1].read("lobby").await.len(), 3);
    assert_eq!(node.log.probe().await, Ok(()));
}

/// A node whose engine answers and stores nothing is not ready, and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_stores_nothing_is_no_ready_one() {
    let trio = Trio::start().await;
    let node = &trio.nodes[0];
    let generation = node.open("ada").await;
    trio.stream.set(Faults {
        is_full: true,
        ..Faults::default()
    });
    let said = node
        .log
        .append(of(generation, append("ada", 1, "lobby", "x")));
    let said = tokio::spawn(said);
    let trouble = || node.log.shared.status().trouble;
    until(|| trouble().is_some_and(|trouble| trouble.contains("the engine is full"))).await;
    // It stays so, whatever else the engine answers.
    sleep(Duration::from_millis(2_500)).await;
    assert!(node.log.probe().await.is_err());
    assert!(trouble().is_some_and(|trouble| trouble.contains("the engine is full")));
    trio.stream.set(Faults::default());
    assert_eq!(timeout(SOON, said).await.unwrap().unwrap(), Ok(offset(1)));
    assert_eq!(node.log.probe().await, Ok(()));
}

fn is_in(pack: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(pack).contains(text)
}

/// Packs that were stored twice are folded once, and a node whose live packs do not come fetches them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_and_silence_change_nothing() {
    let trio = Trio::start().await;
    let node = &trio.nodes[1];
    let generation = node.open("ada").await;
    trio.stream.set(Faults {
        loses_acks: true,
        is_silent: true,
        ..Faults::default()
    });
    for number in 1..=5 {
        let body = format!("{number}");
        let appended = node
            .log
            .append(of(generation, append("ada", number, "lobby", &body)));
        assert_eq!(timeout(SOON, appended).await.unwrap(), Ok(offset(number)));
    }
    trio.stream.set(Faults::default());
    trio.agree().await;
    for node in &trio.nodes {
        assert_eq!(node.read("lobby").await.len(), 5);
    }
}

/// A read behind the barrier shows what was acknowledged on another node; a node that is cut off cannot pass it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_waits_for_the_fold() {
    let trio = Trio::start().await;
    let [a, b, _] = &trio.nodes[..] else { panic!() };
    let generation = a.open("ada").await;
    for number in 1..=20 {
        let body = format!("{number}");
        let new = of(generation, append("ada", number, "lobby", &body));
        a.log.append(new).await.unwrap();
        b.log.barrier().await.unwrap();
        assert_eq!(b.read("lobby").await.len() as u64, number);
    }
    b.engine.cut(true);
    a.log
        .append(of(generation, append("ada", 21, "lobby", "x")))
        .await
        .unwrap();
    let reached = timeout(Duration::from_millis(500), b.log.barrier()).await;
    assert!(!matches!(reached, Ok(Ok(()))), "{reached:?}");
    assert_eq!(b.read("lobby").await.len(), 20);
    b.engine.cut(false);
    timeout(SOON, b.log.barrier()).await.unwrap().unwrap();
    assert_eq!(b.read("lobby").await.len(), 21);
}

/// A second process with a name fences the first one, which stops with a word for the operator, and acknowledges nothing
/// any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_nodes_with_one_name_the_older_stops() {
    let trio = Trio::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let second = Node::start("a", &trio.stream, elsewhere.path())
        .live()
        .await;
    let first = &trio.nodes[0];
    let why = timeout(SOON, first.log.stopped()).await.unwrap().why;
    assert!(why.contains("name") && why.contains('a'), "{why}");
    let opened = first.log.open_session(fresh("ada", 1)).await;
    assert!(
        matches!(opened, Err(LogError::Unavailable(_))),
        "{opened:?}"
    );
    assert!(first.log.probe().await.is_err());
    second.open("ada").await;
    let status = first.log.shared.status();
    assert_eq!(status.phase, Phase::Stopped);
    assert!(status.trouble.is_some());
}

/// A pack that cannot be read stops every node: one that skipped it might differ from one that could read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_cannot_be_read_stops_a_node() {
    let trio = Trio::start().await;
    trio.stream.store(br#"{"format":2,"pack":{}}"#);
    for node in &trio.nodes {
        let why = timeout(SOON, node.log.stopped()).await.unwrap().why;
        assert!(why.contains("format 2") && why.contains("upgrade"), "{why}");
        assert!(node.log.open_session(fresh("ada", 1)).await.is_err());
    }
}

/// A node that was down goes on where it was; one that has a later history than the stream, or another one, stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_comes_back_to_its_own_stream_only() {
    let mut trio = Trio::start().await;
    let generation = trio.nodes[1].open("ada").await;
    let say = |number: u64| of(generation, append("ada", number, "lobby", "x"));
    trio.nodes[1].log.append(say(1)).await.unwrap();
    trio.agree().await;
    let gone = trio.nodes.remove(0);
    gone.log.close().await.unwrap();
    drop(gone);
    for number in 2..=30 {
        trio.nodes[0].log.append(say(number)).await.unwrap();
    }
    let back = Node::start("a", &trio.stream, trio.directories[0].path())
        .live()
        .await;
    assert_eq!(back.read("lobby").await.len(), 30);
    assert!(back.log.shared.status().life > 1);
    back.log.close().await.unwrap();
    drop(back);
    trio.stream.replace();
    let back = Node::start("a", &trio.stream, trio.directories[0].path());
    let why = timeout(SOON, back.log.stopped()).await.unwrap().why;
    assert!(why.contains("stream"), "{why}");
}

/// What callers asked for before the end is done; what they ask later is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_in_order() {
    let trio = Trio::start().await;
    let node = &trio.nodes[0];
    let generation = node.open("ada").await;
    let appends: Vec<_> = (1..=50)
        .map(|number| {
            node.log
                .append(of(generation, append("ada", number, "lobby", "x")))
        })
        .collect();
    let closed = node.log.close();
    let late = node
        .log
        .append(of(generation, append("ada", 51, "lobby", "x")))
        .await;
    assert!(matches!(late, Err(LogError::Unavailable(_))), "{late:?}");
    closed.await.unwrap();
    for appended in join_all(appends).await {
        appended.unwrap();
    }
    trio.nodes[1].log.barrier().await.unwrap();
    assert_eq!(trio.nodes[1].read("lobby").await.len(), 50);
}

/// What was sent when a node ended without a quorum has an unknown outcome.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_had_sent_at_its_end_is_unknown() {
    let trio = Trio::start().await;
    let node = &trio.nodes[0];
    let generation = node.open("ada").await;
    trio.stream.set(Faults {
        loses_acks: true,
        is_silent: true,
        ..Faults::default()
    });
    let sent = tokio::spawn(
        node.log
            .append(of(generation, append("ada", 1, "lobby", "sent"))),
    );
    until(|| trio.stream.packs().iter().any(|pack| is_in(pack, "sent"))).await;
    node.engine.cut(true);
    node.log.close().await.unwrap();
    let sent = sent.await.unwrap();
    assert!(matches!(sent, Err(LogError::Unknown(_))), "{sent:?}");
    trio.stream.set(Faults::default());
    trio.nodes[1].log.barrier().await.unwrap();
    assert_eq!(
        trio.nodes[1].read("lobby").await.len(),
        1,
        "it was stored after all"
    );
}

/// EO-8: a text that is removed leaves the engine's stream, and a node that comes later folds the rest of its pack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_text_leaves_the_stream() {
    let trio = Trio::start().await;
    let node = &trio.nodes[0];
    let generation = node.open("ada").await;
    let says = [(1, "a secret"), (2, "no secret")];
    let appends = says.map(|(number, body)| {
        node.log
            .append(of(generation, append("ada", number, "lobby", body)))
    });
    for appended in join_all(appends).await {
        appended.unwrap();
    }
    assert!(
        trio.stream
            .packs()
            .iter()
            .any(|pack| is_in(pack, "a secret"))
    );
    let removed = trio.nodes[2].log.redact(room("lobby"), offset(1), 5).await;
    assert_eq!(removed, Ok(Redaction::Done));
    timeout(SOON, trio.nodes[2].log.scrubbed())
        .await
        .unwrap()
        .unwrap();
    assert!(
        !trio
            .stream
            .packs()
            .iter()
            .any(|pack| is_in(pack, "a secret"))
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let late = Node::start("d", &trio.stream, elsewhere.path())
        .live()
        .await;
    late.log.barrier().await.unwrap();
    let read = late.read("lobby").await;
    assert_eq!(read, [(1, String::new()), (2, "no secret".to_owned())]);
    trio.agree().await;
    assert_eq!(
        late.log.shared.status().digest,
        trio.nodes[0].log.shared.status().digest
    );
}

/// EO-8: a node that dies before it has erased a text leaves that to the node that does the work of all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_did_not_erase_another_one_does() {
    let mut trio = Trio::start().await;
    let node = trio.nodes.pop().unwrap();
    let generation = node.open("ada").await;
    let secret = append("ada", 1, "lobby", "a secret");
    node.log.append(of(generation, secret)).await.unwrap();
    trio.stream.set(Faults {
        erases_nothing: true,
        ..Faults::default()
    });
    let removed = node.log.redact(room("lobby"), offset(1), 5).await;
    assert_eq!(removed, Ok(Redaction::Done));
    node.log.close().await.unwrap();
    drop(node);
    trio.stream.set(Faults::default());
    let holds = |stream: &Stream| stream.packs().iter().any(|pack| is_in(pack, "a secret"));
    assert!(holds(&trio.stream));
    until(|| !holds(&trio.stream)).await;
}

/// RS-9: of the live nodes, the one with the smallest name forgets for all; each notes its own sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_forgets_for_all() {
    let trio = Trio::start().await;
    until(|| {
        trio.nodes
            .iter()
            .all(|node| node.log.shared.status().live() == 3)
    })
    .await;
    trio.nodes[2].open("ada").await;
    assert_eq!(trio.nodes[1].log.expire(1_000_000).await, Ok(0));
    assert_eq!(trio.nodes[0].log.expire(1_000_000).await, Ok(1));
    trio.nodes[2].log.barrier().await.unwrap();
    assert_eq!(trio.nodes[2].log.sessions().await, Ok(0));
}

/// A stream that was trimmed past a node is no gap to skip.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_behind_the_stream_stops() {
    let mut trio = Trio::start().await;
    let gone = trio.nodes.remove(0);
    gone.log.close().await.unwrap();
    drop(gone);
    let node = &trio.nodes[0];
    let generation = node.open("ada").await;
    for number in 1..=5 {
        node.log
            .append(of(generation, append("ada", number, "lobby", "x")))
            .await
            .unwrap();
    }
    let last = trio.stream.packs().len() as u64;
    trio.stream.trim(last);
    let back = Node::start("a", &trio.stream, trio.directories[0].path());
    let why = timeout(SOON, back.log.stopped()).await.unwrap().why;
    assert!(why.contains("copy"), "{why}");
}
