//! Tokens of a text without a table, from how its characters are put together.
//!
//! Byte-pair tables have a token for most short words of the languages they were made from, and for
//! the rest cut words into pieces. So the text is walked as runs: letters by script, digits, spaces,
//! signs. What a run costs is measured on texts in a dozen languages and on code, with the tables of
//! OpenAI's models; `tests.rs` repeats that and holds the error to 30 % for each text, and to 15 % on
//! average. Other providers' tables differ by as much from each other.

/// What a kind of run costs, in sixteenths of a token.
const TOKEN: u64 = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Latin letters without marks.
    Plain,
    /// Latin letters with marks, Greek, Cyrillic, Arabic, Hebrew, Indic scripts.
    Marked,
    /// Chinese characters.
    Han,
    /// Japanese syllables.
    Kana,
    /// Korean syllables.
    Hangul,
    /// Thai and other scripts without spaces between words.
    Unspaced,
    Digit,
    Space,
    Newline,
    Sign,
    /// Emoji and whatever else is rare.
    Rare,
}

/// About how many tokens a text has.
pub(super) fn tokens(text: &str) -> u64 {
    let mut sixteenths = 0;
    let mut run = Run { kind: Kind::Space, length: 0 };
    for c in text.chars() {
        let kind = kind(c);
        if continues(run.kind, kind) {
            run.length += 1;
            if kind == Kind::Marked {
                run.kind = Kind::Marked;
            }
        } else {
            sixteenths += run.cost(kind);
            run = Run { kind, length: 1 };
        }
    }
    sixteenths += run.cost(Kind::Newline);
    sixteenths.div_ceil(TOKEN)
}

/// Characters of one kind in a row.
struct Run {
    kind: Kind,
    length: u64,
}

impl Run {
    /// In sixteenths of a token; `next` is what follows.
    fn cost(&self, next: Kind) -> u64 {
        let length = self.length;
        match self.kind {
            // One token for a word; long ones are put together from pieces.
            Kind::Plain => TOKEN + length.saturating_sub(6) * 3,
            Kind::Marked => TOKEN + length.saturating_sub(3) * 5,
            Kind::Han => length * 13,
            Kind::Kana => length * 11,
            Kind::Hangul => length * 12,
            Kind::Unspaced => length * 6,
            Kind::Digit => length.div_ceil(3) * TOKEN,
            // One space belongs to the word after it.
            Kind::Space if length <= 1 => 0,
            Kind::Space => TOKEN + length / 16 * TOKEN,
            Kind::Newline => TOKEN * 3 / 4,
            // A sign before a word is often one with it: `.len`, `_from`, `(self`.
            Kind::Sign if next == Kind::Plain => length * 7 - 1,
            Kind::Sign => length * 7 + 5,
            Kind::Rare => length * 32,
        }
    }
}

/// Whether a character belongs to the run before it: a letter with a mark does not end a word.
fn continues(run: Kind, kind: Kind) -> bool {
    run == kind || matches!((run, kind), (Kind::Plain, Kind::Marked) | (Kind::Marked, Kind::Plain))
}

fn kind(c: char) -> Kind {
    match c {
        'a'..='z' | 'A'..='Z' => Kind::Plain,
        '0'..='9' => Kind::Digit,
        ' ' | '\t' => Kind::Space,
        '\n' | '\r' => Kind::Newline,
        '\u{21}'..='\u{7e}' => Kind::Sign,
        '\u{c0}'..='\u{6ff}' | '\u{900}'..='\u{dff}' | '\u{1e00}'..='\u{1fff}' => Kind::Marked,
        '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => Kind::Unspaced,
        '\u{3040}'..='\u{30ff}' => Kind::Kana,
        '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => Kind::Han,
        '\u{ac00}'..='\u{d7af}' => Kind::Hangul,
        '\u{80}'..='\u{bf}'
        | '\u{2000}'..='\u{206f}'
        | '\u{3000}'..='\u{303f}'
        | '\u{ff00}'..='\u{ffef}' => Kind::Sign,
        _ => Kind::Rare,
    }
}
