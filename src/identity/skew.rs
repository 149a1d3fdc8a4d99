//! How far this machine's clock is from AWS's: signatures must not be older than five minutes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// A smaller difference is no reason for a refusal; to correct it would be to ask again in vain.
const NOTABLE: i64 = 60;

/// Seconds by which the machine's clock is behind, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Skew(AtomicI64);

impl Skew {
    /// The time to sign with.
    pub(super) fn now(&self, ours: SystemTime) -> SystemTime {
        let behind = self.0.load(Ordering::Relaxed);
        let shift = Duration::from_secs(behind.unsigned_abs());
        let shifted = if behind < 0 { ours.checked_sub(shift) } else { ours.checked_add(shift) };
        shifted.unwrap_or(ours)
    }

    /// Goes by their time; `false`: that is what was done already.
    pub(super) fn correct(&self, ours: SystemTime, theirs: SystemTime) -> bool {
        if between(self.now(ours), theirs).abs() < NOTABLE {
            return false;
        }
        self.0.store(between(ours, theirs), Ordering::Relaxed);
        true
    }
}

/// Seconds by which `ours` is behind `theirs`.
pub(super) fn between(ours: SystemTime, theirs: SystemTime) -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match theirs.duration_since(ours) {
        Ok(behind) => seconds(behind),
        Err(ahead) => -seconds(ahead.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_corrected_in_both_directions_and_only_where_it_is_wrong() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let skew = Skew::default();
        assert!(!skew.correct(at(10_000), at(10_059)));
        assert_eq!(skew.now(at(10_000)), at(10_000));
        assert!(skew.correct(at(10_000), at(17_200)));
        assert_eq!(skew.now(at(10_010)), at(17_210));
        assert!(!skew.correct(at(10_020), at(17_220)), "it was not the time after all");
        // Somebody set the clock meanwhile.
        assert!(skew.correct(at(17_230), at(17_230)));
        assert_eq!(skew.now(at(17_240)), at(17_240));
        assert!(skew.correct(at(17_240), at(10_000)));
        assert_eq!(skew.now(at(17_241)), at(10_001));
    }
}
