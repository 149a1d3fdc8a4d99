//! Whether a deployment can serve a request at all (`enable_pre_call_checks`): its window, its
//! capabilities, its region. Nothing here changes with time.

use super::needs::{Needs, ReplyFormat};
use super::out::Out;
use super::settings::Settings;
use crate::catalog::{Capabilities, Capability, Deployment, PriceBook};

/// Which checks a request is put to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    /// Window and capabilities.
    pub(super) fit: bool,
    /// Prompts above this many tokens need a long-context deployment.
    pub(super) long_above: Option<u64>,
}

/// How a request fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Good,
    /// The estimate is within its error of the window: deployments with more room go first.
    Tight,
}

/// The name in `metadata.capabilities` that stands for a long window.
const LONG_CONTEXT: &str = "long-context";

/// What is known of the model that would be called: a deployment's own facts, or for one with a
/// wildcard those of the model that the client named.
pub(super) struct Facts {
    pub(super) window: Option<u64>,
    pub(super) capabilities: Capabilities,
}

impl Facts {
    pub(super) fn of(
        deployment: &Deployment,
        captured: Option<&str>,
        prices: Option<&PriceBook>,
    ) -> Self {
        let info = &deployment.info;
        let own = Self { window: info.max_input_tokens, capabilities: info.capabilities };
        let Some(book) = prices.filter(|_| captured.is_some() && deployment.is_wildcard()) else {
            return own;
        };
        let model = deployment.upstream_model(captured);
        let Some(listed) = book.get(&deployment.provider, &model) else { return own };
        let mut capabilities = Capabilities::listed(listed);
        for capability in Capability::ALL {
            if let Some(has) = own.capabilities.get(capability) {
                capabilities.set(capability, has);
            }
        }
        Self { window: own.window.or(listed.max_input_tokens), capabilities }
    }
}

/// Puts a deployment to the checks.
///
/// A window is exceeded when even an estimate that is too high by its whole error
/// ([`Needs::input_error`]) would not fit. A provider that is asked in doubt refuses by itself, and
/// `context_window_fallbacks` follow; a request that is refused here has no such chance.
pub(super) fn fit(
    checks: Checks,
    needs: &Needs,
    deployment: &Deployment,
    facts: &Facts,
) -> Result<Fit, Out> {
    let tokens = needs.input_tokens;
    if checks.long_above.is_some_and(|above| tokens > above) {
        let names = &deployment.info.names;
        let long = names.iter().any(|name| same_name(name, LONG_CONTEXT));
        if !long && facts.window.is_none_or(|window| window < tokens) {
            return Err(Out::NotLongContext { tokens });
        }
    }
    if !checks.fit {
        return Ok(Fit::Good);
    }
    if let Some(lacking) =
        needed(needs).find(|capability| facts.capabilities.get(*capability) == Some(false))
    {
        return Err(Out::MissingCapability(lacking));
    }
    let Some(window) = facts.window else { return Ok(Fit::Good) };
    let error = (tokens as f64 * needs.input_error()) as u64;
    if tokens - error > window {
        return Err(Out::ContextTooSmall { window, tokens });
    }
    Ok(if tokens + error > window { Fit::Tight } else { Fit::Good })
}

/// How many capabilities the request needs that nobody knows the deployment to have.
pub(super) fn unknown(needs: &Needs, facts: &Facts) -> u64 {
    needed(needs).filter(|capability| facts.capabilities.get(*capability).is_none()).count() as u64
}

/// The capabilities that a request needs.
fn needed(needs: &Needs) -> impl Iterator<Item = Capability> {
    let Needs { tools, parallel_tools, images, audio, files, format, reasoning, .. } = *needs;
    Capability::ALL.into_iter().filter(move |capability| match capability {
        Capability::Tools => tools,
        Capability::ParallelTools => parallel_tools,
        Capability::Images => images,
        Capability::Audio => audio,
        Capability::Files => files,
        Capability::JsonSchema => format == ReplyFormat::JsonSchema,
        Capability::Reasoning => reasoning,
    })
}

/// Whether a deployment has every capability that the request names in `metadata.capabilities`.
pub(super) fn has_names(deployment: &Deployment, asked: &[Box<str>]) -> bool {
    asked.iter().all(|name| deployment.info.names.iter().any(|own| same_name(own, name)))
}

/// `Long_Context` is `long-context`.
fn same_name(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// Whether a deployment stands in a region that the request may go to. One that does not say where
/// it stands is in none: who names a region means it.
#[must_use]
pub fn in_region(deployment: &Deployment, allowed: &str) -> bool {
    deployment.info.region.as_deref().is_some_and(|region| region_matches(region, allowed))
}

/// By the start of the name (`eu` is for `eu-west-1`, `asia` for `asia-east1`), and for `eu` and
/// `us` also by the names that Azure gives (`swedencentral`, `eastus2`).
fn region_matches(region: &str, allowed: &str) -> bool {
    let (region, allowed) = (region.to_ascii_lowercase(), allowed.trim().to_ascii_lowercase());
    if region.starts_with(&*allowed) {
        return true;
    }
    match &*allowed {
        "eu" => AZURE_EU.iter().any(|country| region.contains(country)),
        "us" => region.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with("us"),
        _ => false,
    }
}

/// Azure's regions in the European Union begin with the country, or contain `europe`.
const AZURE_EU: [&str; 8] =
    ["europe", "sweden", "france", "germany", "italy", "spain", "poland", "austria"];

impl Settings {
    /// Whether something in force looks at what a request needs, for any group.
    #[must_use]
    pub fn looks_at_requests(&self) -> bool {
        let strategies = self.groups.values().map(|group| group.strategy);
        self.pre_call_checks
            || self.cost_threshold.is_some()
            || self.context_threshold.is_some()
            || strategies.chain([self.strategy]).any(super::Strategy::looks_at_requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_matched_by_their_start_and_by_azures_names() {
        let cases = [
            ("eu-west-1", "eu", true),
            ("europe-west4", "eu", true),
            ("swedencentral", "eu", true),
            ("westeurope", "eu", true),
            ("uksouth", "eu", false),
            ("us-east-1", "us", true),
            ("eastus2", "us", true),
            ("australiaeast", "us", false),
            ("asia-east1", "asia", true),
            ("asia-east1", "ASIA-EAST1", true),
            ("asia", "asia-east1", false),
        ];
        for (region, allowed, expected) in cases {
            assert_eq!(region_matches(region, allowed), expected, "{region} for {allowed}");
        }
    }
}
