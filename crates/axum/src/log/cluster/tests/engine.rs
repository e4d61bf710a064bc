//! An engine in memory, with the faults of a real one: no quorum, acks that are lost, live packs that are not delivered,
//! a node that is cut off.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::log::engine::{Bounds, Engine, EngineError, EngineState, Source, Topic};

/// What all nodes share.
#[derive(Default)]
pub(super) struct Stream {
    state: Mutex<State>,
}

struct State {
    id: Arc<str>,
    first: u64,
    /// From the sequence `first` on; `None` where a pack was erased.
    packs: Vec<Option<Bytes>>,
    replacements: BTreeMap<u64, Bytes>,
    live: Vec<mpsc::UnboundedSender<(u64, Bytes)>>,
    told: Vec<(Topic, mpsc::UnboundedSender<Bytes>)>,
    faults: Faults,
}

/// The faults that all nodes feel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Nothing is stored and the leader says nothing.
    pub(super) has_no_quorum: bool,
    /// What is stored is not acknowledged.
    pub(super) loses_acks: bool,
    /// What is stored is not delivered live.
    pub(super) is_silent: bool,
    /// Nothing is stored, as there is no room. The leader answers all else.
    pub(super) is_full: bool,
    /// No pack is erased.
    pub(super) erases_nothing: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            id: "stream-1".into(),
            first: 1,
            packs: Vec::new(),
            replacements: BTreeMap::new(),
            live: Vec::new(),
            told: Vec::new(),
            faults: Faults::default(),
        }
    }
}

impl Stream {
    pub(super) fn set(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Makes it another stream, with nothing in it.
    pub(super) fn replace(&self) {
        let mut state = self.state.lock();
        state.id = "stream-2".into();
        state.packs.clear();
    }

    /// Stores what no node sent.
    pub(super) fn store(&self, pack: &[u8]) -> u64 {
        self.state.lock().store(Bytes::copy_from_slice(pack))
    }

    /// All packs, without those that were erased.
    pub(super) fn packs(&self) -> Vec<Bytes> {
        self.state.lock().packs.iter().flatten().cloned().collect()
    }

    /// Drops packs before this sequence, as a stream does for their age.
    pub(super) fn trim(&self, first: u64) {
        let mut state = self.state.lock();
        while state.first < first && !state.packs.is_empty() {
            state.packs.remove(0);
            state.first += 1;
        }
    }

    /// The engine as one node has it.
    pub(super) fn node(self: &Arc<Self>) -> Arc<VirtualEngine> {
        Arc::new(VirtualEngine {
            stream: Arc::clone(self),
            state: watch::Sender::new(EngineState::Ready),
        })
    }
}

impl State {
    fn store(&mut self, pack: Bytes) -> u64 {
        self.packs.push(Some(pack.clone()));
        let sequence = self.last();
        if !self.faults.is_silent {
            self.live
                .retain(|to| to.send((sequence, pack.clone())).is_ok());
        }
        sequence
    }

    fn last(&self) -> u64 {
        self.first - 1 + self.packs.len() as u64
    }

    fn get(&self, sequence: u64) -> Option<Bytes> {
        let at = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.packs.get(at)?.clone()
    }
}

/// The engine as one node has it, which can be cut off from it.
pub(super) struct VirtualEngine {
    stream: Arc<Stream>,
    state: watch::Sender<EngineState>,
}

impl VirtualEngine {
    /// Cuts the node off, or ends that.
    pub(super) fn cut(&self, is_cut: bool) {
        self.state.send_replace(match is_cut {
            true => EngineState::Failing(unavailable()),
            false => EngineState::Ready,
        });
    }

    fn is_cut(&self) -> bool {
        !self.state.borrow().is_ready()
    }

    fn ask<T: Send + 'static>(
        &self,
        needs_quorum: bool,
        work: impl FnOnce(&mut State) -> Result<T, EngineError>,
    ) -> BoxFuture<'static, Result<T, EngineError>> {
        let mut state = self.stream.state.lock();
        let fails = self.is_cut() || (needs_quorum && state.faults.has_no_quorum);
        let result = if fails {
            Err(unavailable())
        } else {
            work(&mut state)
        };
        Box::pin(std::future::ready(result))
    }
}

fn unavailable() -> EngineError {
    EngineError::Unavailable("no leader".into())
}

impl Engine for VirtualEngine {
    fn publish(&self, pack: Bytes) -> BoxFuture<'static, Result<u64, EngineError>> {
        self.ask(true, |state| {
            if state.faults.is_full {
                return Err(EngineError::Full("no room".into()));
            }
            let sequence = state.store(pack);
            let is_lost = state.faults.loses_acks;
            if is_lost {
                Err(unavailable())
            } else {
                Ok(sequence)
            }
        })
    }

    fn fetch(
        &self,
        sequence: u64,
        from: Source,
    ) -> BoxFuture<'static, Result<Option<Bytes>, EngineError>> {
        self.ask(from == Source::Leader, |state| Ok(state.get(sequence)))
    }

    fn bounds(&self) -> BoxFuture<'static, Result<Bounds, EngineError>> {
        self.ask(true, |state| {
            Ok(Bounds {
                first: state.first,
                last: state.last(),
                id: state.id.to_string(),
            })
        })
    }

    fn live(&self) -> BoxStream<'static, (u64, Bytes)> {
        let (to, from) = mpsc::unbounded_channel();
        self.stream.state.lock().live.push(to);
        let cut = self.state.subscribe();
        let packs = stream::unfold(from, |mut from| async { Some((from.recv().await?, from)) });
        packs
            .filter(move |_| std::future::ready(cut.borrow().is_ready()))
            .boxed()
    }

    fn replacement(&self, sequence: u64) -> BoxFuture<'static, Result<Option<Bytes>, EngineError>> {
        self.ask(true, |state| Ok(state.replacements.get(&sequence).cloned()))
    }

    fn erase(
        &self,
        sequence: u64,
        before: Bytes,
        after: Bytes,
    ) -> BoxFuture<'static, Result<(), EngineError>> {
        self.ask(true, |state| {
            if state.faults.erases_nothing {
                return Err(unavailable());
            }
            let stored = state.get(sequence);
            let now = stored.or_else(|| state.replacements.get(&sequence).cloned());
            if now != Some(before) {
                return Err(EngineError::Unavailable(
                    "another erasure came first".into(),
                ));
            }
            state.replacements.insert(sequence, after);
            let at = usize::try_from(sequence - state.first).unwrap();
            state.packs[at] = None;
            Ok(())
        })
    }

    fn tell(&self, topic: Topic, bytes: Bytes) {
        if !self.is_cut() {
            let mut state = self.stream.state.lock();
            state
                .told
                .retain(|(about, to)| *about != topic || to.send(bytes.clone()).is_ok());
        }
    }

    fn hear(&self, topic: Topic) -> BoxStream<'static, Bytes> {
        let (to, from) = mpsc::unbounded_channel();
        self.stream.state.lock().told.push((topic, to));
        let cut = self.state.subscribe();
        let told = stream::unfold(from, |mut from| async { Some((from.recv().await?, from)) });
        told.filter(move |_| std::future::ready(cut.borrow().is_ready()))
            .boxed()
    }

    fn state(&self) -> watch::Receiver<EngineState> {
        self.state.subscribe()
    }
}
