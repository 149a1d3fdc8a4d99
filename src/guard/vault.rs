//! What was hidden from a provider, and what stands in its place: so that the client gets it back.
//!
//! One for each request; nothing of it is kept longer. A placeholder is `<EMAIL_ADDRESS_1>`: the same thing
//! has the same one in all of a request, and requests that differ in nothing else become the same.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

/// The longest placeholder that is looked for, in bytes.
const PLACEHOLDER_MAX: usize = 80;

#[derive(Debug, Default)]
pub struct Vault {
    originals: HashMap<Box<str>, Box<str>>,
    placeholders: HashMap<Box<str>, Box<str>>,
    /// How long the things are that were hidden, and what they begin with.
    lengths: BTreeSet<usize>,
    firsts: HashSet<char>,
    /// How many of a kind there are.
    counts: HashMap<Box<str>, usize>,
    /// What looks like a placeholder in the client's own text.
    taken: HashSet<Box<str>>,
}

impl Vault {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.originals.is_empty()
    }

    /// Takes down what looks like a placeholder already, so that none is made that means something else.
    pub fn beware(&mut self, text: &str) {
        for at in candidates(text) {
            self.taken.extend(text.get(at).map(Box::from));
        }
    }

    /// What stands in the place of a thing of a kind.
    pub fn hide(&mut self, kind: &str, original: &str) -> String {
        if let Some(placeholder) = self.placeholders.get(original) {
            return placeholder.to_string();
        }
        let count = self.counts.entry(kind.into()).or_default();
        let placeholder = loop {
            *count += 1;
            let placeholder = format!("<{kind}_{count}>");
            if !self.taken.contains(&*placeholder) {
                break placeholder;
            }
        };
        if let Some(first) = original.chars().next() {
            self.lengths.insert(original.len());
            self.firsts.insert(first);
        }
        self.originals.insert(placeholder.as_str().into(), original.into());
        self.placeholders.insert(original.into(), placeholder.as_str().into());
        placeholder
    }

    /// The placeholders in a text, each with what it stands for.
    pub fn shown<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Range<usize>, &'a str)> {
        candidates(text).filter_map(move |at| {
            let original = self.originals.get(text.get(at.clone())?)?;
            Some((at, &**original))
        })
    }

    /// A text with what was hidden in its places; `None`: nothing was.
    #[must_use]
    pub fn restored(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut copied = 0;
        for (at, original) in self.shown(text) {
            out.push_str(text.get(copied..at.start).unwrap_or_default());
            out.push_str(original);
            copied = at.end;
        }
        (copied > 0).then(|| out + text.get(copied..).unwrap_or_default())
    }

    /// A text with placeholders where it says what was hidden; `None`: it says nothing of it. What holds another is
    /// hidden as a whole.
    #[must_use]
    pub fn hidden(&self, text: &str) -> Option<String> {
        let (mut out, mut copied, mut at) = (String::new(), 0, 0);
        while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
            match self.hidden_at(text, at, first) {
                Some((length, placeholder)) => {
                    out.push_str(text.get(copied..at).unwrap_or_default());
                    out.push_str(placeholder);
                    at += length;
                    copied = at;
                }
                None => at += first.len_utf8(),
            }
        }
        (copied > 0).then(|| out + text.get(copied..).unwrap_or_default())
    }

    /// The longest of what was hidden that stands at a place where a text goes on with this letter.
    fn hidden_at(&self, text: &str, at: usize, first: char) -> Option<(usize, &str)> {
        let lengths = self.lengths.iter().rev().filter(|_| self.firsts.contains(&first));
        lengths
            .filter_map(|length| Some((*length, text.get(at..at + length)?)))
            .find_map(|(length, thing)| Some((length, &**self.placeholders.get(thing)?)))
    }

    /// Where at the end of a text a placeholder may have begun; its length if none has.
    #[must_use]
    pub fn may_begin(&self, text: &str) -> usize {
        let start = memchr::memrchr(b'<', text.as_bytes()).filter(|start| {
            let begun = text.get(*start..).unwrap_or_default();
            begun.len() < PLACEHOLDER_MAX
                && self.originals.keys().any(|placeholder| {
                    placeholder.len() > begun.len() && placeholder.starts_with(begun)
                })
        });
        start.unwrap_or(text.len())
    }
}

/// What is written as placeholders are.
fn candidates(text: &str) -> impl Iterator<Item = Range<usize>> {
    memchr::memchr_iter(b'<', text.as_bytes()).filter_map(move |start| {
        let behind = text.as_bytes().get(start + 1..)?;
        let behind = &behind[..behind.len().min(PLACEHOLDER_MAX)];
        let length = behind
            .iter()
            .take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'_')
            .count();
        let is_closed = length > 0 && behind.get(length) == Some(&b'>');
        is_closed.then_some(start..start + length + 2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_comes_back_in_its_place() {
        let mut vault = Vault::default();
        vault.beware("my <EMAIL_ADDRESS_1> is no placeholder, nor is <b>");
        assert_eq!(vault.hide("EMAIL_ADDRESS", "a@b.example"), "<EMAIL_ADDRESS_2>");
        assert_eq!(vault.hide("EMAIL_ADDRESS", "c@b.example"), "<EMAIL_ADDRESS_3>");
        assert_eq!(vault.hide("EMAIL_ADDRESS", "a@b.example"), "<EMAIL_ADDRESS_2>");
        let reply = "write to <EMAIL_ADDRESS_2> <b>now</b>, not <EMAIL_ADDRESS_1>";
        let shown = vault.restored(reply).unwrap();
        assert_eq!(shown, "write to a@b.example <b>now</b>, not <EMAIL_ADDRESS_1>");
        assert_eq!(vault.restored("nothing"), None);
        let again = vault.hidden(&shown).unwrap();
        assert_eq!(again, reply, "what was put back is hidden again");
        assert_eq!(vault.hidden("nothing"), None);
        vault.hide("NAME", "ADDRESS");
        vault.hide("NAME", "b.example");
        let told = vault.hidden("ADDRESS: a@b.example, b.example").unwrap();
        assert_eq!(
            told, "<NAME_1>: <EMAIL_ADDRESS_2>, <NAME_2>",
            "what is hidden once is not again"
        );
    }

    #[test]
    fn the_beginning_of_a_placeholder_is_seen_at_every_cut() {
        let mut vault = Vault::default();
        let placeholder = vault.hide("PHONE_NUMBER", "555");
        for cut in 1..placeholder.len() {
            let text = format!("call {}", placeholder.get(..cut).unwrap());
            assert_eq!(vault.may_begin(&text), 5, "{text}");
        }
        for whole in [&*format!("call {placeholder}"), "a < b", "call", "<PHONE_NUMBER_2"] {
            assert_eq!(vault.may_begin(whole), whole.len(), "{whole}");
        }
    }
}
