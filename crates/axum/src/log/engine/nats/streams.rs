//! The two streams: made where they are missing, and refused where they are not as they should be.

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, Republish, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{Context, ErrorCode};
use everbeat_log::pack::PACK_BYTES;

use super::super::EngineError;
use super::config::NatsConfig;
use super::names::Names;
use super::requests::{RequestError, ask, info, unavailable};

/// The largest message that the streams take, and the servers must take: a pack, with room for headers.
pub(super) const MESSAGE_BYTES: usize = PACK_BYTES + 4096;

/// Finds both streams, or makes them; answers that of packs.
///
/// # Errors
/// [`EngineError::Unfit`] where one of them has settings with which packs could be lost, or are not found.
pub(super) async fn attach(
    context: &Context,
    config: &NatsConfig,
    names: &Names,
) -> Result<Info, EngineError> {
    ensure(context, &erased(config, names)).await?;
    let packs = packs(config, names);
    let found = ensure(context, &packs).await?;
    for difference in harmless(&found.config, &packs) {
        tracing::warn!(
            stream = names.stream,
            "the stream keeps what it was made with: {difference}"
        );
    }
    Ok(found)
}

/// Refuses a stream of packs that is not as it should be.
///
/// # Errors
/// [`EngineError::Unfit`].
pub(super) fn check(found: &Info, config: &NatsConfig, names: &Names) -> Result<(), EngineError> {
    refuse_others(&found.config, &packs(config, names))
}

async fn ensure(context: &Context, wanted: &Config) -> Result<Info, EngineError> {
    let name = &wanted.name;
    let found = match info(context, name).await {
        Err(RequestError::Refused(error)) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            make(context, wanted).await?
        }
        Err(RequestError::NoResponders) if !context.client().server_info().jetstream => {
            let server = context.client().server_info().server_name;
            let text = format!("the NATS server {server} has no JetStream: enable it there");
            return Err(EngineError::Unfit(text.into()));
        }
        found => found?,
    };
    refuse_others(&found.config, wanted)?;
    Ok(found)
}

/// Makes a stream. Another node may make it at the same time.
async fn make(context: &Context, wanted: &Config) -> Result<Info, EngineError> {
    let name = &wanted.name;
    let made = ask::<Info>(context, &format!("STREAM.CREATE.{name}"), wanted).await;
    match made {
        Ok(made) => {
            tracing::info!(
                stream = name,
                replicas = wanted.num_replicas,
                "made a stream"
            );
            Ok(made)
        }
        Err(RequestError::Refused(error)) => match error.error_code() {
            ErrorCode::STREAM_NAME_EXIST => Ok(info(context, name).await?),
            ErrorCode::STREAM_SUBJECT_OVERLAP => {
                let subjects = wanted.subjects.join(", ");
                let text = format!(
                    "another stream takes {subjects}: an Everbeat with another stream needs another prefix of subjects"
                );
                Err(EngineError::Unfit(text.into()))
            }
            ErrorCode::CLUSTER_NO_PEERS | ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
                let replicas = wanted.num_replicas;
                let text = format!("{replicas} replicas need as many NATS servers: {error}");
                Err(unavailable(&text))
            }
            _ => Err(RequestError::Refused(error).into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// The stream of packs.
fn packs(config: &NatsConfig, names: &Names) -> Config {
    Config {
        subjects: vec![names.packs.clone()],
        republish: Some(Republish {
            source: names.packs.clone(),
            destination: names.live.clone(),
            headers_only: false,
        }),
        description: Some("Everbeat's packs of commands".to_owned()),
        ..common(config, names.stream.clone())
    }
}

/// The stream of replacements. Each is stored after its pack, so with the same age it is kept for longer.
fn erased(config: &NatsConfig, names: &Names) -> Config {
    Config {
        subjects: vec![names.replacements()],
        description: Some("What replaced Everbeat's erased packs".to_owned()),
        ..common(config, names.erased.clone())
    }
}

fn common(config: &NatsConfig, name: String) -> Config {
    let stream = &config.stream;
    let max_bytes = stream.max_bytes.map(i64::try_from);
    Config {
        name,
        num_replicas: stream.replicas,
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age: stream.max_age,
        max_bytes: max_bytes.map_or(-1, |bytes| bytes.unwrap_or(i64::MAX)),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: MESSAGE_BYTES as i32,
        allow_direct: true,
        ..Config::default()
    }
}

/// Refuses a stream with other settings than those wanted, as far as they matter.
fn refuse_others(found: &Config, wanted: &Config) -> Result<(), EngineError> {
    let no_limit = |limit: i64| if limit <= 0 { -1 } else { limit };
    let per_subject = (
        no_limit(found.max_messages_per_subject),
        no_limit(wanted.max_messages_per_subject),
    );
    let persistence = |config: &Config| config.persist_mode.unwrap_or(PersistenceMode::Default);
    let differences = [
        differ("subjects", &found.subjects, &wanted.subjects),
        differ("num_replicas", &found.num_replicas, &wanted.num_replicas),
        differ("storage", &found.storage, &wanted.storage),
        differ("retention", &found.retention, &wanted.retention),
        differ("discard", &found.discard, &wanted.discard),
        differ(
            "max_msgs",
            &no_limit(found.max_messages),
            &no_limit(wanted.max_messages),
        ),
        differ("max_msgs_per_subject", &per_subject.0, &per_subject.1),
        differ(
            "max_msg_size",
            &found.max_message_size,
            &wanted.max_message_size,
        ),
        differ("republish", &found.republish, &wanted.republish),
        differ("allow_direct", &found.allow_direct, &wanted.allow_direct),
        differ("no_ack", &found.no_ack, &wanted.no_ack),
        differ("sealed", &found.sealed, &wanted.sealed),
        differ("deny_delete", &found.deny_delete, &wanted.deny_delete),
        differ("persist_mode", &persistence(found), &persistence(wanted)),
        differ("mirror", &found.mirror, &wanted.mirror),
        differ("sources", &found.sources, &wanted.sources),
        differ(
            "subject_transform",
            &found.subject_transform,
            &wanted.subject_transform,
        ),
    ];
    let differences: Vec<_> = differences.into_iter().flatten().collect();
    if differences.is_empty() {
        return Ok(());
    }
    let text = format!(
        "the stream {} is another Everbeat's, or was made with other settings: {}. Name another stream (and another \
         prefix), or change one of the two sides",
        found.name,
        differences.join("; ")
    );
    Err(EngineError::Unfit(text.into()))
}

/// The settings that may differ: no pack is lost that a node could not take from another one.
fn harmless(found: &Config, wanted: &Config) -> impl Iterator<Item = String> {
    let differences = [
        differ("max_age", &found.max_age, &wanted.max_age),
        differ("max_bytes", &found.max_bytes, &wanted.max_bytes),
    ];
    differences.into_iter().flatten()
}

fn differ<T: PartialEq + std::fmt::Debug>(name: &str, found: &T, wanted: &T) -> Option<String> {
    (found != wanted).then(|| format!("{name} is {found:?}, not {wanted:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> (NatsConfig, Config) {
        let config = NatsConfig::new(Vec::new());
        let names = Names::new(&config);
        let packs = packs(&config, &names);
        (config, packs)
    }

    #[test]
    fn a_stream_is_refused_for_each_setting_that_matters() {
        let (_, wanted) = wanted();
        assert_eq!(refuse_others(&wanted, &wanted), Ok(()));
        type Change = fn(&mut Config);
        let changes: [(&str, Change); 8] = [
            ("subjects", |found| found.subjects.push("b.c".into())),
            ("num_replicas", |found| found.num_replicas = 1),
            ("storage", |found| found.storage = StorageType::Memory),
            ("republish", |found| found.republish = None),
            ("allow_direct", |found| found.allow_direct = false),
            ("max_msgs", |found| found.max_messages = 1000),
            ("max_msg_size", |found| found.max_message_size = 1000),
            ("persist_mode", |found| {
                found.persist_mode = Some(PersistenceMode::Async);
            }),
        ];
        for (name, change) in changes {
            let mut found = wanted.clone();
            change(&mut found);
            let error = refuse_others(&found, &wanted).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    /// Servers fill in what was left out, and an operator may keep packs for longer.
    #[test]
    fn what_does_not_matter_is_no_reason() {
        let (_, wanted) = wanted();
        let mut found = wanted.clone();
        found.max_messages = 0;
        found.persist_mode = Some(PersistenceMode::Default);
        found.description = None;
        found.max_age *= 2;
        assert_eq!(refuse_others(&found, &wanted), Ok(()));
        assert_eq!(harmless(&found, &wanted).count(), 1);
        assert_eq!(harmless(&wanted, &wanted).count(), 0);
    }
}
