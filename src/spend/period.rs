//! The time that a budget is for, and when it starts anew.
//!
//! Periods follow the calendar of a time zone and not the moment at which a budget was made: two
//! gateways, or one before and after a restart, agree on them without asking each other.
//!
//! | written | starts anew |
//! |---|---|
//! | `1mo`, `30d`, `monthly` | on the first of the month; `3mo` in January, April, July, October |
//! | `1w`, `7d`, `weekly` | on Monday; longer ones on every second, third, ... Monday of a fixed count |
//! | `1d`, `daily`; `5d` | at midnight; every fifth midnight of a fixed count |
//! | `6h`, `hourly`, `90m`, `30s` | each such time after midnight, and at midnight |

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use thiserror::Error;

/// The Monday from which days are counted.
const FIRST_MONDAY: Date = date(1970, 1, 5);
const DAY_SECONDS: i64 = 24 * 60 * 60;
const MONTH_DAYS: i64 = 30;

/// A length that repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// Less than a day.
    Seconds(i64),
    Days(i64),
    Months(i64),
}

/// One period: from (included) to (excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub start: Timestamp,
    pub end: Timestamp,
}

/// A text that is no period.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "'{0}' is no duration: a whole number and s, m, h, d, w or mo, such as 30d; or hourly, daily, \
     weekly, monthly, yearly"
)]
pub struct NoPeriod(String);

impl FromStr for Period {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Self, NoPeriod> {
        let no_period = || NoPeriod(text.chars().take(40).collect());
        let written = text.trim().to_ascii_lowercase();
        let written = match written.as_str() {
            "hourly" => "1h",
            "daily" => "1d",
            "weekly" => "7d",
            "monthly" => "1mo",
            "yearly" | "annually" => "12mo",
            other => other,
        };
        let unit = written.find(|c: char| !c.is_ascii_digit()).ok_or_else(no_period)?;
        let (count, unit) = written.split_at(unit);
        let count: i64 = count.parse().ok().filter(|count| *count > 0).ok_or_else(no_period)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => DAY_SECONDS,
            "w" => 7 * DAY_SECONDS,
            // A thousand years are enough for any budget.
            "mo" if count <= 12_000 => return Ok(Self::Months(count)),
            _ => return Err(no_period()),
        };
        let seconds = count.checked_mul(seconds).filter(|all| *all <= 366_000 * DAY_SECONDS);
        let seconds = seconds.ok_or_else(no_period)?;
        Ok(match (seconds / DAY_SECONDS, seconds % DAY_SECONDS) {
            (0, _) => Self::Seconds(seconds),
            // LiteLLM's habit, and what people mean by it.
            (days, 0) if days % MONTH_DAYS == 0 => Self::Months(days / MONTH_DAYS),
            (days, 0) => Self::Days(days),
            // Such as 36h: whole days would be another budget.
            _ => return Err(no_period()),
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) if seconds % 3600 == 0 => write!(out, "{}h", seconds / 3600),
            Self::Seconds(seconds) if seconds % 60 == 0 => write!(out, "{}m", seconds / 60),
            Self::Seconds(seconds) => write!(out, "{seconds}s"),
            Self::Days(days) => write!(out, "{days}d"),
            Self::Months(months) => write!(out, "{months}mo"),
        }
    }
}

impl Period {
    /// The period that a moment is in, by the calendar of a time zone. At the ends of time itself,
    /// it is that moment alone.
    #[must_use]
    pub fn term(self, now: Timestamp, zone: &TimeZone) -> Term {
        let local = now.to_zoned(zone.clone());
        self.bounds(&local).unwrap_or(Term { start: now, end: now })
    }

    fn bounds(self, now: &Zoned) -> Result<Term, jiff::Error> {
        let today = now.date();
        let zone = now.time_zone();
        let midnight = |day: Date| day.to_zoned(zone.clone()).map(|at| at.timestamp());
        match self {
            Self::Months(count) => {
                let month = i64::from(today.year()) * 12 + i64::from(today.month()) - 1;
                let first = today.first_of_month();
                let start = first.checked_sub(month.rem_euclid(count).months())?;
                let end = start.checked_add(count.months())?;
                Ok(Term { start: midnight(start)?, end: midnight(end)? })
            }
            Self::Days(count) => {
                let day = i64::from(FIRST_MONDAY.until(today)?.get_days());
                let start = today.checked_sub(day.rem_euclid(count).days())?;
                let end = start.checked_add(count.days())?;
                Ok(Term { start: midnight(start)?, end: midnight(end)? })
            }
            Self::Seconds(length) => {
                let from = midnight(today)?;
                let whole = midnight(today.tomorrow()?)?;
                let since = now.timestamp().duration_since(from).as_secs();
                let start = from + SignedDuration::from_secs(since - since.rem_euclid(length));
                let end = whole.min(start + SignedDuration::from_secs(length));
                Ok(Term { start, end })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(period: &str, now: &str, zone: &str) -> (String, String) {
        let zone = TimeZone::get(zone).unwrap();
        let period: Period = period.parse().unwrap();
        let term = period.term(now.parse().unwrap(), &zone);
        (term.start.to_string(), term.end.to_string())
    }

    #[test]
    fn periods_follow_the_calendar() {
        // 2026-11-21 is a Saturday.
        let now = "2026-11-21T16:31:48Z";
        for (period, start, end) in [
            ("monthly", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("30d", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("1mo", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("3mo", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("weekly", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("7d", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("1w", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("daily", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("24h", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("hourly", "2026-11-21T16:00:00Z", "2026-11-21T17:00:00Z"),
            ("5h", "2026-11-21T15:00:00Z", "2026-11-21T20:00:00Z"),
            ("90m", "2026-11-21T16:30:00Z", "2026-11-21T18:00:00Z"),
            ("30s", "2026-11-21T16:31:30Z", "2026-11-21T16:32:00Z"),
        ] {
            let expected = (start.to_owned(), end.to_owned());
            assert_eq!(term(period, now, "UTC"), expected, "{period}");
        }
        let late = term("5h", "2026-11-21T23:59:59Z", "UTC");
        assert_eq!(late.1, "2026-11-22T00:00:00Z", "the last of a day may be shorter");
    }

    #[test]
    fn the_calendar_is_that_of_the_time_zone() {
        let now = "2026-11-01T03:00:00Z";
        let start_in = |zone| term("monthly", now, zone).0;
        assert_eq!(start_in("UTC"), "2026-11-01T00:00:00Z");
        assert_eq!(start_in("America/New_York"), "2026-10-01T04:00:00Z");
        assert_eq!(start_in("Asia/Kathmandu"), "2026-10-31T18:15:00Z");
        // Clocks go back on this day: it has 25 hours.
        let day = term("1d", "2026-11-01T12:00:00Z", "America/New_York");
        assert_eq!(day, ("2026-11-01T04:00:00Z".into(), "2026-11-02T05:00:00Z".into()));
        let hours = term("12h", "2026-11-02T04:30:00Z", "America/New_York");
        assert_eq!(hours, ("2026-11-02T04:00:00Z".into(), "2026-11-02T05:00:00Z".into()));
    }

    #[test]
    fn each_moment_is_in_one_period_and_the_next_begins_where_it_ends() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for written in ["7s", "1m", "45m", "5h", "23h", "1d", "2d", "5d", "14d", "1mo", "5mo"] {
            let period: Period = written.parse().unwrap();
            assert_eq!(period.to_string().parse(), Ok(period), "{written}");
            // Across the day on which clocks go forward.
            let mut now: Timestamp = "2026-03-28T20:00:00Z".parse().unwrap();
            for _ in 0..200 {
                let term = period.term(now, &zone);
                assert!(term.start <= now && now < term.end, "{written} at {now}: {term:?}");
                assert_eq!(period.term(term.start, &zone), term, "{written} at {now}");
                let next = period.term(term.end, &zone);
                assert_eq!(next.start, term.end, "{written} at {now}");
                now = term.end;
            }
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in ["", "d", "0d", "-1d", "1", "1y", "1.5h", "36h", "monthly!", "99999999999999d"]
        {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        assert_eq!(" Monthly ".parse(), Ok(Period::Months(1)));
    }
}
