//! The client's numbers.

use std::time::Duration;

use crate::outbox::OutboxLimit;

/// What a client can be told. The beat itself comes from the server (HB-2).
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Where all randomness comes from (PU-2). Two clients with one seed behave alike.
    pub seed: u64,
    /// The ceiling of the first delay (RC-1). Smaller is quicker for one and harder on a server that
    /// just came back.
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
    /// The shortest wait for an answer to what we sent, before a probe (HB-6).
    pub answer_within: Duration,
    /// How many messages are on the way at once. More fill the pipe of a slow link; fewer wait for
    /// acks. 32 at 100 ms are 320 messages a second.
    pub window: usize,
    /// Bytes that may be under way, and do not count as arrived, when a further message is sent. More fill the
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
    /// How much may wait in the outbox (EO-4).
    pub outbox: OutboxLimit,
    /// Whether the outbox is that of a page which is gone, and whose person may be gone, too (RS-8): it is
    /// emptied in its own session or, where that cannot be resumed, given to a person.
    pub inherits: bool,
    /// Whether the driver can fetch tokens (AC-6). Where it cannot, a server that wants another token
    /// than the one shown waits for a person.
    pub fetches_tokens: bool,
    /// How many of the newest messages to ask for where there is no position.
    pub join_limit: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            backoff_base: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(10),
            stable_after: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            welcome_timeout: Duration::from_secs(10),
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
