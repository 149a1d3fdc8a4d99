//! How long a server asks to be left alone: `Retry-After`, and which waits are believed.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The longest wait that is believed; beyond it, it is a mistake or a broken clock.
const MAX_SECONDS: f64 = 366.0 * 86_400.0 * 100.0;

/// What `Retry-After` asks for, in seconds or as a date.
pub(crate) fn asked(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(wait) => seconds(wait),
        Err(_) => until(httpdate::parse_http_date(text).ok()?, now),
    }
}

/// A moment that has passed is no wait.
pub(crate) fn until(moment: SystemTime, now: SystemTime) -> Option<Duration> {
    let wait = moment.duration_since(now).unwrap_or_default();
    (wait.as_secs_f64() <= MAX_SECONDS).then_some(wait)
}

pub(crate) fn seconds(seconds: f64) -> Option<Duration> {
    (seconds <= MAX_SECONDS).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn servers_ask_in_seconds_or_by_a_date() {
        // 2026-11-21 12:00:00 UTC.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
        for (text, expected_ms) in [
            ("2", Some(2000)),
            (" 1.5 ", Some(1500)),
            ("0", Some(0)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("soon", None),
            ("Sat, 21 Nov 2026 12:00:30 GMT", Some(30_000)),
            ("Sat, 21 Nov 2026 11:00:00 GMT", Some(0)),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            let wait = asked(&headers, now).map(|wait| wait.as_millis());
            assert_eq!(wait, expected_ms, "{text}");
        }
        assert_eq!(asked(&HeaderMap::new(), now), None);
    }
}
