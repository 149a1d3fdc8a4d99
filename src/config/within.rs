//! A place within a text of a YAML file: which line and column its n-th character is written at.
//!
//! The tree knows where a text starts. Quotes, escapes and line breaks stand between that and the
//! character that a message is about, so the source is read again here, only when there is such a
//! message.

use super::problem::Spot;

/// The place of `at`, counted in characters of the text whose source starts at `spot`. Falls back to
/// `spot` where the source cannot be followed, which happens for texts with variables in them.
pub(super) fn place(source: &str, spot: Spot, at: usize, width: usize) -> Spot {
    let found = || {
        let lines: Vec<Vec<char>> = source.lines().map(|line| line.chars().collect()).collect();
        let (line, column) = ((spot.line as usize).checked_sub(1)?, spot.column as usize - 1);
        let mut walk = Walk { lines: &lines, line, column };
        match walk.peek()? {
            '\'' => walk.quoted('\'', at),
            '"' => walk.quoted('"', at),
            _ if walk.is_block() => walk.block(at),
            _ => walk.plain(at),
        }
    };
    let Some((line, column)) = found() else { return spot };
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Spot { line: number(line + 1), column: number(column + 1), width: number(width), ..spot }
}

struct Walk<'a> {
    lines: &'a [Vec<char>],
    line: usize,
    column: usize,
}

impl Walk<'_> {
    fn peek(&self) -> Option<char> {
        self.lines.get(self.line)?.get(self.column).copied()
    }

    /// Stands at the first character of the text on a further line. One break is one character of
    /// the text; of several, each but the first.
    fn next_line(&mut self) -> Option<usize> {
        let mut breaks = 0;
        loop {
            self.line += 1;
            breaks += 1;
            let line = self.lines.get(self.line)?;
            if let Some(first) = line.iter().position(|c| !c.is_whitespace()) {
                self.column = first;
                return Some(if breaks > 1 { breaks - 1 } else { 1 });
            }
        }
    }

    /// The end of what counts on this line: white space before a break is no part of the text.
    fn is_over(&self) -> bool {
        let rest = self.lines.get(self.line).and_then(|line| line.get(self.column..));
        rest.is_none_or(|rest| rest.iter().all(|c| c.is_whitespace()))
    }

    fn plain(&mut self, at: usize) -> Option<(usize, usize)> {
        let mut seen = 0;
        while seen < at {
            self.column += 1;
            seen += 1;
            if self.is_over() {
                let end = (self.line, self.column);
                if seen >= at {
                    return Some(end);
                }
                let Some(breaks) = self.next_line() else { return Some(end) };
                seen += breaks;
            }
        }
        Some((self.line, self.column))
    }

    fn quoted(&mut self, quote: char, at: usize) -> Option<(usize, usize)> {
        self.column += 1;
        let mut seen = 0;
        while seen < at {
            if self.is_over() {
                seen += self.next_line()?;
                continue;
            }
            self.column += match (quote, self.peek()?) {
                ('\'', '\'') => {
                    let doubled = self.lines.get(self.line)?.get(self.column + 1) == Some(&'\'');
                    if !doubled {
                        break;
                    }
                    2
                }
                ('"', '"') => break,
                ('"', '\\') => match self.lines.get(self.line)?.get(self.column + 1)? {
                    'x' => 4,
                    'u' => 6,
                    'U' => 10,
                    _ => 2,
                },
                _ => 1,
            };
            seen += 1;
        }
        Some((self.line, self.column))
    }

    /// Whether the text is one under `|` or `>`: the parser says that it starts below the sign.
    fn is_block(&self) -> bool {
        let Some(line) = self.lines.get(self.line) else { return false };
        let begins = line.iter().take(self.column).all(|c| c.is_whitespace());
        let above = self.lines.iter().take(self.line).rev();
        let above = above.map(|line| line.iter().collect::<String>());
        let above = above.map(|line| line.trim_end().to_owned()).find(|line| !line.is_empty());
        let sign = |line: String| {
            let line = line.trim_end_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
            line.strip_suffix(['|', '>']).is_some_and(|rest| rest.ends_with(char::is_whitespace))
        };
        begins && above.is_some_and(sign)
    }

    /// A text under `|` or `>`: every line from its indentation on, each break a character.
    fn block(&mut self, at: usize) -> Option<(usize, usize)> {
        let indent = self.column;
        let mut seen = 0;
        while seen < at {
            if self.peek().is_none() {
                self.line += 1;
                self.lines.get(self.line)?;
                self.column = indent;
            } else {
                self.column += 1;
            }
            seen += 1;
        }
        Some((self.line, self.column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Problems;
    use crate::config::yaml::{Node, parse};

    /// Every character of the text, looked up in the source, is the one that stands there.
    fn hold(source: &str, exceptions: &str) {
        let problems = Problems::default();
        let root: Node = parse(source, 0, &problems).unwrap();
        let node = &root.get("a").unwrap().node;
        let text = node.text().unwrap().trim_end();
        let lines: Vec<Vec<char>> = source.lines().map(|line| line.chars().collect()).collect();
        for (at, c) in text.chars().enumerate() {
            if exceptions.contains(c) || c.is_whitespace() {
                continue;
            }
            let spot = place(source, node.spot, at, 1);
            let found = lines[spot.line as usize - 1][spot.column as usize - 1];
            assert_eq!(found, c, "character {at} of {text:?} in {source:?}");
        }
    }

    #[test]
    fn every_character_is_found_where_it_is_written() {
        for source in [
            "a: one two",
            "a:    one # two",
            "a: 'one two'",
            "a: 'it''s one'",
            "a: \"one two\"",
            "a: \"one \\\"two\\\" \\\\ three\"",
            "a: one\n  two\n\n  three",
            "a: 'one\n  two\n\n  three'",
            "a: \"one\n  two\"",
            "a: |\n  one\n  two\n    three",
            "a: >\n  one\n  two",
            "a: |-\n  one\n\n  two\n",
            "b: {x: 1}\na: größer als ö",
        ] {
            hold(source, "\"\\");
        }
        // What an escape stands for is not what is written.
        hold("a: \"\\u00e9x \\x41y\\tz\"", "éA");
    }

    #[test]
    fn what_is_behind_the_end_is_still_on_the_line() {
        let spot = Spot { file: 0, line: 1, column: 4, width: 3 };
        assert_eq!(place("a: one", spot, 3, 1).column, 7);
        assert_eq!(place("a: 'one'", spot, 3, 1).column, 8);
        assert_eq!(place("", spot, 3, 1), spot);
    }
}
