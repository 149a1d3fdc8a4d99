//! WHO IS TOLD: callbacks that hear of every request when it is over, in LiteLLM's words.
//!
//! ```text
//! a request (gateway) --- Told --> Callbacks   one bounded queue; what does not fit is counted
//!                                     |
//! Clerk (clerk.rs)         makes the payload once (payload.rs) and gives it to each sink that wants it
//!                                     |
//! Sink (sink.rs)           its own queue (inbox.rs), batches, attempts, pauses; what cannot be
//!                          delivered waits on the disk (spill.rs) until the receiver is back
//!                                     |
//! Sinks (own/)             those of single keys and teams, made when they are needed
//! Courier (courier.rs)     the receivers' own forms: generic.rs, langfuse.rs, datadog.rs, s3.rs
//! ```
//!
//! A receiver that is slow or dead fills its own queue and then its own folder, and nobody else's.
//! Delivery is at least once: what was sent and not answered is sent again. Knows nothing of HTTP
//! sessions, of the configuration's form and of databases.

mod clerk;
mod courier;
mod datadog;
mod generic;
mod inbox;
pub mod langfuse;
pub mod own;
mod payload;
mod post;
mod s3;
#[cfg(test)]
mod sample;
mod settings;
mod sink;
mod spill;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub use self::clerk::Clerk;
pub use self::settings::{Bucket, Format, Labels, Post, Settings, SinkSettings, Target};
pub use self::told::{CacheUse, Failed, Text, Told};

/// Requests that wait for the clerk, who is seldom busy.
const QUEUE_MAX: usize = 10_000;
/// Trials of callbacks that wait for the clerk.
const TRIALS_MAX: usize = 8;
/// What their prompts and replies may hold of memory. Beyond it requests are told without them.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is counted of one sink. Kept by its name, over reloads.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that the receiver has taken.
    pub sent: AtomicU64,
    /// Requests that it will not take, whatever is done.
    pub failed: AtomicU64,
    /// Requests that there was no room for.
    pub dropped: AtomicU64,
    /// Requests that were put on the disk.
    pub spilled: AtomicU64,
    /// Those that wait in memory.
    pub queued: AtomicU64,
    /// Those that wait on the disk.
    pub kept: AtomicU64,
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

/// The end of the queue that requests hold. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Callbacks {
    queue: mpsc::Sender<Box<Told>>,
    trials: mpsc::Sender<Trial>,
    shared: Arc<Shared>,
}

/// A callback is to be told of a request that nobody made, now.
#[derive(Debug)]
struct Trial {
    callback: Box<str>,
    answer: oneshot::Sender<Result<(), String>>,
}

/// What requests, the clerk and the sinks share.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes of prompts and replies in the queue.
    text: AtomicUsize,
    counts: Mutex<BTreeMap<Box<str>, Arc<Counts>>>,
}

impl Shared {
    /// So many requests are told to nobody.
    fn lose(&self, requests: usize) {
        self.counts.lock().values().for_each(|counts| add(&counts.dropped, requests));
    }

    fn counts_of(&self, name: &str) -> Arc<Counts> {
        let mut counts = self.counts.lock();
        Arc::clone(counts.entry(name.into()).or_default())
    }
}

impl Callbacks {
    /// The two ends.
    #[must_use]
    pub fn new() -> (Self, Clerk) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let (trials, tried) = mpsc::channel(TRIALS_MAX);
        let shared = Arc::<Shared>::default();
        let clerk = Clerk::new(waiting, tried, Arc::clone(&shared));
        (Self { queue, trials, shared }, clerk)
    }

    /// Tells one callback of a request that nobody made, past its queue.
    ///
    /// # Errors
    /// Why it did not take it.
    pub async fn try_out(&self, callback: &str) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let trial = Trial { callback: callback.into(), answer };
        let busy = |_| "too many callbacks are tried at once".to_owned();
        self.trials.try_send(trial).map_err(busy)?;
        answered.await.unwrap_or_else(|_| Err("the process ends".to_owned()))
    }

    /// Tells of a request. Never waits.
    pub fn tell(&self, mut told: Box<Told>) {
        let text = told.text_bytes();
        let held = self.shared.text.fetch_add(text, Ordering::Relaxed);
        if held + text > TEXT_BYTES_MAX {
            self.shared.text.fetch_sub(text, Ordering::Relaxed);
            told.text = None;
        }
        if let Err(refused) = self.queue.try_send(told) {
            let told = refused.into_inner();
            self.shared.text.fetch_sub(told.text_bytes(), Ordering::Relaxed);
            self.shared.lose(1);
        }
    }

    /// What is counted, by the names of the sinks.
    pub fn each_count(&self, mut tell: impl FnMut(&str, &Counts)) {
        for (name, counts) in &*self.shared.counts.lock() {
            tell(name, counts);
        }
    }
}
