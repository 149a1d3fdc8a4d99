//! Words as JSON text spells them: what an escape means, and where it stands.
//!
//! The arguments of a call come as pieces of JSON text. Who looks for words wants to see what they mean
//! (`\u00e9` is an é, `\"` a quote), and what is found has to be changed where it is written.

use std::borrow::Cow;
use std::ops::Range;

/// The first character of JSON text, and how many bytes spell it. `None`: not all of them are there.
pub(super) fn first(text: &str) -> Option<(char, usize)> {
    let mut chars = text.chars();
    match chars.next()? {
        '\\' => {}
        plain => return Some((plain, plain.len_utf8())),
    }
    let meant = match chars.next()? {
        'u' => return numbered(text),
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        // Quotes, slashes, and what no writer of JSON writes.
        other => return Some((other, 1 + other.len_utf8())),
    };
    Some((meant, 2))
}

/// The bytes of `\u00e9`.
const NUMBERED: usize = 6;

/// A character by its number; beyond the first 65,536 there are two, a surrogate pair.
fn numbered(text: &str) -> Option<(char, usize)> {
    let number = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    if text.len() < NUMBERED {
        return None;
    }
    // Not a number: no JSON, and then every byte means itself.
    let Some(high) = number(text) else { return Some(('\\', 1)) };
    if !(0xd800..0xdc00).contains(&high) {
        let meant = char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER);
        return Some((meant, NUMBERED));
    }
    let behind = text.get(NUMBERED..).unwrap_or_default();
    let may_follow =
        behind.len() < NUMBERED && ("\\u".starts_with(behind) || behind.starts_with("\\u"));
    if may_follow {
        return None;
    }
    match number(behind).filter(|low| (0xdc00..0xe000).contains(low)) {
        Some(low) => {
            let both = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            Some((char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER), 2 * NUMBERED))
        }
        None => Some((char::REPLACEMENT_CHARACTER, NUMBERED)),
    }
}

/// The last place up to a bound at which a character begins or the text ends; `text` begins with one.
pub(super) fn floor(text: &str, bound: usize) -> usize {
    let mut at = 0;
    while let Some((_, length)) = first(text.get(at..).unwrap_or_default()) {
        if at + length > bound {
            break;
        }
        at += length;
    }
    at
}

/// Whether JSON text that begins within a string, or outside of one, ends within one.
pub(super) fn ends_in_string(text: &str, begins: bool) -> bool {
    let mut is_escaped = false;
    text.bytes().fold(begins, |is_within, byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            is_within
        }
        b'\\' => {
            is_escaped = true;
            is_within
        }
        b'"' => !is_within,
        _ => is_within,
    })
}

/// A part of a text, as it is meant.
#[derive(Clone, Debug)]
pub(super) struct Readable<'t> {
    pub(super) text: Cow<'t, str>,
    /// Where it begins in the whole.
    base: usize,
    /// Ends of characters that are spelt longer than they are: in `text`, and as it is written.
    longer: Vec<(usize, usize)>,
}

impl<'t> Readable<'t> {
    /// A text that means what is written.
    pub(super) const fn plain(text: &'t str, base: usize) -> Self {
        Self { text: Cow::Borrowed(text), base, longer: Vec::new() }
    }

    /// JSON text. What is incomplete at its end means itself.
    pub(super) fn json(text: &'t str, base: usize) -> Self {
        if !text.contains('\\') {
            return Self::plain(text, base);
        }
        let mut meant = String::with_capacity(text.len());
        let (mut at, mut longer) = (0, Vec::new());
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let Some((char, length)) = first(rest) else {
                meant.push_str(rest);
                break;
            };
            meant.push(char);
            at += length;
            if length != char.len_utf8() {
                longer.push((meant.len(), at));
            }
        }
        Self { text: meant.into(), base, longer }
    }

    /// A text that reads otherwise than it is written. `longer`: ends of characters, as they read and as they are
    /// written, wherever the two have gone on by different lengths.
    pub(super) const fn read(text: String, longer: Vec<(usize, usize)>) -> Self {
        Self { text: Cow::Owned(text), base: 0, longer }
    }

    /// Where something stands in the whole.
    pub(super) fn place(&self, at: &Range<usize>) -> Range<usize> {
        self.written(at.start)..self.written(at.end)
    }

    pub(super) fn written(&self, at: usize) -> usize {
        let before = self.longer.partition_point(|(meant, _)| *meant <= at);
        let last = before.checked_sub(1).and_then(|last| self.longer.get(last));
        let (meant, written) = last.copied().unwrap_or_default();
        self.base + written + (at - meant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_found_again() {
        let text = r#"a\u00e9\"b\\n\ud83d\ude00c\/\ud800d"#;
        let readable = Readable::json(text, 100);
        assert_eq!(readable.text, "aé\"b\\n😀c/\u{fffd}d");
        for (meant, written) in
            [("é", r"\u00e9"), ("b", "b"), ("😀c", r"\ud83d\ude00c"), ("d", "d")]
        {
            let start = readable.text.rfind(meant).unwrap();
            let at = readable.place(&(start..start + meant.len()));
            assert_eq!(text.get(at.start - 100..at.end - 100), Some(written), "{meant}");
        }
        assert_eq!(floor(text, 6), 1, "within the first escape");
        assert_eq!(floor(text, 7), 7);
        assert_eq!(floor(text, text.len()), text.len());
    }

    #[test]
    fn a_part_of_an_escape_is_waited_for() {
        for part in [r"\", r"\u", r"\u00e", r"\ud83d", r"\ud83d\", r"\ud83d\ude0"] {
            assert_eq!(first(part), None, "{part}");
        }
        for (whole, meant) in
            [(r"\ud83dx", '\u{fffd}'), (r"\ud83d\n", '\u{fffd}'), (r"\uzzzz", '\\')]
        {
            assert_eq!(first(whole).map(|(char, _)| char), Some(meant), "{whole}");
        }
    }
}
