//! Recognises a chunk that is like the one before it.
//!
//! The chunks of a reply differ in little but the piece of text they bring (and in the padding that
//! OpenAI adds). Comparing the rest is several times cheaper than scanning it, and as safe: bytes
//! that are equal mean the same.

use std::ops::Range;

use super::chunk::Chunk;
use crate::wire::json::{Broken, Cursor};

/// Bound of the chunk that is remembered.
const MAX_BYTES: usize = 2048;

/// The last chunk that only brought text.
#[derive(Debug, Default)]
pub(super) struct Likeness {
    /// The chunk without its text and its padding.
    fixed: Vec<u8>,
    /// Where in `fixed` the text belongs; 0 while nothing is remembered.
    text_at: usize,
    /// Where in `fixed` the padding belongs, behind the text; `None` if there is none.
    padding_at: Option<usize>,
    tool_calls: bool,
    foreign_delta: bool,
    null_usage: Option<Remembered>,
}

/// Where a part of the remembered chunk stands in one whose text and padding have other lengths.
#[derive(Debug)]
enum Remembered {
    BeforeText(Range<usize>),
    /// Distances from the end of the text.
    BeforePadding(Range<usize>),
    /// Distances from the end of the chunk, of its two ends.
    AtEnd(Range<usize>),
}

impl Likeness {
    /// As [`Chunk::scan`].
    pub(super) fn scan(&mut self, data: &[u8]) -> Result<Chunk, Broken> {
        if let Some(text_bytes) = self.text_bytes_of(data) {
            let text_end = self.text_at + text_bytes as usize;
            return Ok(Chunk {
                meaningful: true,
                text_bytes,
                null_usage: self.null_usage.as_ref().map(|usage| match usage {
                    Remembered::BeforeText(at) => at.clone(),
                    Remembered::BeforePadding(at) => text_end + at.start..text_end + at.end,
                    Remembered::AtEnd(at) => data.len() - at.start..data.len() - at.end,
                }),
                choices: true,
                tool_calls: self.tool_calls,
                foreign_delta: self.foreign_delta,
                ..Chunk::default()
            });
        }
        let chunk = Chunk::scan(data)?;
        self.remember(&chunk, data);
        Ok(chunk)
    }

    /// The length of the text in a chunk that is otherwise the one remembered.
    fn text_bytes_of(&self, data: &[u8]) -> Option<u64> {
        let (before, after) = self.fixed.split_at(self.text_at);
        if before.is_empty() || !data.starts_with(before) {
            return None;
        }
        let (length, rest) = string(data, before.len())?;
        match self.padding_at {
            None if rest != after => return None,
            None => {}
            Some(padding_at) => {
                let (between, end) = after.split_at(padding_at - self.text_at);
                let rest = rest.strip_prefix(between)?;
                let (_, rest) = string(data, data.len() - rest.len())?;
                if rest != end {
                    return None;
                }
            }
        }
        // Empty text is not meaningful by itself; whether the chunk is, the scan must say.
        (length > 0).then_some(length as u64)
    }

    fn remember(&mut self, chunk: &Chunk, data: &[u8]) {
        let Some(text) = chunk.text.clone() else { return };
        let only_text = chunk.text_bytes == text.len() as u64
            && !text.is_empty()
            && chunk.usage.is_none()
            && !chunk.finish
            && !chunk.blank_finish
            && !chunk.error
            && !chunk.bare_choice
            && !chunk.filter_results
            && !chunk.has_blank_id(data);
        if !only_text || data.len() > MAX_BYTES {
            return;
        }
        let padding = chunk.padding.clone().filter(|padding| padding.start > text.end);
        self.fixed.clear();
        self.fixed.extend_from_slice(&data[..text.start]);
        self.text_at = self.fixed.len();
        self.padding_at = padding.as_ref().map(|padding| {
            self.fixed.extend_from_slice(&data[text.end..padding.start]);
            self.fixed.len()
        });
        self.null_usage = chunk.null_usage.clone().map(|at| match &padding {
            _ if at.end <= text.start => Remembered::BeforeText(at),
            Some(padding) if at.start < padding.start => {
                Remembered::BeforePadding(at.start - text.end..at.end - text.end)
            }
            _ => Remembered::AtEnd(data.len() - at.start..data.len() - at.end),
        });
        let rest = padding.map_or(text.end, |padding| padding.end);
        self.fixed.extend_from_slice(&data[rest..]);
        self.tool_calls = chunk.tool_calls;
        self.foreign_delta = chunk.foreign_delta;
    }
}

/// The length of the string whose first byte inside the quotes is at `at`, and what follows from
/// its closing quote on.
fn string(data: &[u8], at: usize) -> Option<(usize, &[u8])> {
    let text = Cursor::starting_at(data, at - 1).string().ok()?;
    Some((text.len(), &data[text.end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans the chunks one after the other, and each by itself: the facts must be the same.
    fn agree(chunks: &[&str]) -> usize {
        let mut likeness = Likeness::default();
        let mut recognised = 0;
        for chunk in chunks {
            let data = chunk.as_bytes();
            recognised += usize::from(likeness.text_bytes_of(data).is_some());
            let facts = |chunk: Chunk| Chunk {
                id: None,
                model: None,
                created: None,
                text: None,
                padding: None,
                ..chunk
            };
            assert_eq!(likeness.scan(data).map(facts), Chunk::scan(data).map(facts), "{chunk}");
        }
        recognised
    }

    #[test]
    fn chunks_that_differ_in_their_text_are_recognised() {
        let plain = |text: &str| {
            format!(r#"{{"id":"c","choices":[{{"delta":{{"content":"{text}"}}}}],"usage":null}}"#)
        };
        let texts = ["a", "bcd", "\\\"", "", "\\u00e9 \\\\", "e", "\u{e9}"].map(plain);
        assert_eq!(agree(&texts.each_ref().map(String::as_str)), 5);
    }

    #[test]
    fn padding_may_differ_too() {
        let padded = |text: &str, padding: &str| {
            format!(
                r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}],"obfuscation":"{padding}"}}"#
            )
        };
        let chunks = [padded("a", "x"), padded("bc", ""), padded("d", "\\\"yz")];
        assert_eq!(agree(&chunks.each_ref().map(String::as_str)), 2);
    }

    #[test]
    fn a_null_usage_is_found_again_wherever_it_stands() {
        let before = |text: &str| {
            format!(r#"{{"usage":null,"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#)
        };
        let between = |text: &str, padding: &str| {
            format!(
                r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}],"usage":null,"obfuscation":"{padding}"}}"#
            )
        };
        let behind = |text: &str, padding: &str| {
            format!(
                r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}],"obfuscation":"{padding}","usage":null}}"#
            )
        };
        assert_eq!(agree(&[&before("a"), &before("bcd")]), 1);
        assert_eq!(agree(&[&between("a", "x"), &between("bcd", ""), &between("e", "xyz")]), 2);
        assert_eq!(agree(&[&behind("a", "x"), &behind("bcd", ""), &behind("e", "xyz")]), 2);
    }

    #[test]
    fn fragments_of_arguments_are_recognised() {
        let call = |text: &str| {
            format!(
                r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]}}}}]}}"#
            )
        };
        assert_eq!(agree(&[&call("{"), &call("\\\"a\\\""), &call("")]), 1);
    }

    #[test]
    fn any_other_difference_is_scanned() {
        let first = r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#;
        for other in [
            r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
            r#"{"id":"d","choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#,
            r#"{"id":"c","choices":[{"delta":{"content":null},"finish_reason":null}]}"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":null}],"error":{"code":1}}"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a","refusal":"b"},"finish_reason":null}]}"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":null}]"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a"#,
            r#"{"id":"c"}"#,
        ] {
            assert_eq!(agree(&[first, other]), 0, "{other}");
        }
    }

    #[test]
    fn a_large_chunk_is_not_remembered() {
        let large = format!(
            r#"{{"id":"{}","choices":[{{"delta":{{"content":"a"}}}}]}}"#,
            "x".repeat(MAX_BYTES)
        );
        assert_eq!(agree(&[&large, &large]), 0);
    }
}
