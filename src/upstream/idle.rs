//! Idle HTTP/1.1 connections of one address, ready to serve again.
//!
//! Pingora's own pool spawns a task for each connection that is given back, to watch it until it is
//! taken, and taking it waits for that task: some 7 % of the CPU time of a short request. Here a
//! connection is looked at when it is taken, and all of them now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use parking_lot::Mutex;
use pingora_core::protocols::Stream;
use tokio::io::AsyncReadExt;

/// Counts the idle connections of all addresses, so that there is one bound for them.
pub(super) type Count = Arc<AtomicUsize>;

/// The connections of one address.
#[derive(Default)]
pub(super) struct Idle {
    /// The one that was used last stands at the end and is taken first, so that those which are not
    /// needed grow old.
    connections: Mutex<Vec<Kept>>,
}

struct Kept {
    stream: Stream,
    since: Instant,
    _place: Place,
}

/// One of those counted; counts itself out when dropped.
struct Place(Count);

impl Place {
    fn among(count: &Count, bound: usize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::AcqRel);
        let place = Self(Arc::clone(count));
        (before < bound).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Idle {
    /// A connection that was idle for less than `idle_max` and that the upstream has not closed.
    pub(super) fn take(&self, now: Instant, idle_max: Duration) -> Option<Stream> {
        loop {
            let mut kept = self.connections.lock().pop()?;
            if kept.is_usable(now, idle_max) {
                return Some(kept.stream);
            }
        }
    }

    /// Keeps a connection, unless `bound` of them are kept already over all addresses.
    pub(super) fn put(&self, stream: Stream, now: Instant, count: &Count, bound: usize) {
        if let Some(place) = Place::among(count, bound) {
            self.connections.lock().push(Kept { stream, since: now, _place: place });
        }
    }

    /// Closes those that would not be taken any more.
    pub(super) fn sweep(&self, now: Instant, idle_max: Duration) {
        self.connections.lock().retain_mut(|kept| kept.is_usable(now, idle_max));
    }
}

impl Kept {
    /// Whether it is young enough, open, and silent as an upstream that owes nothing has to be.
    fn is_usable(&mut self, now: Instant, idle_max: Duration) -> bool {
        let mut byte = [0];
        now.saturating_duration_since(self.since) < idle_max
            // Outside the task's budget, which would make a readable connection look silent.
            && tokio::task::unconstrained(self.stream.read(&mut byte)).now_or_never().is_none()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn put(idle: &Idle, now: Instant, count: &Count) -> DuplexStream {
        let (ours, theirs) = duplex(64);
        idle.put(Box::new(ours), now, count, 2);
        theirs
    }

    #[tokio::test]
    async fn a_connection_is_taken_once_and_the_latest_first() {
        let (idle, count, now) = (Idle::default(), Count::default(), Instant::now());
        let _first = put(&idle, now, &count);
        let mut second = put(&idle, now, &count);
        let mut taken = idle.take(now, MINUTE).unwrap();
        taken.write_all(b"x").await.unwrap();
        assert_eq!(second.read_u8().await.unwrap(), b'x');
        assert!(idle.take(now, MINUTE).is_some());
        assert!(idle.take(now, MINUTE).is_none());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn one_that_is_closed_talkative_or_old_is_not_taken() {
        let (idle, count, now) = (Idle::default(), Count::default(), Instant::now());
        drop(put(&idle, now, &count));
        let mut talkative = put(&idle, now, &count);
        talkative.write_all(b"x").await.unwrap();
        assert!(idle.take(now, MINUTE).is_none());
        let _old = put(&idle, now, &count);
        assert!(idle.take(now + MINUTE, MINUTE).is_none());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_sweep_closes_what_cannot_be_used_and_a_full_pool_takes_no_more() {
        let (idle, count, now) = (Idle::default(), Count::default(), Instant::now());
        let _old = put(&idle, now, &count);
        drop(put(&idle, now + MINUTE, &count));
        let mut beyond = put(&idle, now, &count);
        assert!(beyond.read_u8().await.is_err(), "closed, because there is no place for it");
        idle.sweep(now + MINUTE, MINUTE);
        assert_eq!(count.load(Ordering::Relaxed), 0);
        let _young = put(&idle, now + MINUTE, &count);
        idle.sweep(now + MINUTE, MINUTE);
        assert!(idle.take(now + MINUTE, MINUTE).is_some());
    }
}
