//! How long the steps are of which an overview is made: as short as the span allows, and as are kept.

use crate::spend::Span;
use crate::spend::traffic::{PAYERS_KEPT_US, Step};

const HOUR_US: i64 = Step::Hour.us();
const DAY_US: i64 = Step::Day.us();

/// How long the steps are of which an answer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) span: Span,
    /// Where what is known ends: of a span that is not over, now.
    pub(super) until_us: i64,
    pub(super) step: Step,
    /// Of durations over time.
    pub(super) times: Step,
    /// Of durations by place.
    pub(super) times_of_places: Step,
    /// Who paid is known by days only.
    pub(super) daily: bool,
}

impl Steps {
    /// For a span that is asked for now.
    pub(super) fn of(asked: Span, now_us: i64, of_payers: bool) -> Self {
        let length = asked.to_us - asked.from_us;
        let is_short = length <= 2 * DAY_US;
        let recent = |kept: i64| asked.from_us > now_us - kept + HOUR_US;
        let is_kept = |step: Step| step.kept_us().is_none_or(recent);
        let hourly = if of_payers { recent(PAYERS_KEPT_US) } else { is_kept(Step::Hour) };
        let step = match () {
            () if is_short && !of_payers && is_kept(Step::Quarter) => Step::Quarter,
            () if length <= 14 * DAY_US && hourly => Step::Hour,
            () => Step::Day,
        };
        let times = match () {
            () if length <= 6 * HOUR_US && step == Step::Quarter => Step::Quarter,
            () if length <= 7 * DAY_US && step != Step::Day => Step::Hour,
            () => Step::Day,
        };
        let daily = !is_short || step == Step::Day || !recent(PAYERS_KEPT_US);
        // What is known by days only is to fit to the rest.
        let whole = if is_short && step != Step::Day { step } else { Step::Day };
        let times_of_places = if whole == Step::Day { Step::Day } else { times };
        let span = whole.widen(asked);
        let until_us = span.to_us.min(now_us);
        Self { span, until_us, step, times, times_of_places, daily }
    }

    /// Whole days (UTC), whatever part of them is asked for.
    pub(super) fn by_days(mut self, now_us: i64) -> Self {
        self.step = Step::Day;
        self.daily = true;
        self.span = Step::Day.widen(self.span);
        self.until_us = self.span.to_us.min(now_us);
        self
    }

    /// The span of the same length just before, with steps that are still kept. Of a span that is not over, as
    /// much of the one before as has passed of it: else there would always be less now than then.
    pub(super) fn before(&self, now_us: i64) -> Self {
        let length = self.span.to_us - self.span.from_us;
        let from_us = self.span.from_us - length;
        let is_kept = |kept: i64| from_us > now_us - kept + HOUR_US;
        let coarser = |least: Step| {
            let fits = |step: &Step| *step >= least && step.kept_us().is_none_or(is_kept);
            Step::ALL.into_iter().find(fits).unwrap_or(Step::Day)
        };
        let daily = self.daily || !is_kept(PAYERS_KEPT_US);
        let (times, times_of_places) = (coarser(self.times), coarser(self.times_of_places));
        let step = coarser(self.step);
        let passed = (self.until_us - self.span.from_us).max(1);
        let steps = passed.div_euclid(step.us()) + i64::from(passed.rem_euclid(step.us()) > 0);
        let to_us = from_us + (steps * step.us()).min(length);
        let span = Span { from_us, to_us };
        Self { span, until_us: to_us, step, times, times_of_places, daily }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_795_278_600_000_000;

    fn steps(ago_us: i64, length_us: i64, of_payers: bool) -> Steps {
        let from_us = NOW_US - ago_us;
        Steps::of(Span { from_us, to_us: from_us + length_us }, NOW_US, of_payers)
    }

    #[test]
    fn longer_spans_have_longer_steps() {
        for (length, of_payers, step, times, daily) in [
            (HOUR_US, false, Step::Quarter, Step::Quarter, false),
            (DAY_US, false, Step::Quarter, Step::Hour, false),
            (2 * DAY_US, false, Step::Quarter, Step::Hour, false),
            (7 * DAY_US, false, Step::Hour, Step::Hour, true),
            (14 * DAY_US, false, Step::Hour, Step::Day, true),
            (30 * DAY_US, false, Step::Day, Step::Day, true),
            (DAY_US, true, Step::Hour, Step::Hour, false),
            (7 * DAY_US, true, Step::Hour, Step::Hour, true),
            (30 * DAY_US, true, Step::Day, Step::Day, true),
        ] {
            let found = steps(length, length, of_payers);
            assert_eq!((found.step, found.times, found.daily), (step, times, daily), "{length}");
            let whole = if length > 2 * DAY_US { DAY_US } else { step.us() };
            assert!(found.times_of_places.us() <= whole.max(HOUR_US), "no more than is asked for");
            assert_eq!((found.span.from_us % whole, found.span.to_us % whole), (0, 0));
        }
    }

    #[test]
    fn what_is_not_kept_any_more_is_not_asked_for() {
        let old = steps(5 * DAY_US, DAY_US, false);
        assert_eq!((old.step, old.daily), (Step::Hour, false));
        let older = steps(30 * DAY_US, DAY_US, false);
        assert_eq!((older.step, older.daily), (Step::Hour, true));
        let oldest = steps(90 * DAY_US, DAY_US, false);
        assert_eq!((oldest.step, oldest.times, oldest.daily), (Step::Day, Step::Day, true));
        assert_eq!(steps(61 * DAY_US, 5 * DAY_US, false).before(NOW_US).step, Step::Day);
        let payer = steps(30 * DAY_US, DAY_US, true);
        assert_eq!((payer.step, payer.daily), (Step::Day, true));
        let before = steps(2 * DAY_US, 2 * DAY_US, false).before(NOW_US);
        assert_eq!(before.step, Step::Hour);
        assert_eq!(before.span.to_us - before.span.from_us, 2 * DAY_US);
    }

    #[test]
    fn what_is_not_over_is_compared_with_as_much_of_the_time_before() {
        // Days are whole: the span ends with a day that has just begun.
        let week = steps(7 * DAY_US, 7 * DAY_US, false);
        assert!(week.span.to_us > NOW_US && week.until_us == NOW_US);
        let before = week.before(NOW_US);
        let length = week.span.to_us - week.span.from_us;
        assert_eq!(before.span.from_us, week.span.from_us - length);
        let passed = NOW_US - week.span.from_us;
        let more = before.span.to_us - before.span.from_us - passed;
        assert!((0..HOUR_US).contains(&more), "{more}");
        // What is over is compared with all of it.
        let over = steps(20 * DAY_US, 7 * DAY_US, false);
        assert_eq!(over.before(NOW_US).span.to_us, over.span.from_us);
        // Sums of days are not divided.
        let month = steps(30 * DAY_US, 30 * DAY_US, true).before(NOW_US).span;
        assert_eq!(month.to_us % DAY_US, 0);
    }
}
