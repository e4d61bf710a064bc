//! Requests over HTTP, each on a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The content.
    pub body: String,
}

/// Requests a resource. The deadline is for the whole answer.
///
/// # Errors
/// If there is no complete answer in time.
pub async fn get(address: SocketAddr, path: &str, deadline: Duration) -> anyhow::Result<Answer> {
    request(address, &format!("GET {path}"), "", deadline).await
}

/// Sends a request: its method and path, with further headers below them if there are any, and its content, which is
/// JSON unless it is empty.
///
/// # Errors
/// If there is no complete answer in time.
pub async fn request(
    address: SocketAddr,
    head: &str,
    content: &str,
    deadline: Duration,
) -> anyhow::Result<Answer> {
    let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
    // HTTP/1.0: the content comes in one piece, and ends with the connection.
    let mut request = format!("{first} HTTP/1.0\r\nHost: localhost\r\n");
    for header in headers.lines() {
        request += &format!("{header}\r\n");
    }
    if !content.is_empty() {
        let length = content.len();
        request += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
    }
    request += &format!("\r\n{content}");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        parse(&String::from_utf8_lossy(&answer))
    };
    timeout(deadline, exchange)
        .await
        .with_context(|| format!("no answer to {first} within {deadline:?}"))?
}

fn parse(answer: &str) -> anyhow::Result<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n").context("cut off")?;
    let status = head.split(' ').nth(1).context("no status")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    anyhow::ensure!(
        length.is_none_or(|length| length == body.len()),
        "cut off within the content"
    );
    Ok(Answer {
        status: status.parse()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_or_an_error() {
        let answer = parse("HTTP/1.0 201 Created\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, &*answer.body), (201, "{}"));
        let until_the_end = parse("HTTP/1.1 503 Unavailable\r\n\r\nsoon").unwrap();
        assert_eq!((until_the_end.status, &*until_the_end.body), (503, "soon"));
        for torn in [
            "",
            "HTTP/1.0 201 Created\r\ncontent-len",
            "HTTP/1.0 201 Created\r\ncontent-length: 2\r\n\r\n{",
        ] {
            assert!(parse(torn).is_err(), "{torn:?}");
        }
    }
}
