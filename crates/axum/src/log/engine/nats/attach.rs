//! Attaching to the servers, and looking after the connection for ever.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::super::EngineError;
use super::config::{NatsConfig, Secrets};
use super::link::Ends;
use super::requests::{id, info, unavailable};
use super::{monitor, streams};

/// How often the stream's leader is asked, which also shows that it is still the same stream.
const LOOK: Duration = Duration::from_secs(2);

/// How long a connected server may know of no leader before another server is tried: longer than an election.
const ELSEWHERE: Duration = Duration::from_secs(12);

/// The shortest and the longest upper bound of a delay between two attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Messages that wait in a subscription, and commands that wait for the connection: at most so many, of at most a
/// pack's size. More are dropped: packs are fetched then, and what nodes tell each other is repeated.
const QUEUE: usize = 256;

/// Attaches, then looks after the connection; for ever.
pub(super) async fn keep(config: NatsConfig, secrets: Secrets, ends: Ends) {
    let mut attempt = 0;
    loop {
        match attach(&config, &secrets, &ends).await {
            Ok(attached) => {
                attempt = 0;
                look_after(&config, attached, &ends).await;
            }
            Err(error) => ends.health.note_link(&Err::<(), _>(error)),
        }
        sleep(delay(attempt)).await;
        attempt += 1;
    }
}

/// A connection whose streams are good.
struct Attached {
    context: Context,
    events: mpsc::Receiver<Event>,
    /// The name of the stream of packs.
    id: String,
}

async fn attach(
    config: &NatsConfig,
    secrets: &Secrets,
    ends: &Ends,
) -> Result<Attached, EngineError> {
    let (sender, events) = mpsc::channel(64);
    let options = options(config, secrets, sender)?;
    let client = options.connect(addresses(config)?).await;
    let client = client.map_err(|error| match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            EngineError::Unfit(format!("the NATS servers refuse the credentials: {error}").into())
        }
        _ => unavailable(&format!("cannot connect to NATS: {error}")),
    })?;
    if client.max_payload() < streams::MESSAGE_BYTES {
        let text = format!(
            "the NATS servers take messages of {} bytes, and packs need {}: raise their max_payload",
            client.max_payload(),
            streams::MESSAGE_BYTES
        );
        return Err(EngineError::Unfit(text.into()));
    }
    let context = ContextBuilder::new().build(client);
    let warnings = monitor::check(config).await?;
    let found = streams::attach(&context, config, &ends.names).await?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(Attached {
        context,
        events,
        id: id(&found),
    })
}

fn addresses(config: &NatsConfig) -> Result<Vec<ServerAddr>, EngineError> {
    let addresses = config.servers.iter().cloned().map(ServerAddr::from_url);
    let addresses: Result<Vec<_>, _> = addresses.collect();
    addresses.map_err(|error| EngineError::Unfit(error.to_string().into()))
}

fn options(
    config: &NatsConfig,
    secrets: &Secrets,
    events: mpsc::Sender<Event>,
) -> Result<ConnectOptions, EngineError> {
    let options = ConnectOptions::new()
        .name(&config.name)
        // A dead server is noticed after three of these.
        .ping_interval(Duration::from_secs(2))
        .connection_timeout(Duration::from_secs(2))
        .subscription_capacity(QUEUE)
        .client_capacity(QUEUE)
        .reconnect_delay_callback(delay)
        .require_tls(config.tls.required)
        .event_callback(move |event| {
            // Where many wait the keeper is about to look anyway.
            let _ = events.try_send(event);
            std::future::ready(())
        });
    let options = match &config.tls.ca {
        Some(path) => options.add_root_certificates(path.clone()),
        None => options,
    };
    let options = match &config.tls.certificate {
        Some((certificate, key)) => {
            options.add_client_certificate(certificate.clone(), key.clone())
        }
        None => options,
    };
    Ok(match secrets {
        Secrets::None => options,
        Secrets::Password(user, password) => {
            options.user_and_password(user.clone(), password.clone())
        }
        Secrets::Token(token) => options.token(token.clone()),
        Secrets::Credentials(text) => options.credentials(text).map_err(|error| {
            EngineError::Unfit(format!("the credentials file cannot be read: {error}").into())
        })?,
    })
}

/// Notes how the connection does, until the client itself has ended.
async fn look_after(config: &NatsConfig, attached: Attached, ends: &Ends) {
    let Attached {
        context,
        mut events,
        id: attached_to,
    } = attached;
    // Who sees that it is ready can use it.
    ends.attached.send_replace(Some(context.clone()));
    ends.health.note_link(&Ok(()));
    let client = context.client();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered_since = None;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None | Some(Event::Closed) => return,
                Some(Event::Connected) => looks.reset_immediately(),
                Some(Event::Disconnected) => ends.health.note_link(&lost()),
                Some(Event::ServerError(error)) => tracing::warn!("the NATS server says: {error}"),
                Some(other) => tracing::debug!("NATS: {other}"),
            },
            _ = looks.tick() => {
                if client.connection_state() != State::Connected {
                    ends.health.note_link(&lost());
                    unanswered_since = None;
                    continue;
                }
                let seen = look(config, &context, &attached_to, ends).await;
                // The connection may have been lost meanwhile, which says more.
                if client.connection_state() == State::Connected {
                    ends.health.note_link(&seen);
                }
                if !matches!(seen, Err(EngineError::Unavailable(_))) {
                    unanswered_since = None;
                    continue;
                }
                let since = *unanswered_since.get_or_insert_with(Instant::now);
                // This server may be cut off from the others.
                if since.elapsed() >= ELSEWHERE {
                    tracing::warn!("this NATS server knows of no leader: trying another one");
                    unanswered_since = None;
                    if client.force_reconnect().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn lost() -> Result<(), EngineError> {
    Err(unavailable("the connection to NATS was lost"))
}

/// Whether the leader answers, and leads the stream that was attached to.
async fn look(
    config: &NatsConfig,
    context: &Context,
    attached_to: &str,
    ends: &Ends,
) -> Result<(), EngineError> {
    let found = info(context, &ends.names.stream).await?;
    if id(&found) != attached_to {
        let text = format!(
            "the stream {} was deleted and made anew while this node used it",
            ends.names.stream
        );
        return Err(EngineError::Unfit(text.into()));
    }
    streams::check(&found, config, &ends.names)
}

/// The delay before an attempt: exponential, with full jitter.
fn delay(attempt: usize) -> Duration {
    let (base, cap) = BACKOFF;
    let factor = 1_u32
        .checked_shl(attempt.min(31) as u32)
        .unwrap_or(u32::MAX);
    let most = base.saturating_mul(factor).min(cap);
    // Without randomness the delay is the longest one.
    getrandom::u32().map_or(most, |drawn| {
        most.mul_f64(f64::from(drawn) / f64::from(u32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_differ() {
        let (base, cap) = BACKOFF;
        assert!((0..20).all(|_| delay(0) <= base));
        assert!((0..1000).all(|attempt| delay(attempt) <= cap));
        let drawn: std::collections::BTreeSet<_> = (0..20).map(|_| delay(30)).collect();
        assert!(drawn.len() > 10);
    }
}
