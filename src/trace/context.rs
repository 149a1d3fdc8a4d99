//! The place of a span in a trace, as W3C's `traceparent` names it (Trace Context, level 1).

use std::fmt;

/// The length of version 00: `00-<32 digits>-<16 digits>-<2 digits>`.
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;

/// The name of a trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// The name of a span in its trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl TraceId {
    /// A new one, of these random bits.
    #[must_use]
    pub const fn new(random: u128) -> Self {
        Self(if random == 0 { 1 } else { random })
    }

    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The half that is random in every generator there is.
    pub(super) const fn low(self) -> u64 {
        self.0 as u64
    }
}

impl SpanId {
    /// A new one, of these random bits.
    #[must_use]
    pub const fn new(random: u64) -> Self {
        Self(if random == 0 { 1 } else { random })
    }

    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// A span among the others of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: TraceId,
    pub span: SpanId,
    /// Somebody keeps the trace.
    pub sampled: bool,
}

impl Context {
    /// Reads a `traceparent`; `None` if it is none, and then a trace of one's own begins. A version
    /// that is not known yet is read as far as version 00 goes.
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (known, rest) = header.split_at_checked(LENGTH)?;
        let version = digits(&known[..2])?;
        let goes_on = !rest.is_empty();
        if version == 0xff || (version == 0 && goes_on) || (goes_on && rest[0] != b'-') {
            return None;
        }
        if [2, 35, 52].iter().any(|&at| known[at] != b'-') {
            return None;
        }
        let trace = digits(&known[3..35]).filter(|&id| id != 0)?;
        // Sixteen digits fit.
        let span = digits(&known[36..52]).filter(|&id| id != 0)? as u64;
        let flags = digits(&known[53..55])? as u8;
        Some(Self { trace: TraceId(trace), span: SpanId(span), sampled: flags & SAMPLED != 0 })
    }

    /// The `traceparent` for whoever works for this span.
    #[must_use]
    pub fn header(&self) -> String {
        format!("00-{:?}-{:?}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Hexadecimal digits, which the standard wants in lower case.
fn digits(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_again() {
        let context = Context::parse(GIVEN.as_bytes()).unwrap();
        assert!(context.sampled);
        assert_eq!(context.header(), GIVEN);
        let other = GIVEN.replace("-01", "-02");
        let context = Context::parse(other.as_bytes()).unwrap();
        assert!(!context.sampled);
        assert!(context.header().ends_with("-00"), "only the flag that is ours is passed on");
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("{}-extra", GIVEN.replacen("00", "cc", 1));
        assert!(Context::parse(later.as_bytes()).is_some());
        assert!(Context::parse(later.replace("-extra", "extra").as_bytes()).is_none());
    }

    #[test]
    fn what_is_no_traceparent_is_left_alone() {
        for bad in [
            String::new(),
            "00".into(),
            GIVEN.to_uppercase(),
            GIVEN.replacen("00", "ff", 1),
            GIVEN.replacen('4', "g", 1),
            GIVEN.replace('-', "_"),
            format!("{GIVEN}-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".into(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".into(),
        ] {
            assert_eq!(Context::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
