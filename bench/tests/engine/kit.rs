//! What the tests share: engines on servers, and waits with a deadline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench::nats::{Servers, Settings};
use everbeat_axum::log::engine::nats::{NatsConfig, NatsEngine};
use everbeat_axum::log::engine::{Engine, EngineError, EngineState, Source};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

pub(crate) type Bytes = axum::body::Bytes;

/// The deadline of a whole test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(150);

/// The deadline of what an election or a reconnect stands before.
pub(crate) const RECOVERY: Duration = Duration::from_secs(40);

/// Servers, and the directory with their files.
pub(crate) struct Cluster {
    pub(crate) servers: Servers,
    pub(crate) dir: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(3, &Settings::default()).await
    }

    pub(crate) async fn start_with(count: usize, settings: &Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let servers = Servers::start_with(dir.path(), count, settings).await;
        let servers = servers.unwrap();
        Self { servers, dir }
    }

    /// The configuration of an engine on all servers.
    pub(crate) fn config(&self) -> NatsConfig {
        let urls = self.servers.urls();
        NatsConfig::new(urls.split(',').map(|url| url.parse().unwrap()).collect())
    }

    /// The same on one server only.
    pub(crate) fn config_of(&self, index: usize) -> NatsConfig {
        let url = format!("nats://{}", self.servers.address(index));
        NatsConfig::new(vec![url.parse().unwrap()])
    }

    /// An engine that serves.
    pub(crate) async fn engine(&self) -> NatsEngine {
        serving(self.config()).await
    }
}

/// An engine that serves.
pub(crate) async fn serving(config: NatsConfig) -> NatsEngine {
    let engine = NatsEngine::start(config).unwrap();
    let state = settled(&engine).await;
    assert_eq!(state, EngineState::Ready);
    engine
}

/// Why an engine is refused.
pub(crate) async fn refusal(config: NatsConfig) -> String {
    let engine = NatsEngine::start(config).unwrap();
    match settled(&engine).await {
        EngineState::Failing(EngineError::Unfit(reason)) => reason.to_string(),
        state => panic!("not refused: {state:?}"),
    }
}

/// The state of an engine once it is more than unavailable.
async fn settled(engine: &NatsEngine) -> EngineState {
    let mut state = engine.state();
    let is_settled =
        |state: &EngineState| !matches!(state, EngineState::Failing(EngineError::Unavailable(_)));
    let settled = timeout(RECOVERY, state.wait_for(is_settled)).await;
    match settled {
        Ok(state) => state.unwrap().clone(),
        Err(_) => engine.state().borrow().clone(),
    }
}

/// Stores a pack, as a sender does: again and again.
pub(crate) async fn store(engine: &NatsEngine, pack: &Bytes) -> u64 {
    let begun = Instant::now();
    loop {
        match engine.publish(pack.clone()).await {
            Ok(sequence) => return sequence,
            Err(error) => assert!(begun.elapsed() < RECOVERY, "not stored: {error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Fetches a pack from the leader, again and again.
pub(crate) async fn fetch(engine: &NatsEngine, sequence: u64) -> Option<Bytes> {
    let begun = Instant::now();
    loop {
        match engine.fetch(sequence, Source::Leader).await {
            Ok(found) => return found,
            Err(error) => assert!(begun.elapsed() < RECOVERY, "not fetched: {error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The files under a directory that hold these bytes.
pub(crate) fn files_with(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if let Ok(text) = std::fs::read(&path)
            && text.windows(bytes.len()).any(|window| window == bytes)
        {
            found.push(path);
        }
    }
    found
}
