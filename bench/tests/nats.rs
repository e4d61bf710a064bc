//! The NATS servers that tests start are a cluster indeed, and can be killed, frozen and started again.

use std::time::Duration;

use bench::nats::Servers;
use tokio::time::timeout;

/// The deadline of the test: a start, and two servers that come back.
const DEADLINE: Duration = Duration::from_secs(90);

#[tokio::test]
async fn three_servers_are_a_cluster_again_after_a_kill_and_a_freeze() {
    let dir = tempfile::tempdir().unwrap();
    let steps = async {
        let mut servers = Servers::start(dir.path(), 3).await.unwrap();
        assert_eq!(servers.urls().matches("nats://127.0.0.1:").count(), 3);
        servers.kill(0).await.unwrap();
        assert!(servers.kill(0).await.is_err(), "killed already");
        servers.restart(0).await.unwrap();
        servers.freeze(1).unwrap();
        servers.thaw(1).unwrap();
        servers.terminate(2).await.unwrap();
        servers.restart(2).await.unwrap();
        servers.ready().await.unwrap();
        assert_eq!(servers.leader("none").await, None);
        // A frozen one is killed, too.
        servers.freeze(1).unwrap();
    };
    timeout(DEADLINE, steps).await.unwrap();
}
