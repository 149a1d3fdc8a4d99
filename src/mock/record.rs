//! What the scripted provider has seen: requests, connections, clients that left.
//!
//! The connections write here, a test reads and waits here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Semaphore;

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request's method.
    pub method: Method,
    /// The path with its query, as written.
    pub path: String,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The whole body, without its transfer coding.
    pub body: Bytes,
    /// When the body was complete.
    pub at: Instant,
    /// Which connection it came on: 1 for the first one accepted.
    pub connection: u64,
}

impl Recorded {
    /// A header's text, if there is one and it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The key that the client showed, in whichever header.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        let bearer = self.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        let others = ["x-api-key", "api-key", "x-goog-api-key"];
        bearer.or_else(|| others.into_iter().find_map(|name| self.header(name)))
    }
}

/// A client that went away before its reply was complete.
#[derive(Clone, Copy, Debug)]
pub struct Disconnect {
    /// When it was seen.
    pub at: Instant,
    /// The connection, as in [`Recorded::connection`].
    pub connection: u64,
    /// How much of the reply's body was already written.
    pub body_bytes: u64,
}

/// The common record of all connections.
#[derive(Debug)]
pub(super) struct Record {
    /// Keeps requests. Off for a tool that runs for days.
    keeps_requests: bool,
    seen: Mutex<Seen>,
    changed: Condvar,
    pub(super) accepted: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    /// One permit lets one stalled reply go on.
    pub(super) releases: Semaphore,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Recorded>,
    disconnects: Vec<Disconnect>,
    /// How many disconnects `wait_for_disconnect` has handed out.
    disconnects_told: usize,
    stalls: usize,
    stalls_told: usize,
}

impl Record {
    pub(super) fn new(keeps_requests: bool) -> Self {
        Self {
            keeps_requests,
            seen: Mutex::default(),
            changed: Condvar::new(),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            releases: Semaphore::new(0),
        }
    }

    pub(super) fn keeps_requests(&self) -> bool {
        self.keeps_requests
    }

    pub(super) fn request(&self, request: &Recorded) {
        if self.keeps_requests {
            self.seen.lock().requests.push(request.clone());
            self.changed.notify_all();
        }
    }

    pub(super) fn disconnect(&self, connection: u64, body_bytes: u64) {
        tracing::debug!(connection, body_bytes, "the client left before its reply was complete");
        if self.keeps_requests {
            let disconnect = Disconnect { at: Instant::now(), connection, body_bytes };
            self.seen.lock().disconnects.push(disconnect);
            self.changed.notify_all();
        }
    }

    pub(super) fn stall(&self) {
        self.seen.lock().stalls += 1;
        self.changed.notify_all();
    }

    pub(super) fn opened(&self) -> u64 {
        self.open.fetch_add(1, Ordering::Relaxed);
        let number = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        self.changed.notify_all();
        number
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        // The lock orders this before a waiter's look at the counter: no wake-up is lost.
        drop(self.seen.lock());
        self.changed.notify_all();
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.seen.lock().requests.clone()
    }

    pub(super) fn request_count(&self) -> usize {
        self.seen.lock().requests.len()
    }

    pub(super) fn disconnects(&self) -> Vec<Disconnect> {
        self.seen.lock().disconnects.clone()
    }

    pub(super) fn forget(&self) {
        *self.seen.lock() = Seen::default();
    }

    /// The next disconnect nobody has waited for yet.
    pub(super) fn wait_for_disconnect(&self, patience: Duration) -> Option<Disconnect> {
        self.wait(patience, |seen| {
            let next = seen.disconnects.get(seen.disconnects_told).copied()?;
            seen.disconnects_told += 1;
            Some(next)
        })
    }

    pub(super) fn wait_for_stall(&self, patience: Duration) -> bool {
        let stalled = self
            .wait(patience, |seen| (seen.stalls > seen.stalls_told).then(|| seen.stalls_told += 1));
        stalled.is_some()
    }

    pub(super) fn wait_for_requests(&self, count: usize, patience: Duration) -> bool {
        self.wait(patience, |seen| (seen.requests.len() >= count).then_some(())).is_some()
    }

    pub(super) fn wait_for_no_connection(&self, patience: Duration) -> bool {
        let closed = |_: &mut Seen| (self.open.load(Ordering::Relaxed) == 0).then_some(());
        self.wait(patience, closed).is_some()
    }

    fn wait<T>(&self, patience: Duration, ready: impl Fn(&mut Seen) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut seen = self.seen.lock();
        loop {
            if let Some(found) = ready(&mut seen) {
                return Some(found);
            }
            if self.changed.wait_until(&mut seen, deadline).timed_out() {
                return ready(&mut seen);
            }
        }
    }
}
