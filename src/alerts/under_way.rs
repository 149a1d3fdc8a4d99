//! Requests that have no answer yet, so that one that hangs is seen before it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// How many are watched at one time; further ones are not.
const WATCHED_MAX: usize = 10_000;
/// Locks behind which they are kept.
const SHARDS: usize = 16;

/// All that are watched.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    shards: [Mutex<FxHashMap<u64, Waiting>>; SHARDS],
    next: AtomicU64,
    count: AtomicUsize,
}

#[derive(Debug)]
struct Waiting {
    group: Arc<str>,
    request_id: Arc<str>,
    since: Instant,
    told: bool,
}

/// One of them; watched until it is dropped.
#[derive(Debug)]
pub struct Watched {
    all: Arc<UnderWay>,
    number: u64,
}

/// One that waits for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hanging {
    pub(super) group: Arc<str>,
    pub(super) request_id: Arc<str>,
    /// Until it was found: it may be answered before that is told.
    pub(super) waited: Duration,
}

impl UnderWay {
    /// Watches a request; `None` where there are too many.
    #[must_use]
    pub(super) fn watch(
        self: &Arc<Self>,
        group: Arc<str>,
        request_id: Arc<str>,
        since: Instant,
    ) -> Option<Watched> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= WATCHED_MAX {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { group, request_id, since, told: false };
        self.shard(number).lock().insert(number, waiting);
        Some(Watched { all: Arc::clone(self), number })
    }

    fn shard(&self, number: u64) -> &Mutex<FxHashMap<u64, Waiting>> {
        // The cast cannot truncate: there are few shards.
        &self.shards[(number % SHARDS as u64) as usize]
    }

    /// Those that have waited so long, each once.
    pub(super) fn hanging(&self, threshold: Duration, now: Instant) -> Vec<Hanging> {
        let mut hanging = Vec::new();
        if self.count.load(Ordering::Relaxed) == 0 {
            return hanging;
        }
        for shard in &self.shards {
            let mut shard = shard.lock();
            let is_due = |waiting: &&mut Waiting| {
                let waited = now.saturating_duration_since(waiting.since);
                !waiting.told && waited >= threshold
            };
            hanging.extend(shard.values_mut().filter(is_due).map(|waiting| {
                waiting.told = true;
                let (group, request_id) = (&waiting.group, &waiting.request_id);
                Hanging {
                    group: Arc::clone(group),
                    request_id: Arc::clone(request_id),
                    waited: now.saturating_duration_since(waiting.since),
                }
            }));
        }
        hanging.sort_by_key(|one| std::cmp::Reverse(one.waited));
        hanging
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.all.shard(self.number).lock().remove(&self.number);
        self.all.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_too_long_is_named_once_and_who_is_answered_not_at_all() {
        let all = Arc::new(UnderWay::default());
        let start = Instant::now();
        let watch = |id: &str| all.watch("gpt".into(), id.into(), start).unwrap();
        let (hangs, answered) = (watch("a"), watch("b"));
        let after = |seconds| {
            let now = start + Duration::from_secs(seconds);
            let hanging = all.hanging(Duration::from_secs(5), now);
            hanging.into_iter().map(|one| one.request_id.to_string()).collect::<Vec<_>>()
        };
        assert!(after(4).is_empty());
        drop(answered);
        assert_eq!(after(5), ["a"]);
        assert!(after(6).is_empty());
        drop(hangs);
        assert_eq!(all.count.load(Ordering::Relaxed), 0);
        assert!(all.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn there_is_a_bound() {
        let all = Arc::new(UnderWay::default());
        let watch = || all.watch("gpt".into(), "id".into(), Instant::now());
        let many: Vec<_> = (0..WATCHED_MAX).map_while(|_| watch()).collect();
        assert_eq!(many.len(), WATCHED_MAX);
        assert!(watch().is_none());
        drop(many);
        assert!(watch().is_some());
    }
}
