//! LiteLLM's content filter: expressions and lists of words.

use std::ops::Range;
use std::sync::Arc;

use super::patterns::{Patterns, Prebuilt};
use super::{Act, Detector, Found, Role};

/// One entry of `patterns`.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub pattern: String,
    pub known: Option<&'static Prebuilt>,
    pub blocks: bool,
}

/// One entry of `blocked_words`.
#[derive(Clone, Debug)]
pub struct Word {
    pub keyword: String,
    pub blocks: bool,
    pub description: Option<String>,
}

/// Words of one expression: so many are looked for at once.
const WORDS_AT_ONCE: usize = 500;

#[derive(Debug)]
pub struct Filter {
    patterns: Patterns,
    rules: Vec<(Option<&'static Prebuilt>, Arc<str>, Act)>,
    words: Patterns,
    /// By the word in lower case.
    acts: std::collections::HashMap<String, (Arc<str>, Act)>,
    masks: bool,
}

impl Filter {
    /// `pattern_tag` and `word_tag` stand in the place of what is masked; `{pattern_name}` is replaced.
    ///
    /// # Errors
    /// What is wrong with a pattern, by its place.
    pub fn new(
        rules: &[Rule],
        words: &[Word],
        pattern_tag: &str,
        word_tag: &str,
    ) -> Result<Self, (usize, String)> {
        let patterns = Patterns::new(rules.iter().map(|rule| &*rule.pattern))?;
        let masks = rules.iter().any(|rule| !rule.blocks) || words.iter().any(|word| !word.blocks);
        let rules = rules.iter().map(|rule| {
            let act = match rule.blocks {
                true => {
                    Act::Block(format!("Content blocked: {} pattern detected", rule.name).into())
                }
                false => Act::Mask(
                    pattern_tag.replace("{pattern_name}", &rule.name.to_uppercase()).into(),
                ),
            };
            (rule.known, Arc::from(&*rule.name), act)
        });
        let mut acts = std::collections::HashMap::new();
        for word in words {
            let act = match word.blocks {
                true => {
                    let why = word.description.as_ref();
                    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                    let keyword = &word.keyword;
                    Act::Block(format!("Content blocked: keyword '{keyword}' detected{why}").into())
                }
                false => Act::Mask(word_tag.into()),
            };
            acts.insert(plain(&word.keyword), (Arc::from("blocked_word"), act));
        }
        let expressions: Vec<_> = words.chunks(WORDS_AT_ONCE).map(expression).collect();
        let words = Patterns::new(expressions.iter().map(|it| &**it))?;
        Ok(Self { patterns, rules: rules.collect(), words, acts, masks })
    }
}

/// A keyword as it is looked up: in any case, and with any space between its words.
fn plain(keyword: &str) -> String {
    keyword.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Any of some words, whole and in any case. The longest come first: of words that begin alike, the first
/// is taken.
fn expression(words: &[Word]) -> String {
    let mut words: Vec<_> = words.iter().map(|word| &*word.keyword).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let each = words.iter().map(|word| {
        // Between a letter and a sign there is a boundary whatever follows. Boundaries of ASCII, because those of
        // Unicode are slow and know no writing without spaces: `is_whole` knows the rest.
        let before = if is_letter(word.chars().next()) { r"(?-u:\b)" } else { "" };
        let behind = if is_letter(word.chars().last()) { r"(?-u:\b)" } else { "" };
        let words: Vec<_> = word.split_whitespace().map(regex::escape).collect();
        format!("{before}{}{behind}", words.join(r"\s+"))
    });
    format!("(?i)(?:{})", each.collect::<Vec<_>>().join("|"))
}

/// Whether what was found is no part of a longer word. Writings without spaces have no such words.
fn is_whole(text: &str, at: &Range<usize>) -> bool {
    let thing = text.get(at.clone()).unwrap_or_default();
    let before = text.get(..at.start).and_then(|text| text.chars().next_back());
    let behind = text.get(at.end..).and_then(|text| text.chars().next());
    let is_joined =
        |c: Option<char>| c.is_some_and(|c| (c.is_alphanumeric() || c == '_') && !has_no_spaces(c));
    let begins = !(is_joined(before) && is_joined(thing.chars().next()));
    begins && !(is_joined(thing.chars().next_back()) && is_joined(behind))
}

/// Letters that stand beside those of the next word, or of its endings: Thai to Burmese, Khmer, Chinese, Japanese,
/// Korean.
const fn has_no_spaces(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ffdc}' | '\u{20000}'..='\u{3ffff}')
}

impl Detector for Filter {
    fn find(&self, text: &str, _role: Role, found: &mut Vec<Found>) {
        self.patterns.find(text, |at, place| {
            let (known, label, act) = &self.rules[at];
            let thing = match known {
                Some(known) => known.thing(text, place),
                None => Some(place),
            };
            if let Some(at) = thing.filter(|at| !at.is_empty()) {
                found.push(Found { at, label: Arc::clone(label), act: act.clone() });
            }
        });
        self.words.find_if(text, is_whole, |_, place| {
            let thing = text.get(place.clone()).unwrap_or_default();
            if let Some((label, act)) = self.acts.get(&plain(thing)) {
                found.push(Found { at: place, label: Arc::clone(label), act: act.clone() });
            }
        });
    }

    fn masks(&self) -> bool {
        self.masks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(keyword: &str, blocks: bool) -> Word {
        Word { keyword: keyword.into(), blocks, description: None }
    }

    #[test]
    fn words_are_whole_and_of_any_case() {
        let words = [word("Project Über", true), word("c++", true), word("ass", false)];
        let filter = Filter::new(&[], &words, "", "[*]").unwrap();
        let finds = |text: &str| {
            let mut found = Vec::new();
            filter.find(text, Role::User, &mut found);
            found.into_iter().map(|it| text.get(it.at).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(finds("the project über is C++17"), ["project über", "C++"]);
        assert_eq!(finds("project\n  Über"), ["project\n  Über"]);
        assert_eq!(finds("a class of grass"), Vec::<String>::new());
        assert_eq!(finds("Ass!"), ["Ass"]);
        assert_eq!(
            finds("Spaßass und assé"),
            Vec::<String>::new(),
            "any letter goes on with a word"
        );
        assert_eq!(
            finds("关于c++和ass的事"),
            ["c++", "ass"],
            "but those of a writing without spaces"
        );
        assert!(filter.masks());
    }

    #[test]
    fn words_of_a_writing_without_spaces_are_found_anywhere() {
        let words = [word("秘密计划", true), word("ひみつ", true), word("über", true)];
        let filter = Filter::new(&[], &words, "", "").unwrap();
        let finds = |text: &str| {
            let mut found = Vec::new();
            filter.find(text, Role::User, &mut found);
            found.len()
        };
        assert_eq!(finds("他在说秘密计划的事"), 1);
        assert_eq!(finds("それはひみつです。ひみつ"), 2);
        assert_eq!(finds("dar\u{fc}ber, gegen\u{fc}ber"), 0);
        assert_eq!(finds("daru\u{308}ber \u{dc}ber"), 1);
    }

    #[test]
    fn messages_are_litellms() {
        let words = [Word { description: Some("inner".into()), ..word("atlas", true) }];
        let rule = |name: &str, pattern: &str, blocks| {
            let (name, pattern) = (name.into(), pattern.into());
            Rule { name, pattern, known: None, blocks }
        };
        let rules = [rule("order", r"\bA-[0-9]+", true), rule("ref", r"\bR-[0-9]+", false)];
        let tag = "[{pattern_name}_REDACTED]";
        let filter = Filter::new(&rules, &words, tag, "[*]").unwrap();
        let mut found = Vec::new();
        filter.find("atlas A-1 R-2", Role::User, &mut found);
        let acts: Vec<_> = found.into_iter().map(|found| found.act).collect();
        assert!(acts.contains(&Act::Block("Content blocked: order pattern detected".into())));
        assert!(acts.contains(&Act::Mask("[REF_REDACTED]".into())));
        let message = "Content blocked: keyword 'atlas' detected (inner)";
        assert!(acts.contains(&Act::Block(message.into())), "{acts:?}");
    }
}
