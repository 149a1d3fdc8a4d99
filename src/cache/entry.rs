//! One reply as it is kept, in memory and elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::money::Usd;
use crate::usage::Usage;

/// The bytes that a client was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A reply in one piece.
    Whole(Bytes),
    /// A stream of events, in parts.
    Events {
        events: Bytes,
        /// The event that tells the usage, where a client gets it on request only.
        usage: Bytes,
        /// The mark of the end, where there is one.
        end: Bytes,
    },
}

impl Kept {
    /// How much it is.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::Events { events, usage, end } => events.len() + usage.len() + end.len(),
        }
    }

    const fn parts(&self) -> [Option<&Bytes>; 3] {
        match self {
            Self::Whole(body) => [Some(body), None, None],
            Self::Events { events, usage, end } => [Some(events), Some(usage), Some(end)],
        }
    }
}

/// What made the reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Maker {
    /// Its id.
    pub deployment: Arc<str>,
    pub group: Arc<str>,
    /// The model as the provider names it.
    pub model: Arc<str>,
}

/// A reply, and what is to be known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kept: Kept,
    pub maker: Option<Maker>,
    /// What it used, and what that cost.
    pub usage: Usage,
    pub cost: Usd,
    /// Milliseconds since 1970.
    pub made_ms: u64,
    pub expires_ms: u64,
}

/// What stands before the bytes: one line of JSON.
#[derive(Serialize, Deserialize)]
struct Head {
    maker: Option<Maker>,
    usage: Usage,
    cost_pico: u64,
    made_ms: u64,
    expires_ms: u64,
    /// Of a whole reply one length, of a stream three.
    lengths: Vec<usize>,
}

impl Entry {
    /// How long it is kept.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        Duration::from_millis(self.expires_ms.saturating_sub(self.made_ms))
    }

    /// Whether it may be given to somebody who wants nothing older than `max_age`.
    #[must_use]
    pub fn is_fresh(&self, now_ms: u64, max_age: Option<Duration>) -> bool {
        let age = Duration::from_millis(now_ms.saturating_sub(self.made_ms));
        now_ms < self.expires_ms && max_age.is_none_or(|most| age <= most)
    }

    /// As bytes, for another place than this process.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let parts = self.kept.parts();
        let head = Head {
            maker: self.maker.clone(),
            usage: self.usage,
            cost_pico: self.cost.pico(),
            made_ms: self.made_ms,
            expires_ms: self.expires_ms,
            lengths: parts.iter().flatten().map(|part| part.len()).collect(),
        };
        let mut out = serde_json::to_vec(&head).unwrap_or_default();
        out.push(b'\n');
        for part in parts.into_iter().flatten() {
            out.extend_from_slice(part);
        }
        out.into()
    }

    /// What [`Entry::encode`] wrote; `None` for anything else.
    #[must_use]
    pub fn decode(mut bytes: Bytes) -> Option<Self> {
        let end = memchr::memchr(b'\n', &bytes)?;
        let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
        let mut rest = bytes.split_off(end + 1);
        let whole = head.lengths.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length));
        if whole != Some(rest.len()) {
            return None;
        }
        let mut next = |length: usize| rest.split_to(length);
        let kept = match *head.lengths.as_slice() {
            [body] => Kept::Whole(next(body)),
            [events, usage, end] => {
                Kept::Events { events: next(events), usage: next(usage), end: next(end) }
            }
            _ => return None,
        };
        Some(Self {
            kept,
            maker: head.maker,
            usage: head.usage,
            cost: Usd::from_pico(head.cost_pico),
            made_ms: head.made_ms,
            expires_ms: head.expires_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kept: Kept) -> Entry {
        Entry {
            kept,
            maker: Some(Maker { deployment: "d".into(), group: "g".into(), model: "m".into() }),
            usage: Usage { input_tokens: 3, output_tokens: 4, ..Usage::default() },
            cost: Usd::from_pico(5),
            made_ms: 1_000,
            expires_ms: 3_000,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let whole = entry(Kept::Whole(Bytes::from_static(b"{\"a\":\n1}")));
        let events = entry(Kept::Events {
            events: Bytes::from_static(b"data: 1\n\ndata: 2\n\n"),
            usage: Bytes::new(),
            end: Bytes::from_static(b"data: [DONE]\n\n"),
        });
        for entry in [whole, events] {
            let written = entry.encode();
            assert_eq!(Entry::decode(written.clone()), Some(entry));
            for cut in 0..written.len() {
                assert_eq!(Entry::decode(written.slice(..cut)), None, "cut at {cut}");
            }
        }
        assert_eq!(Entry::decode(Bytes::from_static(b"{}\n")), None);
    }

    #[test]
    fn age_is_counted_from_when_it_was_made() {
        let entry = entry(Kept::Whole(Bytes::new()));
        assert_eq!(entry.lifetime(), Duration::from_secs(2));
        assert!(entry.is_fresh(2_999, None));
        assert!(!entry.is_fresh(3_000, None));
        assert!(entry.is_fresh(1_500, Some(Duration::from_millis(500))));
        assert!(!entry.is_fresh(1_501, Some(Duration::from_millis(500))));
        // A clock that was set back.
        assert!(entry.is_fresh(0, Some(Duration::ZERO)));
    }
}
