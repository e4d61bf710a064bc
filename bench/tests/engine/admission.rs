//! What is refused with a clear word: streams of others, servers that are not as Everbeat needs them.

use std::time::Duration;

use bench::nats::{Servers, Settings};
use everbeat_axum::log::engine::nats::{NatsConfig, NatsCredentials, NatsEngine};
use everbeat_axum::log::engine::{Engine, EngineError, EngineState, Source, Topic};
use futures_util::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::time::{Instant, timeout};

use crate::kit::{Bytes, Cluster, DEADLINE, RECOVERY, fetch, refusal, serving, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_another_everbeat_or_with_other_settings_is_refused() {
    let steps = async {
        let cluster = Cluster::start().await;
        let with = |change: fn(&mut NatsConfig)| {
            let mut config = cluster.config();
            change(&mut config);
            config
        };
        // Nodes that begin at the same time make one stream.
        let (first, again, third) =
            tokio::join!(cluster.engine(), cluster.engine(), cluster.engine());
        let id = first.bounds().await.unwrap().id;
        assert_eq!(again.bounds().await.unwrap().id, id);
        assert_eq!(third.bounds().await.unwrap().id, id);
        let reason = refusal(with(|config| config.stream.replicas = 1)).await;
        assert!(reason.contains("num_replicas is 3, not 1"), "{reason}");
        let reason = refusal(with(|config| config.prefix = "other".into())).await;
        assert!(reason.contains("another Everbeat's"), "{reason}");
        let reason = refusal(with(|config| config.stream.name = "OTHER".into())).await;
        assert!(reason.contains("another prefix"), "{reason}");
        // For how long packs are kept may differ: a warning.
        serving(with(|config| config.stream.max_age *= 2)).await;

        // Two Everbeats beside each other: two logs, and neither hears the other one.
        let second = serving(with(|config| {
            config.stream.name = "OTHER".into();
            config.prefix = "other".into();
        }))
        .await;
        store(&first, &Bytes::from_static(b"first's")).await;
        let sequence = store(&second, &Bytes::from_static(b"second's")).await;
        assert_eq!(fetch(&second, sequence).await.unwrap(), "second's");
        assert_ne!(
            first.bounds().await.unwrap().id,
            second.bounds().await.unwrap().id
        );
        let mut heard = second.hear(Topic::Nodes);
        loop {
            first.tell(Topic::Nodes, Bytes::from_static(b"first's"));
            second.tell(Topic::Nodes, Bytes::from_static(b"second's"));
            let next = timeout(Duration::from_millis(100), heard.next()).await;
            if let Ok(text) = next {
                assert_eq!(text.unwrap(), "second's");
                break;
            }
        }
    };
    timeout(DEADLINE, steps).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_without_jetstream_are_refused() {
    let steps = async {
        let settings = Settings {
            jetstream: false,
            ..Settings::default()
        };
        let cluster = Cluster::start_with(1, &settings).await;
        let reason = refusal(cluster.config()).await;
        assert!(reason.contains("has no JetStream"), "{reason}");
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// With the default of NATS an acknowledged pack can be lost with the power of machines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_do_not_sync_each_write_are_refused_where_that_is_asked_for() {
    let steps = async {
        let settings = Settings {
            sync_always: false,
            ..Settings::default()
        };
        let mut cluster = Cluster::start_with(1, &settings).await;
        let config = |cluster: &Cluster, needs_sync| {
            let mut config = cluster.config();
            config.stream.replicas = 1;
            config.monitors = vec![cluster.servers.monitor_url(0).parse().unwrap()];
            config.needs_sync = needs_sync;
            config
        };
        let reason = refusal(config(&cluster, true)).await;
        assert!(reason.contains("does not sync each write"), "{reason}");
        serving(config(&cluster, false)).await;
        cluster.servers.configure(&Settings::default()).unwrap();
        cluster.servers.terminate(0).await.unwrap();
        cluster.servers.restart(0).await.unwrap();
        serving(config(&cluster, true)).await;
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// The permissions are those of docs/operations/cluster.md: they are enough for all that a node does.
const PERMISSIONS: &str = r#"
authorization { users: [ {
  user: everbeat, password: hush, permissions: {
    publish: ["eb.>", "$JS.API.STREAM.INFO.EVERBEAT", "$JS.API.STREAM.INFO.EVERBEAT-ERASED",
          "$JS.API.STREAM.CREATE.EVERBEAT", "$JS.API.STREAM.CREATE.EVERBEAT-ERASED",
          "$JS.API.STREAM.MSG.GET.EVERBEAT", "$JS.API.STREAM.MSG.GET.EVERBEAT-ERASED",
          "$JS.API.STREAM.MSG.DELETE.EVERBEAT", "$JS.API.STREAM.MSG.DELETE.EVERBEAT-ERASED",
          "$JS.API.DIRECT.GET.EVERBEAT"]
    subscribe: ["eb.>", "_INBOX.>"]
  }
} ] }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_refused_and_few_permissions_are_enough() {
    let steps = async {
        let settings = Settings {
            more: PERMISSIONS.to_owned(),
            ..Settings::default()
        };
        let cluster = Cluster::start_with(1, &settings).await;
        let file = cluster.dir.path().join("password");
        let config = |credentials| {
            let mut config = cluster.config();
            config.stream.replicas = 1;
            config.credentials = credentials;
            config
        };
        let user = || NatsCredentials::User("everbeat".into(), file.clone());
        std::fs::write(&file, "wrong").unwrap();
        for credentials in [NatsCredentials::None, user()] {
            let reason = refusal(config(credentials)).await;
            assert!(reason.contains("refuse the credentials"), "{reason}");
            assert!(!reason.contains("wrong"), "{reason}");
        }
        std::fs::write(&file, "hush\n").unwrap();
        let engine = serving(config(user())).await;
        let (pack, left) = (Bytes::from_static(b"pack"), Bytes::from_static(b"left"));
        let mut live = engine.live();
        let sequence = loop {
            let sequence = store(&engine, &pack).await;
            let next = timeout(Duration::from_millis(100), live.next()).await;
            if let Ok(found) = next {
                assert_eq!(found, Some((sequence, pack.clone())));
                break sequence;
            }
        };
        let direct = engine.fetch(sequence, Source::Any).await;
        assert_eq!(direct, Ok(Some(pack.clone())));
        engine.erase(sequence, pack, left.clone()).await.unwrap();
        assert_eq!(engine.replacement(sequence).await, Ok(Some(left)));
        assert_eq!(fetch(&engine, sequence).await, None);
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// TLS both ways: the server shows a certificate, and asks for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_tls_are_used_by_who_knows_them_and_shows_a_certificate() {
    let steps = async {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name);
        let mut issuer = CertificateParams::new(Vec::new()).unwrap();
        issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = issuer.self_signed(&key).unwrap();
        std::fs::write(path("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(issuer, key);
        for name in ["server", "node"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            std::fs::write(path(&format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        let settings = Settings {
            more: format!(
                "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n",
                path("server.pem"),
                path("server.key"),
                path("ca.pem")
            ),
            ..Settings::default()
        };
        let cluster = Cluster::start_with(1, &settings).await;
        let mut config = cluster.config();
        config.stream.replicas = 1;
        // It does not know who issued the server's certificate.
        let engine = NatsEngine::start(config.clone()).unwrap();
        let told = |state: &EngineState| matches!(state, EngineState::Failing(error) if error.to_string().contains("certificate"));
        let mut state = engine.state();
        timeout(RECOVERY, state.wait_for(told))
            .await
            .unwrap()
            .unwrap();
        config.tls.ca = Some(path("ca.pem"));
        config.tls.required = true;
        config.tls.certificate = Some((path("node.pem"), path("node.key")));
        let engine = serving(config).await;
        store(&engine, &Bytes::from_static(b"over TLS")).await;
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// A full server says so; what is there can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_is_called_full() {
    let steps = async {
        let settings = Settings {
            max_file: 8 << 20,
            ..Settings::default()
        };
        let cluster = Cluster::start_with(1, &settings).await;
        let mut config = cluster.config();
        config.stream.replicas = 1;
        let engine = serving(config).await;
        let pack = Bytes::from(vec![b'x'; 400_000]);
        let first = store(&engine, &pack).await;
        let begun = Instant::now();
        let error = loop {
            if let Err(error) = engine.publish(pack.clone()).await {
                break error;
            }
            assert!(begun.elapsed() < RECOVERY, "it is never full");
        };
        assert!(matches!(error, EngineError::Full(_)), "{error}");
        let state = engine.state().borrow().clone();
        assert_eq!(state, EngineState::Failing(error));
        assert_eq!(fetch(&engine, first).await, Some(pack));
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// A stream that was made anew holds other packs under the same sequences.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_anew_is_not_written_to() {
    let steps = async {
        let mut cluster = Cluster::start_with(1, &Settings::default()).await;
        let mut config = cluster.config();
        config.stream.replicas = 1;
        let engine = serving(config.clone()).await;
        store(&engine, &Bytes::from_static(b"of the first stream")).await;
        let id = engine.bounds().await.unwrap().id;
        cluster.servers.kill(0).await.unwrap();
        std::fs::remove_dir_all(cluster.servers.store(0)).unwrap();
        cluster.servers.restart(0).await.unwrap();
        // Another node makes it.
        let other = serving(config).await;
        assert_ne!(other.bounds().await.unwrap().id, id);
        let mut state = engine.state();
        let is_told = |state: &EngineState| matches!(state, EngineState::Failing(EngineError::Unfit(why)) if why.contains("made anew"));
        let told = timeout(RECOVERY, state.wait_for(is_told)).await;
        told.unwrap().unwrap();
        let tried = engine.publish(Bytes::from_static(b"too late")).await;
        assert!(matches!(tried, Err(EngineError::Unfit(_))), "{tried:?}");
        assert_eq!(other.bounds().await.unwrap().last, 0);
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// The engine can be started before the servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_waits_for_its_servers() {
    let steps = async {
        let dir = tempfile::tempdir().unwrap();
        let mut servers = Servers::start(dir.path(), 1).await.unwrap();
        servers.kill(0).await.unwrap();
        let mut config = NatsConfig::new(vec![servers.urls().parse().unwrap()]);
        config.stream.replicas = 1;
        let engine = NatsEngine::start(config).unwrap();
        let error = engine
            .publish(Bytes::from_static(b"early"))
            .await
            .unwrap_err();
        assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
        let mut state = engine.state();
        assert!(!state.borrow().is_ready());
        servers.restart(0).await.unwrap();
        let ready = state.wait_for(EngineState::is_ready);
        timeout(RECOVERY, ready).await.unwrap().unwrap();
        store(&engine, &Bytes::from_static(b"now")).await;
    };
    timeout(DEADLINE, steps).await.unwrap();
}
