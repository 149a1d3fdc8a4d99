//! Names with a `*`: `openai/*`, `*-preview`, `bedrock/*/claude-*`. Of groups, of lists of models, of tags.
//!
//! Each `*` stands for any text, the empty one included; a pattern is anchored at both ends.

/// A pattern with at least one `*`, ready for many names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wildcard {
    /// Before the first `*`.
    head: Box<str>,
    /// Between two `*`, in order.
    middle: Box<[Box<str>]>,
    /// After the last `*`.
    tail: Box<str>,
}

impl Wildcard {
    /// `None` if there is no `*` in the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (head, middle, tail) = parts(name)?;
        let middle = middle.filter(|part| !part.is_empty()).map(Box::from).collect();
        Some(Self { head: head.into(), middle, tail: tail.into() })
    }

    /// How much of the name is fixed: the more, the more a match says.
    pub(crate) fn literal_len(&self) -> usize {
        let middle: usize = self.middle.iter().map(|part| part.len()).sum();
        self.head.len() + middle + self.tail.len()
    }

    /// What stands in `name` from the first `*` to the last one; `None` if the name does not match.
    pub(crate) fn captured<'n>(&self, name: &'n str) -> Option<&'n str> {
        captured(&self.head, self.middle.iter().map(|part| &**part), &self.tail, name)
    }
}

/// Whether a name is the one that is written, or one that its `*` stand for.
pub(crate) fn matches(written: &str, name: &str) -> bool {
    match parts(written) {
        Some((head, middle, tail)) => captured(head, middle, tail, name).is_some(),
        None => written == name,
    }
}

/// A pattern with a text in the place of its first to its last `*`; `None` if it has none.
pub(crate) fn filled(pattern: &str, text: &str) -> Option<String> {
    let (head, _, tail) = parts(pattern)?;
    Some(format!("{head}{text}{tail}"))
}

/// What stands before, between and after the `*`.
fn parts(pattern: &str) -> Option<(&str, impl Iterator<Item = &str>, &str)> {
    let (head, rest) = pattern.split_once('*')?;
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    Some((head, middle.split('*'), tail))
}

fn captured<'p, 'n>(
    head: &str,
    middle: impl Iterator<Item = &'p str>,
    tail: &str,
    name: &'n str,
) -> Option<&'n str> {
    let inner = name.strip_prefix(head)?.strip_suffix(tail)?;
    let mut rest = inner;
    for part in middle {
        // The first place is always good enough: every `*` may be empty.
        rest = rest.split_once(part)?.1;
    }
    Some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_anchored_and_capture_what_the_star_stands_for() {
        for (pattern, name, captured) in [
            ("openai/*", "openai/gpt-4o", Some("gpt-4o")),
            ("openai/*", "openai/a/b", Some("a/b")),
            ("openai/*", "openai/", Some("")),
            ("openai/*", "my-openai/gpt-4o", None),
            ("openai/*", "openai", None),
            ("*-preview", "gpt-4-preview", Some("gpt-4")),
            ("*-preview", "gpt-4-preview-2", None),
            ("gpt-*-mini", "gpt-4o-mini", Some("4o")),
            ("gpt-*-mini", "gpt-mini", None),
            ("a*a", "a", None),
            ("a*a", "aa", Some("")),
            ("x/*/y-*", "x/1/y-2", Some("1/y-2")),
            ("x/*/y-*", "x/1/z-2", None),
            ("gpt.4*", "gpt-4o", None),
            ("a*b*c", "abc", Some("b")),
            ("a*b*c", "a-b-b-c", Some("-b-b-")),
            ("a*b*c", "acb", None),
            ("a**c", "abc", Some("b")),
            ("*", "", Some("")),
        ] {
            let wildcard = Wildcard::parse(pattern).expect(pattern);
            assert_eq!(wildcard.captured(name), captured, "{pattern} on {name}");
            assert_eq!(matches(pattern, name), captured.is_some(), "{pattern} on {name}");
        }
        assert_eq!(Wildcard::parse("gpt-4o"), None);
    }

    #[test]
    fn what_was_captured_fills_another_pattern() {
        assert_eq!(filled("openai/*", "gpt-4o").as_deref(), Some("openai/gpt-4o"));
        assert_eq!(filled("a-*-b-*-c", "x").as_deref(), Some("a-x-c"));
        assert_eq!(filled("gpt-4o", "x"), None);
    }

    #[test]
    fn a_name_without_a_star_is_itself_alone() {
        for (name, expected) in [("gpt-4o", true), ("gpt-4o-mini", false), ("GPT-4o", false)] {
            assert_eq!(matches("gpt-4o", name), expected, "{name}");
        }
        assert!(!matches("", "x"));
    }
}
