//! One sink: takes batches from its queue, makes attempts, and puts on the disk what the receiver does
//! not take for the moment.
//!
//! While the receiver is away everything goes to the disk, and the oldest file is what it is tried
//! with, after pauses that double. When it is back, files and new batches take turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::courier::{Courier, Delivery, Refused};
use super::inbox::Inbox;
use super::settings::SinkSettings;
use super::spill::{Claim, Spill};
use super::{Counts, add};

/// Attempts for a batch before it goes to the disk, with pauses that double between them.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also if a receiver wants a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Refused requests of one batch that the log names.
const REFUSED_LOGGED: usize = 8;
/// How often the folder is looked at for what another process has left there.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long the sink may go on when it is to end; what still waits then goes to the disk.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// A sink at work.
pub(super) struct Sink {
    pub(super) settings: Arc<SinkSettings>,
    inbox: Inbox,
    spill: Arc<Spill>,
    counts: Arc<Counts>,
    courier: Courier,
    /// Something went to the disk for want of room in memory.
    overflowed: Notify,
    /// That the disk is full was said, and nothing was delivered since.
    is_full: AtomicBool,
    /// When it is to have ended, once it is to end.
    ends: watch::Sender<Option<Instant>>,
    /// What this sink adds to [`Counts::queued`] and [`Counts::kept`].
    queued: AtomicU64,
    kept: AtomicU64,
}

/// How the receiver is doing.
struct Health {
    /// It is away: how long the pause after the next failure is.
    pause: Option<Duration>,
    /// When the folder is to be looked at.
    look: Instant,
}

impl Sink {
    pub(super) fn new(
        settings: Arc<SinkSettings>,
        inbox: Inbox,
        spill: Spill,
        counts: Arc<Counts>,
        courier: Courier,
    ) -> Self {
        Self {
            settings,
            inbox,
            spill: Arc::new(spill),
            counts,
            courier,
            overflowed: Notify::new(),
            is_full: AtomicBool::new(false),
            ends: watch::Sender::new(None),
            queued: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// Whether it has something to tell, as far as it knows.
    pub(super) fn has_work(&self) -> bool {
        self.inbox.len() > 0 || self.kept.load(Ordering::Relaxed) > 0
    }

    /// Gives it a payload. Never fails: what there is no room for goes to the disk, and what there is
    /// no room for there is lost and counted.
    pub(super) async fn push(&self, payload: Bytes) {
        let removed = self.inbox.push(payload);
        if !removed.is_empty() {
            self.put_away(removed).await;
            self.overflowed.notify_one();
        }
        self.count_queued();
    }

    /// One attempt with a payload, past all that waits.
    ///
    /// # Errors
    /// Why the receiver did not take it.
    pub(super) async fn try_out(&self, payload: Bytes) -> Result<(), String> {
        let delivery = self.courier.deliver(vec![payload]).await;
        add(&self.counts.sent, delivery.sent);
        let refused = delivery.refused.into_iter().map(|refused| refused.why).next();
        match delivery.sent {
            0 => Err(refused.or(delivery.why).unwrap_or_else(|| "it was not taken".to_owned())),
            _ => Ok(()),
        }
    }

    /// It is to deliver what it has, and to end.
    pub(super) fn end(&self) {
        self.ends.send_if_modified(|ends| {
            let is_first = ends.is_none();
            ends.get_or_insert_with(|| Instant::now() + FLUSH_MAX);
            is_first
        });
    }

    #[cfg(test)]
    pub(super) fn ends(&self) -> bool {
        self.ends.borrow().is_some()
    }

    /// Until it is to end; when it is to have ended.
    async fn is_to_end(&self) -> Instant {
        let mut ends = self.ends.subscribe();
        // It does not fail: the other end is ours.
        let told = ends.wait_for(Option::is_some).await.ok().and_then(|ends| *ends);
        told.unwrap_or_else(Instant::now)
    }

    /// Delivers what comes until it is to end.
    pub(super) async fn run(self: Arc<Self>) {
        let mut health = Health { pause: None, look: Instant::now() };
        loop {
            tokio::select! {
                _ = self.is_to_end() => break,
                () = self.inbox.ready(self.settings.every) => {
                    let batch = self.inbox.take(self.settings.target.batch_bytes());
                    self.count_queued();
                    if health.pause.is_some() {
                        self.put_away(batch).await;
                    } else {
                        self.deliver(batch, &mut health).await;
                    }
                }
                () = self.overflowed.notified(), if health.pause.is_none() => {
                    health.look = Instant::now();
                }
                () = tokio::time::sleep_until(health.look) => self.deliver_kept(&mut health).await,
            }
        }
        self.flush(&mut health).await;
    }

    /// Makes attempts with a batch; what is left of it after the last one goes to the disk.
    async fn deliver(&self, mut batch: Vec<Bytes>, health: &mut Health) {
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS {
            let delivery = self.attempt(batch).await;
            self.settle(&delivery, health);
            batch = delivery.left;
            if batch.is_empty() {
                return;
            }
            let wait = delivery.wait.unwrap_or(pause).min(PAUSE_MAX);
            if attempt == ATTEMPTS || wait > pause {
                self.is_away(health, wait, delivery.why.as_deref());
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.is_to_end() => break,
            }
            pause *= 2;
        }
        self.put_away(batch).await;
    }

    /// One attempt, which is given up when the sink is to have ended.
    async fn attempt(&self, batch: Vec<Bytes>) -> Delivery {
        let too_long = async { tokio::time::sleep_until(self.is_to_end().await).await };
        tokio::select! {
            delivery = self.courier.deliver(batch.clone()) => delivery,
            () = too_long => Delivery::left(batch, "the process ends".to_owned(), None),
        }
    }

    /// Delivers the oldest file, if there is one and it is time.
    async fn deliver_kept(&self, health: &mut Health) {
        let Some(claim) = self.claim().await else {
            health.look = Instant::now() + LOOK_EVERY;
            // What it was tried with is gone: the next batch will tell.
            health.pause = None;
            self.count_kept().await;
            return;
        };
        let delivery = self.attempt(claim.payloads.clone()).await;
        self.settle(&delivery, health);
        if delivery.left.is_empty() {
            // There may be more.
            health.look = Instant::now();
        } else {
            let pause = health.pause.map_or(PAUSE, |pause| (pause * 2).min(PAUSE_MAX));
            let wait = delivery.wait.map_or(pause, |wait| wait.clamp(pause, PAUSE_MAX));
            self.is_away(health, wait, delivery.why.as_deref());
        }
        if delivery.left.len() < claim.payloads.len() {
            let (spill, left) = (Arc::clone(&self.spill), delivery.left);
            let done = move || spill.delivered(&claim, &left);
            self.on_disk(done).await;
        }
        self.count_kept().await;
    }

    async fn claim(&self) -> Option<Claim> {
        let spill = Arc::clone(&self.spill);
        match tokio::task::spawn_blocking(move || spill.oldest()).await {
            Ok(Ok(claim)) => claim,
            Ok(Err(error)) => {
                self.disk_failed(&error);
                None
            }
            // The process is ending.
            Err(_) => None,
        }
    }

    /// Puts payloads on the disk.
    async fn put_away(&self, payloads: Vec<Bytes>) {
        if payloads.is_empty() {
            return;
        }
        let (spill, count) = (Arc::clone(&self.spill), payloads.len());
        match self.on_disk(move || spill.write(&payloads)).await {
            true => add(&self.counts.spilled, count),
            false => add(&self.counts.dropped, count),
        }
        self.count_kept().await;
    }

    /// Does something on the disk, and counts what was removed for want of room. Whether it was done.
    async fn on_disk(&self, work: impl FnOnce() -> std::io::Result<u64> + Send + 'static) -> bool {
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(dropped)) => {
                if dropped > 0 {
                    self.counts.dropped.fetch_add(dropped, Ordering::Relaxed);
                    if !self.is_full.swap(true, Ordering::Relaxed) {
                        let callback = &*self.settings.name;
                        tracing::warn!(callback, "what waits on disk is too much: the oldest goes");
                    }
                }
                true
            }
            Ok(Err(error)) => {
                self.disk_failed(&error);
                false
            }
            // The process is ending.
            Err(_) => false,
        }
    }

    fn disk_failed(&self, error: &std::io::Error) {
        tracing::warn!(callback = &*self.settings.name, %error, "what waits cannot be kept on disk");
    }

    /// Notes what became of a batch.
    fn settle(&self, delivery: &Delivery, health: &mut Health) {
        let callback = &*self.settings.name;
        add(&self.counts.sent, delivery.sent);
        add(&self.counts.failed, delivery.refused.len());
        for Refused { id, why } in delivery.refused.iter().take(REFUSED_LOGGED) {
            tracing::warn!(callback, id, why, "a request is refused by the callback for good");
        }
        let more = delivery.refused.len().saturating_sub(REFUSED_LOGGED);
        if more > 0 {
            tracing::warn!(callback, more, "and others with it are refused by the callback");
        }
        if delivery.sent > 0 {
            self.is_full.store(false, Ordering::Relaxed);
        }
        if delivery.sent > 0 && health.pause.take().is_some() {
            tracing::info!(callback, "the callback takes requests again");
        }
    }

    /// The receiver is away; it is tried again after a pause.
    fn is_away(&self, health: &mut Health, wait: Duration, why: Option<&str>) {
        if health.pause.replace(wait).is_none() {
            let callback = &*self.settings.name;
            tracing::warn!(callback, why, "the callback does not take requests: they wait on disk");
        }
        health.look = Instant::now() + wait;
    }

    /// The end: one attempt for what waits in memory, and the rest goes to the disk.
    async fn flush(&self, health: &mut Health) {
        let deadline = self.is_to_end().await;
        let mut is_away = health.pause.is_some();
        loop {
            let batch = self.inbox.take(self.settings.target.batch_bytes());
            if batch.is_empty() {
                break;
            }
            if is_away || Instant::now() >= deadline {
                self.put_away(batch).await;
                continue;
            }
            let delivery = self.attempt(batch).await;
            self.settle(&delivery, health);
            is_away = !delivery.left.is_empty();
            self.put_away(delivery.left).await;
        }
        self.count_queued();
    }

    fn count_queued(&self) {
        set(&self.counts.queued, &self.queued, self.inbox.len() as u64);
    }

    async fn count_kept(&self) {
        let spill = Arc::clone(&self.spill);
        if let Ok(Ok(count)) = tokio::task::spawn_blocking(move || spill.count()).await {
            set(&self.counts.kept, &self.kept, count);
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Whoever is counted by the same name goes on.
        set(&self.counts.queued, &self.queued, 0);
        set(&self.counts.kept, &self.kept, 0);
    }
}

/// Replaces what one sink adds to a number that several may share.
fn set(all: &AtomicU64, own: &AtomicU64, now: u64) {
    let before = own.swap(now, Ordering::Relaxed);
    all.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
}
