//! A bound on requests in flight with a short queue in front of it.
//!
//! Beyond the bound more requests make each of them slower and none more come out. A burst waits
//! for its turn; what does not get one in time is better sent elsewhere, and told so at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::edge::Admission;

/// The places, and who waits for one.
#[derive(Debug)]
pub struct Queue {
    places: Arc<Semaphore>,
    size: Mutex<Size>,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Size {
    /// How many places there are to be.
    wanted: usize,
    /// Places that are taken and are not to be given again: the bound was lowered.
    surplus: usize,
}

/// One place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    permit: Option<OwnedSemaphorePermit>,
    queue: Arc<Queue>,
}

/// There is no place, and none became free in time.
#[derive(Debug, PartialEq, Eq)]
pub struct Overloaded;

impl Queue {
    /// A queue without places; the settings say how many there are.
    #[must_use]
    pub fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(0)),
            size: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Takes a place, or waits for one; `shown` makes what is held meanwhile. `None` if there is no
    /// bound.
    ///
    /// # Errors
    /// [`Overloaded`]: as many wait as may, or the time is over.
    pub async fn enter<G>(
        self: &Arc<Self>,
        settings: &Admission,
        shown: impl FnOnce() -> G,
    ) -> Result<Option<Place>, Overloaded> {
        let Some(max) = settings.max_in_flight else { return Ok(None) };
        self.resize(max);
        let place = |permit| Some(Place { permit: Some(permit), queue: Arc::clone(self) });
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place(permit));
        }
        let waiting = Waiting::enter(&self.waiting, settings.max_queued).ok_or(Overloaded)?;
        let shown = shown();
        let turn = Arc::clone(&self.places).acquire_owned();
        let turn = tokio::time::timeout(settings.queue_timeout, turn).await;
        drop((waiting, shown));
        match turn {
            Ok(Ok(permit)) => Ok(place(permit)),
            Ok(Err(_)) | Err(_) => Err(Overloaded),
        }
    }

    fn resize(&self, wanted: usize) {
        let mut size = self.size.lock();
        if wanted > size.wanted {
            let more = wanted - size.wanted;
            let kept = more.min(size.surplus);
            size.surplus -= kept;
            self.places.add_permits(more - kept);
        } else if wanted < size.wanted {
            let less = size.wanted - wanted;
            size.surplus += less - self.places.forget_permits(less);
        }
        size.wanted = wanted;
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut size = self.queue.size.lock();
        if size.surplus > 0 {
            size.surplus -= 1;
            permit.forget();
        }
    }
}

/// Somebody who waits; counts itself out when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::AcqRel);
        let waiting = Self(count);
        (before < max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(in_flight: usize, queued: usize, patience_ms: u64) -> Admission {
        Admission {
            max_in_flight: Some(in_flight),
            max_queued: queued,
            queue_timeout: Duration::from_millis(patience_ms),
        }
    }

    #[tokio::test]
    async fn without_a_bound_everybody_enters() {
        let queue = Arc::new(Queue::new());
        assert!(matches!(queue.enter(&Admission::default(), || ()).await, Ok(None)));
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_place() {
        let queue = Arc::new(Queue::new());
        let settings = settings(1, 1, 60_000);
        let first = queue.enter(&settings, || ()).await.unwrap();
        let second = queue.enter(&settings, || ());
        let third = queue.enter(&settings, || ());
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        assert!(third.await.is_err(), "one may wait");
        drop(first);
        let second = second.await.unwrap();
        assert!(second.is_some());
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_that() {
        let queue = Arc::new(Queue::new());
        let settings = settings(1, 1, 1);
        let _first = queue.enter(&settings, || ()).await.unwrap();
        assert_eq!(queue.enter(&settings, || ()).await.unwrap_err(), Overloaded);
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_bound_may_change_meanwhile() {
        let queue = Arc::new(Queue::new());
        let (wide, narrow) = (settings(3, 0, 1), settings(1, 0, 1));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(queue.enter(&wide, || ()).await.unwrap());
        }
        assert!(queue.enter(&narrow, || ()).await.is_err());
        held.pop();
        held.pop();
        assert!(queue.enter(&narrow, || ()).await.is_err(), "one is in flight, which is all");
        held.pop();
        let one = queue.enter(&narrow, || ()).await.unwrap();
        assert!(queue.enter(&narrow, || ()).await.is_err());
        let two = queue.enter(&wide, || ()).await.unwrap();
        let three = queue.enter(&wide, || ()).await.unwrap();
        assert!(queue.enter(&wide, || ()).await.is_err());
        drop((one, two, three));
        assert_eq!(queue.places.available_permits(), 3);
    }
}
