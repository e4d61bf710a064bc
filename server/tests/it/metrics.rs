//! Reading a server's metrics, as the operator's monitoring does.

use std::net::SocketAddr;

use reqwest::header::CONTENT_TYPE;

use crate::test_server::TestServer;

impl TestServer {
    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        metrics(self.admin).await
    }

    /// The count of refusals by this limit.
    pub(crate) async fn limited(&self, limit: &str) -> f64 {
        limited(self.admin, limit).await
    }
}

/// The text of `/metrics` at an operator's listener.
pub(crate) async fn metrics(admin: SocketAddr) -> String {
    let url = format!("http://{admin}/metrics");
    let answer = reqwest::get(url).await.unwrap();
    let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    answer.text().await.unwrap()
}

/// The count of refusals by this limit, at an operator's listener.
pub(crate) async fn limited(admin: SocketAddr, limit: &str) -> f64 {
    let name = format!("everbeat_limited_total{{limit=\"{limit}\"}}");
    value(&metrics(admin).await, &name).unwrap()
}

/// The value of a metric, its labels included; `None` if the text has no such line.
pub(crate) fn value(metrics: &str, name: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}
