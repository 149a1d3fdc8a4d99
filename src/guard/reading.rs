//! A text as it reads to a person, where it is spelt with other characters: ways past an expression.
//!
//! What is not seen is left out, letters and digits of another width or style are the plain ones, and in a word
//! that mixes alphabets a letter that looks like a Latin one is one. Who looks in this process looks at a text as
//! it is written and, if it reads otherwise, at that too; what is found so is changed where it is written.

use std::iter::once;

use unicode_normalization::char::{compose, decompose_compatible};
use unicode_normalization::{IsNormalized, is_nfkc_quick};

use super::spelling::Readable;

/// How a text reads; `None`: as it is written.
pub(super) fn read(text: &str) -> Option<Readable<'static>> {
    if text.bytes().all(is_plain) {
        return None;
    }
    let mut read = Reading { text: String::with_capacity(text.len()), longer: Vec::new() };
    let mut at = 0;
    for word in
        text.split_inclusive(|c: char| !c.is_alphanumeric() && !is_unseen(c) && !is_accent(c))
    {
        let is_mixed = is_mixed(word);
        for c in word.chars() {
            at += c.len_utf8();
            read.take(c, is_mixed, at);
        }
    }
    (!read.longer.is_empty()).then(|| Readable::read(read.text, read.longer))
}

/// What was read so far.
struct Reading {
    text: String,
    /// Ends of characters that are written longer or shorter than they read: in `text`, and as written.
    longer: Vec<(usize, usize)>,
}

impl Reading {
    /// Takes the next character, which ends at `at` where it is written.
    fn take(&mut self, c: char, is_mixed: bool, at: usize) {
        let twin = if is_mixed { twin(c) } else { None };
        if is_unseen(c) {
            self.ends(at);
        } else if c.is_ascii() || twin.is_none() && is_usual(c) {
            self.text.push(c);
        } else if let Some(twin) = digit(c).or(twin) {
            self.text.push(twin);
            self.ends(at);
        } else if is_accent(c) {
            // One that makes no letter together with what it stands on is there to be in the way.
            self.join(c);
            self.ends(at);
        } else if c == '…' || is_nfkc_quick(once(c)) == IsNormalized::Yes {
            self.text.push(c);
        } else {
            let before = self.text.len();
            decompose_compatible(c, |part| {
                if !self.join(part) {
                    self.text.push(part);
                }
            });
            if self.text.get(before..).and_then(|new| new.strip_prefix(c)) != Some("") {
                self.ends(at);
            }
        }
    }

    /// Makes one of a character and the one before, if they are one together.
    fn join(&mut self, part: char) -> bool {
        let last = self.text.chars().next_back();
        let both = last.and_then(|last| compose(last, part));
        if let Some(both) = both {
            self.text.pop();
            self.text.push(both);
        }
        both.is_some()
    }

    /// What was read so far ends here where it is written.
    fn ends(&mut self, at: usize) {
        let length = self.text.len();
        while self.longer.last().is_some_and(|(read, _)| *read >= length) {
            self.longer.pop();
        }
        self.longer.push((length, at));
    }
}

/// Whether a word has Latin letters and some that only look like them.
fn is_mixed(word: &str) -> bool {
    !word.is_ascii()
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
        && word.chars().any(|c| !c.is_ascii() && twin(c).is_some())
}

/// A letter that is what it looks like: of the languages that are written most, so that their texts are read fast.
const fn is_usual(c: char) -> bool {
    matches!(c,
        '\u{c0}'..='\u{131}' | '\u{400}'..='\u{481}' | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}')
}

/// A byte of a text that reads as it is written.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

/// Stands between letters and is not seen: what Unicode calls ignorable, controls, and what stands for half a character.
const fn is_unseen(c: char) -> bool {
    if c.is_ascii() {
        return !is_plain(c as u8);
    }
    matches!(c,
        '\u{80}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{fffd}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Stands on the character before.
const fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}')
}

/// The plain digit for one of another writing.
fn digit(c: char) -> Option<char> {
    /// The zeros of Arabic, Persian, Devanagari to Malayalam, Thai, Lao, Tibetan and Burmese; the others follow them.
    const ZEROS: [u32; 15] = [
        0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0,
        0xf20, 0x1040,
    ];
    let at = ZEROS.partition_point(|zero| *zero <= u32::from(c)).checked_sub(1)?;
    char::from_digit(u32::from(c) - ZEROS.get(at)?, 10)
}

/// The Latin letter that a letter of another alphabet looks like.
const fn twin(c: char) -> Option<char> {
    Some(match c {
        'а' | 'α' | 'ɑ' => 'a',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' => 'e',
        'ɡ' => 'g',
        'һ' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' => 'l',
        'о' | 'ο' | 'σ' | 'օ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'ѕ' => 's',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'ԝ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' => 'C',
        'Е' | 'Ε' => 'E',
        'Н' | 'Η' => 'H',
        'І' | 'Ι' => 'I',
        'Ј' => 'J',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'О' | 'Ο' => 'O',
        'Р' | 'Ρ' => 'P',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'Х' | 'Χ' => 'X',
        'У' | 'Υ' => 'Y',
        'Ζ' => 'Z',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disguised_word_reads_as_what_it_is() {
        for written in [
            "at\u{200b}las",
            "at\u{ad}l\u{2060}as",
            "ａｔｌａｓ",
            "𝐚𝐭𝐥𝐚𝐬",
            "ⓐⓣⓛⓐⓢ",
            "аtlаs",
            "at\u{e0061}las\u{fe0f}",
            "a\u{334}tlas",
            "at\u{1}l\0a\u{7f}s",
            "at\u{3164}l\u{ffa0}as",
            "at\u{2800}las",
            "at\u{fffd}las",
        ] {
            assert_eq!(read(written).unwrap().text, "atlas", "{written}");
        }
        assert_eq!(read("4111\u{a0}1111").unwrap().text, "4111 1111");
        assert_eq!(read("٤١١١ ۴۱۱۱ ४१११").unwrap().text, "4111 4111 4111");
        assert_eq!(read("U\u{308}ber").unwrap().text, "Über");
    }

    #[test]
    fn what_reads_as_it_is_written_is_not_read_twice() {
        for written in [
            "plain\tand\r\n~",
            "Über café",
            "Съешь ещё мягких булок",
            "今天天气很好",
            "한국어",
            "αβγ",
            "🙂",
        ] {
            assert!(read(written).is_none(), "{written}");
        }
    }

    #[test]
    fn what_is_found_is_changed_where_it_is_written() {
        let text = "é bоb\u{200b}@ｅxample.com! e\u{301}nd";
        let read = read(text).unwrap();
        assert_eq!(read.text, "é bob@example.com! énd");
        for (found, written) in
            [("bob@example.com", "bоb\u{200b}@ｅxample.com"), ("!", "!"), ("nd", "nd")]
        {
            let start = read.text.find(found).unwrap();
            let at = read.place(&(start..start + found.len()));
            assert_eq!(text.get(at), Some(written));
        }
    }
}
