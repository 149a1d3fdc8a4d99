//! How fast a deployment answers, and how much it has been asked: what the latency-based and the
//! usage-based strategies know.
//!
//! Streams and whole replies are never mixed: of a stream the time to its first content counts, of
//! a whole reply the time per output token.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::decay::{Mean, PerMinute};
use super::stats::nanos;

/// Of one deployment. Durations are nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Speed {
    first_content: Mean,
    per_token: Mean,
    /// Any answer, of any kind: what a silence is compared with.
    answer: Mean,
    /// Attempts that wait for their first answer.
    awaiting: AtomicU32,
    /// When an answer came last, or when somebody began to wait and nobody did before.
    progress: AtomicU64,
    pub(super) requests: PerMinute,
    pub(super) tokens: PerMinute,
}

/// What a request may expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) nanos: f64,
    /// How long ago the last sample came.
    pub(super) age: Duration,
}

impl Speed {
    pub(super) fn begin(&self, now: u64) {
        if self.awaiting.fetch_add(1, Ordering::Relaxed) == 0 {
            self.progress.store(now, Ordering::Relaxed);
        }
        self.requests.add(1, now);
    }

    /// The wait of one attempt is over, whatever ended it.
    pub(super) fn end(&self) {
        self.awaiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// An answer came (of a stream: its first content) `took` nanoseconds after the attempt began.
    pub(super) fn answered(&self, stream: bool, took: u64, now: u64) {
        self.progress.store(now, Ordering::Relaxed);
        self.answer.add(took as f64, now);
        if stream {
            self.first_content.add(took as f64, now);
        }
    }

    /// A whole reply of so many tokens came. One without (an embedding) counts as it is.
    pub(super) fn replied(&self, output_tokens: u64, took: u64, now: u64) {
        self.per_token.add(took as f64 / output_tokens.max(1) as f64, now);
    }

    /// Nothing came within `took` nanoseconds. That is a sample: it would have taken longer.
    pub(super) fn timed_out(&self, stream: bool, took: u64, now: u64) {
        self.answer.add(took as f64, now);
        if stream {
            self.first_content.add(took as f64, now);
        } else if let Some((per_token, _)) = self.per_token.get(now)
            && let Some((answer, _)) = self.answer.get(now)
        {
            self.per_token.add(per_token * (took as f64 / answer).max(1.0), now);
        }
    }

    pub(super) fn awaiting(&self) -> u32 {
        self.awaiting.load(Ordering::Relaxed)
    }

    /// What a request may expect; `None` if nothing was learnt within `ttl`.
    ///
    /// While attempts wait for longer than is usual, the silence counts: a deployment that hangs
    /// sends no sample that would say so.
    pub(super) fn estimate(&self, stream: bool, ttl: Duration, now: u64) -> Option<Estimate> {
        let mean = if stream { &self.first_content } else { &self.per_token };
        let (value, age) = mean.get(now).filter(|(_, age)| *age <= nanos(ttl))?;
        Some(Estimate { nanos: value * self.silence(now), age: Duration::from_nanos(age) })
    }

    /// How many times longer than usual nothing has come; 1 if all is well.
    fn silence(&self, now: u64) -> f64 {
        if self.awaiting() == 0 {
            return 1.0;
        }
        let Some((usual, _)) = self.answer.get(now) else { return 1.0 };
        let silent = now.saturating_sub(self.progress.load(Ordering::Relaxed)) as f64;
        (silent / (usual.max(1.0) * SILENCE)).max(1.0)
    }
}

/// A wait of so many times the usual one is nothing yet.
const SILENCE: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const TTL: Duration = Duration::from_secs(3600);

    #[test]
    fn streams_and_whole_replies_are_apart() {
        let speed = Speed::default();
        speed.answered(true, 300 * MS, 1000 * MS);
        assert!(speed.estimate(false, TTL, 1000 * MS).is_none());
        speed.replied(100, 2000 * MS, 3000 * MS);
        let whole = speed.estimate(false, TTL, 3000 * MS).unwrap();
        assert!((whole.nanos / MS as f64 - 20.0).abs() < 0.1, "{whole:?}");
        let stream = speed.estimate(true, TTL, 3000 * MS).unwrap();
        assert!((stream.nanos / MS as f64 - 300.0).abs() < 0.1, "{stream:?}");
    }

    #[test]
    fn a_silence_counts_while_somebody_waits() {
        let speed = Speed::default();
        speed.answered(true, 100 * MS, 1000 * MS);
        let at = |ms: u64| speed.estimate(true, TTL, ms * MS).unwrap().nanos / MS as f64;
        assert!((at(60_000) - 100.0).abs() < 0.1, "nobody waits");
        speed.begin(60_000 * MS);
        assert!((at(60_200) - 100.0).abs() < 0.1, "not long yet");
        assert!((at(63_000) - 1000.0).abs() < 1.0, "ten times the usual bound");
        speed.end();
        assert!((at(63_000) - 100.0).abs() < 0.1);
    }

    #[test]
    fn what_is_older_than_the_ttl_is_forgotten() {
        let speed = Speed::default();
        speed.answered(true, MS, 0);
        assert!(speed.estimate(true, Duration::from_secs(10), 9_000 * MS).is_some());
        assert!(speed.estimate(true, Duration::from_secs(10), 11_000 * MS).is_none());
    }
}
