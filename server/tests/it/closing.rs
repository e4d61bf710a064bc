//! The closing handshake (RFC 6455 section 7), from either end.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::raw::Raw;
use crate::test_server::TestServer;

/// In either dialect.
async fn both(server: &TestServer) -> [Raw; 2] {
    let page = Raw::open(server.address, "/", None).await.unwrap();
    [server.joined().await, page]
}

/// A client that closes is answered with its own code, or a browser would take the close for a
/// broken connection.
#[tokio::test]
async fn a_close_is_answered() {
    let server = TestServer::start(&[]).await;
    for mut raw in both(&server).await {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "done".into(),
        };
        let close = Message::Close(Some(frame));
        raw.send_message(close).await.unwrap();
        assert_eq!(raw.end().await.0, Some(1000));
    }
}

/// A client learns the code also where it was saying more when the server closed: what it said is
/// read to the end, as TCP would else reset the connection and the code with it.
#[tokio::test]
async fn a_code_arrives_whatever_follows() {
    let server = TestServer::start(&[]).await;
    for (mut raw, code) in both(&server).await.into_iter().zip([4101, 1003]) {
        raw.send_message(Message::binary(vec![1])).await.unwrap();
        for _ in 0..200 {
            let more = Message::text(" ".repeat(8 * 1024));
            raw.send_message(more).await.unwrap();
        }
        assert_eq!(raw.end().await.0, Some(code));
    }
}
