//! The listener for peers.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use everbeat_axum::hex::hex;
use everbeat_axum::secret::random_hex;
use futures_util::stream;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::nonces::Nonces;
use super::{
    Announced, CHALLENGE, COPY, COPY_PATH, NONCE, NONCE_PATH, Node, PROOF, PeerDoor, PeerSecret,
    STATUS_PATH, answered, asked,
};
use crate::headers;
use crate::internal::InternalListener;
use crate::state::AppState;

/// The bytes that are read from a copy at once.
const PIECE: usize = 256 * 1024;

/// The name of the copy that is being sent, in the data directory. It is there only while it is made.
const SENDING: &str = "everbeat.db.sending";

/// What the routes share.
#[derive(Clone)]
struct Desk {
    node: Arc<dyn Node>,
    secret: Arc<PeerSecret>,
    nonces: Arc<Mutex<Nonces>>,
    /// One copy at a time: each takes as much room as the log.
    turn: Arc<Semaphore>,
    /// Where a copy is made.
    path: Arc<PathBuf>,
}

/// A question that was proven: the number over which its answer is proven.
struct Question {
    challenge: String,
}

/// A copy that is ready to be sent.
struct Made {
    file: File,
    announced: Announced,
}

/// Starts to serve a node to its peers.
pub fn begin(door: PeerDoor, state: &AppState) -> InternalListener {
    let PeerDoor {
        listener,
        secret,
        node,
    } = door;
    if let Ok(address) = listener.local_addr() {
        tracing::info!("for other nodes: http://{address}/");
    }
    let router = routes(node, secret, &state.config().data);
    InternalListener::begin(listener, state, |_| router)
}

fn routes(node: Arc<dyn Node>, secret: Arc<PeerSecret>, data: &Path) -> Router {
    clear(&data.join(SENDING));
    let desk = Desk {
        node,
        secret,
        nonces: Arc::default(),
        turn: Arc::new(Semaphore::new(1)),
        path: Arc::new(data.join(SENDING)),
    };
    Router::new()
        .route(NONCE_PATH, get(nonce))
        .route(STATUS_PATH, get(status))
        .route(COPY_PATH, get(copy))
        .layer(from_fn(headers::guard))
        .layer(from_fn(headers::unambiguous))
        .with_state(desk)
}

async fn nonce(State(desk): State<Desk>) -> Response {
    let Some(nonce) = random_hex::<32>() else {
        let text = "The system gives no random numbers.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    desk.nonces.lock().keep(nonce.clone(), Instant::now());
    nonce.into_response()
}

async fn status(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    let question = match desk.check(STATUS_PATH, &headers) {
        Ok(question) => question,
        Err(refusal) => return refusal,
    };
    let status = desk.node.status();
    // It cannot fail: JSON has strings, numbers and lists, and a status holds nothing else.
    let text = serde_json::to_string(&status).unwrap_or_default();
    let proof = desk.proof(STATUS_PATH, &question, &text);
    let json = HeaderValue::from_static("application/json");
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().extend([proof]);
    response
}

async fn copy(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    let question = match desk.check(COPY_PATH, &headers) {
        Ok(question) => question,
        Err(refusal) => return refusal,
    };
    let Ok(turn) = Arc::clone(&desk.turn).try_acquire_owned() else {
        let text = "Another node takes a copy now.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let (node, path) = (Arc::clone(&desk.node), Arc::clone(&desk.path));
    let made = spawn_blocking(move || make(node.as_ref(), &path)).await;
    let Made { file, announced } = match made {
        Ok(Ok(made)) => made,
        Ok(Err(error)) => return not_made(&error),
        Err(error) => return not_made(&error.to_string()),
    };
    tracing::info!(
        bytes = announced.bytes,
        sequence = announced.applied.sequence,
        "a peer takes a copy of the log"
    );
    let text = serde_json::to_string(&announced).unwrap_or_default();
    let proof = desk.proof(COPY_PATH, &question, &text);
    let mut response = Body::from_stream(pieces(file, turn)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, announced.bytes.into());
    headers.extend([proof]);
    if let Ok(text) = HeaderValue::from_str(&text) {
        headers.insert(COPY, text);
    }
    response
}

/// A peer learns no more than that there is no copy: the reason is for the operator.
fn not_made(error: &str) -> Response {
    tracing::error!(%error, "no copy for a peer could be made");
    let text = "No copy could be made; the journal here says why.\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

impl Desk {
    /// Whether a question comes from a node that knows the secret, and is not one that was asked before.
    #[expect(clippy::result_large_err, reason = "it is sent at once")]
    fn check(&self, path: &str, headers: &HeaderMap) -> Result<Question, Response> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (nonce, challenge, proof) = (text(NONCE), text(CHALLENGE), text(PROOF));
        let (Some(nonce), Some(challenge), Some(proof)) = (nonce, challenge, proof) else {
            let text = "Only for the nodes of this server: see --peer-secret-file.\n";
            return Err((StatusCode::UNAUTHORIZED, text).into_response());
        };
        let parts = asked(path, nonce, challenge);
        if !self.secret.is_proof(&parts, proof) {
            tracing::warn!("a peer has another secret: see --peer-secret-file on both nodes");
            let text = "The secret is another one: see --peer-secret-file on both nodes.\n";
            return Err((StatusCode::FORBIDDEN, text).into_response());
        }
        if !self.nonces.lock().take(nonce, Instant::now()) {
            let text = "That number is not good any more: ask for another one.\n";
            return Err((StatusCode::CONFLICT, text).into_response());
        }
        Ok(Question {
            challenge: challenge.to_owned(),
        })
    }

    fn proof(
        &self,
        path: &str,
        question: &Question,
        text: &str,
    ) -> (header::HeaderName, HeaderValue) {
        let parts = answered(path, &question.challenge, text.as_bytes());
        let proof = self.secret.prove(&parts);
        // Hexadecimal digits are visible ASCII.
        let value = HeaderValue::try_from(proof).unwrap_or(HeaderValue::from_static(""));
        (header::HeaderName::from_static(PROOF), value)
    }
}

/// Removes what a process that was killed left of a copy.
fn clear(path: &Path) {
    let part = path.with_added_extension("part");
    for path in [path, &part] {
        // Mostly there is none.
        let _ = fs::remove_file(path);
    }
}

/// Makes a copy, and reads it once, for its hash. Its name is gone when this returns, so that it never stays.
fn make(node: &dyn Node, path: &Path) -> Result<Made, String> {
    clear(path);
    let applied = node.copy(path).map_err(|error| error.to_string())?;
    let opened = File::open(path).and_then(|mut file| {
        fs::remove_file(path)?;
        let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            hash.update(&piece[..count]);
            bytes += count as u64;
        }
        file.rewind()?;
        let sha256 = hex(&hash.finalize());
        Ok((file, bytes, sha256))
    });
    let (file, bytes, sha256) = opened.map_err(|error| error.to_string())?;
    let announced = Announced {
        applied,
        bytes,
        sha256,
    };
    Ok(Made { file, announced })
}

/// The pieces of a file. The turn ends with them, or when the peer is gone.
fn pieces(
    file: File,
    turn: OwnedSemaphorePermit,
) -> impl stream::Stream<Item = io::Result<Vec<u8>>> + Send {
    stream::try_unfold((file, turn), async |(mut file, turn)| {
        let read = spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let count = file.read(&mut piece)?;
            piece.truncate(count);
            Ok::<_, io::Error>((file, piece))
        });
        let (file, piece) = read.await.map_err(io::Error::other)??;
        Ok((!piece.is_empty()).then_some((piece, (file, turn))))
    })
}
