//! A reader that walks over JSON text without building anything.
//!
//! It checks what it passes: structure, strings, numbers, words and depth. It does not check UTF-8;
//! [`super::Object::parse`] does that once for the whole body, and stream frames go on unread.

use std::ops::Range;

/// How deep arrays and objects may be nested inside one value. `serde_json` builds trees of at most
/// 127 levels, so an object of such values, accepted here, can always be read there.
pub(crate) const MAX_DEPTH: u32 = 126;

/// What is wrong with the text, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) message: &'static str,
    pub(crate) at: usize,
}

/// A position in JSON text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// A cursor in the middle of a text.
    pub(crate) const fn starting_at(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// The byte that is read next.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over `{` or `[`.
    pub(crate) fn open(&mut self, bracket: u8) -> Result<(), Broken> {
        self.space();
        if self.peek() != Some(bracket) {
            return Err(self.broken("expected an object"));
        }
        self.at += 1;
        Ok(())
    }

    /// Steps to the next field of the open object: the span of its name without the quotes, with
    /// the cursor at its value. `None` steps over the closing brace.
    pub(crate) fn field(&mut self, first: bool) -> Result<Option<Range<usize>>, Broken> {
        self.space();
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.space();
            }
            _ if first => {}
            _ => return Err(self.broken("expected `,` or `}`")),
        }
        self.name().map(Some)
    }

    /// Steps to the next element of the open array: true with the cursor at it, false after
    /// stepping over the closing bracket.
    pub(crate) fn element(&mut self, first: bool) -> Result<bool, Broken> {
        self.space();
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                self.space();
                if self.peek() == Some(b']') {
                    return Err(self.broken("expected a value"));
                }
                Ok(true)
            }
            _ if first => Ok(true),
            _ => Err(self.broken("expected `,` or `]`")),
        }
    }

    /// Steps over one value of any kind and returns its span.
    pub(crate) fn value(&mut self) -> Result<Range<usize>, Broken> {
        let start = self.at;
        // One bit per open container, the innermost lowest: 1 is an object.
        let mut kinds: u128 = 0;
        let mut depth = 0;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(self.broken("nested too deeply"));
                    }
                    let object = open == b'{';
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(if object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        depth += 1;
                        kinds = kinds << 1 | u128::from(object);
                        if object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                Some(_) => return Err(self.broken("expected a value")),
                None => return Err(self.broken("the text ends where a value was expected")),
            }
            // A value ended: so do the containers that close behind it.
            loop {
                if depth == 0 {
                    return Ok(start..self.at);
                }
                self.space();
                let object = kinds & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    None => return Err(self.broken("the text ends inside a value")),
                    Some(_) if object => return Err(self.broken("expected `,` or `}`")),
                    Some(_) => return Err(self.broken("expected `,` or `]`")),
                }
                self.at += 1;
                depth -= 1;
                kinds >>= 1;
            }
        }
    }

    /// Steps over a string and returns its span without the quotes.
    pub(crate) fn string(&mut self) -> Result<Range<usize>, Broken> {
        let start = self.at + 1;
        self.at = start;
        loop {
            self.at += plain(&self.text[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                Some(b'\\') => match self.text.get(self.at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                    Some(b'u') => {
                        let digits = self.text.get(self.at + 2..self.at + 6);
                        if !digits.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                            return Err(self.broken("`\\u` needs four hexadecimal digits"));
                        }
                        self.at += 6;
                    }
                    Some(_) => return Err(self.broken("unknown escape in a string")),
                    None => return Err(self.broken("the text ends inside a string")),
                },
                Some(_) => return Err(self.broken("control character in a string")),
                None => return Err(self.broken("the text ends inside a string")),
            }
        }
    }

    /// Steps over a name and its colon, to the value.
    fn name(&mut self) -> Result<Range<usize>, Broken> {
        if self.peek() != Some(b'"') {
            return Err(self.broken("expected a name in quotes"));
        }
        let name = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.broken("expected `:`"));
        }
        self.at += 1;
        self.space();
        Ok(name)
    }

    fn number(&mut self) -> Result<(), Broken> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.broken("expected a digit")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Broken> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.broken("expected a digit"));
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Broken> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.broken("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    pub(crate) const fn broken(&self, message: &'static str) -> Broken {
        Broken { message, at: self.at }
    }
}

/// How many bytes at the start are plain inside a string: no quote, backslash or control character.
///
/// Prompts are mostly long strings, so this loop decides how fast a request is read. Names and
/// short values end within the first few words of eight bytes, where the exact place comes out of
/// the same computation; longer text goes in blocks that the compiler turns into vector code.
fn plain(text: &[u8]) -> usize {
    let mut at = 0;
    let mut blocks = true;
    while let Some(word) = text[at..].first_chunk::<8>() {
        let hits = special(u64::from_le_bytes(*word));
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
        // Once a block has a hit in it, the words find out where.
        if blocks && at >= 32 {
            blocks = false;
            while let Some(block) = text[at..].first_chunk::<64>() {
                let hit = block.iter().fold(false, |hit, &byte| {
                    hit | (byte == b'"') | (byte == b'\\') | (byte < b' ')
                });
                if hit {
                    break;
                }
                at += 64;
            }
        }
    }
    let tail = &text[at..];
    let special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < b' ';
    at + tail.iter().position(special).unwrap_or(tail.len())
}

/// Marks the highest bit of every byte that is a quote, a backslash or a control character. Marks
/// above the lowest true one may be false (the borrow runs upwards); only the lowest is used.
const fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    ((quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * b' ' as u64) & !word))
        & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &[u8]) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.space();
        let value = cursor.value();
        cursor.space();
        value.is_ok() && cursor.at() == text.len()
    }

    #[test]
    fn it_agrees_with_serde_json_on_every_small_damage() {
        let samples = [
            r#"{"a":[1,-2.5e+3,0,{"b":null}],"c":"x\u00e9\n\"","d":{},"e":[],"f":true,"g":false}"#,
            r#" [ "a long string that needs more than one word of eight bytes, \\ and an escape" , 0.1 ] "#,
            "\"\"",
            "-0",
        ];
        for sample in samples {
            let sample = sample.as_bytes();
            for at in 0..sample.len() {
                for byte in b"\"\\{}[],:0-.eEtn u\n\x01xX/" {
                    for text in [
                        [&sample[..at], &[*byte], &sample[at..]].concat(),
                        [&sample[..at], &[*byte], &sample[at + 1..]].concat(),
                        [&sample[..at], &sample[at + 1..]].concat(),
                        sample[..at].to_vec(),
                    ] {
                        let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
                        assert_eq!(accepts(&text), theirs, "{}", String::from_utf8_lossy(&text));
                    }
                }
            }
        }
    }

    #[test]
    fn the_end_of_a_string_is_found_at_every_length() {
        for length in 0..300 {
            for end in [b'"', b'\\', 0x1f, 0] {
                let mut text = vec![b'\x7f'; length];
                text.push(end);
                text.extend_from_slice(b"\xffrest of the text");
                assert_eq!(plain(&text), length);
            }
            assert_eq!(plain(&vec![0xe2; length]), length);
        }
    }

    #[test]
    fn depth_has_a_bound() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(accepts(nested(MAX_DEPTH as usize).as_bytes()));
        assert!(!accepts(nested(MAX_DEPTH as usize + 1).as_bytes()));
        let tree = serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH as usize + 1));
        assert!(tree.is_ok(), "the object around such a value can be read as a tree");
        assert!(!accepts("[".repeat(1 << 20).as_bytes()));
    }
}
