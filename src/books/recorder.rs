//! Where requests write down what they spent.
//!
//! Called on the path of requests: an append is one `write` into the page cache. What the disk does
//! not take waits in memory, bounded, and is moved from there.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use super::record;
use super::state::{Count, State};
use crate::spend::SpendEvent;
use crate::store::journal::{Frame, Journal};

/// Parts of the table of open requests, each with a lock of its own.
const SHARDS: usize = 16;

/// Records that wait in memory while the disk takes none.
const SPARE_MAX: usize = 10_000;

/// The journal of one process.
#[derive(Debug)]
pub struct Books {
    pub(super) journal: Arc<Journal>,
    state: Arc<State>,
    /// Requests that have begun and are not over.
    open: [Mutex<HashMap<Arc<str>, Opening>>; SHARDS],
    hasher: RandomState,
    /// What the disk did not take.
    spare: Mutex<VecDeque<SpendEvent>>,
}

#[derive(Debug)]
struct Opening {
    /// The segment that the record is in.
    segment: u64,
    frame: Frame,
}

impl Books {
    #[must_use]
    pub fn new(journal: Journal, state: Arc<State>) -> Self {
        Self {
            journal: Arc::new(journal),
            state,
            open: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            spare: Mutex::default(),
        }
    }

    #[must_use]
    pub const fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Takes down that a client has something of a reply, or how much by now. Without [`Self::over`]
    /// this becomes the request's row.
    pub fn begun(&self, event: &SpendEvent) {
        let Some(mut frame) = record::begun(event) else { return };
        // Held while it is written: its segment must not go before it is known to be in it.
        let mut open = self.shard(&event.request_id).lock();
        match self.journal.append(&mut frame) {
            Ok(segment) => {
                open.insert(Arc::clone(&event.request_id), Opening { segment, frame });
            }
            // Its end is what counts.
            Err(error) => self.blocked(&error),
        }
    }

    /// Takes down all of a request. When this returns, its row is certain, unless the disk and then
    /// the memory are full.
    pub fn over(&self, event: SpendEvent) {
        let Some(mut frame) = record::over(&event) else { return };
        let appended = self.journal.append(&mut frame);
        self.shard(&event.request_id).lock().remove(&*event.request_id);
        match appended {
            Ok(_) => {
                self.state.add(Count::Appended, 1);
                if self.state.block(false) {
                    tracing::info!("the journal is written again");
                }
            }
            Err(error) => {
                self.blocked(&error);
                self.state.add(Count::Unjournaled, 1);
                let mut spare = self.spare.lock();
                if spare.len() < SPARE_MAX {
                    spare.push_back(event);
                } else {
                    self.state.add(Count::Lost, 1);
                }
            }
        }
    }

    /// Tries whether the disk takes records again.
    pub(super) fn probe(&self) {
        if self.state.is_blocked() && self.journal.probe().is_ok() && self.state.block(false) {
            tracing::info!("the journal can be written again");
        }
    }

    fn blocked(&self, error: &std::io::Error) {
        if self.state.block(true) {
            tracing::error!(
                %error,
                "the journal cannot be written: what is spent waits in memory, and is lost if the \
                 process ends"
            );
        }
    }

    /// Writes what is still open of a segment down once more, so that the segment can go.
    pub(super) fn carry(&self, finished: u64) -> std::io::Result<()> {
        for shard in &self.open {
            // Held while it is written: a request that ends meanwhile ends after this.
            let mut open = shard.lock();
            for opening in open.values_mut().filter(|opening| opening.segment <= finished) {
                opening.segment = self.journal.append(&mut opening.frame)?;
            }
        }
        Ok(())
    }

    /// Whether no request has begun that is not over.
    pub(super) fn is_idle(&self) -> bool {
        self.open.iter().all(|shard| shard.lock().is_empty())
    }

    /// What waits in memory, at most so much. It stays there until [`Self::spared`].
    pub(super) fn spare(&self, events_max: usize) -> Vec<SpendEvent> {
        self.spare.lock().iter().take(events_max).cloned().collect()
    }

    /// How many wait in memory.
    pub(super) fn spares(&self) -> usize {
        self.spare.lock().len()
    }

    /// So many of what waits in memory are in the ledger.
    pub(super) fn spared(&self, events: usize) {
        let mut spare = self.spare.lock();
        let events = events.min(spare.len());
        spare.drain(..events);
    }

    fn shard(&self, id: &str) -> &Mutex<HashMap<Arc<str>, Opening>> {
        // There are `SHARDS` of them.
        &self.open[self.hasher.hash_one(id) as usize % SHARDS]
    }
}
