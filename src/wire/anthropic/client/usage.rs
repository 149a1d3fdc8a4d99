//! Token counts as Anthropic writes them: what a prompt cache read or wrote stands beside
//! `input_tokens`, not in it.

use serde::Serialize;

use crate::usage::Usage;

/// `usage` of a message, or of `message_delta`, where it is the total so far.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Counts {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct OutputDetails {
    thinking_tokens: u64,
}

impl From<Usage> for Counts {
    fn from(usage: Usage) -> Self {
        let cached = usage.cache_read_tokens.saturating_add(usage.cache_write_tokens);
        let thinking_tokens = usage.reasoning_tokens;
        Self {
            input_tokens: usage.input_tokens.saturating_sub(cached),
            cache_creation_input_tokens: usage.cache_write_tokens,
            cache_read_input_tokens: usage.cache_read_tokens,
            // Clients take a zero for a stream that brought nothing.
            output_tokens: usage.output_tokens.max(1),
            output_tokens_details: (thinking_tokens > 0)
                .then_some(OutputDetails { thinking_tokens }),
        }
    }
}
