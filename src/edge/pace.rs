//! A client that sends its request's head too slowly, or keeps a connection for nothing.
//!
//! Pingora bounds the wait for each byte: who sends one a minute may go on for ever. Here the time
//! is bounded until the head is complete. What the requests of a connection are doing is known to
//! the gateway, which says so through a task-local: HTTP/1 is served by the connection's own task.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::settings::Limits;

/// The state in which a request is being answered, or in which nothing is bounded.
const BUSY: u64 = u64::MAX;

tokio::task_local! {
    static PACE: Arc<Pace>;
}

/// Since when a connection waits for a request.
#[derive(Debug)]
struct Pace {
    began: Instant,
    /// The moment by which the head has to be complete, in milliseconds since `began`.
    due: AtomicU64,
    keepalive: u64,
}

/// The head of a request is complete.
pub fn head_arrived() {
    PACE.try_with(|pace| pace.due.store(BUSY, Ordering::Release)).ok();
}

/// The request is answered; the connection may be kept for another one.
pub fn request_over() {
    PACE.try_with(|pace| {
        let due = pace.now().saturating_add(pace.keepalive);
        pace.due.store(due, Ordering::Release);
    })
    .ok();
}

/// The connection has bounds of its own: HTTP/2.
pub fn unbounded() {
    head_arrived();
}

impl Pace {
    fn now(&self) -> u64 {
        milliseconds(self.began.elapsed())
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(BUSY - 1)
}

/// Serves a connection, and drops it when its client takes too long. `None`: that is how it ended.
pub(super) async fn keep<T>(limits: &Limits, serving: impl Future<Output = T>) -> Option<T> {
    let header = milliseconds(limits.client_header_timeout);
    let pace = Arc::new(Pace {
        began: Instant::now(),
        due: AtomicU64::new(header),
        // Its first byte may come at the end of the time, and the rest of the head after it.
        keepalive: milliseconds(limits.keepalive_timeout).saturating_add(header),
    });
    let serving = PACE.scope(Arc::clone(&pace), serving);
    let overdue = async {
        loop {
            let (due, now) = (pace.due.load(Ordering::Acquire), pace.now());
            // Looked at from time to time and not told: that costs nothing for each request.
            let wait = match due {
                BUSY => header,
                due if due <= now => return,
                due => due - now,
            };
            tokio::time::sleep(Duration::from_millis(wait.max(1))).await;
        }
    };
    tokio::select! {
        biased;
        served = serving => Some(served),
        () = overdue => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn limits(header_ms: u64, keepalive_ms: u64) -> Limits {
        Limits {
            client_header_timeout: Duration::from_millis(header_ms),
            keepalive_timeout: Duration::from_millis(keepalive_ms),
            ..Limits::default()
        }
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_the_connection() {
        assert_eq!(keep(&limits(20, 60_000), pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_connection_without_a_further_request_ends() {
        let serving = async {
            head_arrived();
            request_over();
            pending::<()>().await;
        };
        assert_eq!(keep(&limits(20, 20), serving).await, None);
    }

    #[tokio::test]
    async fn an_answer_may_take_as_long_as_it_takes() {
        let serving = async {
            head_arrived();
            tokio::time::sleep(Duration::from_millis(120)).await;
            7
        };
        assert_eq!(keep(&limits(20, 20), serving).await, Some(7));
    }
}
