//! How long a provider asks to wait: whatever it writes, the wait is a bounded time or none.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate::catalog::sample;
use tollgate::provider::classify;

/// A hundred years, and a century's leap days.
const LONGEST: Duration = Duration::from_secs(101 * 366 * 86_400);

/// Where a wait may stand.
const HEADERS: [&str; 8] = [
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-reset-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-reset",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-reset",
];

/// For every text; its first byte says in which headers it stands.
pub(crate) fn holds(input: &[u8]) {
    let Some((mask, text)) = input.split_first() else { return };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(text) {
        for (bit, name) in HEADERS.into_iter().enumerate() {
            if mask & (1 << bit) != 0 {
                headers.insert(HeaderName::from_static(name), value.clone());
            }
        }
    }
    let deployment = sample::deployment("g = openai/m #d");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
    let quoted = serde_json::Value::from(String::from_utf8_lossy(text)).to_string();
    let in_message = format!("{{\"error\":{{\"message\":{quoted}}}}}");
    let in_details = format!("{{\"error\":{{\"details\":[{{\"retryDelay\":{quoted}}}]}}}}");
    for status in [200, 400, 429, 503, 529] {
        for body in [text, in_message.as_bytes(), in_details.as_bytes()] {
            let failure = classify(&deployment, status, &headers, body, now);
            if let Some(wait) = failure.retry_after {
                assert!(wait <= LONGEST, "{wait:?}: {}", String::from_utf8_lossy(input));
            }
        }
    }
}
