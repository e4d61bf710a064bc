//! The state that request handlers share.

use std::sync::Arc;

use axum::extract::FromRef;
use everbeat_axum::access::Authenticator;
use everbeat_axum::everbeat::Everbeat;
use everbeat_axum::hub::Hub;
use everbeat_axum::limits::Limits;
use leptos::config::LeptosOptions;

use crate::config::Config;
use crate::lab::Lab;
use crate::readiness::Readiness;
use crate::samples::Samples;

/// A handle on the server's parts.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of the server.
pub struct Parts {
    /// The parts that the library's routes share.
    pub everbeat: Everbeat,
    /// The options.
    pub config: Arc<Config>,
    /// Whether the log can store.
    pub readiness: Arc<Readiness>,
    /// The samples of the last hour.
    pub samples: Arc<Samples>,
    /// The place of the compiled site.
    pub leptos: LeptosOptions,
    /// The lab, if there is one.
    pub lab: Option<Lab>,
}

impl AppState {
    /// The parts that the library's routes share.
    pub fn everbeat(&self) -> &Everbeat {
        &self.0.everbeat
    }

    /// The options.
    pub fn config(&self) -> &Arc<Config> {
        &self.0.config
    }

    /// Whether the log can store.
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.0.readiness
    }

    /// The samples of the last hour.
    pub fn samples(&self) -> &Arc<Samples> {
        &self.0.samples
    }

    /// The place of the compiled site.
    pub fn leptos(&self) -> &LeptosOptions {
        &self.0.leptos
    }

    /// The lab, if there is one.
    pub fn lab(&self) -> Option<&Lab> {
        self.0.lab.as_ref()
    }
}

impl From<Parts> for AppState {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

/// Lets a handler take only the parts that it uses.
macro_rules! parts {
    ($($kind:ty: |$parts:ident| $part:expr),* $(,)?) => {
        $(impl FromRef<AppState> for $kind {
            fn from_ref(AppState($parts): &AppState) -> Self {
                Self::clone(&$part)
            }
        })*
    };
}

parts! {
    Everbeat: |parts| parts.everbeat,
    Arc<Hub>: |parts| parts.everbeat.hub(),
    Arc<Authenticator>: |parts| parts.everbeat.authenticator(),
    Arc<Limits>: |parts| parts.everbeat.limits(),
    Arc<Config>: |parts| parts.config,
    Arc<Readiness>: |parts| parts.readiness,
    Arc<Samples>: |parts| parts.samples,
    LeptosOptions: |parts| parts.leptos,
    Option<Lab>: |parts| parts.lab,
}
