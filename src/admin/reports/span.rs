//! The time that is asked for: days, or moments, of UTC.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::fault::Fault;
use super::super::form::Form;
use crate::spend::Span;

/// The days that are shown where nobody says which.
const DAYS: i64 = 30;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// From `start_date` to `end_date`; a day that is named as the end belongs to it. `None`: neither is
/// given.
pub(super) fn given(form: &Form) -> Result<Option<Span>, Fault> {
    between(form, "start_date", "end_date")
}

/// The same by other names.
pub(super) fn between(form: &Form, start: &str, end: &str) -> Result<Option<Span>, Fault> {
    let (from, to) = (moment(form, start)?, moment(form, end)?);
    let now = Timestamp::now().as_microsecond();
    let span = match (from, to) {
        (None, None) => return Ok(None),
        (Some((from_us, _)), None) => Span { from_us, to_us: now.max(from_us) },
        (None, Some((_, to_us))) => Span { from_us: to_us.saturating_sub(DAYS * DAY_US), to_us },
        (Some((from_us, _)), Some((_, to_us))) => Span { from_us, to_us },
    };
    if span.to_us < span.from_us {
        return Err(Fault::value(end, format!("{end} is before {start}")));
    }
    Ok(Some(span))
}

/// The same, or else the last thirty days.
pub(super) fn recent(form: &Form) -> Result<Span, Fault> {
    Ok(given(form)?.unwrap_or_else(last_days))
}

/// The last thirty days.
pub(super) fn last_days() -> Span {
    let to_us = Timestamp::now().as_microsecond();
    Span { from_us: to_us - DAYS * DAY_US, to_us }
}

/// The same where both must be given.
pub(super) fn required(form: &Form) -> Result<Span, Fault> {
    let missing =
        || Fault::value("start_date", "Please provide start_date and end_date".to_owned());
    match (form.has("start_date"), form.has("end_date")) {
        (true, true) => given(form)?.ok_or_else(missing),
        _ => Err(missing()),
    }
}

/// When a moment or a day begins and when it ends.
fn moment(form: &Form, name: &str) -> Result<Option<(i64, i64)>, Fault> {
    let Some(text) = form.text(name)?.value() else { return Ok(None) };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    read(text).map(Some).ok_or_else(|| {
        let message = format!(
            "{name} must be a day such as 2026-01-31, or a time of UTC such as 2026-01-31 12:00:00"
        );
        Fault::value(name, message)
    })
}

fn read(text: &str) -> Option<(i64, i64)> {
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    // Before a civil time, because that would read one with an offset, and forget the offset.
    if let Ok(at) = text.parse::<Timestamp>() {
        let us = at.as_microsecond();
        return Some((us, us));
    }
    if text.len() == 10 {
        let day: Date = text.parse().ok()?;
        let start = utc(day.to_datetime(jiff::civil::Time::midnight()))?;
        let end = start.checked_add(SignedDuration::from_hours(24)).ok()?;
        return Some((start.as_microsecond(), end.as_microsecond()));
    }
    let at = utc(text.parse().ok()?)?.as_microsecond();
    Some((at, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(query: &str) -> Result<Option<Span>, Fault> {
        given(&Form::of_query(Some(query)))
    }

    #[test]
    fn the_last_day_belongs_to_the_time() {
        let one = span("start_date=2026-01-31&end_date=2026-01-31").unwrap().unwrap();
        assert_eq!(one.to_us - one.from_us, DAY_US);
        let hour = span("start_date=2026-01-31+10:00:00&end_date=2026-01-31T11:00:00Z");
        let hour = hour.unwrap().unwrap();
        assert_eq!(hour.to_us - hour.from_us, 60 * 60 * 1_000_000);
        assert_eq!(span(""), Ok(None));
        assert_eq!(span("start_date="), Ok(None));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in
            ["2026-02-30", "yesterday", "2026-1-1", "%F0%9F%92%A9%F0%9F%92%A9", "-9999-01-01"]
        {
            let fault = span(&format!("start_date={wrong}&end_date=2026-01-01")).unwrap_err();
            assert_eq!(
                (fault.status, fault.param.as_deref()),
                (400, Some("start_date")),
                "{wrong}"
            );
        }
        assert!(span("start_date=2026-02-01&end_date=2026-01-01").is_err());
    }
}
