//! Options of the operator's listener, the journal and traces.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use thiserror::Error;

use crate::telemetry::TelemetryConfig;

/// For the operator.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operation")]
pub struct AdminOptions {
    /// Address and port of /metrics and /status, which are not for the public: a client that reaches them may end
    /// connections; or off. Port 0 takes a free one
    #[arg(
        long,
        env = "EVERBEAT_ADMIN",
        default_value = "127.0.0.1:8090",
        value_name = "ADDR:PORT|off"
    )]
    pub admin: Admin,

    /// Names by which --admin may be asked, beside IP addresses and localhost: as everbeat.internal, where a
    /// Prometheus scrapes it by a name
    #[arg(
        long,
        env = "EVERBEAT_ADMIN_HOSTS",
        value_delimiter = ',',
        value_name = "NAME,…"
    )]
    pub admin_hosts: Vec<String>,

    /// Let the pages of this server kill, drain and stall it, for experiments: POST /lab/kill, /lab/drain and
    /// /lab/stall?ms= at --admin. Both --listen and --admin have to be on the loopback
    #[arg(long, env = "EVERBEAT_LAB", value_parser = BoolishValueParser::new())]
    pub lab: bool,

    /// How the log on stderr is written. EVERBEAT_LOG says what is: info, or debug, server=debug …
    #[arg(long, env = "EVERBEAT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Where traces are sent by OpenTelemetry's protocol over HTTP, as `http://127.0.0.1:4318`; nowhere by
    /// default
    #[arg(long, env = "EVERBEAT_OTLP", value_name = "URL")]
    pub otlp: Option<String>,

    /// Which share of the traces is sent, from 0 to 1: one of a hundred shows where time goes, and costs
    /// little
    #[arg(
        long,
        env = "EVERBEAT_OTLP_SHARE",
        default_value_t = 0.01,
        value_name = "SHARE"
    )]
    pub otlp_share: f64,
}

impl AdminOptions {
    /// What is written and sent.
    pub fn telemetry(&self) -> TelemetryConfig {
        TelemetryConfig {
            is_json: self.log_format == LogFormat::Json,
            otlp: self.otlp.clone(),
            otlp_share: self.otlp_share,
        }
    }
}

/// The operator's listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin {
    /// At this address.
    At(SocketAddr),
    /// There is none.
    Off,
}

/// The text is neither an address nor `off`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("neither an address with a port, as 127.0.0.1:8090, nor off")]
pub struct AdminError;

impl FromStr for Admin {
    type Err = AdminError;

    fn from_str(text: &str) -> Result<Self, AdminError> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| AdminError)
    }
}

/// How the log on stderr is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object on a line, for programs.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_off() {
        assert_eq!("off".parse(), Ok(Admin::Off));
        let here = "[::1]:9".parse().unwrap();
        assert_eq!("[::1]:9".parse(), Ok(Admin::At(here)));
        assert_eq!("localhost".parse::<Admin>(), Err(AdminError));
    }
}
