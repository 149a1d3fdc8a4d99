//! A sliding log of one minute, in buckets of one second.
//!
//! Why this kind: a window that starts anew each minute lets twice its limit through around the turn
//! of the minute; a token bucket does the same after a pause; two weighted counters only guess. A
//! log knows. Kept in buckets, it costs a kilobyte for each limit whatever the traffic. A bucket
//! leaves as a whole when the last of its second is a minute old, so the window covers 60 to 61
//! seconds: in no 60 seconds is more let through than the limit, and the time until there is room
//! is known exactly.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// What may pass in a minute. `None`: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    pub requests: Option<u64>,
    pub tokens: Option<u64>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    Requests,
    Tokens,
}

/// What one request is expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the reply. A guess: where a limit has no room for all of it even when nothing else
    /// is in the window, the rest is not asked for.
    pub output: u64,
}

/// Whether a request would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Free,
    /// It passes, and the limit is nearly used up.
    Near,
    Over(Over),
}

/// A limit that has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    pub dimension: Dimension,
    /// How long until it has, if nothing else is let through.
    pub wait_ms: u64,
}

/// What is in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub requests: u64,
    pub tokens: u64,
}

/// What a request took from a window, and from which second of it.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub tokens: u64,
    pub second: u64,
}

/// What was let through within the last minute. Times are milliseconds since any fixed moment.
#[derive(Debug)]
pub struct Window {
    log: Mutex<Log>,
    /// The sums as of `shown_at`, to be read without the lock. Each is right by itself; together
    /// they may be of two moments, which is enough for a look.
    shown_at: AtomicU64,
    requests: AtomicU64,
    tokens: AtomicU64,
}

/// The sliding log itself, for whoever holds a lock already.
#[derive(Debug)]
pub struct Log {
    /// The latest second that is kept.
    second: u64,
    sum: Used,
    buckets: [Used; BUCKETS],
}

/// The seconds of a minute, and the one that has begun.
const BUCKETS: usize = 61;
const MINUTE_SECONDS: u64 = 60;
const SECOND_MS: u64 = 1_000;

impl Default for Window {
    fn default() -> Self {
        Self {
            log: Mutex::default(),
            shown_at: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { second: 0, sum: Used::default(), buckets: [Used::default(); BUCKETS] }
    }
}

impl Window {
    /// Whether a request would pass, and whether the limit is used up to the share `near`. Takes no
    /// lock unless a second has begun since the last look, or there is no room.
    #[must_use]
    pub fn room(&self, limit: &Limit, cost: Cost, near: f64, now_ms: u64) -> Room {
        let used = self.used(now_ms);
        if limit.refuses(used, cost).is_some() {
            // Looked at again: the sums that are shown may be of two moments.
            return match self.log.lock().over(limit, cost, now_ms) {
                Some(over) => Room::Over(over),
                None => Room::Near,
            };
        }
        let is_near = |used: u64, limit: Option<u64>| {
            limit.is_some_and(|limit| used as f64 >= limit as f64 * near)
        };
        if is_near(used.requests, limit.requests) || is_near(used.tokens, limit.tokens) {
            Room::Near
        } else {
            Room::Free
        }
    }

    /// What is in the window.
    #[must_use]
    pub fn used(&self, now_ms: u64) -> Used {
        if self.shown_at.load(Ordering::Acquire) < now_ms / SECOND_MS
            && let Some(mut log) = self.log.try_lock()
        {
            log.advance(now_ms);
            self.show(&log);
            return log.sum;
        }
        Used {
            requests: self.requests.load(Ordering::Relaxed),
            tokens: self.tokens.load(Ordering::Relaxed),
        }
    }

    /// Lets a request through if the limit has room for it. Returns what was taken from which
    /// second.
    pub(super) fn take(&self, limit: &Limit, cost: Cost, now_ms: u64) -> Result<Taken, Over> {
        let mut log = self.log.lock();
        if let Some(over) = log.over(limit, cost, now_ms) {
            return Err(over);
        }
        let taken = log.take(limit, cost);
        self.show(&log);
        Ok(taken)
    }

    /// Adds what nobody reserved.
    pub(super) fn add(&self, used: Used, now_ms: u64) {
        let mut log = self.log.lock();
        log.charge(used, now_ms);
        self.show(&log);
    }

    /// Gives back what was taken from a second. What has left the window since is gone already.
    pub(super) fn give_back(&self, used: Used, second: u64) {
        let mut log = self.log.lock();
        log.give_back(used, second);
        self.show(&log);
    }

    fn show(&self, log: &Log) {
        self.requests.store(log.sum.requests, Ordering::Relaxed);
        self.tokens.store(log.sum.tokens, Ordering::Relaxed);
        self.shown_at.store(log.second, Ordering::Release);
    }
}

impl Limit {
    /// Whether there is any.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }

    /// Whether there is no room for a request even when nothing else is let through.
    #[must_use]
    pub fn never_has_room(&self, cost: Cost) -> bool {
        self.refuses(Used::default(), cost).is_some()
    }

    /// The tokens to reserve: all, or as many as may pass in a whole minute.
    fn reserved(&self, cost: Cost) -> u64 {
        let whole = cost.input.saturating_add(cost.output);
        self.tokens.map_or(whole, |limit| whole.min(limit.max(cost.input)))
    }

    fn refuses(&self, used: Used, cost: Cost) -> Option<Dimension> {
        let tokens = self.reserved(cost);
        if self.requests.is_some_and(|limit| used.requests >= limit) {
            Some(Dimension::Requests)
        } else if self.tokens.is_some_and(|limit| used.tokens.saturating_add(tokens) > limit) {
            Some(Dimension::Tokens)
        } else {
            None
        }
    }
}

impl Log {
    /// What is in it.
    pub fn used(&mut self, now_ms: u64) -> Used {
        self.advance(now_ms);
        self.sum
    }

    /// Takes what a request needs. The caller has seen that there is room: see [`Log::over`].
    pub fn take(&mut self, limit: &Limit, cost: Cost) -> Taken {
        let tokens = limit.reserved(cost);
        let second = self.add(Used { requests: 1, tokens });
        Taken { tokens, second }
    }

    /// Adds what nobody reserved.
    pub fn charge(&mut self, used: Used, now_ms: u64) {
        self.advance(now_ms);
        self.add(used);
    }

    /// Gives back what was taken from a second. What has left the window since is gone already.
    pub fn give_back(&mut self, used: Used, second: u64) {
        if second + BUCKETS as u64 > self.second {
            let bucket = self.bucket(second);
            // Never more than is there: the callers give back parts of what they took.
            bucket.requests -= used.requests;
            bucket.tokens -= used.tokens;
            self.sum.requests -= used.requests;
            self.sum.tokens -= used.tokens;
        }
    }

    /// Lets go of what is a minute old.
    fn advance(&mut self, now_ms: u64) {
        let now = now_ms / SECOND_MS;
        if now <= self.second {
            // Callers race by microseconds; the clock itself does not go back.
            return;
        }
        if now - self.second >= BUCKETS as u64 {
            self.buckets = [Used::default(); BUCKETS];
            self.sum = Used::default();
            self.second = now;
        }
        while self.second < now {
            self.second += 1;
            let leaving = std::mem::take(self.bucket(self.second));
            self.sum.requests -= leaving.requests;
            self.sum.tokens -= leaving.tokens;
        }
    }

    /// Adds to the latest second. Who comes late by a moment belongs to it, too.
    fn add(&mut self, used: Used) -> u64 {
        let second = self.second;
        let bucket = self.bucket(second);
        bucket.requests += used.requests;
        bucket.tokens = bucket.tokens.saturating_add(used.tokens);
        self.sum.requests += used.requests;
        self.sum.tokens = self.sum.tokens.saturating_add(used.tokens);
        second
    }

    /// Why a request cannot pass now; `None`: it can.
    pub fn over(&mut self, limit: &Limit, cost: Cost, now_ms: u64) -> Option<Over> {
        self.advance(now_ms);
        let dimension = limit.refuses(self.sum, cost)?;
        // Bucket by bucket, oldest first, until there is room. Where even an empty window has none,
        // that is a whole minute.
        let mut left = self.sum;
        let oldest = (self.second + 1).saturating_sub(BUCKETS as u64);
        let mut free_at = self.second + MINUTE_SECONDS;
        for second in oldest..=self.second {
            let bucket = *self.bucket(second);
            left.requests -= bucket.requests;
            left.tokens -= bucket.tokens;
            if limit.refuses(left, cost).is_none() {
                free_at = second + BUCKETS as u64;
                break;
            }
        }
        Some(Over { dimension, wait_ms: (free_at * SECOND_MS).saturating_sub(now_ms).max(1) })
    }

    fn bucket(&mut self, second: u64) -> &mut Used {
        &mut self.buckets[(second % BUCKETS as u64) as usize]
    }
}
