//! How long a provider asks to wait, in all the ways that providers say it.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::Value;

use super::text_of;
use crate::pause::{asked, seconds, until};

/// Headers that say when a limit starts anew; all of them may be there, one of them is exhausted.
const RESETS: [(&str, &str); 7] = [
    ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
    ("x-ratelimit-reset", "x-ratelimit-remaining"),
    ("anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"),
    ("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"),
    ("anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-input-tokens-remaining"),
    ("anthropic-ratelimit-output-tokens-reset", "anthropic-ratelimit-output-tokens-remaining"),
];

/// What a provider's message puts before the time to wait.
const ANNOUNCEMENTS: [&str; 4] = ["try again in ", "retry in ", "retry after ", "try again after "];

/// The wait that an error response asks for. `message` and `error` are what its body says.
///
/// The most exact word wins: `retry-after-ms`, `retry-after`, Google's RetryInfo, the message, and
/// for a 429 alone the reset of an exhausted limit (other responses carry those headers, too).
pub(super) fn retry_after(
    status: u16,
    headers: &HeaderMap,
    message: &str,
    error: &Value,
    now: SystemTime,
) -> Option<Duration> {
    let milliseconds = || {
        let wait: f64 = text_of(headers, "retry-after-ms")?.parse().ok()?;
        seconds(wait / 1000.0)
    };
    milliseconds()
        .or_else(|| asked(headers, now))
        .or_else(|| retry_info(error))
        .or_else(|| if status >= 429 { announced(message) } else { None })
        .or_else(|| if status == 429 { reset(headers, now) } else { None })
}

/// `details[].retryDelay` of Google's errors: `34s`, `1.5s`.
fn retry_info(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    details.iter().find_map(|detail| duration(detail.get("retryDelay")?.as_str()?))
}

/// `Please try again in 1m30s.`, `retry after 20 seconds`.
fn announced(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    let text = ANNOUNCEMENTS.iter().find_map(|before| Some(message.split_once(before)?.1))?;
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')'));
    let first = words.next()?.trim_end_matches('.');
    duration(first).or_else(|| {
        // The number and its unit are two words.
        let unit = words.next()?.trim_end_matches('.');
        duration(&format!("{first}{}", short_unit(unit)?))
    })
}

fn short_unit(word: &str) -> Option<&'static str> {
    Some(match word {
        "ms" => "ms",
        "m" => "m",
        _ => return long_unit(word.trim_end_matches('s')),
    })
}

fn long_unit(word: &str) -> Option<&'static str> {
    Some(match word {
        "millisecond" | "msec" => "ms",
        "second" | "sec" | "" => "s",
        "minute" | "min" => "m",
        "hour" | "h" => "h",
        "day" | "d" => "d",
        _ => return None,
    })
}

/// The reset of the limit that is exhausted, or the latest reset if no limit says that it is.
fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let resets = || {
        RESETS.iter().filter_map(|(reset, remaining)| {
            let is_exhausted = text_of(headers, remaining).is_some_and(|left| left == "0");
            Some((is_exhausted, moment(text_of(headers, reset)?, now)?))
        })
    };
    let latest = |exhausted_only: bool| {
        let candidates = resets().filter(|(is_exhausted, _)| *is_exhausted || !exhausted_only);
        candidates.map(|(_, wait)| wait).max()
    };
    latest(true).or_else(|| latest(false)).filter(|wait| !wait.is_zero())
}

/// A reset as a Go duration (`6m0s`), seconds, seconds or milliseconds since 1970, or RFC 3339.
pub(super) fn moment(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(number) = text.parse::<f64>() {
        // A delay is never 30 years, and a date after 2001 is never fewer seconds.
        return match number {
            n if n >= 1e12 => until(SystemTime::UNIX_EPOCH + seconds(n / 1000.0)?, now),
            n if n >= 1e9 => until(SystemTime::UNIX_EPOCH + seconds(n)?, now),
            n => seconds(n),
        };
    }
    duration(text).or_else(|| until(rfc3339(text)?, now))
}

/// A duration as Go writes it: `12ms`, `6m0s`, `1h2m3.5s`.
fn duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_end)?;
        let unit_seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit_seconds;
        rest = next;
    }
    if text.is_empty() { None } else { seconds(total) }
}

/// `2026-11-21T12:00:01Z`, with a fraction or an offset.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let separators = [(4, '-'), (7, '-'), (13, ':'), (16, ':')];
    let is_at = |at: usize, c: char| text.get(at..=at).is_some_and(|found| found.starts_with(c));
    if !separators.into_iter().all(|(at, c)| is_at(at, c)) || !(is_at(10, 'T') || is_at(10, 't')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = match zone.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            sign * (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?)
        }
    };
    // Days from 1970 in the Gregorian calendar, counting years from March so that the leap day is
    // the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let unix_seconds = ((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second;
    let unix_seconds = u64::try_from(unix_seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::sample::headers;

    /// 2026-11-21 12:00:00 UTC.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400)
    }

    #[test]
    fn headers_say_it_in_many_forms() {
        for (list, expected_ms) in [
            (&[("retry-after", "2")][..], Some(2000)),
            (&[("retry-after", "Sat, 21 Nov 2026 12:00:30 GMT")], Some(30_000)),
            (&[("retry-after-ms", "250")], Some(250)),
            (&[("retry-after-ms", "250.5"), ("retry-after", "9")], Some(250)),
            (&[("retry-after-ms", "x"), ("retry-after", "9")], Some(9000)),
            (&[("x-ratelimit-reset-tokens", "2s")], Some(2000)),
            (&[("x-ratelimit-reset-tokens", "6m0s")], Some(360_000)),
            (&[("x-ratelimit-reset-requests", "12ms")], Some(12)),
            (&[("x-ratelimit-reset-requests", "1h2m3.5s")], Some(3_723_500)),
            (&[("x-ratelimit-reset", "1795262460")], Some(60_000)),
            (&[("x-ratelimit-reset", "1795262460000")], Some(60_000)),
            (&[("x-ratelimit-reset", "7")], Some(7000)),
            (&[("x-ratelimit-reset", "1795262300")], None),
            (&[("anthropic-ratelimit-tokens-reset", "2026-11-21T12:00:01Z")], Some(1000)),
            (&[("anthropic-ratelimit-tokens-reset", "2026-11-21T13:00:01.25+01:00")], Some(1000)),
            (&[("anthropic-ratelimit-tokens-reset", "2026-13-21T12:00:01Z")], None),
            (
                &[
                    ("x-ratelimit-reset-requests", "1m0s"),
                    ("x-ratelimit-remaining-requests", "17"),
                    ("x-ratelimit-reset-tokens", "2s"),
                    ("x-ratelimit-remaining-tokens", "0"),
                ],
                Some(2000),
            ),
            (
                &[("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "2s")],
                Some(2000),
            ),
            (&[], None),
        ] {
            let wait = retry_after(429, &headers(list), "", &Value::Null, now());
            // Fractions of a millisecond do not matter to anybody.
            assert_eq!(wait.map(|wait| wait.as_millis()), expected_ms, "{list:?}");
        }
    }

    #[test]
    fn resets_are_read_from_a_429_alone() {
        let list = headers(&[("x-ratelimit-reset-tokens", "2s")]);
        assert_eq!(retry_after(503, &list, "", &Value::Null, now()), None);
        let list = headers(&[("retry-after", "2")]);
        let wait = retry_after(503, &list, "", &Value::Null, now());
        assert_eq!(wait, Some(Duration::from_secs(2)));
    }

    #[test]
    fn messages_say_it_too() {
        for (status, message, expected_ms) in [
            (429, "Rate limit reached. Please try again in 2s. Visit", Some(2000)),
            (429, "Please try again in 1m30s.", Some(90_000)),
            (429, "Please try again in 843ms.", Some(843)),
            (429, "Please try again in 6h0m0s.", Some(21_600_000)),
            (429, "Please retry in 34.5s.", Some(34_500)),
            (429, "Please retry after 20 seconds.", Some(20_000)),
            (429, "please try again in 1 minute", Some(60_000)),
            (429, "try again in 5 m", Some(300_000)),
            (429, "try again in 5 ms.", Some(5)),
            (429, "try again in 5 s.", Some(5000)),
            (429, "retry after 2 h", Some(7_200_000)),
            (429, "Try again in a while", None),
            (429, "Try again later", None),
            (503, "Please retry after 5 seconds", Some(5000)),
            (400, "Please try again in 2s", None),
        ] {
            let wait = retry_after(status, &HeaderMap::new(), message, &Value::Null, now());
            assert_eq!(wait.map(|wait| wait.as_millis()), expected_ms, "{message}");
        }
    }

    #[test]
    fn google_says_it_in_details() {
        let error = json!({"details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
        ]});
        let wait = retry_after(429, &HeaderMap::new(), "", &error, now());
        assert_eq!(wait, Some(Duration::from_secs(34)));
        let list = headers(&[("retry-after", "1")]);
        let wait = retry_after(429, &list, "", &error, now());
        assert_eq!(wait, Some(Duration::from_secs(1)), "a header goes first");
    }

    #[test]
    fn dates_are_counted_right() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-21T12:00:00Z", Some(1_795_262_400)),
            ("2026-11-21T12:00:00.999Z", Some(1_795_262_400)),
            ("2026-11-21t07:00:00-05:00", Some(1_795_262_400)),
            ("2026-11-21T12:00:00", None),
            ("2026-11-21 12:00", None),
            ("é026-11-21T12:00:00Z", None),
            ("", None),
        ] {
            let found = rfc3339(text)
                .map(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
            assert_eq!(found, unix, "{text}");
        }
    }
}
