//! How long things took, as counts in fixed steps that grow with the time: percentiles of any span
//! are sums of these, and nobody has to look at single requests.

/// How many steps there are. The last one is open to the right: more than 24 minutes.
const BUCKETS: usize = 42;

/// All below 2^10 microseconds, about a millisecond, is one step; then each power of two has two.
const FIRST_BITS: u32 = 10;

/// Durations in steps: each is at most half as long again as the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum_us: 0 }
    }
}

impl Histogram {
    /// The step of a duration in microseconds.
    #[must_use]
    pub fn bucket(us: u64) -> usize {
        let Some(bits) = us.checked_ilog2().filter(|bits| *bits >= FIRST_BITS) else { return 0 };
        let upper_half = (us >> (bits - 1)) & 1;
        let bucket = 1 + 2 * (bits - FIRST_BITS) as usize + usize::from(upper_half == 1);
        bucket.min(BUCKETS - 1)
    }

    /// From where to where a step reaches, in microseconds.
    fn bounds(bucket: usize) -> (u64, u64) {
        let low = |bucket: usize| match bucket {
            0 => 0,
            _ => (2 + (bucket as u64 - 1) % 2) << (FIRST_BITS as usize - 1 + (bucket - 1) / 2),
        };
        (low(bucket), low(bucket + 1))
    }

    /// Adds what a store has counted in a step, and how long all of it took.
    pub fn add(&mut self, bucket: usize, count: u64, sum_us: u64) {
        self.counts[bucket.min(BUCKETS - 1)] += count;
        self.sum_us += sum_us;
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(into, more)| *into += more);
        self.sum_us += other.sum_us;
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// In microseconds; `None` if nothing was counted.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum_us as f64 / count as f64)
    }

    /// The duration, in microseconds, that this share of all is not longer than, read off a straight
    /// line within its step; `None` if nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = (share.clamp(0.0, 1.0) * count as f64).max(1.0);
        let mut below = 0.0;
        for (bucket, here) in self.counts.iter().enumerate() {
            let here = *here as f64;
            if here > 0.0 && below + here >= wanted {
                let (low, high) = Self::bounds(bucket);
                let part = (wanted - below) / here;
                return Some(low as f64 + part * (high - low) as f64);
            }
            below += here;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_each_other_without_a_gap() {
        for bucket in 0..BUCKETS - 1 {
            let (low, high) = Histogram::bounds(bucket);
            assert!(low < high, "{bucket}");
            assert_eq!(Histogram::bucket(low), bucket);
            assert_eq!(Histogram::bucket(high - 1), bucket);
            assert_eq!(Histogram::bounds(bucket + 1).0, high);
            assert!(bucket == 0 || high * 2 <= low * 3, "{low} {high}");
        }
        assert_eq!(Histogram::bucket(u64::MAX), BUCKETS - 1);
        assert!(Histogram::bounds(BUCKETS - 1).0 > 24 * 60 * 1_000_000 * 7 / 10);
    }

    #[test]
    fn quantiles_are_near_those_of_the_durations() {
        let mut histogram = Histogram::default();
        let mut all: Vec<u64> = (0..10_000_u64).map(|at| 20_000 + at * at / 50).collect();
        for us in &all {
            histogram.add(Histogram::bucket(*us), 1, *us);
        }
        all.sort_unstable();
        for share in [0.5, 0.95, 0.99] {
            let exact = all[(share * all.len() as f64) as usize] as f64;
            let found = histogram.quantile(share).unwrap();
            assert!((found / exact - 1.0).abs() < 0.1, "{share}: {found} for {exact}");
        }
        let exact = all.iter().sum::<u64>() as f64 / all.len() as f64;
        assert_eq!(histogram.mean(), Some(exact));
        assert_eq!(histogram.count(), 10_000);
    }

    #[test]
    fn nothing_has_no_quantile_and_one_is_within_its_step() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Histogram::default().mean(), None);
        let mut one = Histogram::default();
        one.add(Histogram::bucket(100_000), 1, 100_000);
        let (low, high) = Histogram::bounds(Histogram::bucket(100_000));
        for share in [0.0, 0.5, 1.0] {
            let found = one.quantile(share).unwrap();
            assert!((low as f64..=high as f64).contains(&found), "{found}");
        }
        let mut both = one.clone();
        both.merge(&one);
        assert_eq!((both.count(), both.mean()), (2, Some(100_000.0)));
    }
}
