//! Requests as they end, for whoever looks right now. While nobody does, nothing is noted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::record::{RequestRecord, Route};

/// Requests that are kept until all have seen them; of more in one second, some are missed.
const KEPT_MAX: usize = 8_192;
/// How many may look at one time.
const WATCHERS_MAX: usize = 32;

/// What ended lately.
#[derive(Default)]
pub struct Live {
    watchers: AtomicUsize,
    seen: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    /// How many came before the first that is kept.
    before: u64,
    kept: VecDeque<Arc<Seen>>,
}

/// A request that is over, in brief.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// `x-request-id`.
    pub id: Box<str>,
    pub started: SystemTime,
    pub duration: Duration,
    pub first_token: Option<Duration>,
    /// The hash of the key, of a virtual one.
    pub key: Option<Arc<str>>,
    pub user: Option<Box<str>>,
    pub group: Option<Arc<str>>,
    pub provider: Option<Arc<str>>,
    pub deployment: Option<Arc<str>>,
    pub status: u16,
    /// The class of the error, if it failed.
    pub error: Option<&'static str>,
    pub failed: bool,
    pub timed_out: bool,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_pico: u64,
    pub attempts: usize,
    pub stream: bool,
}

impl Live {
    /// Notes a request that is over, if anybody looks.
    pub(super) fn see(&self, record: &RequestRecord) {
        let is_call =
            matches!(record.route, Route::Inference(..) | Route::PassThrough | Route::Realtime);
        if !is_call || self.watchers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let seen = Arc::new(Seen::of(record));
        let mut ring = self.seen.lock();
        if ring.kept.len() >= KEPT_MAX {
            ring.kept.pop_front();
            ring.before += 1;
        }
        ring.kept.push_back(seen);
    }

    /// Begins to look; `None`: too many do.
    #[must_use]
    pub fn watch(self: &Arc<Self>) -> Option<Watch> {
        let mut ring = self.seen.lock();
        let watching = self.watchers.load(Ordering::Relaxed);
        if watching >= WATCHERS_MAX {
            return None;
        }
        self.watchers.store(watching + 1, Ordering::Relaxed);
        // Who comes first begins with nothing, and later ones with what comes from now on.
        let next = ring.before + ring.kept.len() as u64;
        ring.kept.shrink_to(KEPT_MAX);
        Some(Watch { live: Arc::clone(self), next })
    }
}

/// Somebody who looks. Counted until it is dropped.
pub struct Watch {
    live: Arc<Live>,
    next: u64,
}

impl Watch {
    /// What ended since this was last asked, the oldest first, and how many more that were missed.
    pub fn news(&mut self) -> (Vec<Arc<Seen>>, u64) {
        let ring = self.live.seen.lock();
        let missed = ring.before.saturating_sub(self.next);
        let known = self.next.saturating_sub(ring.before);
        let skipped = usize::try_from(known).unwrap_or(usize::MAX);
        let news: Vec<_> = ring.kept.iter().skip(skipped).cloned().collect();
        self.next = ring.before + ring.kept.len() as u64;
        (news, missed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut ring = self.live.seen.lock();
        let left = self.live.watchers.load(Ordering::Relaxed).saturating_sub(1);
        self.live.watchers.store(left, Ordering::Relaxed);
        if left == 0 {
            ring.before += ring.kept.len() as u64;
            ring.kept = VecDeque::new();
        }
    }
}

impl Seen {
    fn of(record: &RequestRecord) -> Self {
        let holder = record.client.holder();
        let served = record.served.as_ref();
        let class = record.error.as_ref().map(|error| error.class);
        let usage = record.usage.unwrap_or_default();
        Self {
            id: record.request_id.as_str().into(),
            started: record.started,
            duration: record.durations.total,
            first_token: record.durations.ttft,
            key: holder.map(|holder| Arc::clone(holder.hash())),
            user: holder.and_then(|holder| holder.user_id()).map(Into::into),
            group: served.map(|it| Arc::clone(&it.group)).or_else(|| record.group_asked.clone()),
            provider: served.map(|it| Arc::clone(&it.deployment.provider)),
            deployment: served.map(|it| Arc::clone(&it.deployment.id)),
            status: record.status,
            error: class,
            failed: record.failed(),
            timed_out: matches!(class, Some("timeout" | "deadline")),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost_pico: record.cost.unwrap_or_default().pico(),
            attempts: record.attempts.len(),
            stream: record.stream,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn who_looks_sees_what_ends_from_then_on_and_each_once() {
        let live = Arc::new(Live::default());
        live.see(&sample::answered());
        assert_eq!(live.seen.lock().kept.len(), 0, "nobody looks");
        let mut first = live.watch().unwrap();
        live.see(&sample::answered());
        let mut second = live.watch().unwrap();
        live.see(&sample::answered());
        assert_eq!((first.news().0.len(), second.news().0.len()), (2, 1));
        assert_eq!((first.news().0.len(), second.news().0.len()), (0, 0));
        drop(first);
        live.see(&sample::answered());
        assert_eq!(second.news().0[0].group.as_deref(), Some("gpt"));
        drop(second);
        assert_eq!(live.seen.lock().kept.capacity(), 0, "nothing is kept for nobody");
        let mut third = live.watch().unwrap();
        assert_eq!(third.news().0.len(), 0);
    }

    #[test]
    fn memory_and_watchers_are_bounded() {
        let live = Arc::new(Live::default());
        let mut watch = live.watch().unwrap();
        (0..KEPT_MAX + 5).for_each(|_| live.see(&sample::answered()));
        let (news, missed) = watch.news();
        assert_eq!((news.len(), missed), (KEPT_MAX, 5));
        let others: Vec<_> = (1..WATCHERS_MAX).map(|_| live.watch().unwrap()).collect();
        assert!(live.watch().is_none());
        drop(others);
        assert!(live.watch().is_some());
    }
}
