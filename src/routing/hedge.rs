//! When a second attempt beside a slow first one is worth its price.
//!
//! The usual time to the first content of a group is learned from its answers. An attempt that takes
//! longer than most is given company, and a budget keeps that the exception: when everything is
//! slow, more requests would only make it slower.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::settings::Hedging;

/// Answers that must have been seen before a percentile of them says anything.
const SAMPLES_MIN: u32 = 20;

/// When so many are counted, all counts are halved: the last few hundred decide.
const SAMPLES_MAX: u32 = 1024;

/// Buckets to an octave; the time is known to within a ninth.
const STEPS: u32 = 8;
/// From 1 ms to over an hour.
const BUCKETS: usize = 22 * STEPS as usize;

/// What is known of each group for which hedging is on.
#[derive(Debug, Default)]
pub(super) struct Hedges {
    groups: Mutex<FxHashMap<Arc<str>, Lag>>,
}

/// How long a group takes to its first content, and how often it was hedged.
#[derive(Debug)]
struct Lag {
    counts: [u32; BUCKETS],
    answers: u32,
    attempts: f64,
    hedges: f64,
}

impl Hedges {
    /// An attempt begins. Returns for how long it is left alone; `None`: to its end.
    pub(super) fn begin(&self, settings: &Hedging, group: &Arc<str>) -> Option<Duration> {
        if !settings.groups.has([&**group]) {
            return None;
        }
        let mut groups = self.groups.lock();
        let lag = groups.entry(Arc::clone(group)).or_default();
        lag.attempts += 1.0;
        lag.percentile(settings.percentile).map(|usual| usual.max(settings.after))
    }

    /// Whether the budget has room for one more.
    pub(super) fn has_room(&self, settings: &Hedging, group: &str) -> bool {
        self.groups.lock().get(group).is_some_and(|lag| {
            // The first one is always there, or a quiet group would never have any.
            lag.hedges + 1.0 <= (lag.attempts * settings.budget).max(1.0)
        })
    }

    /// Takes one out of the budget.
    pub(super) fn take(&self, group: &str) {
        if let Some(lag) = self.groups.lock().get_mut(group) {
            lag.hedges += 1.0;
        }
    }

    /// The first content of an answer came after this time.
    pub(super) fn answered(&self, settings: &Hedging, group: &Arc<str>, after: Duration) {
        if settings.groups.has([&**group]) {
            self.groups.lock().entry(Arc::clone(group)).or_default().add(after);
        }
    }
}

impl Default for Lag {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], answers: 0, attempts: 0.0, hedges: 0.0 }
    }
}

impl Lag {
    fn add(&mut self, after: Duration) {
        if self.answers >= SAMPLES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.answers = self.counts.iter().sum();
            self.attempts /= 2.0;
            self.hedges /= 2.0;
        }
        if let Some(count) = self.counts.get_mut(bucket(after)) {
            *count += 1;
            self.answers += 1;
        }
    }

    /// The time within which this percentage of the answers came.
    fn percentile(&self, percentile: f64) -> Option<Duration> {
        if self.answers < SAMPLES_MIN {
            return None;
        }
        let wanted = f64::from(self.answers) * percentile / 100.0;
        let mut seen = 0.0;
        let found = self.counts.iter().position(|count| {
            seen += f64::from(*count);
            seen >= wanted
        });
        found.map(end_of)
    }
}

fn bucket(after: Duration) -> usize {
    let millis = after.as_secs_f64() * 1_000.0;
    // A float that is too large or negative becomes the nearest number that fits.
    let step = (millis.max(1.0).log2() * f64::from(STEPS)) as usize;
    step.min(BUCKETS - 1)
}

/// The longest time that falls into a bucket.
fn end_of(bucket: usize) -> Duration {
    let millis = ((bucket + 1) as f64 / f64::from(STEPS)).exp2();
    Duration::from_secs_f64(millis / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::GroupSet;

    fn settings() -> Hedging {
        let after = Duration::from_millis(5);
        Hedging { groups: GroupSet::All, after, percentile: 95.0, budget: 0.1 }
    }

    #[test]
    fn the_percentile_is_learned_and_forgotten() {
        let (hedges, settings, group) = (Hedges::default(), settings(), Arc::from("g"));
        assert_eq!(hedges.begin(&settings, &group), None, "nothing is known");
        for millis in 1..=100 {
            hedges.answered(&settings, &group, Duration::from_millis(millis));
        }
        let after = hedges.begin(&settings, &group).unwrap().as_millis();
        assert!((95..=107).contains(&after), "{after} ms");

        for _ in 0..10 * SAMPLES_MAX {
            hedges.answered(&settings, &group, Duration::from_millis(2));
        }
        let after = hedges.begin(&settings, &group).unwrap();
        assert_eq!(after, settings.after, "never sooner than is written");
    }

    #[test]
    fn other_groups_are_left_alone() {
        let hedges = Hedges::default();
        let only = Hedging { groups: GroupSet::Only(vec!["other".into()]), ..settings() };
        for _ in 0..SAMPLES_MIN {
            hedges.answered(&only, &Arc::from("g"), Duration::from_millis(1));
            hedges.answered(&only, &Arc::from("other"), Duration::from_millis(1));
        }
        assert_eq!(hedges.begin(&only, &Arc::from("g")), None);
        assert_eq!(hedges.begin(&only, &Arc::from("other")), Some(only.after));
    }

    #[test]
    fn the_budget_bounds_the_share_of_hedges() {
        let (hedges, settings, group) = (Hedges::default(), settings(), Arc::from("g"));
        let mut taken = 0;
        for _ in 0..1_000 {
            hedges.begin(&settings, &group);
            if hedges.has_room(&settings, &group) {
                hedges.take(&group);
                taken += 1;
            }
        }
        assert!((95..=101).contains(&taken), "{taken} of 1000");
    }

    #[test]
    fn every_time_has_a_bucket_that_holds_it() {
        for millis in [0_u64, 1, 2, 3, 10, 999, 60_000, 3_600_000, u64::MAX / 2_000_000] {
            let after = Duration::from_millis(millis);
            let end = end_of(bucket(after));
            assert!(end >= after || bucket(after) == BUCKETS - 1, "{millis} ms");
        }
    }
}
