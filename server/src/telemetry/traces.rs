//! Traces, sent by OpenTelemetry's protocol.

use everbeat_axum::spans::SPANS;
use opentelemetry::trace::TracerProvider as _;
pub use opentelemetry_otlp::ExporterBuildError as TracesError;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// What sends traces; dropped at the end, it sends what is left.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends this share of the traces to a collector.
    ///
    /// # Errors
    /// If the address is none.
    pub(super) fn open(url: &str, share: f64) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
            .build()?;
        let resource = Resource::builder().with_service_name("everbeat").build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::TraceIdRatioBased(share))
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// What takes the spans.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let spans = Targets::new().with_target(SPANS, LevelFilter::TRACE);
        let tracer = self.0.tracer("everbeat");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_filter(spans)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}
