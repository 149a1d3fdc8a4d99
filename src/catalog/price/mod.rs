//! What a token costs: the price of one model, and what a reply's usage comes to.
//!
//! `fields` and `tiers` read a price, `cost` applies it; `picture` finds the one of an image.

mod cost;
mod fields;
mod picture;
mod tiers;

use std::sync::Arc;

use thiserror::Error;

pub use self::picture::Picture;
use crate::money::Usd;

/// Prices of one model, per token but for `units`. An amount that is `None` is charged like plain input or output.
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
    /// Images that are made, where they are counted in tokens.
    pub image_output: Option<Usd>,
    /// What is charged by something else than tokens.
    pub units: UnitPrices,
    /// Other prices for long prompts, shortest first. The whole request is charged at one of them.
    pub tiers: Vec<Tier>,
    /// Other prices for other service levels.
    pub levels: Vec<(ServiceLevel, Arc<Self>)>,
}

/// Prices of what is not counted in tokens; see [`crate::usage::Units`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitPrices {
    /// An image that is made.
    pub image: Option<Usd>,
    /// A pixel of an image that is made; see [`Picture`].
    pub pixel: Option<Usd>,
    /// A second of sound that is listened to.
    pub second: Option<Usd>,
    /// A character that is spoken.
    pub character: Option<Usd>,
    /// A search of a rerank.
    pub search: Option<Usd>,
    /// A search of the web that a model makes.
    pub web_search: Option<Usd>,
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
}

/// A price that is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{option} must be an amount in dollars that is not negative, found {found}")]
pub struct WrongPrice {
    pub option: String,
    pub found: String,
}

impl Price {
    /// The price at another service level; this one if the level has no price of its own.
    #[must_use]
    pub fn at_level(&self, level: Option<ServiceLevel>) -> &Self {
        self.levels
            .iter()
            .find(|(named, _)| Some(*named) == level)
            .map_or(self, |(_, price)| price.as_ref())
    }
}

#[cfg(test)]
mod tests;
