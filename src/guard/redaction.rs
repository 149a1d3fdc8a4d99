//! What an operator wants to be read nowhere: patterns, and what stands in the places of what they find.
//!
//! Applied to what is told of requests when they are over, whoever is told; nothing here changes a request.

use std::ops::Range;

use super::patterns::{Patterns, Prebuilt, prebuilt};

/// Patterns with their marks.
#[derive(Debug)]
pub struct Redaction {
    patterns: Patterns,
    rules: Vec<Rule>,
}

/// The mark, and the pattern if it is known: what it cannot say itself.
type Rule = (Box<str>, Option<&'static Prebuilt>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Redacted {
    /// An expression, or the name of one that is known.
    pub pattern: Box<str>,
    pub is_name: bool,
    /// What stands in its place.
    pub mark: Box<str>,
}

impl Redaction {
    /// # Errors
    /// What is wrong with one of them, by its place.
    pub fn new(written: &[Redacted]) -> Result<Self, (usize, String)> {
        let known = |rule: &Redacted| prebuilt(&rule.pattern).filter(|_| rule.is_name);
        let patterns =
            written.iter().map(|rule| known(rule).map_or(&*rule.pattern, |it| it.pattern));
        let patterns = Patterns::new(patterns)?;
        let rules = written.iter().map(|rule| (rule.mark.clone(), known(rule))).collect();
        Ok(Self { patterns, rules })
    }

    /// A text with marks in the places of what is found; `None`: nothing is.
    #[must_use]
    pub fn redacted(&self, text: &str) -> Option<String> {
        let mut found: Vec<(Range<usize>, &str)> = Vec::new();
        self.patterns.find(text, |rule, at| {
            let Some((mark, known)) = self.rules.get(rule) else { return };
            let thing = match known {
                Some(known) => known.thing(text, at),
                None => Some(at),
            };
            if let Some(at) = thing.filter(|at| !at.is_empty()) {
                found.push((at, mark));
            }
        });
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|(at, _)| (at.start, std::cmp::Reverse(at.end)));
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for (at, mark) in found {
            if at.start >= copied {
                out.push_str(text.get(copied..at.start).unwrap_or_default());
                out.push_str(mark);
            }
            // Whatever goes further is redacted with it.
            copied = copied.max(at.end);
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, is_name: bool, mark: &str) -> Redacted {
        Redacted { pattern: pattern.into(), is_name, mark: mark.into() }
    }

    #[test]
    fn what_is_found_has_a_mark_in_its_place() {
        let rules = [
            rule("email", true, "[EMAIL]"),
            rule(r"CUST-\d+", false, "[CUSTOMER]"),
            rule(r"\d+ secret", false, "[*]"),
            rule("credit_card", true, "[CARD]"),
        ];
        let redaction = Redaction::new(&rules).unwrap();
        for (text, told) in [
            (
                "mail a@b.example about CUST-12, CUST-13",
                Some("mail [EMAIL] about [CUSTOMER], [CUSTOMER]"),
            ),
            ("CUST-12 secret end", Some("[CUSTOMER] end")),
            ("pay 4111 1111 1111 1111", Some("pay [CARD]")),
            ("pay 4111 1111 1111 1111 12/27", Some("pay [CARD] 12/27")),
            ("pay 4111 1111 1111 1112", None),
            ("nothing", None),
        ] {
            assert_eq!(redaction.redacted(text).as_deref(), told, "{text}");
        }
    }

    #[test]
    fn an_expression_that_is_none_is_told_by_its_place() {
        let (at, message) =
            Redaction::new(&[rule("email", true, "*"), rule("(", false, "*")]).unwrap_err();
        assert!(at == 1 && message.contains("unclosed"), "{message}");
    }
}
