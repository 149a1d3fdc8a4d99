//! Patterns that are looked for together, and those that are known by name.
//!
//! One pass says which of them occur at all; only those are looked for one by one. Expressions run in time
//! linear in the text, whoever wrote them.

use std::ops::Range;

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// What one set may take of memory once it is compiled.
const COMPILED_MAX: usize = 32 * 1024 * 1024;

/// A set of patterns.
#[derive(Debug)]
pub(super) struct Patterns {
    set: RegexSet,
    each: Vec<Regex>,
}

impl Patterns {
    /// # Errors
    /// What is wrong with one of them, by its place.
    pub(super) fn new<'p>(written: impl Iterator<Item = &'p str>) -> Result<Self, (usize, String)> {
        let written: Vec<_> = written.collect();
        let each = written.iter().enumerate().map(|(at, pattern)| {
            let compiled = RegexBuilder::new(pattern).size_limit(COMPILED_MAX).build();
            compiled.map_err(|error| (at, error.to_string()))
        });
        let each = each.collect::<Result<Vec<_>, _>>()?;
        let set = RegexSetBuilder::new(&written).size_limit(COMPILED_MAX).build();
        Ok(Self { set: set.map_err(|error| (0, error.to_string()))?, each })
    }

    /// Every occurrence: the pattern by its place, and where. What a pattern has a group for is the thing
    /// itself, and what stands around it is not.
    pub(super) fn find(&self, text: &str, mut found: impl FnMut(usize, Range<usize>)) {
        for at in self.set.matches(text) {
            let pattern = &self.each[at];
            if pattern.captures_len() > 1 {
                for groups in pattern.captures_iter(text) {
                    if let Some(thing) = groups.get(1).or_else(|| groups.get(0)) {
                        found(at, thing.range());
                    }
                }
            } else {
                pattern.find_iter(text).for_each(|thing| found(at, thing.range()));
            }
        }
    }
}

impl Patterns {
    /// Every occurrence that is one by what stands around it, of patterns without groups.
    pub(super) fn find_if(
        &self,
        text: &str,
        is_one: impl Fn(&str, &Range<usize>) -> bool,
        mut found: impl FnMut(usize, Range<usize>),
    ) {
        for at in self.set.matches(text) {
            let mut from = 0;
            while let Some(thing) = self.each[at].find_at(text, from) {
                let place = thing.range();
                // Another may begin within one that is none.
                let first = thing.as_str().chars().next();
                from = place.start + first.map_or(1, char::len_utf8);
                if is_one(text, &place) {
                    from = from.max(place.end);
                    found(at, place);
                }
                if from > text.len() {
                    break;
                }
            }
        }
    }
}

/// A pattern that is known by name.
#[derive(Debug)]
pub struct Prebuilt {
    /// In LiteLLM's words, where it has one.
    pub name: &'static str,
    /// In Presidio's words; empty for credentials.
    pub entity: &'static str,
    pub pattern: &'static str,
    /// What a pattern cannot say.
    pub(super) holds: fn(&str) -> bool,
}

/// Patterns that take groups of digits as long as there are some: a date that follows a card belongs to none.
const GROUPED: [&str; 2] = ["credit_card", "iban"];

impl Prebuilt {
    /// Where the thing itself stands in what the pattern has found; `None`: that holds none.
    pub(super) fn thing(&self, text: &str, found: Range<usize>) -> Option<Range<usize>> {
        let holds = |at: &Range<usize>| text.get(at.clone()).is_some_and(self.holds);
        if holds(&found) || !GROUPED.contains(&self.name) {
            return Some(found).filter(holds);
        }
        let inside = text.get(found.clone())?;
        let Range { start: first, end: last } = found;
        let gaps = || inside.match_indices([' ', '-']).map(move |(at, _)| first + at);
        let starts = std::iter::once(first).chain(gaps().map(|at| at + 1));
        let mut parts = starts.flat_map(|start| {
            let ends = gaps().chain(std::iter::once(last)).filter(move |end| *end > start);
            ends.map(move |end| start..end)
        });
        parts.find(holds)
    }
}

/// The pattern with this name, or for this entity.
#[must_use]
pub fn prebuilt(name: &str) -> Option<&'static Prebuilt> {
    PREBUILT.iter().find(|it| it.name == name || !it.entity.is_empty() && it.entity == name)
}

const fn always(_: &str) -> bool {
    true
}

macro_rules! patterns {
    ($($name:literal, $entity:literal, $pattern:literal $(, $holds:expr)?;)*) => {
        &[$(Prebuilt {
            name: $name,
            entity: $entity,
            pattern: $pattern,
            holds: patterns!(@holds $($holds)?),
        }),*]
    };
    (@holds) => { always };
    (@holds $holds:expr) => { $holds };
}

/// Personal data first, then credentials. Boundaries are those of ASCII: what stands beside a letter of a writing
/// without spaces is found too, and expressions with boundaries of Unicode are slow in texts that are not ASCII.
pub static PREBUILT: &[Prebuilt] = patterns! {
    "email", "EMAIL_ADDRESS",
        r"(?i)[a-z0-9_][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,62})\.)+[a-z]{2,24}";
    "phone", "PHONE_NUMBER",
        r"(?:\+|(?-u:\b)00)[1-9][0-9]{0,2}[ .-]?(?:\(0?[0-9]{1,4}\)[ .-]?)?(?:[0-9]{2,4}[ ./-]?){2,4}[0-9]{2,4}(?-u:\b)|(?:\([2-9][0-9]{2}\) ?|(?-u:\b)[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}(?-u:\b)",
        is_phone;
    "credit_card", "CREDIT_CARD", r"(?-u:\b)(?:[0-9][ -]?){12,18}[0-9](?-u:\b)", is_card;
    "us_ssn", "US_SSN", r"(?-u:\b)[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b)", is_ssn;
    "iban", "IBAN_CODE", r"(?-u:\b)[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?-u:\b)", is_iban;
    "ip_address", "IP_ADDRESS",
        r"(?i)(?-u:\b)(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?-u:\b)|(?-u:\b)(?:[0-9a-f]{1,4}:){2,7}(?:[0-9a-f]{1,4}|:)(?:[0-9a-f:]*[0-9a-f])?",
        is_ip;
    "bitcoin_address", "CRYPTO", r"(?-u:\b)(?:bc1[a-z0-9]{25,59}|[13][a-km-zA-HJ-NP-Z1-9]{25,34})(?-u:\b)";
    "aws_access_key", "", r"(?-u:\b)(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?-u:\b)";
    "aws_secret_key", "",
        r#"(?i)aws.{0,20}(?:secret|key).{0,20}?[=:'" ]([a-z0-9/+]{40})(?:[^a-z0-9/+=]|$)"#, is_random;
    "github_token", "", r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,255})(?-u:\b)";
    "gitlab_token", "", r"(?-u:\b)gl(?:pat|dt|rt|ptt|soat)-[A-Za-z0-9_-]{20,}";
    "slack_token", "", r"(?-u:\b)xox[abeoprs]-[A-Za-z0-9-]{10,}";
    "slack_webhook", "", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/+]{20,}";
    "stripe_key", "", r"(?-u:\b)[rs]k_(?:live|test)_[A-Za-z0-9]{16,}";
    "openai_key", "", r"(?-u:\b)sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}", has_digit;
    "google_api_key", "", r"(?-u:\b)AIza[0-9A-Za-z_-]{35}";
    "huggingface_token", "", r"(?-u:\b)hf_[A-Za-z0-9]{30,}";
    "npm_token", "", r"(?-u:\b)npm_[A-Za-z0-9]{36}(?-u:\b)";
    "pypi_token", "", r"(?-u:\b)pypi-[A-Za-z0-9_-]{50,}";
    "sendgrid_key", "", r"(?-u:\b)SG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{30,}";
    "twilio_key", "", r"(?-u:\b)SK[0-9a-f]{32}(?-u:\b)";
    "telegram_token", "", r"(?-u:\b)[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?-u:\b)";
    "azure_storage_key", "", r"(?-u:\b)AccountKey=([A-Za-z0-9+/]{86}==)";
    "json_web_token", "", r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}";
    "private_key", "",
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[^-]*-----END (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----|[^-]*)";
    "bearer_token", "",
        r#"(?i)(?-u:\b)authorization["']?\s{0,3}[:=]\s{0,3}["']?(?:bearer|basic|token)\s{1,3}([a-z0-9._~+/=-]{16,})"#,
        has_digit;
    "url_password", "", r"(?-u:\b)[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@<>]{1,100}:([^\s/@<>]{3,200})@";
    "generic_secret", "",
        r#"(?i)(?-u:\b)[a-z0-9_.-]{0,30}(?:api[_-]?key|secret|token|passwd|password|credential)s?["']?\s{0,3}(?:=>|:=|=|:)\s{0,3}["']?([a-z0-9_+/=.~!@$%^&*-]{12,200})"#,
        is_random;
};

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.chars().filter_map(|c| c.to_digit(10))
}

/// Luhn's check.
fn is_card(text: &str) -> bool {
    let count = digits(text).count();
    let sum: u32 = digits(text)
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => digit,
            _ if digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    // Cards of 13 digits are old ones of Visa. None that people have begins with 0, 1 or 7; times in milliseconds do.
    let begins = match digits(text).next() {
        Some(4) => true,
        Some(0 | 1 | 7) | None => false,
        Some(_) => count > 13,
    };
    begins && (13..=19).contains(&count) && sum.is_multiple_of(10)
}

/// Numbers that were never given out are none.
fn is_ssn(text: &str) -> bool {
    let mut parts = text.split('-');
    let (area, group, serial) = (parts.next(), parts.next(), parts.next());
    !matches!(area, Some("000" | "666"))
        && !area.is_some_and(|area| area.starts_with('9'))
        && group != Some("00")
        && serial != Some("0000")
}

/// ISO 7064, MOD 97-10.
fn is_iban(text: &str) -> bool {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    if !(15..=34).contains(&text.len()) {
        return false;
    }
    let (front, rest) = text.split_at(4);
    let rest = rest.chars().chain(front.chars()).filter_map(|c| c.to_digit(36));
    let sum = rest.fold(0, |sum, digit| match digit {
        0..=9 => (sum * 10 + digit) % 97,
        _ => (sum * 100 + digit) % 97,
    });
    sum == 1
}

fn is_phone(text: &str) -> bool {
    (8..=15).contains(&digits(text).count())
}

/// Neither a version nor an address of this machine.
fn is_ip(text: &str) -> bool {
    let Ok(address) = text.parse::<std::net::IpAddr>() else { return false };
    !address.is_unspecified() && !address.is_loopback()
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Looks like no word: letters and digits, in no order.
fn is_random(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let entropy: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / length;
            -share * share.log2()
        })
        .sum();
    let has = |is: fn(&u8) -> bool| bytes.iter().any(is);
    entropy > 3.0 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(name: &str, text: &str) -> Option<String> {
        let known = prebuilt(name).unwrap();
        let patterns = Patterns::new(std::iter::once(known.pattern)).unwrap();
        let mut first = None;
        patterns.find(text, |_, at| {
            if first.is_none()
                && let Some(at) = known.thing(text, at)
            {
                first = text.get(at).map(str::to_owned);
            }
        });
        first
    }

    #[test]
    fn each_finds_what_it_is_for_and_not_what_looks_like_it() {
        for (name, text, thing) in [
            ("email", "mail Ann.Lee+x@mail.example.com.", Some("Ann.Lee+x@mail.example.com")),
            ("email", "a@b, @handle and 5 @ 3", None),
            ("email", "我的邮箱是ann@example.com谢谢", Some("ann@example.com")),
            ("email", "in Markdown _ann@example.com_ is told", Some("_ann@example.com")),
            ("aws_access_key", "密钥AKIAIOSFODNN7EXAMPLE请保密", Some("AKIAIOSFODNN7EXAMPLE")),
            ("credit_card", "卡号4111111111111111请", Some("4111111111111111")),
            (
                "bearer_token",
                "curl -H 'Authorization: Bearer q8Zr71LmPx02Vt3Kd' https://x",
                Some("q8Zr71LmPx02Vt3Kd"),
            ),
            ("bearer_token", "curl -H 'Authorization: Bearer YOUR_API_KEY_GOES_HERE'", None),
            ("phone", "call +49 (0)30 1234 5678 now", Some("+49 (0)30 1234 5678")),
            ("phone", "call (415) 555-0132", Some("(415) 555-0132")),
            ("phone", "call 415-555-0132.", Some("415-555-0132")),
            ("phone", "in 2024, 1234567 of 12 or 3.14", None),
            ("credit_card", "pay 4111 1111 1111 1111 today", Some("4111 1111 1111 1111")),
            ("credit_card", "pay 4111 1111 1111 1112 today", None),
            ("credit_card", "4111 1111 1111 1111 12/27", Some("4111 1111 1111 1111")),
            ("credit_card", "4111111111111111 12-27", Some("4111111111111111")),
            ("credit_card", "no. 12 4111-1111-1111-1111 9", Some("4111-1111-1111-1111")),
            ("credit_card", "at 1700000000002, 1700000000000", None),
            ("IBAN_CODE", "DE89370400440532013000 EUR", Some("DE89370400440532013000")),
            ("US_SSN", "it is 123-45-6789", Some("123-45-6789")),
            ("US_SSN", "it is 666-45-6789", None),
            ("IBAN_CODE", "to DE89 3704 0044 0532 0130 00.", Some("DE89 3704 0044 0532 0130 00")),
            ("IBAN_CODE", "to DE88 3704 0044 0532 0130 00.", None),
            ("IP_ADDRESS", "from 203.0.113.9 to", Some("203.0.113.9")),
            ("IP_ADDRESS", "from 2001:db8::1", Some("2001:db8::1")),
            ("IP_ADDRESS", "at 127.0.0.1, 12:30:45", None),
            ("aws_access_key", "id AKIAIOSFODNN7EXAMPLE", Some("AKIAIOSFODNN7EXAMPLE")),
            (
                "aws_secret_key",
                "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                Some("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ),
            ("url_password", "postgres://me:hunter22@db/x", Some("hunter22")),
            ("url_password", "https://example.com/a:b@c", None),
            ("generic_secret", "API_KEY=\"q8Zr71LmPx02Vt\"", Some("q8Zr71LmPx02Vt")),
            ("generic_secret", "the secret: understanding people", None),
            ("openai_key", "sk-proj-abcDEF0123456789abcd", Some("sk-proj-abcDEF0123456789abcd")),
            ("openai_key", "sk-learn-is-a-library-of-python", None),
        ] {
            assert_eq!(finds(name, text).as_deref(), thing, "{name}: {text}");
        }
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----";
        assert_eq!(finds("private_key", &format!("x {key} y")).as_deref(), Some(key));
        let cut = finds("private_key", "-----BEGIN PRIVATE KEY-----\nMIIB");
        assert_eq!(cut.as_deref(), Some("-----BEGIN PRIVATE KEY-----\nMIIB"), "one that goes on");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        let (at, message) = Patterns::new(["a", "("].into_iter()).unwrap_err();
        assert!(at == 1 && message.contains("unclosed"), "{message}");
    }
}
