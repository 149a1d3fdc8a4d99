//! What a token costs, and the price book that knows it for every model LiteLLM lists.

use crate::money::Usd;
use crate::usage::Usage;

/// Prices of one model. Amounts are per token unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    pub input: Usd,
    pub output: Usd,
}

impl Price {
    /// What `usage` costs at this price.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Usd {
        self.input.times(usage.input_tokens).plus(self.output.times(usage.output_tokens))
    }
}
