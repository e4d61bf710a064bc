//! The journal on stderr, and traces for OpenTelemetry.

#[cfg(not(feature = "otlp"))]
#[path = "telemetry/no_traces.rs"]
mod traces;
#[cfg(feature = "otlp")]
mod traces;

use std::env;
use std::io::{IsTerminal, stderr};

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, registry};

use self::traces::Traces;
pub use self::traces::TracesError;

/// The configuration of the journal and of traces.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Whether the journal is written as JSON, or as text.
    pub is_json: bool,
    /// Where traces are sent; nowhere by default.
    pub otlp: Option<String>,
    /// Which share of the traces is sent, from 0 to 1.
    pub otlp_share: f64,
}

/// The open outputs; dropping them at the end sends what is left.
#[derive(Debug)]
pub struct Telemetry {
    _traces: Option<Traces>,
}

/// Starts the journal, and the sending of traces if the configuration asks for it.
///
/// # Errors
/// If traces cannot be sent there.
pub fn start(config: &TelemetryConfig) -> Result<Telemetry, TracesError> {
    let wanted = env::var("EVERBEAT_LOG").ok();
    let filter = wanted.and_then(|wanted| EnvFilter::try_new(directives(&wanted)).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    // By default it would report on stderr that stderr cannot be written (on a full disk, say), and
    // panic as that fails too: in the middle of whatever the task or the log's thread does.
    let is_coloured =
        stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lines = fmt::layer()
        .with_writer(stderr)
        .with_ansi(is_coloured)
        .log_internal_errors(false);
    let lines = if config.is_json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.boxed()
    };
    let traces = config.otlp.as_deref();
    let traces = traces.map(|url| Traces::open(url, config.otlp_share));
    let traces = traces.transpose()?;
    registry()
        .with(lines.with_filter(filter))
        .with(traces.as_ref().map(Traces::layer))
        .init();
    Ok(Telemetry { _traces: traces })
}

/// What `EVERBEAT_LOG` says, where `server` means the modules of the library that it stands on, too. What is said of
/// the library by its own name counts.
fn directives(wanted: &str) -> String {
    let mut directives = wanted.to_owned();
    for directive in wanted.split(',') {
        let rest = directive.strip_prefix("server");
        let is_module = |rest: &&str| rest.is_empty() || rest.starts_with(['=', ':']);
        if let Some(rest) = rest.filter(is_module) {
            directives = format!("everbeat_axum{rest},{directives}");
        }
    }
    directives
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_its_library_too() {
        for (wanted, both) in [
            ("info", "info"),
            ("server", "everbeat_axum,server"),
            (
                "warn,server=info,server::ws=debug",
                "everbeat_axum::ws=debug,everbeat_axum=info,warn,server=info,server::ws=debug",
            ),
            ("servers=info,hyper=debug", "servers=info,hyper=debug"),
        ] {
            assert_eq!(directives(wanted), both);
            assert!(EnvFilter::try_new(directives(wanted)).is_ok());
        }
    }
}
