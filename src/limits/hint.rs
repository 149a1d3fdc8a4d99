//! What a provider said is left of its own limits.
//!
//! Providers tell with every reply. Until the time at which they start anew, a request that needs
//! more than is left is not sent. What is sent meanwhile is taken off, so that a burst does not run
//! into a number that was true a second ago; the next reply corrects it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::window::{Cost, Dimension, Over, Room};

/// One limit, as a reply tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub remaining: u64,
    pub limit: Option<u64>,
    /// How long until the limit starts anew.
    pub reset: Duration,
}

/// Both limits, as far as a reply tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub requests: Option<Left>,
    pub tokens: Option<Left>,
}

/// What was told last. Times are milliseconds since any fixed moment.
#[derive(Debug, Default)]
pub struct Hint {
    requests: Line,
    tokens: Line,
}

#[derive(Debug, Default)]
struct Line {
    remaining: AtomicU64,
    /// 0: not told.
    limit: AtomicU64,
    /// What was told holds until then.
    until_ms: AtomicU64,
}

impl Hint {
    /// Takes down what a reply tells. It is believed for `longest` at most: some providers name a
    /// limit of a day, and let one request through long before the day is over.
    pub fn learn(&self, told: &Told, longest: Duration, now_ms: u64) {
        for (line, told) in [(&self.requests, told.requests), (&self.tokens, told.tokens)] {
            let Some(told) = told else { continue };
            let reset = u64::try_from(told.reset.min(longest).as_millis()).unwrap_or(u64::MAX);
            line.remaining.store(told.remaining, Ordering::Relaxed);
            line.limit.store(told.limit.unwrap_or(0), Ordering::Relaxed);
            line.until_ms.store(now_ms.saturating_add(reset), Ordering::Release);
        }
    }

    /// Whether a request would pass.
    #[must_use]
    pub fn room(&self, cost: Cost, near: f64, now_ms: u64) -> Room {
        let mut room = Room::Free;
        for (line, dimension, needed) in [
            (&self.requests, Dimension::Requests, 1),
            // The reply's length is a guess, and providers let a guess pass.
            (&self.tokens, Dimension::Tokens, cost.input.max(1)),
        ] {
            let until = line.until_ms.load(Ordering::Acquire);
            if until <= now_ms {
                continue;
            }
            let remaining = line.remaining.load(Ordering::Relaxed);
            if remaining < needed {
                return Room::Over(Over { dimension, wait_ms: until - now_ms });
            }
            let limit = line.limit.load(Ordering::Relaxed);
            if limit > 0 && (remaining as f64) <= limit as f64 * (1.0 - near) {
                room = Room::Near;
            }
        }
        room
    }

    /// A request is on its way.
    pub fn sent(&self, cost: Cost) {
        for (line, needed) in [(&self.requests, 1), (&self.tokens, cost.input)] {
            let less = |remaining: u64| Some(remaining.saturating_sub(needed));
            let _before = line.remaining.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }
}
