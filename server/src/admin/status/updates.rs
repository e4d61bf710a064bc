//! The stream of updates of a page: Server-Sent Events (HTML Standard, section 9.2). Each has the regions that changed
//! since the one before, as JSON: `[["strip", "<section …"], …]`. One without any says that nothing changed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};

use super::desk::{Desk, Scope};
use super::regions::{self, Region};
use crate::admin::words::Words;

/// How often a page is updated.
const EVERY: Duration = Duration::from_secs(2);

/// The longest pause between two updates: the page calls its figures old after 10 s.
const EVERY_AT_MOST: Duration = Duration::from_secs(7);

/// The least pause, in times of what the last look took: so that an open page costs a server with very many
/// connections a twentieth of a core at most.
const PAUSE_TIMES: u32 = 20;

/// When a browser that lost the stream asks again.
const RETRY: Duration = Duration::from_secs(2);

/// Answers with the stream of a page; 503 where there are too many.
pub(super) fn stream(desk: Arc<Desk>, scope: Scope, words: Words) -> Response {
    let Ok(permit) = Arc::clone(&desk.streams).try_acquire_owned() else {
        let text = "Too many pages are open: close one.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let watcher = Watcher {
        desk,
        scope,
        words,
        sent: HashMap::new(),
        pause: None,
        _permit: permit,
    };
    let events = stream::unfold(watcher, |mut watcher| async {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    let head = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that buffer answers would hold events back.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (head, Sse::new(events)).into_response()
}

/// A page that is open.
struct Watcher {
    desk: Arc<Desk>,
    scope: Scope,
    words: Words,
    /// A hash of each region as it was sent.
    sent: HashMap<&'static str, u64>,
    /// The pause before the next update; `None` before the first one.
    pause: Option<Duration>,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next update; `None` once the listener ends.
    async fn next(&mut self) -> Option<Event> {
        let end = self.desk.end.clone();
        end.run_until_cancelled(self.update()).await
    }

    async fn update(&mut self) -> Event {
        if let Some(pause) = self.pause {
            sleep(pause).await;
        }
        let begun = Instant::now();
        let look = self.desk.look(&self.scope).await;
        let regions = regions::render(self.words, &self.scope, &look);
        self.pause = Some(pause_after(begun.elapsed()));
        let changed: Vec<(&str, String)> = regions
            .into_iter()
            .filter(|region| changed(&mut self.sent, region))
            .map(|region| (region.id, region.html))
            .collect();
        let event = Event::default().retry(RETRY);
        // Texts are always JSON.
        event.data(serde_json::to_string(&changed).unwrap_or_default())
    }
}

/// Notes a region as sent. Returns whether it is another one than before.
fn changed(sent: &mut HashMap<&'static str, u64>, region: &Region) -> bool {
    let mut hasher = DefaultHasher::new();
    region.html.hash(&mut hasher);
    let hash = hasher.finish();
    sent.insert(region.id, hash) != Some(hash)
}

fn pause_after(took: Duration) -> Duration {
    (took * PAUSE_TIMES).clamp(EVERY, EVERY_AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_sent_when_it_changes() {
        let mut sent = HashMap::new();
        let region = |html: &str| Region {
            id: "strip",
            html: html.to_owned(),
        };
        assert!(changed(&mut sent, &region("<p>1</p>")));
        assert!(!changed(&mut sent, &region("<p>1</p>")));
        assert!(changed(&mut sent, &region("<p>2</p>")));
    }

    #[test]
    fn what_takes_long_is_done_less_often() {
        let ms = Duration::from_millis;
        let pauses = [1, 200, 5_000].map(|took| pause_after(ms(took)));
        assert_eq!(pauses, [EVERY, ms(4_000), EVERY_AT_MOST]);
    }
}
