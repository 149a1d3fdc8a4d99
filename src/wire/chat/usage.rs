//! `usage` as OpenAI writes it.

use serde::Serialize;

use crate::dialect::Quirks;
use crate::usage::{Usage, is_zero};

/// The counts that a client is shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shown {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    audio_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    image_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    audio_tokens: u64,
}

impl Shown {
    /// The counts of a reply. `tells_reasoning`: the provider counts reasoning apart, so that a zero
    /// means something.
    #[must_use]
    pub const fn of(usage: &Usage, tells_reasoning: bool) -> Self {
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.total_tokens(),
            prompt_tokens_details: Some(PromptDetails {
                cached_tokens: usage.cache_read_tokens,
                cache_write_tokens: Some(usage.cache_write_tokens),
                audio_tokens: usage.audio_input_tokens,
                image_tokens: usage.image_input_tokens,
            }),
            completion_tokens_details: if tells_reasoning {
                Some(CompletionDetails {
                    reasoning_tokens: usage.reasoning_tokens,
                    audio_tokens: usage.audio_output_tokens,
                })
            } else {
                None
            },
        }
    }

    /// For providers whose caches cost nothing to write to, and who count no writes.
    #[must_use]
    pub const fn without_cache_writes(mut self) -> Self {
        if let Some(details) = &mut self.prompt_tokens_details {
            details.cache_write_tokens = None;
        }
        self
    }

    /// The sums alone.
    #[must_use]
    pub const fn without_details(self) -> Self {
        Self { prompt_tokens_details: None, completion_tokens_details: None, ..self }
    }
}

/// Reads the `usage` object of a canonical reply or chunk.
#[must_use]
pub fn read_usage(raw: &str) -> Option<Usage> {
    crate::wire::openai::read_usage(raw.as_bytes(), Quirks::default())
}
