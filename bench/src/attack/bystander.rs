//! The bystander: a client at another address that publishes now and then, and times the acks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use everbeat_client::{Client, Event, Fate};
use protocol::id::RoomName;
use protocol::outbox::EntryId;
use tokio::time::sleep_until;

use crate::session::joining;

/// The interval of its messages. It sends none while one waits for its ack.
const PACE: Duration = Duration::from_millis(25);

const UNDISTURBED: u8 = 0;
const DISTURBED: u8 = 1;
const OVER: u8 = 2;

/// The median times of its acks; `None` without messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Acks {
    /// Before the attack.
    pub(super) undisturbed: Option<Duration>,
    /// During it.
    pub(super) disturbed: Option<Duration>,
}

/// A running bystander, on a thread of its own, as the attack keeps this program's other threads busy.
pub(super) struct Bystander {
    phase: Arc<AtomicU8>,
    publishing: JoinHandle<[Vec<Duration>; 2]>,
}

impl Bystander {
    /// Connects a bystander, which joins its room and begins to publish.
    ///
    /// # Errors
    /// If no runtime can be had for its thread.
    pub(super) fn enter(address: SocketAddr) -> anyhow::Result<Self> {
        let phase = Arc::new(AtomicU8::new(UNDISTURBED));
        let room = RoomName::new("bystander")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let known = Arc::clone(&phase);
        let client = joining(address, 1, std::slice::from_ref(&room))?;
        let publishing =
            thread::spawn(move || runtime.block_on(publish(client, room, known.as_ref())));
        Ok(Self { phase, publishing })
    }

    /// From now on its acks count as disturbed.
    pub(super) fn is_disturbed(&self) {
        self.phase.store(DISTURBED, Ordering::Relaxed);
    }

    /// Ends it; returns its times.
    pub(super) async fn end(self) -> Acks {
        self.phase.store(OVER, Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(|| self.publishing.join());
        let Ok(Ok([undisturbed, disturbed])) = ended.await else {
            return Acks::default();
        };
        Acks {
            undisturbed: median(undisturbed),
            disturbed: median(disturbed),
        }
    }
}

/// Publishes until the phase is over. A message without an ack by then counts with the time that it waited.
async fn publish(mut client: Client, room: RoomName, phase: &AtomicU8) -> [Vec<Duration>; 2] {
    let mut acks = [Vec::new(), Vec::new()];
    let mut on_its_way: Option<(EntryId, Instant, u8)> = None;
    let mut next = Instant::now();
    loop {
        let now = phase.load(Ordering::Relaxed);
        if now == OVER {
            let rest = on_its_way.map(|(_, since, phase)| (phase, since.elapsed()));
            note(&mut acks, rest);
            return acks;
        }
        tokio::select! {
            Some(event) = client.next() => {
                let acked = on_its_way.take_if(|(id, ..)| is_ack(&event, *id));
                note(&mut acks, acked.map(|(_, since, phase)| (phase, since.elapsed())));
            }
            () = sleep_until(next.into()) => {
                next = Instant::now() + PACE;
                if on_its_way.is_none() {
                    let published = client.publish(room.clone(), "a bystander's message");
                    on_its_way = published.ok().map(|id| (id, Instant::now(), now));
                }
            }
        }
    }
}

fn note(acks: &mut [Vec<Duration>; 2], ack: Option<(u8, Duration)>) {
    if let Some((phase, took)) = ack
        && let Some(acks) = acks.get_mut(usize::from(phase))
    {
        acks.push(took);
    }
}

fn is_ack(event: &Event, wanted: EntryId) -> bool {
    matches!(
        event,
        Event::Fate { id, fate: Fate::Durable { .. }, .. } if *id == wanted
    )
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let ms = Duration::from_millis;
        assert_eq!(median(vec![ms(9), ms(1), ms(5)]), Some(ms(5)));
        assert_eq!(median(Vec::new()), None);
    }
}
