//! Requests to the servers' JetStream, each within a deadline.

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{DirectGetErrorKind, Info, RawMessage};
use async_nats::jetstream::{Context, Error as JetStreamError, ErrorCode};
use async_nats::{Request, RequestErrorKind};
use axum::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::super::{Bounds, EngineError};
use super::names::Names;

/// The deadline of an answer. Without a leader there is none: elections take 4 to 9 s, and what is asked later gets there.
const PATIENCE: Duration = Duration::from_secs(3);

/// A server whose disk is full says so in its own log only.
const SILENCE: &str =
    "a pack was not acknowledged in time: no quorum, or a full disk; see the NATS servers' logs";

/// A request that JetStream did not do.
#[derive(Debug)]
pub(super) enum RequestError {
    /// It says why.
    Refused(JetStreamError),
    /// No server answers for JetStream.
    NoResponders,
    /// There is no answer that can be read.
    Failed(EngineError),
}

impl From<RequestError> for EngineError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(error) => refused(&error),
            RequestError::NoResponders => unavailable("no server leads the stream now"),
            RequestError::Failed(error) => error,
        }
    }
}

/// One request of JetStream's API. Answers hold messages, so this is not the client's own call, which logs them.
pub(super) async fn ask<T: DeserializeOwned>(
    context: &Context,
    subject: &str,
    payload: &impl Serialize,
) -> Result<T, RequestError> {
    let failed = |text: String| RequestError::Failed(unavailable(&text));
    let payload = serde_json::to_vec(payload).map_err(|error| failed(error.to_string()))?;
    let request = Request::new()
        .payload(payload.into())
        .timeout(Some(PATIENCE));
    let client = context.client();
    let answer = client.send_request(format!("$JS.API.{subject}"), request);
    let answer = match timeout(PATIENCE, answer).await {
        Ok(Ok(message)) => message.payload,
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
            return Err(RequestError::NoResponders);
        }
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed("no answer in time".to_owned())),
    };
    match serde_json::from_slice(&answer) {
        Ok(Response::Ok(found)) => Ok(found),
        Ok(Response::Err { error }) => Err(RequestError::Refused(error)),
        Err(error) => Err(failed(format!("an answer cannot be read: {error}"))),
    }
}

/// What the leader of a stream says of it.
pub(super) async fn info(context: &Context, stream: &str) -> Result<Info, RequestError> {
    ask(context, &format!("STREAM.INFO.{stream}"), &json!({})).await
}

/// The name of this very stream: another one where it was made anew.
pub(super) fn id(info: &Info) -> String {
    let made = info.created;
    format!("{}-{}", info.config.name, made.unix_timestamp_nanos())
}

pub(super) async fn bounds(context: &Context, names: &Names) -> Result<Bounds, EngineError> {
    let info = info(context, &names.stream).await?;
    let last = info.state.last_sequence;
    // An empty stream says 0, or the next one.
    let first = match info.state.messages {
        0 => last + 1,
        _ => info.state.first_sequence,
    };
    let id = id(&info);
    Ok(Bounds { first, last, id })
}

/// Stores a pack.
pub(super) async fn publish(
    context: &Context,
    names: &Names,
    pack: Bytes,
) -> Result<u64, EngineError> {
    let message = PublishMessage::build().payload(pack);
    store(context, &names.stream, names.packs.clone(), message).await
}

/// Stores a message in this stream and no other.
async fn store(
    context: &Context,
    stream: &str,
    subject: String,
    message: PublishMessage,
) -> Result<u64, EngineError> {
    let message = message.expected_stream(stream);
    let stored = async { context.send_publish(subject, message).await?.await };
    let Ok(stored) = timeout(PATIENCE, stored).await else {
        return Err(unavailable(SILENCE));
    };
    let error = match stored {
        Ok(ack) => return Ok(ack.sequence),
        Err(error) => error,
    };
    Err(match error.kind() {
        PublishErrorKind::StreamNotFound => unavailable("no server leads the stream now"),
        PublishErrorKind::TimedOut => unavailable(SILENCE),
        PublishErrorKind::MaxPayloadExceeded => EngineError::Unfit(error.to_string().into()),
        _ => {
            let source = std::error::Error::source(&error);
            let source = source.and_then(|source| source.downcast_ref::<JetStreamError>());
            source.map_or_else(|| unavailable(&error.to_string()), refused)
        }
    })
}

/// The pack of this sequence, from any server.
pub(super) async fn fetch_direct(
    context: &Context,
    names: &Names,
    sequence: u64,
) -> Result<Option<Bytes>, EngineError> {
    let get = async {
        // No request is made for the stream itself.
        let stream = context.get_stream_no_info(&names.stream).await;
        let stream = stream.map_err(|error| unavailable(&error.to_string()))?;
        match stream.direct_get(sequence).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(&error.to_string())),
        }
    };
    let late = |_| unavailable("no answer in time");
    timeout(PATIENCE, get).await.map_err(late)?
}

/// The pack of this sequence, from the leader.
pub(super) async fn fetch(
    context: &Context,
    names: &Names,
    sequence: u64,
) -> Result<Option<Bytes>, EngineError> {
    let found = message(context, &names.stream, json!({ "seq": sequence })).await?;
    Ok(found.map(|message| message.payload))
}

/// What replaced this pack.
pub(super) async fn replacement(
    context: &Context,
    names: &Names,
    sequence: u64,
) -> Result<Option<Bytes>, EngineError> {
    let which = json!({ "last_by_subj": names.replacement(sequence) });
    let found = message(context, &names.erased, which).await?;
    Ok(found.map(|message| message.payload))
}

/// Replaces a pack, durably, before anything is erased. The replacement's place is taken only by who saw the newest one.
pub(super) async fn erase(
    context: &Context,
    names: &Names,
    sequence: u64,
    before: &Bytes,
    after: Bytes,
) -> Result<(), EngineError> {
    let subject = names.replacement(sequence);
    let last = json!({ "last_by_subj": subject });
    let (found, version) = match message(context, &names.erased, last).await? {
        Some(newest) => {
            // An earlier call may have come no further than this.
            delete(context, &names.stream, sequence).await?;
            delete_older(context, names, &subject, newest.sequence).await?;
            if newest.payload == after {
                return Ok(());
            }
            (newest.payload, newest.sequence)
        }
        None => match fetch(context, names, sequence).await? {
            Some(original) => (original, 0),
            // It was trimmed.
            None => return Ok(()),
        },
    };
    if found != *before {
        return Err(unavailable(
            "another text of this pack was erased meanwhile",
        ));
    }
    let message = PublishMessage::build()
        .payload(after)
        .expected_last_subject_sequence(version);
    let stored = store(context, &names.erased, subject.clone(), message).await?;
    delete(context, &names.stream, sequence).await?;
    delete_older(context, names, &subject, stored).await
}

/// Erases what replaced a pack before the newest replacement: it has texts that are now to go.
async fn delete_older(
    context: &Context,
    names: &Names,
    subject: &str,
    newest: u64,
) -> Result<(), EngineError> {
    loop {
        let which = json!({ "seq": 1, "next_by_subj": subject });
        match message(context, &names.erased, which).await? {
            Some(older) if older.sequence < newest => {
                delete(context, &names.erased, older.sequence).await?;
            }
            _ => return Ok(()),
        }
    }
}

/// Erases a message: its bytes are overwritten on every server. One that is not there is fine.
async fn delete(context: &Context, stream: &str, sequence: u64) -> Result<(), EngineError> {
    let subject = format!("STREAM.MSG.DELETE.{stream}");
    // Without `no_erase` the server overwrites what it deletes.
    let deleted = ask::<Deleted>(context, &subject, &json!({ "seq": sequence })).await;
    let error = match deleted {
        Ok(Deleted { success: true }) => return Ok(()),
        Ok(Deleted { success: false }) => unavailable("a pack was not erased"),
        Err(error) => error.into(),
    };
    let which = json!({ "seq": sequence });
    match message(context, stream, which).await? {
        None => Ok(()),
        Some(_) => Err(error),
    }
}

/// A message of a stream, asked of its leader.
async fn message(
    context: &Context,
    stream: &str,
    which: serde_json::Value,
) -> Result<Option<StreamMessage>, EngineError> {
    let subject = format!("STREAM.MSG.GET.{stream}");
    let found = match ask::<Found>(context, &subject, &which).await {
        Ok(Found { message }) => message,
        Err(RequestError::Refused(error)) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let message = StreamMessage::try_from(found);
    let message = message.map_err(|error| unavailable(&format!("a garbled message: {error}")))?;
    Ok(Some(message))
}

/// An answer with a message.
#[derive(Deserialize)]
struct Found {
    message: RawMessage,
}

/// An answer to a deletion.
#[derive(Deserialize)]
struct Deleted {
    success: bool,
}

pub(super) fn unavailable(text: &str) -> EngineError {
    EngineError::Unavailable(text.into())
}

/// What JetStream's own error means.
fn refused(error: &JetStreamError) -> EngineError {
    let text: std::sync::Arc<str> = error.to_string().into();
    match error.error_code() {
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STREAM_STORE_FAILED => EngineError::Full(text),
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
        | ErrorCode::JETSTREAM_NOT_ENABLED
        | ErrorCode::STREAM_NOT_FOUND
        | ErrorCode::STREAM_NOT_MATCH
        | ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
        | ErrorCode::STREAM_SUBJECT_OVERLAP => EngineError::Unfit(text),
        _ => EngineError::Unavailable(text),
    }
}
