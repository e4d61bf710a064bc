//! Traces, in a program that was built without them.

use std::convert::Infallible;

use thiserror::Error;
use tracing_subscriber::layer::Identity;

/// What sends traces: there is none.
#[derive(Debug)]
pub(super) struct Traces(Infallible);

/// Why traces cannot be sent.
#[derive(Debug, Error)]
#[error("this program was built without OpenTelemetry: --otlp is for one with the feature otlp")]
pub struct TracesError;

impl Traces {
    /// No traces.
    ///
    /// # Errors
    /// Always.
    pub(super) fn open(_: &str, _: f64) -> Result<Self, TracesError> {
        Err(TracesError)
    }

    /// Never called.
    pub(super) fn layer(&self) -> Identity {
        match self.0 {}
    }
}
