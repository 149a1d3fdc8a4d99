//! When a report is due: a stretch of time has ended, and nobody has told of it yet.
//!
//! Stretches are counted from a Monday, by the clock of a place, so that all gateways know the same ones.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::spend::Span;

/// Monday, 5 January 1970, in seconds.
const MONDAY: i64 = 4 * 24 * 60 * 60;
/// What requests have spent is in the sums a little later; a short stretch is not waited for as long.
const LATE: Duration = Duration::from_secs(30);

/// A stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// The same for every gateway.
    pub(super) name: String,
    /// What it is noted by once it is told, and until when: of stretches that follow each other there is
    /// one note.
    pub(super) turn: String,
    pub(super) noted_until: Timestamp,
}

impl Stretch {
    pub(super) fn span(&self) -> Span {
        Span { from_us: self.from.as_microsecond(), to_us: self.to.as_microsecond() }
    }
}

/// The last stretch of a length that is over.
pub(super) fn ended(length: Duration, zone: &TimeZone, now: Timestamp) -> Option<Stretch> {
    let seconds = i64::try_from(length.as_secs()).ok().filter(|seconds| *seconds > 0)?;
    let offset = i64::from(zone.to_offset(now).seconds());
    let late = i64::try_from(LATE.min(length / 2).as_secs()).ok()?;
    let local = now.as_second() + offset - late - MONDAY;
    let number = local.div_euclid(seconds) - 1;
    let from = Timestamp::from_second(number * seconds + MONDAY - offset).ok()?;
    let to = from.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    let next = SignedDuration::from_secs(seconds.saturating_add(late));
    Some(Stretch {
        from,
        to,
        name: format!("{seconds} {number}"),
        turn: seconds.to_string(),
        noted_until: to.checked_add(next).ok()?,
    })
}

/// The last month of UTC that is over.
pub(super) fn ended_month(now: Timestamp) -> Option<Stretch> {
    let late = SignedDuration::try_from(LATE).ok()?;
    let today = now.checked_sub(late).ok()?.to_zoned(TimeZone::UTC).date();
    let to = today.first_of_month();
    let from = to.checked_sub(1.month()).ok()?;
    let at = |date: jiff::civil::Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let (from, to, name) = (at(from)?, at(to)?, format!("month {from}"));
    let noted_until = to.checked_add(SignedDuration::from_hours(62 * 24)).ok()?;
    Some(Stretch { from, to, turn: name.clone(), name, noted_until })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn told(length: Duration, zone: &TimeZone, now: &str) -> String {
        let stretch = ended(length, zone, now.parse().unwrap()).unwrap();
        format!("{} {}", stretch.from, stretch.to)
    }

    #[test]
    fn stretches_end_at_the_same_time_for_everybody() {
        let utc = TimeZone::UTC;
        let morning = "2026-11-21T12:00:00Z 2026-11-22T00:00:00Z";
        assert_eq!(told(12 * HOUR, &utc, "2026-11-22T00:00:30Z"), morning);
        assert_eq!(told(12 * HOUR, &utc, "2026-11-22T12:00:29Z"), morning);
        let noon = "2026-11-22T00:00:00Z 2026-11-22T12:00:00Z";
        assert_eq!(told(12 * HOUR, &utc, "2026-11-22T12:00:30Z"), noon);
        // A week begins on a Monday.
        let week = "2026-11-09T00:00:00Z 2026-11-16T00:00:00Z";
        assert_eq!(told(7 * 24 * HOUR, &utc, "2026-11-22T23:00:00Z"), week);
    }

    #[test]
    fn days_are_those_of_the_place() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let day = "2026-11-20T23:00:00Z 2026-11-21T23:00:00Z";
        assert_eq!(told(24 * HOUR, &berlin, "2026-11-22T05:00:00Z"), day);
        // The clock is put back; the stretch that was told keeps its name.
        let name = |now: &str| ended(12 * HOUR, &berlin, now.parse().unwrap()).unwrap().name;
        assert_eq!(name("2026-10-25T00:30:00Z"), name("2026-10-25T03:30:00Z"));
    }

    #[test]
    fn a_note_holds_until_the_next_stretch_may_be_told() {
        let length = 12 * HOUR;
        let at = |now: &str| ended(length, &TimeZone::UTC, now.parse().unwrap()).unwrap();
        let (first, next) = (at("2026-11-22T00:01:00Z"), at("2026-11-22T12:00:30Z"));
        assert_eq!((&first.turn, first.name == next.name), (&next.turn, false));
        assert_eq!(first.noted_until.to_string(), "2026-11-22T12:00:30Z");
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let month = |now: &str| {
            let stretch = ended_month(now.parse().unwrap()).unwrap();
            (stretch.from.to_string(), stretch.to.to_string(), stretch.name)
        };
        let october = ("2026-10-01T00:00:00Z".into(), "2026-11-01T00:00:00Z".into());
        let (from, to, name) = month("2026-11-22T05:00:00Z");
        assert_eq!(((from, to), &*name), (october, "month 2026-10-01"));
        assert_eq!(month("2027-01-01T00:00:10Z").2, "month 2026-11-01");
        assert_eq!(month("2027-01-01T00:00:30Z").2, "month 2026-12-01");
    }

    #[test]
    fn a_short_stretch_is_told_soon() {
        let second = Duration::from_secs(2);
        let at = "2026-11-22T05:00:03Z";
        assert_eq!(told(second, &TimeZone::UTC, at), "2026-11-22T05:00:00Z 2026-11-22T05:00:02Z");
        assert_eq!(ended(Duration::ZERO, &TimeZone::UTC, at.parse().unwrap()), None);
    }
}
