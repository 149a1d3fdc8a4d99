//! What a reply's usage comes to. All arithmetic is on whole pico-dollars.

use super::Price;
use crate::money::Usd;
use crate::usage::Usage;

impl Price {
    /// What `usage` costs at this price.
    ///
    /// Every token is charged once: cached, audio and image tokens are parts of the input, and
    /// reasoning and audio are parts of the output. Where parts overlap (audio from a cache), the
    /// earlier one of these wins, so that never more is charged than was used.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Usd {
        let price = self.for_input(usage.input_tokens);
        let cache_write = price.cache_write.unwrap_or(price.input);
        let cache_write_1h = price.cache_write_1h.unwrap_or(cache_write);
        let write_1h = usage.cache_write_1h_tokens.min(usage.cache_write_tokens);

        let mut input = Parts::of(usage.input_tokens, price.input);
        input.charge(usage.cache_read_tokens, price.cache_read);
        input.charge(write_1h, Some(cache_write_1h));
        input.charge(usage.cache_write_tokens - write_1h, Some(cache_write));
        input.charge(usage.audio_input_tokens, price.audio_input);
        input.charge(usage.image_input_tokens, price.image_input);

        let mut output = Parts::of(usage.output_tokens, price.output);
        output.charge(usage.reasoning_tokens, price.reasoning);
        output.charge(usage.audio_output_tokens, price.audio_output);
        output.charge(usage.units.image_output_tokens, price.image_output);

        input.total().plus(output.total()).plus(price.units(usage))
    }

    /// What is not counted in tokens. Images and sound of a reply whose tokens were counted are
    /// charged by these: models that have both prices mean one or the other.
    fn units(&self, usage: &Usage) -> Usd {
        let units = &usage.units;
        let charge =
            |price: Option<Usd>, count| price.map_or(Usd::ZERO, |price| price.times(count));
        let mut all = charge(self.units.character, units.characters);
        all = all.plus(charge(self.units.search, units.searches));
        all = all.plus(charge(self.units.web_search, units.web_searches));
        if usage.output_tokens == 0 || usage.estimated {
            all = all.plus(charge(self.units.image, units.images));
            // A millisecond is less than some prices can be divided by.
            let milliseconds = charge(self.units.second, units.audio_ms);
            all = all.plus(Usd::from_pico(milliseconds.pico() / 1000));
        }
        all
    }

    /// The price in force for a prompt of this length.
    fn for_input(&self, input_tokens: u64) -> &Self {
        self.tiers
            .iter()
            .rev()
            .find(|tier| input_tokens > tier.above_input_tokens)
            .map_or(self, |tier| &tier.price)
    }
}

/// One side of a reply, input or output, being charged part by part.
struct Parts {
    left: u64,
    plain: Usd,
    charged: Usd,
}

impl Parts {
    const fn of(tokens: u64, plain: Usd) -> Self {
        Self { left: tokens, plain, charged: Usd::ZERO }
    }

    fn charge(&mut self, tokens: u64, price: Option<Usd>) {
        let tokens = tokens.min(self.left);
        self.left -= tokens;
        self.charged = self.charged.plus(price.unwrap_or(self.plain).times(tokens));
    }

    const fn total(&self) -> Usd {
        self.charged.plus(self.plain.times(self.left))
    }
}
