//! A price from fields with LiteLLM's names, be they in the price book or at a deployment.

use serde_json::{Map, Value};

use super::{Price, WrongPrice};
use crate::money::Usd;

impl Price {
    /// Reads the price that `fields` hold; `None` if they hold none.
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
}

/// The price fields found in one place; `None` for those that are not written.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) input: Option<Usd>,
    pub(super) output: Option<Usd>,
    cache_read: Option<Usd>,
    cache_write: Option<Usd>,
    cache_write_1h: Option<Usd>,
    reasoning: Option<Usd>,
    audio_input: Option<Usd>,
    audio_output: Option<Usd>,
    image_input: Option<Usd>,
    image_output: Option<Usd>,
    image: Option<Usd>,
    pixel: Option<Usd>,
    second: Option<Usd>,
    character: Option<Usd>,
    search: Option<Usd>,
    web_search: Option<Usd>,
}

impl Fields {
    /// Reads the fields whose names end in `tier` and `level` (both may be empty).
    pub(super) fn read(
        fields: &Map<String, Value>,
        tier: &str,
        level: &str,
    ) -> Result<Self, WrongPrice> {
        let read = |name: &str| amount(fields, &format!("{name}{tier}{level}"), 1.0);
        // Of two names for one price, the first that is written and not zero.
        let either = |one: &str, other: &str| -> Result<Option<Usd>, WrongPrice> {
            let (one, other) = (read(one)?, read(other)?);
            Ok(one.filter(|price| *price != Usd::ZERO).or(other).or(one))
        };
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
            image_output: read("output_cost_per_image_token")?,
            image: either("output_cost_per_image", "input_cost_per_image")?,
            pixel: either("output_cost_per_pixel", "input_cost_per_pixel")?,
            second: either("input_cost_per_second", "output_cost_per_second")?,
            character: either("input_cost_per_character", "output_cost_per_character")?,
            search: read("input_cost_per_query")?,
            web_search: web_search(fields, tier, level)?,
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
            price.image_output = None;
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
    pub(super) fn overlay(&self, price: &mut Price) -> bool {
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
            (self.image_output, &mut price.image_output),
            (self.image, &mut price.units.image),
            (self.pixel, &mut price.units.pixel),
            (self.second, &mut price.units.second),
            (self.character, &mut price.units.character),
            (self.search, &mut price.units.search),
            (self.web_search, &mut price.units.web_search),
        ] {
            if written.is_some() {
                *place = written;
                found = true;
            }
        }
        found
    }
}

/// What a search of the web costs: of a table by how much is read, the middle, as LiteLLM does.
fn web_search(
    fields: &Map<String, Value>,
    tier: &str,
    level: &str,
) -> Result<Option<Usd>, WrongPrice> {
    let name = format!("search_context_cost_per_query{tier}{level}");
    match fields.get(&name) {
        Some(Value::Object(sizes)) => amount(sizes, "search_context_size_medium", 1.0)
            .map_err(|wrong| WrongPrice { option: format!("{name}.{}", wrong.option), ..wrong }),
        _ => Ok(None),
    }
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
