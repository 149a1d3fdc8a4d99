//! What a reply used, in our convention.

use serde::Deserialize;

use crate::usage::Usage;
use crate::wire::chat::Shown;

/// `usage` as Cohere writes it. `tokens` is what the model read and wrote; `billed_units` leaves out
/// what Cohere adds to the prompt, so it is looked at only where there is nothing else.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Written {
    tokens: Option<Tokens>,
    billed_units: Option<Tokens>,
    cached_tokens: Option<f64>,
}

/// The counts are floats, as in `900.0`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Tokens {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
    image_tokens: Option<f64>,
}

impl Written {
    pub(super) fn usage(&self) -> Option<Usage> {
        let tokens = self.tokens.or(self.billed_units)?;
        if tokens.input_tokens.is_none() && tokens.output_tokens.is_none() {
            return None;
        }
        Some(Usage {
            input_tokens: whole(tokens.input_tokens),
            output_tokens: whole(tokens.output_tokens),
            cache_read_tokens: whole(self.cached_tokens),
            image_input_tokens: whole(tokens.image_tokens),
            ..Usage::default()
        })
    }
}

/// The counts that a client is shown. Cohere has no word for writes to a cache or for reasoning.
pub(super) fn shown(usage: &Usage) -> Shown {
    Shown::of(usage, false).without_cache_writes()
}

pub(super) fn whole(count: Option<f64>) -> u64 {
    let count = count.filter(|count| (0.0..1e15).contains(count)).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    let whole = count.round() as u64;
    whole
}
