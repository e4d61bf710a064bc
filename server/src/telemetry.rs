//! The journal on stderr, and traces for OpenTelemetry.

use std::env;
use std::io::{IsTerminal, stderr};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::config::{AdminOptions, LogFormat};

/// The target of spans. They have the level of traces, so that the journal has
/// none of them, and without `--otlp` none is made.
pub const SPANS: &str = "everbeat::spans";

/// The open outputs; dropping them at the end sends what is left.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

/// Starts the journal, and the sending of traces if the options ask for it.
///
/// # Errors
/// If the address of `--otlp` is not valid.
pub fn start(options: &AdminOptions) -> Result<Telemetry, ExporterBuildError> {
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
    let lines = match options.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let provider = options.otlp.as_deref().map(|url| provider(url, options));
    let provider = provider.transpose()?;
    let traces = provider.as_ref().map(|provider| {
        let spans = Targets::new().with_target(SPANS, LevelFilter::TRACE);
        let tracer = provider.tracer("everbeat");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_filter(spans)
    });
    registry()
        .with(lines.with_filter(filter))
        .with(traces)
        .init();
    Ok(Telemetry(provider))
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

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

fn provider(url: &str, options: &AdminOptions) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
        .build()?;
    let resource = Resource::builder().with_service_name("everbeat").build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::TraceIdRatioBased(options.otlp_share))
        .with_resource(resource)
        .build())
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
