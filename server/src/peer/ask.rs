//! Questions to another node: its state, and a copy of its log.

use std::cmp::Reverse;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Bytes;
use everbeat_axum::hex::hex;
use everbeat_axum::log::sqlite::{self, CopyError};
use everbeat_axum::secret::random_hex;
use futures_util::future::join_all;
use reqwest::header::HeaderMap;
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::task::spawn_blocking;
use url::Url;

use super::{
    ANSWER_TIMEOUT, Announced, Applied, CHALLENGE, COPY, COPY_PATH, COPY_TIMEOUT, NONCE,
    NONCE_PATH, NodeStatus, PROOF, PeerSecret, STATUS_PATH, answered, asked,
};

/// The most bytes of an answer that is no copy.
const TEXT_MAX: usize = 1 << 20;

/// Why another node did not answer, or why its answer is not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AskError {
    /// It cannot be reached, or it stopped in the middle.
    #[error("{peer} does not answer: {reason}")]
    Unreachable {
        /// The node.
        peer: Url,
        /// The error with its causes.
        reason: String,
    },
    /// It has another secret.
    #[error("{peer} has another secret than this node: compare the files of --peer-secret-file")]
    WrongSecret {
        /// The node.
        peer: Url,
    },
    /// What answers there does not prove that it knows the secret.
    #[error(
        "what answers at {peer} does not know the secret of --peer-secret-file: is it the --peer-listen of a node?"
    )]
    Unproven {
        /// The node.
        peer: Url,
    },
    /// It refuses for now.
    #[error("{peer} answers {status}: {text}")]
    Refused {
        /// The node.
        peer: Url,
        /// The status.
        status: StatusCode,
        /// What it says.
        text: String,
    },
    /// The copy is not what was announced.
    #[error(
        "the copy from {peer} was changed or cut off on its way; nothing was put in place: try again"
    )]
    Garbled {
        /// The node.
        peer: Url,
    },
    /// The copy cannot be written.
    #[error("cannot write {}, the copy of another node: {source}; nothing was put in place", path.display())]
    Write {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The copy cannot be this node's database.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// No other node has what this one needs.
    #[error(
        "no other node is far enough to give a copy: the furthest that answers is at {furthest}, and {needed} is needed"
    )]
    NoneAhead {
        /// The sequence that the furthest of those that answered has applied.
        furthest: u64,
        /// The sequence that is needed.
        needed: u64,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random numbers")]
    Random,
}

/// A node that can be asked.
#[derive(Debug)]
pub struct Peer<'a> {
    url: Url,
    secret: &'a PeerSecret,
    http: Client,
}

/// An answer whose proof is still to be checked.
struct Answer {
    response: Response,
    challenge: String,
}

impl<'a> Peer<'a> {
    /// The node whose `--peer-listen` is at this URL.
    ///
    /// # Errors
    /// [`AskError::Unreachable`] where no HTTP client can be made.
    pub fn new(url: Url, secret: &'a PeerSecret) -> Result<Self, AskError> {
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(ANSWER_TIMEOUT)
            .read_timeout(COPY_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(10))
            .build();
        match http {
            Ok(http) => Ok(Self { url, secret, http }),
            Err(error) => Err(AskError::Unreachable {
                peer: url,
                reason: crate::in_full(&error),
            }),
        }
    }

    /// Its state.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn status(&self) -> Result<NodeStatus, AskError> {
        let asked = async {
            let Answer {
                mut response,
                challenge,
            } = self.ask(STATUS_PATH).await?;
            let headers = response.headers().clone();
            let text = self.text(&mut response).await?;
            self.prove(STATUS_PATH, &challenge, &headers, &text)?;
            serde_json::from_slice(&text).map_err(|_| self.unproven())
        };
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, asked).await;
        asked.unwrap_or_else(|_| {
            Err(AskError::Unreachable {
                peer: self.url.clone(),
                reason: format!("nothing in {ANSWER_TIMEOUT:?}"),
            })
        })
    }

    /// Takes a copy of its log, and makes it the database in this file, which no server uses. Whatever happens on the way,
    /// half a copy never becomes the database. Returns how far the log had come.
    ///
    /// # Errors
    /// [`AskError`]; what was there is unchanged, unless [`sqlite::adopt`] failed while it put the copy in place.
    pub async fn copy(&self, database: &Path) -> Result<Applied, AskError> {
        let Answer {
            mut response,
            challenge,
        } = self.ask(COPY_PATH).await?;
        let headers = response.headers().clone();
        let announced = headers.get(COPY).map_or(&b""[..], |value| value.as_bytes());
        self.prove(COPY_PATH, &challenge, &headers, announced)?;
        let announced: Announced =
            serde_json::from_slice(announced).map_err(|_| self.unproven())?;
        let part = with_suffix(database, ".copy");
        let adopted = async {
            self.write(&mut response, &announced, &part).await?;
            let (copy, database) = (part.clone(), database.to_owned());
            let adopted = spawn_blocking(move || sqlite::adopt(&copy, &database)).await;
            adopted.map_err(|error| AskError::Write {
                path: part.clone(),
                source: io::Error::other(error),
            })??;
            Ok(announced.applied)
        };
        let adopted = adopted.await;
        if adopted.is_err() {
            // The first error says more than a failure to remove the part.
            let _ = fs::remove_file(&part);
        }
        adopted
    }

    /// Writes a copy into a file, as it comes, and compares it with what was announced.
    async fn write(
        &self,
        response: &mut Response,
        announced: &Announced,
        part: &Path,
    ) -> Result<(), AskError> {
        let failed = |source| AskError::Write {
            path: part.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file: File = options.open(part).map_err(failed)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
        while let Some(piece) = self.piece(response).await? {
            bytes += piece.len() as u64;
            if bytes > announced.bytes {
                break;
            }
            hash.update(&piece);
            // This node serves no clients meanwhile, and the next piece waits for this one anyway.
            file.write_all(&piece).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        if bytes != announced.bytes || hex(&hash.finalize()) != announced.sha256 {
            let peer = self.url.clone();
            return Err(AskError::Garbled { peer });
        }
        Ok(())
    }

    /// Asks, with a proof of the secret.
    async fn ask(&self, path: &str) -> Result<Answer, AskError> {
        let mut nonce = self.get(NONCE_PATH, HeaderMap::new()).await?;
        let nonce = self.text(&mut nonce).await?;
        let nonce = String::from_utf8(nonce).map_err(|_| self.unproven())?;
        let challenge = random_hex::<32>().ok_or(AskError::Random)?;
        let proof = self.secret.prove(&asked(path, &nonce, &challenge));
        let mut headers = HeaderMap::new();
        for (name, value) in [(NONCE, &nonce), (CHALLENGE, &challenge), (PROOF, &proof)] {
            let value = value.parse().map_err(|_| self.unproven())?;
            headers.insert(name, value);
        }
        let response = self.get(path, headers).await?;
        Ok(Answer {
            response,
            challenge,
        })
    }

    async fn get(&self, path: &str, headers: HeaderMap) -> Result<Response, AskError> {
        let url = self.url.join(path).map_err(|_| self.unproven())?;
        let sent = self.http.get(url).headers(headers).send().await;
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::FORBIDDEN => Err(AskError::WrongSecret {
                peer: self.url.clone(),
            }),
            status => {
                let text = self.text(&mut response).await?;
                let text = String::from_utf8_lossy(&text);
                Err(AskError::Refused {
                    peer: self.url.clone(),
                    status,
                    text: text.trim().chars().take(200).collect(),
                })
            }
        }
    }

    /// The whole of a short answer.
    async fn text(&self, response: &mut Response) -> Result<Vec<u8>, AskError> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece(response).await? {
            text.extend_from_slice(&piece);
            if text.len() > TEXT_MAX {
                return Err(self.unproven());
            }
        }
        Ok(text)
    }

    async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, AskError> {
        let piece = response.chunk().await;
        piece.map_err(|error| self.unreachable(&error))
    }

    /// Whether an answer comes from a node that knows the secret, and is the one to this question.
    fn prove(
        &self,
        path: &str,
        challenge: &str,
        headers: &HeaderMap,
        answer: &[u8],
    ) -> Result<(), AskError> {
        let proof = headers.get(PROOF).and_then(|proof| proof.to_str().ok());
        let parts = answered(path, challenge, answer);
        match proof {
            Some(proof) if self.secret.is_proof(&parts, proof) => Ok(()),
            _ => Err(self.unproven()),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> AskError {
        AskError::Unreachable {
            peer: self.url.clone(),
            reason: crate::in_full(error),
        }
    }

    fn unproven(&self) -> AskError {
        AskError::Unproven {
            peer: self.url.clone(),
        }
    }
}

/// Takes a copy of the node that has come furthest, of those that answer, and makes it the database in this file
/// ([`Peer::copy`]); where that fails, of the next one. `needed`: the sequence that the copy has to have applied, as the
/// engine has nothing older any more.
///
/// # Errors
/// [`AskError`]: of the last node that could have given one; where none has come so far, [`AskError::NoneAhead`]; where none
/// answers, why the last one does not.
pub async fn copy_of_furthest(
    peers: &[Url],
    secret: &PeerSecret,
    needed: u64,
    database: &Path,
) -> Result<Applied, AskError> {
    let asked = peers.iter().map(async |url| {
        let peer = Peer::new(url.clone(), secret)?;
        let status = peer.status().await?;
        Ok::<_, AskError>((status.applied.sequence, peer))
    });
    let mut failed = Err(AskError::NoneAhead {
        furthest: 0,
        needed,
    });
    let mut nodes = Vec::new();
    for answer in join_all(asked).await {
        match answer {
            Ok(node) => nodes.push(node),
            Err(error) => failed = Err(error),
        }
    }
    nodes.sort_by_key(|(sequence, _)| Reverse(*sequence));
    if let Some((furthest, _)) = nodes.first() {
        let furthest = *furthest;
        failed = Err(AskError::NoneAhead { furthest, needed });
    }
    for (_, peer) in nodes.iter().filter(|(sequence, _)| *sequence >= needed) {
        match peer.copy(database).await {
            Ok(applied) => return Ok(applied),
            Err(error) => failed = Err(error),
        }
    }
    failed
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
