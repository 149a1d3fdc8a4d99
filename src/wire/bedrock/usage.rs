//! Converse's token counts, in OpenAI's convention: what a cache read or wrote is counted apart from
//! `inputTokens` there, and inside `prompt_tokens` here.

use serde::Deserialize;

use crate::usage::Usage;
use crate::wire::chat::Shown;
use crate::wire::fields::Text;

/// `usage` as Converse writes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Written<'a> {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
    #[serde(borrow)]
    cache_details: Option<Vec<Detail<'a>>>,
}

/// What was written to the cache, by its lifetime.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail<'a> {
    #[serde(borrow)]
    ttl: Text<'a>,
    input_tokens: Option<u64>,
}

impl Written<'_> {
    /// Whether it has a count at all: others call theirs `usage`, too.
    pub(super) const fn is_told(&self) -> bool {
        self.input_tokens.is_some()
    }

    pub(super) fn usage(&self) -> Usage {
        let details = self.cache_details.as_deref().unwrap_or_default();
        let for_an_hour = details.iter().filter(|detail| &*detail.ttl == "1h");
        let hour = for_an_hour.filter_map(|detail| detail.input_tokens);
        let hour = hour.fold(0, u64::saturating_add);
        let all = details.iter().filter_map(|detail| detail.input_tokens);
        let all = all.fold(0, u64::saturating_add);
        let read = self.cache_read_input_tokens.unwrap_or(0);
        let write = self.cache_write_input_tokens.unwrap_or(all);
        let input = self.input_tokens.unwrap_or(0);
        Usage {
            input_tokens: input.saturating_add(read).saturating_add(write),
            output_tokens: self.output_tokens.unwrap_or(0),
            cache_read_tokens: read,
            cache_write_tokens: write,
            cache_write_1h_tokens: hour.min(write),
            ..Usage::default()
        }
    }
}

/// The counts as a client of OpenAI reads them. Reasoning is not counted apart.
pub(super) const fn shown(usage: &Usage) -> Shown {
    Shown::of(usage, false)
}
