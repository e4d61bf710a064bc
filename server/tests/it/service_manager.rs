//! The server under a service manager: what it reports, and when (sd_notify(3)).

use tokio::net::{TcpListener, UnixDatagram};
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::Process;
use crate::raw::{PATIENCE, Raw};

/// The next report.
async fn report(manager: &UnixDatagram) -> String {
    let mut text = [0; 256];
    let received = timeout(PATIENCE, manager.recv(&mut text)).await;
    let length = received.expect("a report").unwrap();
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// It is ready once it serves, and stopping once it drains; nothing else is said.
#[tokio::test]
async fn ready_and_stopping_are_reported() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let mut server = Process::start_notifying(&socket, &["--drain", "30s"]).await;
    assert_eq!(report(&manager).await, "READY=1\n");
    let mut raw = Raw::connect(server.address).await;
    assert_eq!(raw.hello().await["type"], "welcome");

    server.terminate().await;
    assert_eq!(report(&manager).await, "STOPPING=1\n");
    // Reported at the beginning of the drain: the client is still served.
    raw.next_of("go_away").await;
    raw.send(r#"{"type":"ping"}"#).await;
    raw.next_of("pong").await;
    drop(raw);
    let ended = timeout(PATIENCE, server.child.wait()).await;
    assert!(ended.expect("its last client is gone").unwrap().success());
    let mut more = [0; 256];
    assert!(manager.try_recv(&mut more).is_err());
}

/// A server that cannot serve is never ready.
#[tokio::test]
async fn a_start_that_fails_is_not_reported() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_everbeat"))
        .args(["--listen", &address, "--admin", "off"])
        .args(["--data", place.path().to_str().unwrap()])
        .env("NOTIFY_SOCKET", &socket)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("an end").unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(manager.try_recv(&mut [0; 256]).is_err());
}

/// A service manager that is not there is no reason not to serve.
#[tokio::test]
async fn a_manager_that_is_gone_does_not_matter() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("notify");
    let mut server = Process::start_notifying(&socket, &[]).await;
    server.says("the service manager cannot be notified").await;
    assert_eq!(
        Raw::connect(server.address).await.hello().await["type"],
        "welcome"
    );
}
