//! How long a key is valid: LiteLLM's `duration`.
//!
//! Unlike the period of a budget it is counted from now, and `30d` is thirty days.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use thiserror::Error;

/// A text that is no lifetime.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is no duration: a whole number and s, m, h, d, w or mo, such as 30d")]
pub struct NoLifetime(String);

/// When a lifetime that begins now is over.
///
/// # Errors
/// If the text is no lifetime, or its end is beyond the year 9999.
pub fn expiry(lifetime: &str, now: Timestamp) -> Result<Timestamp, NoLifetime> {
    let no_lifetime = || NoLifetime(lifetime.chars().take(40).collect());
    let written = lifetime.trim().to_ascii_lowercase();
    let unit = written.find(|c: char| !c.is_ascii_digit()).ok_or_else(no_lifetime)?;
    let (count, unit) = written.split_at(unit);
    let count: i64 = count.parse().ok().filter(|count| *count > 0).ok_or_else(no_lifetime)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        "mo" => {
            let months = count.min(i64::from(MONTHS_MAX)).months();
            let end = now.to_zoned(TimeZone::UTC).checked_add(months);
            return end.map(|end| end.timestamp()).map_err(|_| no_lifetime());
        }
        _ => return Err(no_lifetime()),
    };
    let length = count.checked_mul(seconds).ok_or_else(no_lifetime)?;
    now.checked_add(SignedDuration::from_secs(length)).map_err(|_| no_lifetime())
}

/// Beyond the years that are counted.
const MONTHS_MAX: i32 = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_counted_from_now() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (written, end) in [
            ("30s", "2026-01-31T12:00:30Z"),
            ("90m", "2026-01-31T13:30:00Z"),
            ("36h", "2026-02-02T00:00:00Z"),
            ("30d", "2026-03-02T12:00:00Z"),
            ("2w", "2026-02-14T12:00:00Z"),
            ("1mo", "2026-02-28T12:00:00Z"),
            (" 1D ", "2026-02-01T12:00:00Z"),
        ] {
            assert_eq!(expiry(written, now), Ok(end.parse().unwrap()), "{written}");
        }
    }

    #[test]
    fn what_is_no_lifetime_is_refused() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let beyond = ["99999999999999d", "9223372036854775807w", "200000mo"];
        for written in
            ["", "d", "0d", "-1", "-1d", "1", "1y", "1.5h", "monthly"].iter().chain(&beyond)
        {
            assert!(expiry(written, now).is_err(), "{written}");
        }
    }
}
