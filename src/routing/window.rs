//! Attempts and failures of the last minute.

use crate::failure::FailureClass;

/// Counts over a sliding minute, in twelve buckets of five seconds.
///
/// A bucket leaves as a whole, so the window covers 55 to 60 seconds and never more.
#[derive(Debug, Default)]
pub(super) struct Window {
    buckets: [Bucket; BUCKETS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Number of the five-second span these counts belong to.
    span: u64,
    attempts: u32,
    slow: u32,
    failures: [u16; CLASSES],
}

/// The sum of a window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    pub(super) attempts: u32,
    /// Of those that answered.
    pub(super) slow: u32,
    by_class: [u32; CLASSES],
}

impl Window {
    /// Counts an attempt that ended.
    pub(super) fn attempt(&mut self, now_nanos: u64) {
        let bucket = self.bucket(now_nanos);
        bucket.attempts = bucket.attempts.saturating_add(1);
    }

    /// Counts a slow answer; the attempt itself is counted by [`Window::attempt`].
    pub(super) fn slow(&mut self, now_nanos: u64) {
        let bucket = self.bucket(now_nanos);
        bucket.slow = bucket.slow.saturating_add(1);
    }

    /// Counts a failure; the attempt itself is counted by [`Window::attempt`].
    pub(super) fn failure(&mut self, class: FailureClass, now_nanos: u64) {
        if let Some(count) = self.bucket(now_nanos).failures.get_mut(class as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// What happened in the minute that ends now.
    pub(super) fn recent(&self, now_nanos: u64) -> Recent {
        let now = now_nanos / SPAN_NANOS;
        let mut recent = Recent::default();
        for bucket in self.buckets.iter().filter(|bucket| bucket.span + BUCKETS > now) {
            recent.attempts += bucket.attempts;
            recent.slow += bucket.slow;
            for (sum, count) in recent.by_class.iter_mut().zip(bucket.failures) {
                *sum += u32::from(count);
            }
        }
        recent
    }

    fn bucket(&mut self, now_nanos: u64) -> &mut Bucket {
        let span = now_nanos / SPAN_NANOS;
        let bucket = &mut self.buckets[(span % BUCKETS) as usize];
        // An older bucket has left the window. A newer one is kept: callers race by microseconds.
        if bucket.span < span {
            *bucket = Bucket { span, ..Bucket::default() };
        }
        bucket
    }
}

impl Recent {
    /// All failures that count against the deployment.
    pub(super) fn failures(&self) -> u32 {
        self.by_class.iter().sum()
    }

    /// Those of one class.
    pub(super) fn of(&self, class: FailureClass) -> u32 {
        self.by_class.get(class as usize).copied().unwrap_or(0)
    }
}

const BUCKETS: u64 = 12;
const SPAN_NANOS: u64 = 5_000_000_000;
/// `Conflict` is the last class; one added behind it would not be counted, and a test says so.
const CLASSES: usize = FailureClass::Conflict as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn failures_leave_after_a_minute() {
        let mut window = Window::default();
        window.failure(FailureClass::Server, 2 * SECOND);
        window.failure(FailureClass::Timeout, 30 * SECOND);
        assert_eq!(window.recent(59 * SECOND).failures(), 2);
        assert_eq!(window.recent(62 * SECOND).failures(), 1, "the first one is a minute old");
        assert_eq!(window.recent(62 * SECOND).of(FailureClass::Timeout), 1);
        assert_eq!(window.recent(3600 * SECOND).failures(), 0);
    }

    #[test]
    fn a_bucket_is_emptied_before_it_serves_again() {
        let mut window = Window::default();
        window.attempt(SECOND);
        window.attempt(61 * SECOND);
        assert_eq!(window.recent(61 * SECOND).attempts, 1);
    }

    #[test]
    fn every_class_is_counted() {
        use FailureClass as Class;
        // Total on purpose: a new class does not compile until someone looks here.
        let next = |class| match class {
            Class::BadRequest => Some(Class::ContextWindow),
            Class::ContextWindow => Some(Class::ContentPolicy),
            Class::ContentPolicy => Some(Class::NotFound),
            Class::NotFound => Some(Class::Auth),
            Class::Auth => Some(Class::Quota),
            Class::Quota => Some(Class::RateLimited),
            Class::RateLimited => Some(Class::Overloaded),
            Class::Overloaded => Some(Class::Timeout),
            Class::Timeout => Some(Class::Connection),
            Class::Connection => Some(Class::Server),
            Class::Server => Some(Class::Conflict),
            Class::Conflict => None,
        };
        let mut window = Window::default();
        let mut class = Some(Class::BadRequest);
        let mut classes = 0;
        while let Some(one) = class {
            window.failure(one, SECOND);
            classes += 1;
            class = next(one);
        }
        assert_eq!(window.recent(SECOND).failures(), classes);
    }
}
