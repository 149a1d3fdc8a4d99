//! Averages and counts that forget, in atomics: read for every candidate of every choice.
//!
//! Times are nanoseconds on the clock of `State`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// An average of the recent past.
///
/// A sample counts for more the longer the one before it is ago, so that after a pause the average
/// is what is, not what was; in a crowd of samples each counts as one of [`FEW`]. Two samples at
/// the same instant may cost one of them: it is an average.
#[derive(Debug, Default)]
pub(super) struct Mean {
    /// Upper half: when the last sample came, in hundredths of a second, plus one; 0: never.
    /// Lower half: the average as `f32`.
    packed: AtomicU64,
    samples: AtomicU32,
}

impl Mean {
    pub(super) fn add(&self, sample: f64, now: u64) {
        let samples = self.samples.fetch_add(1, Ordering::Relaxed);
        let value = match self.get(now) {
            None => sample,
            Some((value, age)) => {
                let crowd = if samples < FEW { 1.0 / f64::from(samples + 1) } else { LEAST };
                let pause = 1.0 - (-(age as f64) / MEMORY_NANOS).exp();
                value + (sample - value) * crowd.max(pause)
            }
        };
        let at = u64::from(u32::try_from(now / UNIT_NANOS).unwrap_or(u32::MAX - 1)) + 1;
        let bits = u64::from((value as f32).to_bits());
        self.packed.store(at << 32 | bits, Ordering::Relaxed);
    }

    /// The average and how long ago its last sample came, in nanoseconds; `None` without a sample.
    pub(super) fn get(&self, now: u64) -> Option<(f64, u64)> {
        let packed = self.packed.load(Ordering::Relaxed);
        let at = (packed >> 32).checked_sub(1)?;
        let value = f32::from_bits((packed & u64::from(u32::MAX)) as u32);
        Some((f64::from(value), now.saturating_sub(at * UNIT_NANOS)))
    }
}

/// A count over a sliding minute: this minute's, and of the one before the part that still lies
/// within the last sixty seconds, taken as evenly spread.
#[derive(Debug, Default)]
pub(super) struct PerMinute {
    this: AtomicU64,
    before: AtomicU64,
}

impl PerMinute {
    pub(super) fn add(&self, count: u64, now: u64) {
        let minute = now / MINUTE_NANOS;
        let mut held = self.this.load(Ordering::Relaxed);
        loop {
            let (of, sum) = unpack(held);
            // A caller that is late by a moment counts into the minute that has begun.
            let fresh = of < minute;
            let sum = if fresh { count } else { sum.saturating_add(count) };
            let next = pack(of.max(minute), sum);
            let swap =
                self.this.compare_exchange_weak(held, next, Ordering::Relaxed, Ordering::Relaxed);
            match swap {
                Ok(old) if fresh => return self.before.store(old, Ordering::Relaxed),
                Ok(_) => return,
                Err(now_held) => held = now_held,
            }
        }
    }

    pub(super) fn get(&self, now: u64) -> f64 {
        let (minute, into) = (now / MINUTE_NANOS, now % MINUTE_NANOS);
        let left = 1.0 - into as f64 / MINUTE_NANOS as f64;
        let of = |packed: u64, minute: Option<u64>| {
            let (of, sum) = unpack(packed);
            if Some(of) == minute { sum as f64 } else { 0.0 }
        };
        let last = minute.checked_sub(1);
        let this = self.this.load(Ordering::Relaxed);
        let before = self.before.load(Ordering::Relaxed);
        // Nothing was counted yet this minute: what is held is the last one's.
        of(this, Some(minute)) + left * (of(this, last) + of(before, last))
    }
}

/// The minute in the upper 24 bits (31 years), the count in the lower 40.
const fn pack(minute: u64, count: u64) -> u64 {
    let count = if count > COUNT_MAX { COUNT_MAX } else { count };
    minute << 40 | count
}

const fn unpack(packed: u64) -> (u64, u64) {
    (packed >> 40, packed & COUNT_MAX)
}

const COUNT_MAX: u64 = (1 << 40) - 1;
const MINUTE_NANOS: u64 = 60_000_000_000;
const UNIT_NANOS: u64 = 10_000_000;
/// After a pause of this length a sample weighs as much as two thirds of the average.
const MEMORY_NANOS: f64 = 30e9;
/// LiteLLM averages the last ten samples.
const FEW: u32 = 10;
/// The weight of a sample among many: an exponential average as old as one over [`FEW`].
const LEAST: f64 = 2.0 / (FEW as f64 + 1.0);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_first_samples_count_alike() {
        let mean = Mean::default();
        assert_eq!(mean.get(0), None);
        for sample in [10.0, 20.0, 30.0] {
            mean.add(sample, SECOND);
        }
        let (value, age) = mean.get(3 * SECOND).unwrap();
        assert!((value - 20.0).abs() < 0.01, "{value}");
        assert_eq!(age, 2 * SECOND);
    }

    #[test]
    fn a_change_is_learnt_within_a_few_samples_and_at_once_after_a_pause() {
        let mean = Mean::default();
        (0..100).for_each(|_| mean.add(100.0, SECOND));
        (0..10).for_each(|_| mean.add(1000.0, SECOND));
        let (value, _) = mean.get(SECOND).unwrap();
        assert!((800.0..950.0).contains(&value), "{value}");

        mean.add(100.0, 200 * SECOND);
        let (value, _) = mean.get(200 * SECOND).unwrap();
        assert!(value < 110.0, "what was minutes ago does not count: {value}");
    }

    #[test]
    fn a_minute_slides() {
        let count = PerMinute::default();
        count.add(60, 30 * SECOND);
        assert!((count.get(59 * SECOND) - 60.0).abs() < 0.01);
        assert!((count.get(90 * SECOND) - 30.0).abs() < 0.01, "half of it is still near");
        count.add(6, 90 * SECOND);
        assert!((count.get(90 * SECOND) - 36.0).abs() < 0.01);
        assert!((count.get(119 * SECOND) - 7.0).abs() < 0.01);
        assert_eq!(count.get(200 * SECOND), 0.0);
    }
}
