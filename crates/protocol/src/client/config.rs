//! The client's configuration: times, sizes and the seed.

use std::time::Duration;

use crate::outbox::OutboxLimit;

/// How long a client waits for a connection to open, and for `welcome` after that (RC-5).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client can be told. The beat itself comes from the server (HB-2).
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The source of all randomness (PU-2). Two clients with one seed behave alike.
    pub seed: u64,
    /// The ceiling of the first delay (RC-1). A smaller one is quicker for one client, and harder on a server that
    /// has just restarted.
    pub backoff_base: Duration,
    /// The ceiling of all later delays (RC-1).
    pub backoff_cap: Duration,
    /// A connection that was live for this long resets the backoff (RC-2).
    pub stable_after: Duration,
    /// How long a connection may take to open (RC-5).
    pub connect_timeout: Duration,
    /// How long `welcome` may take.
    pub welcome_timeout: Duration,
    /// How often to try while the browser says that there is no network (RC-4).
    pub offline_retry: Duration,
    /// The most jitter of a try after "online" or "visible" (RC-4).
    pub wake_jitter: Duration,
    /// How long the answer to a probe may take (HB-6).
    pub probe_timeout: Duration,
    /// The shortest wait for an answer to what the client sent, before it probes (HB-6).
    pub answer_within: Duration,
    /// How many messages are in flight at once (EO-1). More fill the pipe of a slow link; fewer wait for
    /// acks. 32 at 100 ms are 320 messages a second.
    pub window: usize,
    /// How many bytes may be in flight, not counted as arrived, when a further message is sent (EO-1). More fill the
    /// pipe of a quick line; on a slow one they stand before every heartbeat. 8 KiB are two seconds of
    /// 32 kbit/s.
    pub publish_flight: u64,
    /// The same for a draft (PR-2). From half of it on the client asks what has arrived. 2 KiB are half a
    /// second of 32 kbit/s, and some twenty drafts of short texts.
    pub draft_flight: u64,
    /// The slowest line that counts as healthy, in bytes a second: the deadline of a ping leaves it the time
    /// for what was sent before (HB-6). Less takes longer to notice a dead link on which much was sent. 32
    /// kbit/s, and a quarter of it for others.
    pub slowest_line: u32,
    /// How much the outbox may hold (EO-4).
    pub outbox: OutboxLimit,
    /// Whether the outbox is that of a closed page, whose user may be another one (RS-8): it is
    /// sent in its own session or, where that cannot be resumed, left to the user's decision.
    pub inherits: bool,
    /// Whether the driver can fetch tokens (AC-6). Without that a client whose token the server refuses stops
    /// until its user acts.
    pub fetches_tokens: bool,
    /// How many of the newest messages to ask for where there is no position.
    pub join_limit: u32,
}

impl Config {
    /// The numbers of PROTOCOL.md, with this seed for all randomness (PU-2). There is no default for it: clients with
    /// one seed reconnect in the same moments, which is what jitter is to prevent (RC-1). It guards nothing, so it
    /// need not be secret.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            backoff_base: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(10),
            stable_after: Duration::from_secs(10),
            connect_timeout: CONNECT_TIMEOUT,
            welcome_timeout: CONNECT_TIMEOUT,
            offline_retry: Duration::from_secs(30),
            wake_jitter: Duration::from_millis(500),
            probe_timeout: Duration::from_secs(2),
            answer_within: Duration::from_secs(1),
            window: 32,
            publish_flight: 8 * 1024,
            draft_flight: 2 * 1024,
            slowest_line: 3_000,
            outbox: OutboxLimit {
                entries: 1000,
                bytes: 1 << 20,
            },
            inherits: false,
            fetches_tokens: false,
            join_limit: 50,
        }
    }
}
