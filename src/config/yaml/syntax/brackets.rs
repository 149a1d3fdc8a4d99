//! Which `[` and `{` of a text are open: a scan that knows quotes, comments and block texts, and
//! nothing else of YAML, so that it gets to the end of a text that is none.

use super::Place;

/// A bracket and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bracket {
    pub(super) sign: char,
    pub(super) place: Place,
}

impl Bracket {
    /// The bracket that closes this one.
    pub(super) const fn closing(self) -> char {
        if self.sign == '[' { ']' } else { '}' }
    }
}

/// The brackets of a text that have no partner.
#[derive(Debug, Default)]
pub(super) struct Unpaired {
    /// Never closed, the innermost last.
    pub(super) open: Vec<Bracket>,
    /// The first that closes nothing, or what was opened by the other kind; the scan ends there.
    pub(super) wrong: Option<(Option<Bracket>, Bracket)>,
}

/// Goes through a text.
pub(super) fn brackets(lines: &[&str]) -> Unpaired {
    let mut scan = Scan::default();
    for (at, line) in lines.iter().enumerate() {
        scan.line(at + 1, line);
        if scan.found.wrong.is_some() {
            break;
        }
    }
    scan.found
}

#[derive(Default)]
struct Scan {
    found: Unpaired,
    quote: Option<char>,
    /// The indentation of the line that began a block text (`|`, `>`): deeper lines belong to it.
    block: Option<usize>,
}

impl Scan {
    fn line(&mut self, number: usize, line: &str) {
        let indent = super::indent::width(line);
        if let Some(outer) = self.block {
            if line.trim().is_empty() || indent > outer {
                return;
            }
            self.block = None;
        }
        let chars: Vec<char> = line.chars().collect();
        let blank = |at: usize| chars.get(at).is_none_or(|c| c.is_whitespace());
        // Whether a value may begin here: quotes and brackets within a word are part of it.
        let mut begins = true;
        let mut closed = false;
        let mut at = 0;
        while at < chars.len() {
            let (sign, here) = (chars[at], at);
            at += 1;
            if let Some(quote) = self.quote {
                match sign {
                    '\\' if quote == '"' => at += 1,
                    '\'' if quote == '\'' && chars.get(at) == Some(&'\'') => at += 1,
                    _ if sign == quote => self.quote = None,
                    _ => {}
                }
                continue;
            }
            let in_flow = !self.found.open.is_empty();
            let bracket = Bracket { sign, place: Place { line: number, column: here } };
            match sign {
                _ if sign.is_whitespace() => continue,
                '#' if here == 0 || blank(here - 1) => return,
                '"' | '\'' if begins => {
                    self.quote = Some(sign);
                    begins = false;
                }
                '[' | '{' if begins || in_flow => {
                    self.found.open.push(bracket);
                    begins = true;
                }
                ']' | '}' if in_flow || begins || closed => {
                    let open = self.found.open.pop();
                    if open.is_none_or(|open| open.closing() != sign) {
                        self.found.wrong = Some((open, bracket));
                        return;
                    }
                    (begins, closed) = (false, true);
                    continue;
                }
                ',' if in_flow => begins = true,
                ':' if in_flow || blank(at) => begins = true,
                '-' | '?' if begins && blank(at) => {}
                // Anchors and tags stand before a value.
                '&' | '!' if begins => {
                    while !blank(at) {
                        at += 1;
                    }
                }
                '|' | '>' if begins && !in_flow => {
                    self.block = Some(indent);
                    return;
                }
                _ => begins = false,
            }
            closed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line:column sign` of those never closed, then of the wrong one.
    fn unpaired(text: &str) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let found = brackets(&lines);
        let show = |it: &Bracket| format!("{}:{}{}", it.place.line, it.place.column + 1, it.sign);
        let mut all: Vec<String> = found.open.iter().map(show).collect();
        if let Some((open, close)) = &found.wrong {
            let open = open.as_ref().map(show).unwrap_or_default();
            all = vec![format!("{open}>{}", show(close))];
        }
        all.join(" ")
    }

    #[test]
    fn brackets_are_paired_as_yaml_pairs_them() {
        for (text, expected) in [
            ("a: [b, {c: d}]", ""),
            ("a: [b\nc: 1", "1:4["),
            ("a: [b, {c: d\n", "1:4[ 1:8{"),
            ("a: [b}", "1:4[>1:6}"),
            ("a: [b]]", ">1:7]"),
            ("a: b]", ""),
            ("a: b[c", ""),
            ("a: ${B}", ""),
            ("a: '[' # [", ""),
            ("a: \"[\\\"[\"", ""),
            ("a: 'it''s ['", ""),
            ("a: it's [b]\nc: [", "2:4["),
            ("a: [it's, b]", ""),
            ("a: |\n  [\n\n  {\nb: [", "5:4["),
            ("- |\n  [\n- [", "3:3["),
            ("a: &x [b]\nc: !t [d", "2:7["),
            ("[a, # ]\nb]", ""),
            ("a: 'b\n  [ c'\nd: {", "3:4{"),
        ] {
            assert_eq!(unpaired(text), expected, "{text}");
        }
    }
}
