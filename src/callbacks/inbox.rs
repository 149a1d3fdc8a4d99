//! The queue of one sink: bounded by count and by bytes, taken from in batches.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The most payloads that wait in memory for one sink, and the most of their bytes.
const COUNT_MAX: usize = 10_000;
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What waits for one sink.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    batch: usize,
    count_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    payloads: VecDeque<Bytes>,
    bytes: usize,
    /// When the oldest of them came, as far as is known.
    since: Option<Instant>,
}

impl Inbox {
    /// A queue whose batches have so many payloads.
    pub(super) fn new(batch: usize) -> Self {
        Self::bounded(batch, COUNT_MAX, BYTES_MAX)
    }

    /// The same with bounds of its own.
    pub(super) fn bounded(batch: usize, count_max: usize, bytes_max: usize) -> Self {
        let (waiting, news) = (Mutex::default(), Notify::new());
        Self { waiting, news, batch, count_max, bytes_max }
    }

    /// Adds a payload. Where there is no room for it, the oldest make it: they are returned, a batch
    /// of them or as many as it takes.
    pub(super) fn push(&self, payload: Bytes) -> Vec<Bytes> {
        let mut waiting = self.waiting.lock();
        let mut removed = Vec::new();
        while !waiting.payloads.is_empty()
            && (waiting.payloads.len() >= self.count_max
                || waiting.bytes + payload.len() > self.bytes_max)
        {
            removed.append(&mut waiting.take(self.batch, self.bytes_max));
        }
        waiting.bytes += payload.len();
        waiting.payloads.push_back(payload);
        waiting.since.get_or_insert_with(Instant::now);
        let length = waiting.payloads.len();
        drop(waiting);
        if length == 1 || length >= self.batch {
            self.news.notify_one();
        }
        removed
    }

    /// The oldest payloads: at most so many, and no more bytes, but one at least.
    pub(super) fn take(&self, bytes_max: usize) -> Vec<Bytes> {
        self.waiting.lock().take(self.batch, bytes_max)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.lock().payloads.len()
    }

    /// Until a batch is complete, or its first payload has waited for so long. What was waited for
    /// stays where it is, so this may be given up at any time.
    pub(super) async fn ready(&self, every: Duration) {
        loop {
            let due = {
                let waiting = self.waiting.lock();
                if waiting.payloads.len() >= self.batch {
                    return;
                }
                waiting.since.map(|since| since + every)
            };
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => return,
                () = self.news.notified() => {}
            }
        }
    }
}

impl Waiting {
    fn take(&mut self, count_max: usize, bytes_max: usize) -> Vec<Bytes> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.payloads.front() {
            if taken.len() >= count_max || (!taken.is_empty() && bytes + next.len() > bytes_max) {
                break;
            }
            bytes += next.len();
            taken.extend(self.payloads.pop_front());
        }
        self.bytes -= bytes;
        // Those that stay came later; that they wait a little longer than is said does no harm.
        self.since = (!self.payloads.is_empty()).then(Instant::now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn what_there_is_no_room_for_goes_oldest_first_and_in_batches() {
        let inbox = Inbox::bounded(2, 3, 100);
        for text in ["a", "b", "c"] {
            assert!(inbox.push(payload(text)).is_empty());
        }
        assert_eq!(inbox.push(payload("d")), ["a", "b"]);
        assert_eq!(inbox.len(), 2);
        let inbox = Inbox::bounded(10, 10, 4);
        assert!(inbox.push(payload("aaa")).is_empty());
        assert_eq!(inbox.push(payload("bbb")), ["aaa"], "bytes are bounded, too");
        let inbox = Inbox::bounded(1, 10, 4);
        for text in ["a", "b", "c"] {
            assert!(inbox.push(payload(text)).is_empty());
        }
        assert_eq!(inbox.push(payload("ddd")), ["a", "b"], "a large one needs the room of several");
    }

    #[test]
    fn a_batch_has_a_bound_in_bytes_and_one_payload_at_least() {
        let inbox = Inbox::new(10);
        for text in ["aaaa", "b", "c"] {
            inbox.push(payload(text));
        }
        assert_eq!(inbox.take(2), ["aaaa"]);
        assert_eq!(inbox.take(2), ["b", "c"]);
        assert!(inbox.take(2).is_empty());
    }

    #[tokio::test]
    async fn a_batch_is_due_when_it_is_complete_or_its_first_has_waited() {
        let inbox = Inbox::new(2);
        let (every, moment) = (Duration::from_millis(50), Duration::from_millis(10));
        assert!(tokio::time::timeout(moment, inbox.ready(every)).await.is_err(), "nothing waits");
        inbox.push(payload("a"));
        let began = Instant::now();
        // Giving it up and asking again does not begin the wait anew.
        while tokio::time::timeout(moment, inbox.ready(every)).await.is_err() {}
        assert!(began.elapsed() >= every, "{:?}", began.elapsed());
        inbox.push(payload("b"));
        let never = Duration::from_secs(3_600);
        inbox.ready(never).await;
        assert_eq!(inbox.take(100).len(), 2, "a complete batch does not wait");
    }
}
