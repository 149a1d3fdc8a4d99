//! What is decided by name (rules, regions, weights): read together, checked when all names are known.

use std::sync::Arc;

use super::names::{Names, References};
use super::regions::List;
use super::weights::Weights;
use super::{Context, Sections, custom, regions, weights};
use crate::catalog::{Alias, AliasTarget};
use crate::config::problem::{Finding, Problems};
use crate::routing::rules::{AUTO, Custom, REGIONAL, Regions, Rules};

/// Everything as written.
pub(super) struct Written {
    custom: Option<custom::Written>,
    regions: List,
    pub(super) weights: Weights,
    region: Option<Box<str>>,
    trust_region_header: bool,
    /// The names that all of this refers to.
    pub(super) references: References,
}

pub(super) fn read(sections: &mut Sections<'_>, context: &Context<'_>) -> Written {
    let mut references = References::default();
    let custom = custom::read(sections, &mut references);
    let regions = regions::read(sections, &mut references);
    let weights = weights::read(sections, &mut references);
    let (region, trust_region_header) = regions::here(sections, context);
    Written { custom, regions, weights, region, trust_region_header, references }
}

impl Written {
    /// Reports names that nothing serves, and those that mean two things.
    pub(super) fn check(&self, names: &Names, problems: &Problems) {
        let special: &[&str] = if self.regions.is_empty() { &[] } else { &[REGIONAL] };
        self.references.check(names, special, problems);
        for (name, exists, by) in [
            (AUTO, self.custom.is_some() || !self.regions.is_empty(), "the rules"),
            (REGIONAL, !self.regions.is_empty(), "`regional_routing`"),
        ] {
            if exists && names.has_group(name) {
                let message = format!(
                    "requests for `{name}` are decided by {by}, not by the group of that name"
                );
                problems.push(Finding::warning(None, message).help("rename the group"));
            }
        }
        for (region, model) in &self.regions {
            if self.weights.iter().any(|(name, _)| name == model) {
                let message = format!(
                    "requests of the region `{region}` are divided by weight: `{model}` has one"
                );
                let help = "take the model out of the weights to keep the region's requests there";
                problems.push(Finding::warning(self.references.spot_of(model), message).help(help));
            }
        }
    }

    /// The rules in force. Regions whose model nothing serves are left out; that can only be in a
    /// file without a `model_list`.
    pub(super) fn rules(&self, aliases: &[Alias], names: &Names) -> Rules {
        let plain = || {
            aliases.iter().filter_map(|alias| match &alias.target {
                AliasTarget::Group(group) => Some((&*alias.name, &**group)),
                AliasTarget::Weighted(_) | AliasTarget::Together(_) => None,
            })
        };
        let served = |(_, model): &&(Arc<str>, Arc<str>)| names.has(model);
        let regions: List = self.regions.iter().filter(served).cloned().collect();
        Rules {
            custom: self.custom.as_ref().map(|custom| {
                let custom::Written { rules, default, zone } = custom;
                Custom::new(rules.clone(), default.clone(), zone.clone(), plain())
            }),
            regions: Regions::new(regions, plain()),
            region: self.region.clone(),
            trust_region_header: self.trust_region_header,
        }
    }
}
