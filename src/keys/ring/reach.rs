//! Whether the directory is worth asking: after several failures in a row it is left alone for a while,
//! so that nobody waits for what is known not to come.

use std::time::Instant;

use parking_lot::Mutex;

use super::RETRY_AFTER;

/// Whether the directory is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Yes,
    /// It did not answer of late, and this is to find out whether it does again: not worth a long wait.
    Probe,
    No,
}

/// Failures in a row that are needed.
const FAILURES: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    failures: u32,
    /// Until then nobody asks.
    until: Option<Instant>,
}

impl Reach {
    /// Whether to ask now. After a rest one may, also of a directory that is silent (`is_away`), and the
    /// others wait for what it hears.
    pub(super) fn may_ask(&self, is_away: bool, now: Instant) -> Ask {
        let mut standing = self.0.lock();
        if standing.failures < FAILURES && !is_away {
            return Ask::Yes;
        }
        let over = standing.until.is_none_or(|until| now >= until);
        if !over {
            return Ask::No;
        }
        standing.until = Some(now + RETRY_AFTER);
        Ask::Probe
    }

    pub(super) fn failed(&self, now: Instant) {
        let mut standing = self.0.lock();
        standing.failures = standing.failures.saturating_add(1);
        standing.until = Some(now + RETRY_AFTER);
    }

    pub(super) fn answered(&self) {
        *self.0.lock() = Standing::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn after_three_failures_one_a_second_may_try() {
        let (reach, start) = (Reach::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..FAILURES {
            assert_eq!(reach.may_ask(false, at(0)), Ask::Yes);
            reach.failed(at(0));
        }
        assert_eq!(reach.may_ask(false, at(999)), Ask::No);
        assert_eq!(reach.may_ask(false, at(1_000)), Ask::Probe);
        assert_eq!(reach.may_ask(false, at(1_001)), Ask::No, "one is enough");
        assert_eq!(reach.may_ask(false, at(2_000)), Ask::Probe, "who never came back");
        assert_eq!(reach.may_ask(true, at(2_001)), Ask::No);
        reach.answered();
        assert_eq!([(); 2].map(|()| reach.may_ask(false, at(2_001))), [Ask::Yes; 2]);
    }
}
