//! What a token costs: the price of one model, and what a reply's usage comes to.
//!
//! A price is read from fields with LiteLLM's names, be it in the price book ([`super::price_book`])
//! or written at a deployment. All arithmetic is on whole pico-dollars.

use std::sync::Arc;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::money::Usd;
use crate::usage::Usage;

/// Prices of one model, per token. An amount that is `None` is charged like plain input or output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    pub input: Usd,
    pub output: Usd,
    /// Input that a prompt cache answered.
    pub cache_read: Option<Usd>,
    /// Input written to a prompt cache for the default time (Anthropic: five minutes).
    pub cache_write: Option<Usd>,
    /// Input written to a prompt cache for an hour; `None` costs as much as `cache_write`.
    pub cache_write_1h: Option<Usd>,
    pub reasoning: Option<Usd>,
    pub audio_input: Option<Usd>,
    pub audio_output: Option<Usd>,
    pub image_input: Option<Usd>,
    /// Other prices for long prompts, shortest first. The whole request is charged at one of them.
    pub tiers: Vec<Tier>,
    /// Other prices for other service levels.
    pub levels: Vec<(ServiceLevel, Arc<Self>)>,
}

/// The price of requests whose prompt is longer than a threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Applies when the prompt has more tokens than this.
    pub above_input_tokens: u64,
    /// Has no tiers or levels of its own.
    pub price: Price,
}

/// A way of being served that has its own price (`service_tier` of a reply; batches).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceLevel {
    Priority,
    Flex,
    Batch,
}

impl ServiceLevel {
    const ALL: [Self; 3] = [Self::Priority, Self::Flex, Self::Batch];

    /// The level that a provider calls `service_tier` in its reply; `None` for the usual one.
    #[must_use]
    pub fn from_service_tier(name: &str) -> Option<Self> {
        match name {
            "priority" | "fast" => Some(Self::Priority),
            "flex" => Some(Self::Flex),
            "batch" => Some(Self::Batch),
            _ => None,
        }
    }

    /// The end of the names of the fields that hold its prices.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Priority => "_priority",
            Self::Flex => "_flex",
            Self::Batch => "_batches",
        }
    }
}

/// A price that is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{option} must be an amount in dollars that is not negative, found {found}")]
pub struct WrongPrice {
    pub option: String,
    pub found: String,
}

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

        input.total().plus(output.total())
    }

    /// The price at another service level; this one if the level has no price of its own.
    #[must_use]
    pub fn at_level(&self, level: Option<ServiceLevel>) -> &Self {
        self.levels
            .iter()
            .find(|(named, _)| Some(*named) == level)
            .map_or(self, |(_, price)| price.as_ref())
    }

    /// The price in force for a prompt of this length.
    fn for_input(&self, input_tokens: u64) -> &Self {
        self.tiers
            .iter()
            .rev()
            .find(|tier| input_tokens > tier.above_input_tokens)
            .map_or(self, |tier| &tier.price)
    }

    /// Reads the price that `fields` hold; `None` if they hold no price by token.
    ///
    /// # Errors
    /// A field that should hold an amount holds something else.
    pub fn from_fields(fields: &Map<String, Value>) -> Result<Option<Self>, WrongPrice> {
        Self::read(None, fields)
    }

    /// This price, with the amounts that are written at a deployment in place of its own; see
    /// [`Price::read`]. Amounts that are none are left out.
    #[must_use]
    pub fn with_overrides(&self, written: &[(Box<str>, f64)]) -> Self {
        let fields = written
            .iter()
            .filter(|(_, dollars)| Usd::from_dollars(*dollars).is_some())
            .map(|(name, dollars)| (name.to_string(), Value::from(*dollars)))
            .collect();
        Self::read(Some(self), &fields).ok().flatten().unwrap_or_else(|| self.clone())
    }

    /// The price of a deployment: `base` (from the price book) with what `written` says instead.
    ///
    /// `written` is what stands under `litellm_params` and `model_info`, with LiteLLM's names (per
    /// token), `cost_per_1k_input_tokens` and `cost_per_1k_output_tokens`, or `metadata.cost` (both
    /// per thousand tokens). An input price that is written replaces all input prices of the base,
    /// cached tokens and long prompts included: they belonged to the base's input price. The same
    /// goes for the output.
    ///
    /// # Errors
    /// A field that should hold an amount holds something else.
    pub fn read(
        base: Option<&Self>,
        written: &Map<String, Value>,
    ) -> Result<Option<Self>, WrongPrice> {
        let mut price = base.cloned().unwrap_or_default();
        let own = Fields::read(written, "", "")?;
        let per_thousand = Fields::read_per_thousand(written)?;
        let found = base.is_some()
            | per_thousand.apply(&mut price)
            | own.apply(&mut price)
            | price.read_tiers(written)?
            | price.read_levels(written)?;
        Ok(found.then_some(price))
    }

    /// Adds the prices for long prompts that `fields` hold. Says whether there were any.
    fn read_tiers(&mut self, fields: &Map<String, Value>) -> Result<bool, WrongPrice> {
        let mut tiers = read_tier_list(fields)?;
        if let Some(first) = tiers.first().filter(|tier| tier.above_input_tokens == 0) {
            *self = Self { levels: std::mem::take(&mut self.levels), ..first.price.clone() };
            tiers.remove(0);
        }
        tiers.extend(self.read_suffixed_tiers(fields, "")?);
        if tiers.is_empty() {
            return Ok(false);
        }
        tiers.sort_by_key(|tier| tier.above_input_tokens);
        self.tiers = tiers;
        Ok(true)
    }

    /// Reads fields such as `input_cost_per_token_above_200k_tokens_priority`.
    fn read_suffixed_tiers(
        &self,
        fields: &Map<String, Value>,
        level: &str,
    ) -> Result<Vec<Tier>, WrongPrice> {
        let mut thresholds: Vec<&str> =
            fields.keys().filter_map(|name| threshold_of(name, level)).collect();
        thresholds.sort_unstable();
        thresholds.dedup();

        let mut tiers = Vec::with_capacity(thresholds.len());
        for threshold in thresholds {
            let Some(above_input_tokens) =
                threshold.parse::<u64>().ok().and_then(|thousands| thousands.checked_mul(1000))
            else {
                continue;
            };
            let own = Fields::read(fields, &format!("_above_{threshold}k_tokens"), level)?;
            // What a tier does not name costs as much as below it.
            let mut price = Self { tiers: Vec::new(), levels: Vec::new(), ..self.clone() };
            own.overlay(&mut price);
            tiers.push(Tier { above_input_tokens, price });
        }
        Ok(tiers)
    }

    /// Adds the prices for other service levels that `fields` hold. Says whether there were any.
    fn read_levels(&mut self, fields: &Map<String, Value>) -> Result<bool, WrongPrice> {
        let mut found = false;
        for level in ServiceLevel::ALL {
            let own = Fields::read(fields, "", level.suffix())?;
            if own.input.is_none() && own.output.is_none() {
                continue;
            }
            let mut price = Self { tiers: Vec::new(), levels: Vec::new(), ..self.clone() };
            own.overlay(&mut price);
            price.tiers = price.read_suffixed_tiers(fields, level.suffix())?;
            price.tiers.sort_by_key(|tier| tier.above_input_tokens);
            self.levels.retain(|(named, _)| *named != level);
            self.levels.push((level, Arc::new(price)));
            found = true;
        }
        Ok(found)
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

/// The price fields found in one place; `None` for those that are not written.
#[derive(Debug, Default)]
struct Fields {
    input: Option<Usd>,
    output: Option<Usd>,
    cache_read: Option<Usd>,
    cache_write: Option<Usd>,
    cache_write_1h: Option<Usd>,
    reasoning: Option<Usd>,
    audio_input: Option<Usd>,
    audio_output: Option<Usd>,
    image_input: Option<Usd>,
}

impl Fields {
    /// Reads the fields whose names end in `tier` and `level` (both may be empty).
    fn read(fields: &Map<String, Value>, tier: &str, level: &str) -> Result<Self, WrongPrice> {
        let read = |name: &str| amount(fields, &format!("{name}{tier}{level}"), 1.0);
        Ok(Self {
            input: read("input_cost_per_token")?,
            output: read("output_cost_per_token")?,
            cache_read: match read("cache_read_input_token_cost")? {
                Some(price) => Some(price),
                None => read("input_cost_per_token_cache_hit")?,
            },
            cache_write: read("cache_creation_input_token_cost")?,
            cache_write_1h: read("cache_creation_input_token_cost_above_1hr")?,
            reasoning: read("output_cost_per_reasoning_token")?,
            audio_input: read("input_cost_per_audio_token")?,
            audio_output: read("output_cost_per_audio_token")?,
            image_input: read("input_cost_per_image_token")?,
        })
    }

    /// Reads the spellings that give a price per thousand tokens.
    fn read_per_thousand(fields: &Map<String, Value>) -> Result<Self, WrongPrice> {
        let both = match fields.get("metadata") {
            Some(Value::Object(metadata)) => amount(metadata, "cost", 1000.0)
                .map_err(|wrong| WrongPrice { option: "metadata.cost".into(), ..wrong })?,
            _ => None,
        };
        Ok(Self {
            input: amount(fields, "cost_per_1k_input_tokens", 1000.0)?.or(both),
            output: amount(fields, "cost_per_1k_output_tokens", 1000.0)?.or(both),
            ..Self::default()
        })
    }

    /// Puts what is written in place of the price and of all prices that derive from it. Says
    /// whether anything is written.
    fn apply(&self, price: &mut Price) -> bool {
        if self.input.is_some() {
            price.cache_read = None;
            price.cache_write = None;
            price.cache_write_1h = None;
            price.audio_input = None;
            price.image_input = None;
        }
        if self.output.is_some() {
            price.reasoning = None;
            price.audio_output = None;
        }
        if self.input.is_some() || self.output.is_some() {
            price.tiers.clear();
            price.levels.clear();
        }
        // A price written for cached tokens alone holds for prompts of every length.
        for tier in &mut price.tiers {
            self.overlay(&mut tier.price);
        }
        self.overlay(price)
    }

    /// Replaces the prices that are written and leaves the others. Says whether there were any.
    fn overlay(&self, price: &mut Price) -> bool {
        let mut found = false;
        for (written, place) in [(self.input, &mut price.input), (self.output, &mut price.output)] {
            if let Some(amount) = written {
                *place = amount;
                found = true;
            }
        }
        for (written, place) in [
            (self.cache_read, &mut price.cache_read),
            (self.cache_write, &mut price.cache_write),
            (self.cache_write_1h, &mut price.cache_write_1h),
            (self.reasoning, &mut price.reasoning),
            (self.audio_input, &mut price.audio_input),
            (self.audio_output, &mut price.audio_output),
            (self.image_input, &mut price.image_input),
        ] {
            if written.is_some() {
                *place = written;
                found = true;
            }
        }
        found
    }
}

/// `200` of `input_cost_per_token_above_200k_tokens` and of the same with the level's ending.
fn threshold_of<'a>(name: &'a str, level: &str) -> Option<&'a str> {
    let (_, threshold) = name.strip_suffix(level)?.rsplit_once("_above_")?;
    let digits = threshold.strip_suffix("k_tokens")?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Reads `tiered_pricing`: a list of prices, each with the range of prompt lengths it holds for.
fn read_tier_list(fields: &Map<String, Value>) -> Result<Vec<Tier>, WrongPrice> {
    let Some(Value::Array(list)) = fields.get("tiered_pricing") else {
        return Ok(Vec::new());
    };
    let mut tiers = Vec::with_capacity(list.len());
    for entry in list {
        let Value::Object(entry) = entry else { continue };
        let start = entry.get("range").and_then(|range| range.get(0)).and_then(Value::as_f64);
        let mut price = Price::default();
        if Fields::read(entry, "", "")?.overlay(&mut price) {
            // Thresholds are whole numbers of tokens, far below 2^53.
            let above_input_tokens = start.unwrap_or(0.0).max(0.0) as u64;
            tiers.push(Tier { above_input_tokens, price });
        }
    }
    tiers.sort_by_key(|tier| tier.above_input_tokens);
    Ok(tiers)
}

/// The amount that a field gives for `tokens` tokens, as an amount for one. YAML reads `1e-6` as a
/// text, so a text is fine if it is a number.
fn amount(fields: &Map<String, Value>, name: &str, tokens: f64) -> Result<Option<Usd>, WrongPrice> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    let dollars = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    dollars
        .and_then(|dollars| Usd::from_dollars(dollars / tokens))
        .map(Some)
        .ok_or_else(|| WrongPrice { option: name.to_owned(), found: value.to_string() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    fn price(value: Value) -> Price {
        Price::from_fields(&fields(value)).unwrap().unwrap()
    }

    fn micro(micro_usd: u64) -> Usd {
        Usd::from_pico(micro_usd * 1_000_000)
    }

    const NONE: Usage = Usage {
        input_tokens: 0,
        output_tokens: 0,
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        cache_write_1h_tokens: 0,
        reasoning_tokens: 0,
        audio_input_tokens: 0,
        audio_output_tokens: 0,
        image_input_tokens: 0,
        estimated: false,
    };

    #[test]
    fn every_token_is_charged_once_at_its_own_price() {
        let price = price(json!({
            "input_cost_per_token": 10e-6, "output_cost_per_token": 20e-6,
            "cache_read_input_token_cost": 1e-6, "cache_creation_input_token_cost": 12e-6,
            "cache_creation_input_token_cost_above_1hr": 16e-6,
            "output_cost_per_reasoning_token": 30e-6,
            "input_cost_per_audio_token": 100e-6, "output_cost_per_audio_token": 200e-6,
            "input_cost_per_image_token": 5e-6,
        }));
        let plain = Usage { input_tokens: 100, output_tokens: 10, ..NONE };
        for (case, usage, expected) in [
            ("nothing", NONE, 0),
            ("plain", plain, 1000 + 200),
            ("cached", Usage { cache_read_tokens: 80, ..plain }, 20 * 10 + 80 + 200),
            ("written", Usage { cache_write_tokens: 80, ..plain }, 20 * 10 + 80 * 12 + 200),
            (
                "written for an hour",
                Usage { cache_write_tokens: 80, cache_write_1h_tokens: 30, ..plain },
                20 * 10 + 50 * 12 + 30 * 16 + 200,
            ),
            ("reasoning", Usage { reasoning_tokens: 4, ..plain }, 1000 + 6 * 20 + 4 * 30),
            (
                "audio",
                Usage { audio_input_tokens: 50, audio_output_tokens: 5, ..plain },
                50 * 10 + 50 * 100 + 5 * 20 + 5 * 200,
            ),
            ("images", Usage { image_input_tokens: 60, ..plain }, 40 * 10 + 60 * 5 + 200),
            (
                "audio that was cached is charged as cached",
                Usage { cache_read_tokens: 80, audio_input_tokens: 50, ..plain },
                80 + 20 * 100 + 200,
            ),
            (
                "parts beyond the whole are not charged",
                Usage { cache_read_tokens: 500, reasoning_tokens: 500, ..plain },
                100 + 10 * 30,
            ),
        ] {
            assert_eq!(price.cost(&usage), micro(expected), "{case}");
        }
    }

    #[test]
    fn parts_without_a_price_cost_as_much_as_the_rest() {
        let price = price(json!({"input_cost_per_token": 3e-6, "output_cost_per_token": 7e-6}));
        let usage = Usage {
            input_tokens: 10,
            output_tokens: 10,
            cache_read_tokens: 4,
            cache_write_tokens: 2,
            cache_write_1h_tokens: 1,
            audio_input_tokens: 1,
            image_input_tokens: 1,
            reasoning_tokens: 3,
            ..NONE
        };
        assert_eq!(price.cost(&usage), micro(100));
    }

    #[test]
    fn a_million_requests_add_up_exactly() {
        let price = price(json!({"input_cost_per_token": 1.5e-7, "output_cost_per_token": 6e-7}));
        let one = price.cost(&Usage { input_tokens: 7, output_tokens: 3, ..NONE });
        assert_eq!(one.times(1_000_000).to_string(), "2.85");
    }

    #[test]
    fn a_long_prompt_is_charged_as_a_whole_at_its_tier() {
        let suffixed = price(json!({
            "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
            "cache_read_input_token_cost": 0.5e-6,
            "input_cost_per_token_above_200k_tokens": 3e-6,
            "output_cost_per_token_above_200k_tokens": 4e-6,
            "input_cost_per_token_above_1000k_tokens": 9e-6,
        }));
        let listed = price(json!({"tiered_pricing": [
            {"range": [0, 200_000], "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
            {"range": [200_000.0, 1_000_000.0],
             "input_cost_per_token": 3e-6, "output_cost_per_token": 4e-6},
            {"range": [1_000_000, 2_000_000],
             "input_cost_per_token": 9e-6, "output_cost_per_token": 2e-6},
        ]}));
        for (input_tokens, expected) in [
            (200_000, 200_000 + 2),
            (200_001, 600_003 + 4),
            (1_000_000, 3_000_000 + 4),
            (1_000_001, 9_000_009 + 2),
        ] {
            let usage = Usage { input_tokens, output_tokens: 1, ..NONE };
            assert_eq!(suffixed.cost(&usage), micro(expected), "suffixed, {input_tokens}");
            assert_eq!(listed.cost(&usage), micro(expected), "listed, {input_tokens}");
        }
        // The tier names no price for cached tokens, so they cost what they cost below it.
        let usage = Usage { input_tokens: 300_000, cache_read_tokens: 300_000, ..NONE };
        assert_eq!(suffixed.cost(&usage), micro(150_000));
    }

    #[test]
    fn service_levels_have_their_own_prices_and_tiers() {
        let price = price(json!({
            "input_cost_per_token": 2e-6, "output_cost_per_token": 4e-6,
            "input_cost_per_token_priority": 5e-6, "output_cost_per_token_priority": 6e-6,
            "input_cost_per_token_above_200k_tokens_priority": 50e-6,
            "input_cost_per_token_flex": 1e-6,
        }));
        let usage = Usage { input_tokens: 1, output_tokens: 1, ..NONE };
        let at = |name| price.at_level(ServiceLevel::from_service_tier(name)).cost(&usage);
        assert_eq!(at("default"), micro(6));
        assert_eq!(at("priority"), micro(11));
        assert_eq!(at("flex"), micro(5), "output falls back to the usual price");
        assert_eq!(at("batch"), micro(6), "no price of its own");
        let long = Usage { input_tokens: 200_001, ..NONE };
        let priority = price.at_level(Some(ServiceLevel::Priority));
        assert_eq!(priority.cost(&long), micro(200_001 * 50));
        assert_eq!(price.cost(&long), micro(200_001 * 2));
    }

    #[test]
    fn what_is_written_at_a_deployment_replaces_the_book() {
        let book = price(json!({
            "input_cost_per_token": 10e-6, "output_cost_per_token": 20e-6,
            "cache_read_input_token_cost": 1e-6, "output_cost_per_reasoning_token": 30e-6,
            "input_cost_per_token_above_200k_tokens": 40e-6,
        }));
        let usage = Usage {
            input_tokens: 100,
            output_tokens: 10,
            cache_read_tokens: 50,
            reasoning_tokens: 5,
            ..NONE
        };
        let book_cost = 50 * 10 + 50 + 5 * 20 + 5 * 30;
        for (case, written, expected) in [
            ("nothing", json!({"weight": 2}), book_cost),
            ("per token", json!({"input_cost_per_token": 2e-6}), 100 * 2 + 5 * 20 + 5 * 30),
            ("as a text", json!({"input_cost_per_token": "2e-6"}), 100 * 2 + 5 * 20 + 5 * 30),
            ("free", json!({"input_cost_per_token": 0, "output_cost_per_token": 0}), 0),
            ("output", json!({"output_cost_per_token": 7e-6}), 50 * 10 + 50 + 10 * 7),
            ("cache alone", json!({"cache_read_input_token_cost": 2e-6}), book_cost + 50),
            (
                "with cache",
                json!({"input_cost_per_token": 4e-6, "cache_read_input_token_cost": 2e-6}),
                50 * 4 + 50 * 2 + 5 * 20 + 5 * 30,
            ),
            (
                "per thousand",
                json!({"cost_per_1k_input_tokens": 0.003, "cost_per_1k_output_tokens": 0.015}),
                100 * 3 + 10 * 15,
            ),
            ("one number for both", json!({"metadata": {"cost": 0.03}}), 110 * 30),
            (
                "per token wins over per thousand",
                json!({"cost_per_1k_input_tokens": 9, "input_cost_per_token": 2e-6,
                       "output_cost_per_token": 0}),
                200,
            ),
            ("null is not written", json!({"input_cost_per_token": null}), book_cost),
        ] {
            let price = Price::read(Some(&book), &fields(written)).unwrap().unwrap();
            assert_eq!(price.cost(&usage), micro(expected), "{case}");
        }
        let pairs = [("input_cost_per_token".into(), 2e-6), ("rpm".into(), f64::NAN)];
        assert_eq!(book.with_overrides(&pairs).cost(&usage), micro(100 * 2 + 5 * 20 + 5 * 30));
        let long = Usage { input_tokens: 300_000, ..NONE };
        let written = fields(json!({"cache_read_input_token_cost": 0}));
        let price = Price::read(Some(&book), &written).unwrap().unwrap();
        assert_eq!(price.cost(&long), micro(300_000 * 40), "the book's tier stays");
    }

    #[test]
    fn no_price_anywhere_is_none() {
        assert_eq!(Price::read(None, &fields(json!({"rpm": 3}))), Ok(None));
        assert_eq!(Price::from_fields(&fields(json!({"output_cost_per_image": 0.04}))), Ok(None));
    }

    #[test]
    fn an_amount_that_is_none_names_the_option() {
        for (written, option) in [
            (json!({"input_cost_per_token": -1}), "input_cost_per_token"),
            (json!({"output_cost_per_token": "cheap"}), "output_cost_per_token"),
            (json!({"cost_per_1k_input_tokens": [1]}), "cost_per_1k_input_tokens"),
            (json!({"metadata": {"cost": true}}), "metadata.cost"),
            (
                json!({"input_cost_per_token_above_200k_tokens": "x"}),
                "input_cost_per_token_above_200k_tokens",
            ),
        ] {
            let wrong = Price::from_fields(&fields(written)).unwrap_err();
            assert_eq!(wrong.option, option);
        }
    }
}
