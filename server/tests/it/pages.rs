//! Pages that are requested at the same time.

use std::io::ErrorKind;

use jsonwebtoken::{EncodingKey, Header, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::guarded::claims;
use crate::http::{get_raw, status};
use crate::raw::PATIENCE;
use crate::test_server::TestServer;

/// The URL of an issuer's keys that refuses the first request and hangs on all others; the receiver fires at
/// the second one.
async fn keys_that_hang() -> (String, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let (ask, asked) = oneshot::channel();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let refusal = "HTTP/1.1 503 Later\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = first.read(&mut [0; 1024]).await.unwrap();
        first.write_all(refusal.as_bytes()).await.unwrap();
        drop(first);
        let second = listener.accept().await.unwrap();
        ask.send(()).unwrap();
        // The connections stay open until the test is over.
        let mut held = vec![second];
        while let Ok(next) = listener.accept().await {
            held.push(next);
        }
    });
    (url, asked)
}

/// AC-1: a page takes its turn for rendering after it is authenticated. So while the issuer's keys hang, pages
/// with a token wait, and other pages do not.
#[tokio::test]
async fn a_slow_gate_holds_up_no_other_page() {
    let (url, asked) = keys_that_hang().await;
    let server = TestServer::start(&["--token-keys", &url]).await;
    let header = Header {
        kid: Some("a key that is out of reach".to_owned()),
        ..Header::default()
    };
    let key = EncodingKey::from_secret(b"a secret of more than thirty-two bytes");
    let token = encode(&header, &claims("ada", PATIENCE), &key).unwrap();
    let request =
        format!("GET /r/tea HTTP/1.1\r\nHost: localhost\r\nCookie: everbeat-token={token}\r\n\r\n");
    let mut slow = Vec::new();
    // More pages than are rendered at once.
    for _ in 0..8 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    asked.await.unwrap();
    let page = get_raw(server.address, "/r/tea").await;
    assert_eq!(status(&page), 200, "{page}");
    for stream in slow {
        let read = stream.try_read(&mut [0]);
        assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
