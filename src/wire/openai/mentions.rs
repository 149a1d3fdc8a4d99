//! Which of a few names stand in a conversation, found in one pass over its bytes.
//!
//! A name may stand there as a value or within a text as well: this says where nothing is to be done,
//! and nothing more.

use std::sync::LazyLock;

use aho_corasick::packed::Searcher;

/// A name that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    CacheControl,
    ThinkingBlocks,
    ReasoningItems,
    IsError,
    ExtraContent,
    ToolCallId,
    ReasoningContent,
    ReasoningDetails,
    Images,
    Annotations,
    ProviderSpecificFields,
}

/// As they are written, in the order of [`Name`].
const WRITTEN: [&str; 11] = [
    "\"cache_control\"",
    "\"thinking_blocks\"",
    "\"reasoning_items\"",
    "\"is_error\"",
    "\"extra_content\"",
    "\"tool_call_id\"",
    "\"reasoning_content\"",
    "\"reasoning_details\"",
    "\"images\"",
    "\"annotations\"",
    "\"provider_specific_fields\"",
];

/// `None` on processors without its instructions: then any of them may be there. The automata of the
/// same crate are slower here than a search for each name.
static FINDER: LazyLock<Option<Searcher>> = LazyLock::new(|| Searcher::new(WRITTEN));

/// The names that were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions(u16);

impl Mentions {
    const ALL: u16 = (1 << WRITTEN.len()) - 1;

    pub(super) fn of(text: &[u8]) -> Self {
        let Some(finder) = &*FINDER else { return Self(Self::ALL) };
        let mut found = 0;
        for name in finder.find_iter(text) {
            found |= 1 << name.pattern().as_usize();
            if found == Self::ALL {
                break;
            }
        }
        Self(found)
    }

    pub(super) const fn has(self, name: Name) -> bool {
        self.0 & (1 << name as u16) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [Name; 11] = [
        Name::CacheControl,
        Name::ThinkingBlocks,
        Name::ReasoningItems,
        Name::IsError,
        Name::ExtraContent,
        Name::ToolCallId,
        Name::ReasoningContent,
        Name::ReasoningDetails,
        Name::Images,
        Name::Annotations,
        Name::ProviderSpecificFields,
    ];

    #[test]
    fn each_name_is_found_as_itself() {
        for (at, (name, written)) in NAMES.into_iter().zip(WRITTEN).enumerate() {
            let text = format!(r#"[{{"role":"user","content":"x",{written}:{{}}}}]"#);
            let found = Mentions::of(text.as_bytes());
            assert!(found.has(name), "{written}");
            assert_eq!(found, Mentions(1 << at), "and no other: {written}");
            let snake: String = format!("{name:?}")
                .chars()
                .flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain(c.to_lowercase()))
                .collect();
            assert_eq!(format!("\"{}\"", snake.trim_start_matches('_')), written);
        }
    }

    #[test]
    fn all_of_them_are_found_in_one_pass_and_none_where_none_stand() {
        assert_eq!(Mentions::of(WRITTEN.join(",").as_bytes()), Mentions(Mentions::ALL));
        assert_eq!(Mentions::of(br#"[{"role":"user","content":"my cache_control"}]"#), Mentions(0));
    }
}
