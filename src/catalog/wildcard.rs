//! Group names with a `*`: `openai/*`, `*-preview`, `bedrock/*/claude-*`.

/// A name with at least one `*`, each standing for any text, the empty one included. The pattern is
/// anchored at both ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    /// Before the first `*`.
    head: Box<str>,
    /// Between two `*`, in order.
    middle: Box<[Box<str>]>,
    /// After the last `*`.
    tail: Box<str>,
}

impl Wildcard {
    /// `None` if there is no `*` in the name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (head, rest) = name.split_once('*')?;
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        let middle = middle.split('*').filter(|part| !part.is_empty()).map(Box::from).collect();
        Some(Self { head: head.into(), middle, tail: tail.into() })
    }

    /// How much of the name is fixed: the more, the more a match says.
    pub(super) fn literal_len(&self) -> usize {
        let middle: usize = self.middle.iter().map(|part| part.len()).sum();
        self.head.len() + middle + self.tail.len()
    }

    /// What stands in `name` from the first `*` to the last one; `None` if the name does not match.
    pub(super) fn captured<'a>(&self, name: &'a str) -> Option<&'a str> {
        let inner = name.strip_prefix(&*self.head)?.strip_suffix(&*self.tail)?;
        let mut rest = inner;
        for part in &self.middle {
            // The first place is always good enough: every `*` may be empty.
            rest = rest.split_once(&**part)?.1;
        }
        Some(inner)
    }
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
        ] {
            let wildcard = Wildcard::parse(pattern).expect(pattern);
            assert_eq!(wildcard.captured(name), captured, "{pattern} on {name}");
        }
        assert_eq!(Wildcard::parse("gpt-4o"), None);
    }
}
