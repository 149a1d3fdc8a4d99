//! The hash under which a key is kept: LiteLLM's, so that keys can be brought over.
//!
//! Knows nothing of where keys are kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// How many of a key's last letters its name shows.
const SHOWN: usize = 4;

/// SHA-256 of a key, unsalted: a key has 128 random bits, so there is nothing to guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of a key as a client sends it.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 hexadecimal digits in lower case.
impl fmt::Display for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The text is not a hash: it has not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key's hash has 64 hexadecimal digits")]
pub struct NoHash;

impl FromStr for KeyHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let mut hash = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 2 * hash.len() {
            return Err(NoHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NoHash)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoHash)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What of a key may be shown: `sk-...abcd`.
#[must_use]
pub fn masked(key: &str) -> String {
    let last = key.char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
    // Of a short key nothing is shown: it would be most of it.
    let shown = if key.chars().count() >= 4 * SHOWN { key.split_at(last).1 } else { "" };
    format!("sk-...{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = KeyHash::of(b"sk-1234");
        // sha256sum says so.
        let written = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b";
        assert_eq!(hash.to_string(), written);
        assert_eq!(written.parse(), Ok(hash));
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{written}\""));
        let upper = written.to_uppercase();
        assert_eq!(upper.parse(), Ok(hash));
        for wrong in [
            "",
            "88",
            written.trim_start_matches('8'),
            &format!("{written}0"),
            &written.replace('8', "x"),
        ] {
            assert_eq!(wrong.parse::<KeyHash>(), Err(NoHash), "{wrong}");
        }
    }

    #[test]
    fn only_the_end_of_a_long_key_is_shown() {
        assert_eq!(masked("sk-abcdefghijklmnopqrstuv"), "sk-...stuv");
        assert_eq!(masked("short"), "sk-...");
        assert_eq!(masked("sk-ünïcödé-ünïcödé"), "sk-...cödé");
    }
}
