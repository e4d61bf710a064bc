//! The limits, as the metric `everbeat_limited_total` names them.

/// A limit that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `--connections`.
    Connections,
    /// `--connections-per-address`.
    ConnectionsPerAddress,
    /// `--handshakes`.
    Handshakes,
    /// `--handshakes-per-address`.
    HandshakesPerAddress,
    /// `--requests-per-address`.
    RequestsPerAddress,
    /// `--hellos`.
    Hellos,
    /// `--publishes-per-person`.
    PublishesPerPerson,
    /// `--publishes-per-address`.
    PublishesPerAddress,
    /// `--frames`.
    Frames,
    /// `--frames-per-person`.
    FramesPerPerson,
    /// `--frames-per-address`.
    FramesPerAddress,
    /// `--rate-bytes`: an address's or a user's entry was evicted.
    RateBytes,
    /// `--session-lines`.
    SessionLines,
    /// `--header-timeout`.
    HeaderTimeout,
    /// `--body-timeout`.
    BodyTimeout,
    /// `--write-timeout`, on a connection that is no WebSocket.
    WriteTimeout,
    /// `--answer-bytes`: an answer waited too long for memory.
    AnswerBytes,
    /// `--tail-bytes`: what a room kept was dropped.
    TailBytes,
    /// `--trace-watchers`.
    TraceWatchers,
    /// `--trace-watchers-per-session`.
    TraceWatchersPerSession,
    /// `--trace-bytes`: an entry of a session's trace was dropped before a watcher read it.
    TraceBytes,
    /// `--fan-out-bytes`: readers of a room got drafts and members later.
    FanOutBytes,
    /// The head of a request: 16 KiB, 100 lines.
    HeadBytes,
    /// `--allowed-origins`.
    Origins,
}

impl Limit {
    #[cfg(feature = "metrics")]
    pub(super) const ALL: [Self; 24] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::Handshakes,
        Self::HandshakesPerAddress,
        Self::RequestsPerAddress,
        Self::Hellos,
        Self::PublishesPerPerson,
        Self::PublishesPerAddress,
        Self::Frames,
        Self::FramesPerPerson,
        Self::FramesPerAddress,
        Self::RateBytes,
        Self::SessionLines,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::WriteTimeout,
        Self::AnswerBytes,
        Self::TailBytes,
        Self::TraceWatchers,
        Self::TraceWatchersPerSession,
        Self::TraceBytes,
        Self::FanOutBytes,
        Self::HeadBytes,
        Self::Origins,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Handshakes => "handshakes",
            Self::HandshakesPerAddress => "handshakes_per_address",
            Self::RequestsPerAddress => "requests_per_address",
            Self::Hellos => "hellos",
            Self::PublishesPerPerson => "publishes_per_person",
            Self::PublishesPerAddress => "publishes_per_address",
            Self::Frames => "frames",
            Self::FramesPerPerson => "frames_per_person",
            Self::FramesPerAddress => "frames_per_address",
            Self::RateBytes => "rate_bytes",
            Self::SessionLines => "session_lines",
            Self::HeaderTimeout => "header_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::AnswerBytes => "answer_bytes",
            Self::TailBytes => "tail_bytes",
            Self::TraceWatchers => "trace_watchers",
            Self::TraceWatchersPerSession => "trace_watchers_per_session",
            Self::TraceBytes => "trace_bytes",
            Self::FanOutBytes => "fan_out_bytes",
            Self::HeadBytes => "head_bytes",
            Self::Origins => "origins",
        }
    }
}
