//! The price of one request at one deployment: its prompt, the reply it will likely get, and what
//! a warm prompt cache saves.

use super::Judge;
use crate::money::Usd;
use crate::routing::settings::SHORT_PROMPT;
use crate::routing::stats::Candidate;
use crate::usage::Usage;

/// Tokens of a reply of which nothing is known: neither a bound nor how long others were.
const REPLY_TOKENS: u64 = 256;

impl Judge<'_> {
    /// What the request will likely cost; `None` if the price is not known.
    pub(in crate::routing) fn cost(&self, candidate: &Candidate) -> Option<Usd> {
        let usage = self.expected_usage(candidate);
        if let Some(price) = &candidate.deployment.info.price {
            return Some(price.cost(&usage));
        }
        let book = self.settings.prices.as_deref()?;
        let deployment = &candidate.deployment;
        if !deployment.is_wildcard() {
            return None;
        }
        let model = deployment.upstream_model(self.captured);
        deployment.price(&model, book).map(|price| price.cost(&usage))
    }

    fn expected_usage(&self, candidate: &Candidate) -> Usage {
        let input_tokens = self.needs.map_or(0, |needs| needs.input_tokens);
        let warm = self.warm.filter(|(deployment, _)| *deployment == candidate.key);
        Usage {
            input_tokens,
            output_tokens: self.expected_output(candidate),
            cache_read_tokens: warm.map_or(0, |(_, tokens)| tokens.min(input_tokens)),
            ..Usage::default()
        }
    }

    /// How long replies of this model were, cut at what the client allows; without either, a guess.
    pub(in crate::routing) fn expected_output(&self, candidate: &Candidate) -> u64 {
        let bound = self.needs.and_then(|needs| needs.max_output_tokens);
        let usual = candidate.replies.get(self.now).map(|(tokens, _)| tokens as u64);
        let one = match (usual, bound) {
            (Some(usual), Some(bound)) => usual.min(bound),
            (Some(usual), None) => usual,
            (None, Some(bound)) => bound.min(self.guess(candidate)),
            (None, None) => self.guess(candidate),
        };
        let replies = self.needs.map_or(1, |needs| u64::from(needs.replies.max(1)));
        one.saturating_mul(replies)
    }

    fn guess(&self, candidate: &Candidate) -> u64 {
        // Embeddings have no reply.
        let embeds = candidate.deployment.info.mode.as_deref() == Some("embedding");
        if embeds { 0 } else { REPLY_TOKENS }
    }

    /// Whether the request is short and costs more per thousand tokens here than `cost_threshold`.
    pub(super) fn is_too_dear(&self, candidate: &Candidate) -> bool {
        let Some(threshold) = self.settings.cost_threshold else { return false };
        if self.needs.is_none_or(|needs| needs.input_tokens >= SHORT_PROMPT) {
            return false;
        }
        let usage = self.expected_usage(candidate);
        let tokens = usage.total_tokens().max(1);
        let per_thousand = |cost: Usd| u128::from(cost.pico()) * 1000 / u128::from(tokens);
        self.cost(candidate).is_some_and(|cost| per_thousand(cost) > u128::from(threshold.pico()))
    }
}
