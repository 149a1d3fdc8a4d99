//! What a provider's reply says of its limits: the headers of OpenAI and those who copy it, and
//! Anthropic's.

use std::time::SystemTime;

use http::HeaderMap;

use super::retry_after::moment;
use super::text_of;
use crate::limits::{Left, Told};

/// One limit: what is left, of how much, and when it starts anew.
type Names = [&'static str; 3];

const REQUESTS: [Names; 2] = [
    ["x-ratelimit-remaining-requests", "x-ratelimit-limit-requests", "x-ratelimit-reset-requests"],
    [
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-reset",
    ],
];

/// Anthropic limits input and output apart, and tells the tighter of the two as `tokens`. What a
/// request is known to need before it is sent is input, so that goes first.
const TOKENS: [Names; 3] = [
    ["x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens"],
    [
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-reset",
    ],
    [
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-reset",
    ],
];

/// Reads the headers of any reply, good or bad. `None`: they say nothing that can be acted on, for
/// instance how much is left but not until when.
#[must_use]
pub fn told(headers: &HeaderMap, now: SystemTime) -> Option<Told> {
    let first = |all: &[Names]| all.iter().find_map(|names| left(headers, names, now));
    let told = Told { requests: first(&REQUESTS), tokens: first(&TOKENS) };
    (told.requests.is_some() || told.tokens.is_some()).then_some(told)
}

fn left(headers: &HeaderMap, [remaining, limit, reset]: &Names, now: SystemTime) -> Option<Left> {
    // Some proxies count below zero.
    let remaining: i64 = text_of(headers, remaining)?.parse().ok()?;
    Some(Left {
        remaining: u64::try_from(remaining).unwrap_or(0),
        limit: text_of(headers, limit).and_then(|limit| limit.parse().ok()),
        reset: moment(text_of(headers, reset)?, now)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::provider::sample::headers;

    fn read(list: &[(&'static str, &'static str)]) -> Option<Told> {
        // 2026-11-21 12:00:00 UTC.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
        told(&headers(list), now)
    }

    const fn left(remaining: u64, limit: Option<u64>, seconds: u64) -> Option<Left> {
        Some(Left { remaining, limit, reset: Duration::from_secs(seconds) })
    }

    #[test]
    fn openai_says_it_with_durations() {
        let told = read(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m12s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "2s"),
        ]);
        let tokens = left(149_984, Some(150_000), 2);
        assert_eq!(told, Some(Told { requests: left(0, Some(60), 72), tokens }));
    }

    #[test]
    fn anthropic_says_it_with_dates_and_input_goes_first() {
        let told = read(&[
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T12:00:20Z"),
            ("anthropic-ratelimit-tokens-remaining", "100"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-21T12:00:50Z"),
            ("anthropic-ratelimit-input-tokens-limit", "8000"),
            ("anthropic-ratelimit-input-tokens-remaining", "4000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-21T12:00:30Z"),
        ]);
        let tokens = left(4_000, Some(8_000), 30);
        assert_eq!(told, Some(Told { requests: left(3, None, 20), tokens }));
    }

    #[test]
    fn half_a_word_is_none() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("x-ratelimit-remaining-requests", "0")]), None);
        assert_eq!(
            read(&[
                ("x-ratelimit-remaining-requests", "many"),
                ("x-ratelimit-reset-requests", "1s")
            ]),
            None
        );
        assert_eq!(
            read(&[("x-ratelimit-remaining-tokens", "-5"), ("x-ratelimit-reset-tokens", "1s")]),
            Some(Told { requests: None, tokens: left(0, None, 1) })
        );
    }
}
