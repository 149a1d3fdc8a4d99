//! Limits of providers: `rate_limit_settings`, and how limits are kept.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::Sections;
use crate::catalog::Caps;
use crate::config::deployments::vendor_names;
use crate::config::options::RATE_LIMIT;
use crate::config::problem::{Finding, nearest};
use crate::config::section::Section;
use crate::provider;

/// The caps of the deployments of each provider, and of those of all others.
pub(crate) struct RateLimits {
    by_provider: HashMap<&'static str, Caps>,
    others: Caps,
    /// Providers that have a budget.
    budgets: HashSet<&'static str>,
}

impl RateLimits {
    /// The caps of a provider's deployments.
    pub(crate) fn of(&self, provider: &str) -> Caps {
        let caps = self.by_provider.get(provider).copied().unwrap_or(self.others);
        Caps { has_budget: self.budgets.contains(provider), ..caps }
    }

    /// Whether any provider has a cap of tokens.
    pub(crate) fn counts_tokens(&self) -> bool {
        self.by_provider.values().any(|caps| caps.provider_tpm.is_some())
    }
}

/// Reads the section and the options of `router_settings`. `longest`: what bounds every wait that a
/// provider asks for. `budgets`: the providers that have one.
pub(super) fn read(
    sections: &mut Sections<'_>,
    longest: Duration,
    budgets: HashSet<&'static str>,
) -> RateLimits {
    let problems = sections.top.problems;
    let mut others = Caps::default();
    if let Some(at) = sections.router.number("near_limit") {
        if at.value > 0.0 && at.value <= 1.0 {
            others.near = at.value;
        } else {
            let message =
                format!("`near_limit` must be above 0 and at most 1, found `{}`", at.value);
            problems.push(Finding::error(at.spot, message).help("`0.9` is 90 % of a limit"));
        }
    }
    let listens = sections.router.flag("rate_limit_headers").is_none_or(|at| at.value);
    others.believe = listens.then_some(longest);
    let mut limits = RateLimits { by_provider: HashMap::new(), others, budgets };
    let Some(entry) = sections.top.entry("rate_limit_settings") else { return limits };
    let Some(entries) = entry.node.map() else {
        let found = entry.node.found("");
        let message = format!("`rate_limit_settings` must be a mapping, found {found}");
        let help = "write a provider and its limits: `openai: {max_requests_per_minute: 3500}`";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return limits;
    };
    for entry in entries {
        let mut section = Section::new(&RATE_LIMIT, &entry.node, entry.spot, problems);
        let requests = section.positive("max_requests_per_minute").map(|at| at.value);
        let tokens = section.positive("max_tokens_per_minute").map(|at| at.value);
        section.finish();
        match provider::vendor(&entry.key) {
            Some(vendor) => {
                let caps = Caps { provider_rpm: requests, provider_tpm: tokens, ..others };
                limits.by_provider.insert(vendor.name, caps);
            }
            None => {
                let near = nearest(&entry.key, vendor_names());
                let help = near.map(|(near, _)| format!("did you mean `{near}`?"));
                let message = format!("`{}` is not a provider", entry.key);
                problems.push(Finding::error(entry.spot, message).maybe_help(help));
            }
        }
    }
    limits
}
