//! TLS in the server: both dialects, the page, and the renewal of certificates.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everbeat_client::{Event, Options, Status};
use protocol::id::RoomName;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::process::Process;
use crate::raw::Raw;
use crate::test_server::TestServer;

/// A self-signed certificate, as DER and as PEM with its key.
struct Certificate {
    der: CertificateDer<'static>,
    pem: (String, String),
}

impl Certificate {
    fn new() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        Self {
            der: cert.der().clone(),
            pem: (cert.pem(), signing_key.serialize_pem()),
        }
    }

    /// A connection of a client that trusts this certificate alone and offers these protocols (ALPN).
    async fn dial(
        &self,
        address: SocketAddr,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        // A small buffer, so that the server soon meets a slow reader's back-pressure.
        socket.set_recv_buffer_size(4096)?;
        let stream = socket.connect(address).await?;
        let mut config = self.trusting();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// What a client has that trusts this certificate alone.
    fn trusting(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    async fn raw(&self, address: SocketAddr, path: &str, ours: bool) -> Raw {
        let stream = Box::new(self.dial(address, &["http/1.1"]).await.unwrap());
        // The page's origin, as a browser sends it.
        let origin = format!("https://{address}");
        let headers = [("origin", origin.as_str())];
        Raw::over(
            stream,
            address,
            path,
            ours.then_some("everbeat.v1"),
            &headers,
        )
        .await
        .unwrap()
    }
}

/// The files of a server's certificate and key.
struct Files {
    _directory: TempDir,
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(certificate: &Certificate) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
        let files = Self {
            _directory: directory,
            cert,
            key,
        };
        files.hold(&certificate.pem.0, &certificate.pem.1);
        files
    }

    fn hold(&self, cert: &str, key: &str) {
        fs::write(&self.cert, cert).unwrap();
        fs::write(&self.key, key).unwrap();
    }

    fn options(&self) -> [&str; 4] {
        let [cert, key] = [&self.cert, &self.key].map(|path| path.to_str().unwrap());
        ["--tls-cert", cert, "--tls-key", key]
    }
}

async fn start(options: &[&str]) -> (TestServer, Certificate, Files) {
    let certificate = Certificate::new();
    let files = Files::new(&certificate);
    let server = TestServer::start(&[&files.options(), options].concat()).await;
    (server, certificate, files)
}

#[tokio::test]
async fn both_dialects_are_spoken_over_tls() {
    let (server, certificate, _files) = start(&[]).await;
    let mut page = certificate.raw(server.address, "/", false).await;
    let mut raw = certificate.raw(server.address, "/ws", true).await;
    raw.hello().await;
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    raw.next_of("joined").await;
    raw.publish(1, "by everbeat").await;
    assert_eq!(raw.next_of("ack").await["offset"], 1);
    assert_eq!(page.next_text().await, "by everbeat");
    page.send("by the tutorial").await;
    assert_eq!(page.next_text().await, "by the tutorial");
    while raw.next_of("draft").await["body"] != "by the tutorial" {}
    raw.send_message(Message::Close(None)).await.unwrap();
    assert_eq!(raw.end().await.1, [""; 0]);
}

/// The native client speaks TLS; with a server whose certificate it does not trust it opens no connection.
#[tokio::test]
async fn a_native_client_speaks_tls() {
    let (server, certificate, _files) = start(&[]).await;
    let url = format!("wss://localhost:{}/ws", server.address.port());
    let options = Options::new(1).tls(Arc::new(certificate.trusting()));
    let mut client = everbeat_client::connect(&url, options).unwrap();
    client.join(RoomName::lobby(), None);
    // More than a record of TLS holds.
    let body = "\u{e9}".repeat(4000);
    for _ in 0..20 {
        client.publish(RoomName::lobby(), body.as_str()).unwrap();
    }
    let mut offsets = Vec::new();
    while offsets.len() < 20 {
        let event = timeout(Duration::from_secs(20), client.next()).await;
        if let Event::Message(message) = event.unwrap().unwrap() {
            assert_eq!(message.body, body);
            offsets.push(message.offset.get());
        }
    }
    assert_eq!(offsets, (1..=20).collect::<Vec<_>>());
    client
        .close_after_flush(Duration::from_secs(20))
        .await
        .unwrap();
    let other = Options::new(2).tls(Arc::new(Certificate::new().trusting()));
    let mut stranger = everbeat_client::connect(&url, other).unwrap();
    loop {
        let event = timeout(Duration::from_secs(20), stranger.next()).await;
        match event.unwrap().unwrap() {
            Event::Status(Status::Waiting { attempt, .. }) if attempt >= 2 => break,
            Event::Status(status) => assert_ne!(status, Status::Live),
            _ => {}
        }
    }
    assert!(stranger.counts().connections >= 2);
}

/// More bytes than a socket takes at once wait for their reader, and arrive whole and in order.
#[tokio::test]
async fn a_slow_reader_over_tls_gets_everything_in_order() {
    let (server, certificate, _files) = start(&["--publish-burst", "5000"]).await;
    let mut reader = certificate.raw(server.address, "/ws", true).await;
    reader.hello().await;
    reader.send(r#"{"type":"join","room":"lobby"}"#).await;
    reader.next_of("joined").await;
    let mut author = certificate.raw(server.address, "/ws", true).await;
    author.hello().await;
    let body = |number: u64| format!("{number} {}", "\u{e9}".repeat(4000));
    // More messages than all buffers on the way hold: 8 kB each.
    let count = 1000;
    for number in 1..=count {
        author.publish(number, &body(number)).await;
    }
    for _ in 1..=count {
        author.next_of("ack").await;
    }
    for number in 1..=count {
        let message = reader.next_of("message").await;
        assert_eq!(message["offset"], number);
        assert_eq!(message["body"], body(number));
    }
}

/// Under TLS cookies are `Secure`, and a page of an `http` origin may not open a session.
#[tokio::test]
async fn the_page_knows_that_it_came_by_tls() {
    let (server, certificate, _files) = start(&[]).await;
    let root = reqwest::Certificate::from_der(&certificate.der).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let url = format!("https://127.0.0.1:{}/", server.address.port());
    let page = client.get(url).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.version(), reqwest::Version::HTTP_11);
    let cookie = page.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; Secure"), "{cookie}");
    assert!(page.text().await.unwrap().contains("<html"));
    let stream = Box::new(certificate.dial(server.address, &[]).await.unwrap());
    let origin = format!("http://{}", server.address);
    let headers = [("origin", origin.as_str())];
    let refused = Raw::over(stream, server.address, "/ws", Some("everbeat.v1"), &headers).await;
    assert!(refused.is_err());
}

/// ALPN chooses HTTP/1.1, as WebSockets need it; a client that offers only other protocols is refused in the
/// handshake.
#[tokio::test]
async fn http_1_1_is_chosen() {
    let (server, certificate, _files) = start(&[]).await;
    let both = certificate.dial(server.address, &["h2", "http/1.1"]).await;
    assert_eq!(
        both.unwrap().get_ref().1.alpn_protocol(),
        Some(&b"http/1.1"[..])
    );
    assert!(certificate.dial(server.address, &["h2"]).await.is_err());
    assert!(certificate.dial(server.address, &[]).await.is_ok());
}

/// An unfinished TLS handshake has the deadline of a request's head; a client without TLS is dropped.
#[tokio::test]
async fn handshakes_that_lead_nowhere_end() {
    let (server, certificate, _files) = start(&["--header-timeout", "200ms"]).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00])
        .await
        .unwrap();
    for stream in [&mut silent, &mut plain, &mut half] {
        let mut heard = Vec::new();
        let end = timeout(Duration::from_secs(20), stream.read_to_end(&mut heard));
        // An end or a reset, at most after a TLS alert.
        let _ = end.await.unwrap();
        assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
    }
    certificate
        .raw(server.address, "/ws", true)
        .await
        .hello()
        .await;
}

/// A newer certificate is used once its files are there; an invalid one changes nothing and is
/// reported. Connections live on all the time.
#[tokio::test]
async fn certificates_are_renewed_under_connections() {
    let [old, new] = [Certificate::new(), Certificate::new()];
    let files = Files::new(&old);
    let options = [&files.options()[..], &["--tls-look", "20ms"]].concat();
    let mut process = Process::start(&options).await;
    let mut before = old.raw(process.address, "/ws", true).await;
    before.hello().await;
    assert!(new.dial(process.address, &[]).await.is_err());

    files.hold("", &old.pem.1);
    process.says("should hold a certificate").await;
    files.hold(&new.pem.0, &old.pem.1);
    process.says("cannot be used with the key").await;
    fs::remove_file(&files.key).unwrap();
    process.says("key.pem").await;
    assert!(old.dial(process.address, &[]).await.is_ok());

    files.hold(&new.pem.0, &new.pem.1);
    process
        .says("new connections get the newer certificate")
        .await;
    assert!(old.dial(process.address, &[]).await.is_err());
    new.raw(process.address, "/ws", true).await.hello().await;
    before.publish(1, "still here").await;
    before.next_of("ack").await;
    process.child.kill().await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_no_use_is_named_at_the_start() {
    let [one, other] = [Certificate::new(), Certificate::new()];
    let files = Files::new(&one);
    files.hold(&one.pem.0, &other.pem.1);
    let start = async |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_everbeat"))
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .kill_on_drop(true)
            .output();
        let output = output.await.unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = start(&files.options()).await;
    assert!(
        said.contains("cert.pem") && said.contains("key.pem"),
        "{said}"
    );
    fs::remove_file(&files.cert).unwrap();
    let said = start(&files.options()).await;
    assert!(
        said.contains("cert.pem") && said.contains("--tls-cert"),
        "{said}"
    );
    let said = start(&files.options()[..2]).await;
    assert!(said.contains("--tls-key"), "{said}");
}
