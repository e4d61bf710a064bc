//! Requests and frames as raw bytes on a socket, and their answers.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw::PATIENCE;

/// The headers of a browser's WebSocket handshake, without the request line.
pub(crate) const HEADERS: [&str; 5] = [
    "Host: localhost",
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// The header that offers our subprotocol.
pub(crate) const OURS: &str = "Sec-WebSocket-Protocol: everbeat.v1";

/// Sends a request; returns the head of the answer.
pub(crate) async fn ask(address: SocketAddr, line: &str, headers: &[&str]) -> String {
    begin(address, line, headers).await.0
}

/// Sends a request; returns the head of the answer, and the connection.
pub(crate) async fn begin(
    address: SocketAddr,
    line: &str,
    headers: &[&str],
) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line}\r\n{}\r\n\r\n", headers.join("\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap().to_lowercase(), stream)
}

/// The whole answer to a request that ends its connection.
pub(crate) async fn ask_raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("an answer within 20 s").unwrap();
    String::from_utf8(answer).unwrap()
}

/// The whole answer to `GET`, with this target unchanged.
pub(crate) async fn get_raw(address: SocketAddr, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    ask_raw(address, &request).await
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A client's frame (RFC 6455 section 5.2) from its first byte and its payload, masked.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![first, 0x80 | 126, length[0], length[1]];
    frame.extend(mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

/// Sends these bytes on a WebSocket, then ends the stream; returns the server's close code, if there is one.
pub(crate) async fn code_after(mut stream: TcpStream, bytes: &[u8]) -> Option<u16> {
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("the end within 20 s").unwrap();
    let mut rest = &answer[..];
    while let [first, length, after @ ..] = rest {
        let (length, after) = match (length, after) {
            (126, [high, low, after @ ..]) => (u16::from_be_bytes([*high, *low]).into(), after),
            (length, after) => (usize::from(*length), after),
        };
        let (payload, after) = after.split_at(length);
        if *first == 0x88 {
            assert!(after.is_empty(), "nothing follows a close");
            return Some(u16::from_be_bytes([payload[0], payload[1]]));
        }
        rest = after;
    }
    None
}
