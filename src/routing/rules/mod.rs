//! Which name a request is routed by, before any deployment is looked at.
//!
//! ```text
//! custom rules   Custom   the first condition that holds names the model     (custom_routing)
//! regions        Regions  the nearest region first, the others behind it     (regional_routing)
//! weights        catalog::Spread, in the plan: whose turn it is              (model_weights, ...)
//! strategy       in the plan: which deployment of the group
//! ```
//!
//! Each works on what the one before it left. A rule's own choice is not moved to another region,
//! unless the rule names `regional`.

mod custom;
pub mod language;
mod regions;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use custom::{Custom, Rule};
pub use language::{Condition, Facts, Malformed};
pub use regions::{Regions, normalised};

use super::settings::Fallback;

/// The name under which clients leave the choice to the rules, or to the region where there are none.
pub const AUTO: &str = "auto";

/// The name under which clients leave the choice to the region.
pub const REGIONAL: &str = "regional";

/// What is decided by name.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub custom: Option<Custom>,
    pub regions: Option<Regions>,
    /// The region of this gateway.
    pub region: Option<Box<str>>,
    /// Whether the region that a client writes is believed.
    pub trust_region_header: bool,
}

/// Where a request goes in place of the name that was asked for.
#[derive(Clone, Debug)]
pub struct Decision {
    pub model: Arc<str>,
    /// What serves when that cannot, in this order.
    pub stand_ins: Vec<Fallback>,
    pub reasons: Vec<Reason>,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This rule, counted from 1, was the first to hold.
    Rule { number: usize, condition: Arc<str>, model: Arc<str> },
    /// No rule held.
    Default { model: Arc<str> },
    /// The request comes from `region`, which `served` is the nearest to. Without either, the first
    /// one that is written.
    Region { region: Option<Box<str>>, served: Option<Arc<str>>, model: Arc<str> },
}

/// `auto` was asked for, no rule holds, and there is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no routing rule fits this request, and there is no default")]
pub struct NoRule;

impl Rules {
    /// Whether anything is decided here for a request of this name.
    #[must_use]
    pub fn concern(&self, asked: &str) -> bool {
        self.custom.as_ref().is_some_and(|custom| custom.decides(asked))
            || self.regions.as_ref().is_some_and(|regions| self.is_regional(regions, asked))
    }

    /// The model as whose the prompt of a request is to be counted, if a rule asks for its tokens.
    #[must_use]
    pub fn counted_as<'a>(&'a self, asked: &'a str) -> Option<&'a str> {
        let custom = self.custom.as_ref().filter(|custom| custom.decides(asked))?;
        let model = if asked == AUTO { custom.usual() } else { Some(asked) };
        model.filter(|_| custom.asks_for_tokens())
    }

    /// Where a request goes; `None` if it is the name's own affair.
    ///
    /// # Errors
    /// The request asks for `auto`, and no rule says where that is.
    pub fn decide(&self, asked: &str, facts: &dyn Facts) -> Result<Option<Decision>, NoRule> {
        let mut reasons = Vec::new();
        if let Some(custom) = self.custom.as_ref().filter(|custom| custom.decides(asked)) {
            match custom.decide(facts) {
                Some((model, reason)) => {
                    reasons.push(reason);
                    if *model != *REGIONAL || self.regions.is_none() {
                        return Ok(Some(Decision { model, stand_ins: Vec::new(), reasons }));
                    }
                }
                None if asked == AUTO => return Err(NoRule),
                None => {}
            }
        }
        let sent_here = !reasons.is_empty();
        let regions = self.regions.as_ref();
        let Some(regions) = regions.filter(|it| sent_here || self.is_regional(it, asked)) else {
            return Ok(None);
        };
        let region = facts.text(language::Text::Region);
        let (model, others, served) = regions.choose(region.as_deref());
        let region = region.map(|region| region.into());
        reasons.push(Reason::Region { region, served, model: Arc::clone(&model) });
        let stand_in = |group| Fallback { group, params: Vec::new() };
        Ok(Some(Decision { model, stand_ins: others.into_iter().map(stand_in).collect(), reasons }))
    }

    /// The names that only exist because of what is decided here.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let auto = self.custom.is_some() || self.regions.is_some();
        let names = [(AUTO, auto), (REGIONAL, self.regions.is_some())];
        names.into_iter().filter_map(|(name, exists)| exists.then_some(name))
    }

    fn is_regional(&self, regions: &Regions, asked: &str) -> bool {
        asked == REGIONAL || (asked == AUTO && self.custom.is_none()) || regions.mention(asked)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { number, condition, model } => {
                write!(out, "rule {number} of custom_routing (`{condition}`) routes to `{model}`")
            }
            Self::Default { model } => {
                write!(out, "no rule of custom_routing holds: the default is `{model}`")
            }
            Self::Region { region: Some(region), served: Some(served), model } => {
                write!(out, "region {region} is served by `{model}` ({served})")
            }
            Self::Region { region: Some(region), served: None, model } => {
                write!(
                    out,
                    "nothing is near region {region}: the first of regional_routing is `{model}`"
                )
            }
            Self::Region { region: None, model, .. } => {
                write!(out, "the region is not known: the first of regional_routing is `{model}`")
            }
        }
    }
}
