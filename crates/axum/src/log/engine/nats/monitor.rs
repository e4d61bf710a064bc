//! What the servers' monitoring says: a client alone cannot see whether they sync each write.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::super::EngineError;
use super::config::NatsConfig;
use super::requests::unavailable;

/// The deadline of an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most bytes of an answer; it has some thousand.
const BYTES_MAX: usize = 1 << 20;

/// The setting that makes a server sync each write before it acknowledges it.
const SETTING: &str = "jetstream { sync_interval: always }";

/// Looks whether the servers sync each write. Without that an acknowledged pack may be lost with the power of a
/// machine. Answers what the operator should know. A server that does not answer may be down, which is no reason to
/// refuse the others.
///
/// # Errors
/// Where syncs are required: if a server has them not, or none of them says.
pub(super) async fn check(config: &NatsConfig) -> Result<Vec<String>, EngineError> {
    if config.monitors.is_empty() {
        let warning = format!(
            "whether the NATS servers sync each write cannot be seen without the address of their monitoring: make sure \
             that they have {SETTING}"
        );
        return Ok(vec![warning]);
    }
    let mut warnings = Vec::new();
    let mut answered = 0;
    for monitor in &config.monitors {
        match look(monitor).await {
            Ok(true) => answered += 1,
            Ok(false) if config.needs_sync => {
                let text =
                    format!("the NATS server at {monitor} does not sync each write: set {SETTING}");
                return Err(EngineError::Unfit(text.into()));
            }
            Ok(false) => warnings.push(format!(
                "THE NATS SERVER AT {monitor} DOES NOT SYNC EACH WRITE: acknowledged messages can be lost when machines \
                 lose power. Set {SETTING}"
            )),
            Err(error) => warnings.push(error.to_string()),
        }
    }
    if config.needs_sync && answered == 0 {
        return Err(unavailable(
            "no NATS server says whether it syncs each write",
        ));
    }
    Ok(warnings)
}

/// Whether the server with this monitoring syncs each write.
async fn look(monitor: &Url) -> Result<bool, EngineError> {
    let failed = |error: &dyn std::error::Error| {
        unavailable(&format!(
            "the monitoring at {monitor} does not answer: {error}"
        ))
    };
    let address = monitor.join("/varz").map_err(|error| failed(&error))?;
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
    let client = client.build().map_err(|error| failed(&error))?;
    let answer = client.get(address).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|error| failed(&error))?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
        if text.len() + chunk.len() > BYTES_MAX {
            return Err(unavailable(&format!(
                "the monitoring at {monitor} answers too much"
            )));
        }
        text.extend_from_slice(&chunk);
    }
    let varz: Varz = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
    Ok(varz
        .jetstream
        .config
        .is_some_and(|config| config.sync_always))
}

/// What is of interest in `/varz`.
#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<Setting>,
}

#[derive(Deserialize)]
struct Setting {
    #[serde(default)]
    sync_always: bool,
}
