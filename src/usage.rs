//! How many tokens a reply used, in one convention for all providers.
//!
//! The convention is OpenAI's: `input_tokens` includes what was read from or written to a prompt
//! cache, `output_tokens` includes reasoning. The parts are never added to the totals again.

use serde::{Deserialize, Serialize};

/// Bytes of text to a token, where nobody counted: English text has about so many.
pub const BYTES_PER_TOKEN: u64 = 4;

/// How far an estimate of a text's tokens may be off, as a share. `tokens` holds its estimate to it.
pub const ESTIMATE_ERROR: f64 = 0.3;

/// What one reply used. All fields count tokens, but for `units`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// The whole prompt, cached parts included.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    /// The whole completion, reasoning included.
    #[serde(skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// Part of `input_tokens` that a prompt cache answered.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Part of `input_tokens` that was written to a prompt cache, whatever its lifetime.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// Part of `cache_write_tokens` that was written with a lifetime of one hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h_tokens: u64,
    /// Part of `output_tokens` that was spent on reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
    /// Part of `input_tokens` that was audio.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input_tokens: u64,
    /// Part of `output_tokens` that was audio.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output_tokens: u64,
    /// Part of `input_tokens` that was images.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_input_tokens: u64,
    /// What is not counted in tokens.
    #[serde(skip_serializing_if = "Units::is_none")]
    pub units: Units,
    /// The provider sent no usage and these numbers are our own estimate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// What a reply used that has no tokens. A model is priced by tokens or by one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Units {
    /// Part of `output_tokens` that was images.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_output_tokens: u64,
    /// Images that were made.
    #[serde(skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Length of the sound that was listened to, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_ms: u64,
    /// Characters that were spoken.
    #[serde(skip_serializing_if = "is_zero")]
    pub characters: u64,
    /// Searches of a rerank: one query with up to a hundred documents.
    #[serde(skip_serializing_if = "is_zero")]
    pub searches: u64,
    /// Searches of the web that a model had its provider make.
    #[serde(skip_serializing_if = "is_zero")]
    pub web_searches: u64,
}

/// What most replies have none of is left out where it is written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
impl Usage {
    /// What a reply used that used nothing: a start for the constants of tests.
    pub(crate) const NONE: Self = Self {
        input_tokens: 0,
        output_tokens: 0,
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        cache_write_1h_tokens: 0,
        reasoning_tokens: 0,
        audio_input_tokens: 0,
        audio_output_tokens: 0,
        image_input_tokens: 0,
        units: Units {
            image_output_tokens: 0,
            images: 0,
            audio_ms: 0,
            characters: 0,
            searches: 0,
            web_searches: 0,
        },
        estimated: false,
    };
}

impl Units {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            image_output_tokens: self.image_output_tokens.saturating_add(other.image_output_tokens),
            images: self.images.saturating_add(other.images),
            audio_ms: self.audio_ms.saturating_add(other.audio_ms),
            characters: self.characters.saturating_add(other.characters),
            searches: self.searches.saturating_add(other.searches),
            web_searches: self.web_searches.saturating_add(other.web_searches),
        }
    }
}

impl Usage {
    /// Prompt and completion together.
    #[must_use]
    pub const fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// What two attempts used together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        macro_rules! sums {
            ($($field:ident),*) => {
                Self {
                    $($field: self.$field.saturating_add(other.$field),)*
                    units: self.units.plus(other.units),
                    estimated: self.estimated || other.estimated,
                }
            };
        }
        sums!(
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            cache_write_1h_tokens,
            reasoning_tokens,
            audio_input_tokens,
            audio_output_tokens,
            image_input_tokens
        )
    }
}
