//! The prices of a model beside its usual ones: of long prompts, and of other service levels.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{Price, ServiceLevel, Tier, WrongPrice};

impl Price {
    /// Adds the prices for long prompts that `fields` hold. Says whether there were any.
    pub(super) fn read_tiers(&mut self, fields: &Map<String, Value>) -> Result<bool, WrongPrice> {
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
    pub(super) fn read_levels(&mut self, fields: &Map<String, Value>) -> Result<bool, WrongPrice> {
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

impl ServiceLevel {
    const ALL: [Self; 3] = [Self::Priority, Self::Flex, Self::Batch];

    /// The end of the names of the fields that hold its prices.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Priority => "_priority",
            Self::Flex => "_flex",
            Self::Batch => "_batches",
        }
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
