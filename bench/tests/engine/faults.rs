//! Servers that die and freeze: what was acknowledged is there, and packs are followed again.

use std::collections::BTreeMap;
use std::time::Duration;

use everbeat_axum::log::engine::nats::NatsEngine;
use everbeat_axum::log::engine::{Engine, EngineState, Source, Topic};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use protocol::id::{NodeName, RoomName};
use tokio::time::{Instant, timeout};

use crate::kit::{Bytes, Cluster, DEADLINE, RECOVERY, fetch, serving, store};

/// A node that stores, one that follows, and what was acknowledged.
struct Nodes {
    author: NatsEngine,
    reader: NatsEngine,
    live: BoxStream<'static, (u64, Bytes)>,
    acked: BTreeMap<u64, Bytes>,
    number: u32,
}

impl Nodes {
    async fn start(cluster: &Cluster) -> Self {
        let (author, reader) = (cluster.engine().await, cluster.engine().await);
        let live = reader.live();
        Self {
            author,
            reader,
            live,
            acked: BTreeMap::new(),
            number: 0,
        }
    }

    /// Stores packs until one of them came live; how long that took.
    async fn follow(&mut self, what: &str) -> Duration {
        let begun = Instant::now();
        loop {
            self.number += 1;
            let pack = Bytes::from(format!("pack {} after {what}", self.number));
            let sequence = store(&self.author, &pack).await;
            self.acked.insert(sequence, pack);
            let arrives = async {
                while let Some((found, pack)) = self.live.next().await {
                    if self.acked.get(&found) == Some(&pack) && found == sequence {
                        return;
                    }
                }
            };
            if timeout(Duration::from_millis(500), arrives).await.is_ok() {
                let took = begun.elapsed();
                eprintln!("{what}: stored and followed again after {took:?}");
                return took;
            }
            assert!(begun.elapsed() < RECOVERY, "{what}: nothing comes live");
        }
    }

    /// All that was acknowledged is there, as it was.
    async fn nothing_is_lost(&self) {
        let bounds = self.reader.bounds().await.unwrap();
        assert!(bounds.last >= *self.acked.keys().last().unwrap());
        for (sequence, pack) in &self.acked {
            assert_eq!(fetch(&self.reader, *sequence).await.as_ref(), Some(pack));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packs_are_followed_through_the_deaths_of_servers() {
    let steps = async {
        let mut cluster = Cluster::start().await;
        let mut nodes = Nodes::start(&cluster).await;
        nodes.follow("the start").await;
        for what in ["the leader's death", "the death of the next leader"] {
            let leader = cluster.servers.led_by("EVERBEAT").await.unwrap();
            cluster.servers.kill(leader).await.unwrap();
            nodes.follow(what).await;
            cluster.servers.restart(leader).await.unwrap();
            cluster.servers.ready().await.unwrap();
        }
        let leader = cluster.servers.led_by("EVERBEAT").await.unwrap();
        let follower = (leader + 1) % 3;
        cluster.servers.kill(follower).await.unwrap();
        nodes.follow("a follower's death").await;
        cluster.servers.restart(follower).await.unwrap();
        cluster.servers.ready().await.unwrap();
        for index in 0..3 {
            cluster.servers.kill(index).await.unwrap();
        }
        for index in 0..3 {
            cluster.servers.restart(index).await.unwrap();
        }
        nodes.follow("the death of all").await;
        nodes.nothing_is_lost().await;
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// Two of three hang: no pack can be stored, and none is called so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_no_pack_is_called_stored() {
    let steps = async {
        let mut cluster = Cluster::start().await;
        let mut nodes = Nodes::start(&cluster).await;
        nodes.follow("the start").await;
        let leader = cluster.servers.led_by("EVERBEAT").await.unwrap();
        let frozen = [leader, (leader + 1) % 3];
        for index in frozen {
            cluster.servers.freeze(index).unwrap();
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(8) {
            let tried = nodes.author.publish(Bytes::from_static(b"unheard")).await;
            tried.unwrap_err();
            assert!(!nodes.author.state().borrow().is_ready());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        for index in frozen {
            cluster.servers.thaw(index).unwrap();
        }
        nodes.follow("two of three were frozen").await;
        let mut state = nodes.author.state();
        let ready = state.wait_for(|state| *state == EngineState::Ready);
        timeout(RECOVERY, ready).await.unwrap().unwrap();
        nodes.nothing_is_lost().await;
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// A server may answer a direct get before it has caught up: then it does not know a pack that is stored. The leader
/// does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_server_does_not_have_what_the_leader_has() {
    let steps = async {
        let mut cluster = Cluster::start().await;
        let first = cluster.engine().await;
        store(&first, &Bytes::from_static(b"first")).await;
        let leader = cluster.servers.led_by("EVERBEAT").await.unwrap();
        let late = (leader + 1) % 3;
        let author = serving(cluster.config_of(leader)).await;
        let large = Bytes::from(vec![b'x'; 500_000]);
        // A pack is acknowledged once two of three have it.
        let reader = serving(cluster.config_of(late)).await;
        let mut missed = [0, 0, 0];
        for _ in 0..200 {
            let last = store(&author, &Bytes::from_static(b"small")).await;
            missed[0] += misses(&reader, &author, last).await;
        }
        // It hangs meanwhile.
        cluster.servers.freeze(late).unwrap();
        let mut last = 0;
        for _ in 0..30 {
            last = store(&author, &large).await;
        }
        cluster.servers.thaw(late).unwrap();
        missed[1] += misses(&reader, &author, last).await;
        // It is dead meanwhile.
        cluster.servers.kill(late).await.unwrap();
        for _ in 0..30 {
            last = store(&author, &large).await;
        }
        cluster.servers.restart(late).await.unwrap();
        let reader = serving(cluster.config_of(late)).await;
        missed[2] += misses(&reader, &author, last).await;
        eprintln!(
            "missed: right after {}, hung {}, dead {}",
            missed[0], missed[1], missed[2]
        );
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// How often a server that lags does not have this pack, until it has. Whenever it has not, the leader has.
async fn misses(reader: &NatsEngine, author: &NatsEngine, sequence: u64) -> u32 {
    let begun = Instant::now();
    let mut missed = 0;
    loop {
        // Right after the server hung the connection may count as lost.
        match reader.fetch(sequence, Source::Any).await {
            Ok(Some(_)) => return missed,
            Ok(None) => {
                missed += 1;
                assert!(fetch(author, sequence).await.is_some(), "the leader has it");
            }
            Err(_) => tokio::task::yield_now().await,
        }
        assert!(begun.elapsed() < RECOVERY);
    }
}

/// What nodes tell each other comes to those who hear its topic, the teller among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_hear_each_other_by_topic() {
    let steps = async {
        let cluster = Cluster::start().await;
        let (here, there) = (cluster.engine().await, cluster.engine().await);
        let room = Topic::Room(RoomName::lobby());
        let node = Topic::Node(NodeName::new("b").unwrap());
        let mut heard = [
            there.hear(Topic::Nodes),
            there.hear(room.clone()),
            there.hear(node.clone()),
            here.hear(Topic::Nodes),
        ];
        let told = [Topic::Nodes, room, node, Topic::Nodes];
        for (index, topic) in told.into_iter().enumerate() {
            let text = Bytes::from(format!("{topic:?}"));
            let again = async {
                // A subscription begins with the first poll; what was told before is not heard.
                loop {
                    here.tell(topic.clone(), text.clone());
                    let next = timeout(Duration::from_millis(100), heard[index].next());
                    if let Ok(found) = next.await {
                        return found.unwrap();
                    }
                }
            };
            assert_eq!(again.await, text);
        }
    };
    timeout(DEADLINE, steps).await.unwrap();
}
