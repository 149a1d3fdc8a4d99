//! How deployments are chosen: `routing_strategy` in all its places, `routing_groups`, `router`,
//! and what keeps requests with a deployment.

use std::collections::HashMap;
use std::sync::Arc;

use super::Sections;
use super::aliases::WrittenAlias;
use super::models::Named;
use super::names::Names;
use crate::catalog::{Alias, AliasTarget};
use crate::config::options::{ROUTING_GROUP, STRATEGY_ARGS};
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section};
use crate::config::yaml::Node;
use crate::money::Usd;
use crate::routing::{Affinity, GroupStrategy, Strategy, Tuning};

/// Strategies that LiteLLM or the files of its users name, and that are not in this version.
const NOT_YET: [&str; 2] = ["provider-budget-routing", "lar1"];

/// The strategy that is to have rules: `custom_routing` decides before any deployment is looked at.
const CUSTOM: &str = "custom";

/// The name that stands for every group where a `router` section chooses among them.
const AUTO: &str = "auto";

/// What the strategies are to do.
pub(super) struct Choice {
    pub(super) strategy: Strategy,
    pub(super) tuning: Tuning,
    pub(super) groups: HashMap<Arc<str>, GroupStrategy>,
    pub(super) cost_threshold: Option<Usd>,
    pub(super) context_threshold: Option<u64>,
}

/// `router_settings`, and the section `router` where it is silent.
pub(super) fn read(router: &mut Section<'_>, too: &mut Section<'_>, names: &Names) -> Choice {
    let kind = strategy(too, "type");
    let named = strategy(too, "routing_strategy");
    if let (Some(kind), Some(named)) = (&kind, &named)
        && kind.value != named.value
    {
        let message = format!(
            "`routing_strategy` and `type` name two strategies; `{}` is used",
            kind.value.name()
        );
        too.problems.push(Finding::warning(named.spot, message));
    }
    let own = strategy(router, "routing_strategy");
    if let Some(entry) = router.written("routing_strategy")
        && entry.node.text().is_some_and(|word| word.eq_ignore_ascii_case(CUSTOM))
        && !router.has("custom_routing")
    {
        let message = "the strategy `custom` has no rules: it is `simple-shuffle`";
        let finding = Finding::warning(entry.value_spot(), message);
        router.problems.push(finding.help("write `custom_routing` below it"));
    }
    let strategy = own.or(kind).or(named).map_or_else(Strategy::default, |at| at.value);
    let args = router.section("routing_strategy_args", &STRATEGY_ARGS);
    let tuning = tuning(args, Tuning::default());
    let mut groups = HashMap::new();
    for mut group in each_group(router) {
        let own = self::strategy(&mut group, "routing_strategy");
        let args = group.section("routing_strategy_args", &STRATEGY_ARGS);
        let tuning = self::tuning(args, tuning);
        let strategy = own.map_or(strategy, |at| at.value);
        let name = group.text("group_name");
        let models = group.texts("models").unwrap_or_default();
        // Otherwise the name is an alias, and what it stands for is looked at as such.
        let shadowed = name.is_none_or(|name| names.has_group(name.value));
        for At { value, spot } in &models {
            if shadowed && !names.resolves(value) {
                let message = format!("nothing serves `{value}`");
                group.problems.push(Finding::error(*spot, message).help(names.help(value)));
            }
        }
        for At { value, .. } in models.into_iter().chain(name) {
            groups.insert(Arc::from(value), GroupStrategy { strategy, tuning });
        }
        group.finish();
    }
    if (too.has("type") || too.has("routing_strategy")) && !names.has_group(AUTO) {
        groups.entry(AUTO.into()).or_insert(GroupStrategy { strategy, tuning });
    }
    let cost_threshold = too.number("cost_threshold");
    let context_threshold = too.positive("context_threshold").map(|at| at.value);
    Choice {
        strategy,
        tuning,
        groups,
        cost_threshold: cost_threshold.and_then(|at| Usd::from_dollars(at.value)),
        context_threshold,
    }
}

/// The names that stand for several groups: those of `routing_groups`, and `auto`.
pub(super) fn groups(
    sections: &mut Sections<'_>,
    entries: &[Named],
    aliases: &[WrittenAlias],
) -> Vec<WrittenAlias> {
    let taken = |name: &str| {
        entries.iter().any(|entry| &*entry.group == name)
            || aliases.iter().any(|written| &*written.alias.name == name)
    };
    let mut found = Vec::new();
    let problems = sections.router.problems;
    for node in group_nodes(&mut sections.router) {
        // Problems are reported when the groups are read as such.
        let unheard = Problems::default();
        let mut group = Section::new(&ROUTING_GROUP, node, node.spot, &unheard);
        let (name, models) = (group.text("group_name"), group.texts("models"));
        let (Some(name), Some(models)) = (name, models) else { continue };
        if taken(name.value) {
            let message = format!("there is a group or alias `{}` already", name.value);
            let help = "the strategy holds for its models; rename it to ask for all of them as one";
            problems.push(Finding::warning(name.spot, message).help(help));
            continue;
        }
        let targets = models.iter().map(|at| (Arc::from(at.value), at.spot)).collect();
        found.push(shared(name.value, name.spot, targets));
    }
    // Where weights divide the requests, no strategy chooses among the names.
    let weights = sections.router_too.written("weights").and_then(|entry| entry.node.map());
    let divides = weights.is_some_and(|entries| !entries.is_empty());
    let chooses =
        !divides && ["type", "routing_strategy"].iter().any(|name| sections.router_too.has(name));
    if chooses && !taken(AUTO) && !found.iter().any(|written| &*written.alias.name == AUTO) {
        let spot = sections.router_too.spot;
        let mut targets: Vec<(Arc<str>, Spot)> = Vec::new();
        for entry in entries.iter().filter(|entry| !entry.group.contains('*')) {
            if !targets.iter().any(|(group, _)| *group == entry.group) {
                targets.push((Arc::clone(&entry.group), spot));
            }
        }
        if !targets.is_empty() {
            found.push(shared(AUTO, spot, targets));
        }
    }
    found
}

/// A name for several groups alike.
fn shared(name: &str, spot: Spot, targets: Vec<(Arc<str>, Spot)>) -> WrittenAlias {
    let groups = targets.iter().map(|(group, _)| Arc::clone(group)).collect();
    let target = AliasTarget::Together(groups);
    WrittenAlias { alias: Alias { name: name.into(), target, hidden: false }, spot, targets }
}

fn group_nodes<'a>(router: &mut Section<'a>) -> &'a [Node] {
    router.entry("routing_groups").and_then(|entry| entry.node.list()).unwrap_or(&[])
}

fn each_group<'a>(router: &mut Section<'a>) -> Vec<Section<'a>> {
    let problems = router.problems;
    if let Some(entry) = router.entry("routing_groups")
        && entry.node.list().is_none()
    {
        let message = format!("`routing_groups` must be a list, found {}", entry.node.found(""));
        let help = "begin each with `- group_name: ...`";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
    }
    let nodes = group_nodes(router);
    nodes.iter().map(|node| Section::new(&ROUTING_GROUP, node, node.spot, problems)).collect()
}

fn tuning(mut args: Section<'_>, outer: Tuning) -> Tuning {
    let exploration = args.number("exploration");
    if let Some(at) = exploration.filter(|at| at.value > 1.0) {
        let message = format!("`exploration` must be between 0 and 1, found `{}`", at.value);
        args.problems.push(Finding::error(at.spot, message));
    }
    let tuning = Tuning {
        latency_ttl: args.timeout("ttl").map_or(outer.latency_ttl, |at| at.value),
        latency_buffer: args
            .number("lowest_latency_buffer")
            .map_or(outer.latency_buffer, |at| at.value),
        exploration: exploration.map_or(outer.exploration, |at| at.value),
    };
    args.finish();
    tuning
}

fn strategy(section: &mut Section<'_>, option: &'static str) -> Option<At<Strategy>> {
    let At { value, spot } = section.text(option)?;
    if let Some(strategy) = Strategy::named(value) {
        return Some(At { value: strategy, spot });
    }
    let word = value.to_ascii_lowercase().replace('_', "-");
    if word == CUSTOM {
        return Some(At { value: Strategy::SimpleShuffle, spot });
    }
    if NOT_YET.contains(&&*word) {
        let message = format!(
            "`{value}` is not available in this version: deployments are chosen by \
             `simple-shuffle`"
        );
        section.problems.push(Finding::warning(spot, message));
        return None;
    }
    let help = match nearest(&word, Strategy::names()) {
        Some((near, _)) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", known()),
    };
    let message = format!("`{value}` is not a routing strategy");
    section.problems.push(Finding::error(spot, message).help(help));
    None
}

fn known() -> String {
    Strategy::ALL.map(|strategy| format!("`{}`", strategy.name())).join(", ")
}

/// Checks of LiteLLM's that are something else than affinity.
const OTHER_CHECKS: [(&str, &str); 5] = [
    ("router_budget_limiting", "no budget is held"),
    ("responses_api_deployment_check", "the responses API is not served"),
    ("forward_client_headers_by_model_group", "client headers are not passed on"),
    ("enforce_model_rate_limits", "rates are not enforced"),
    ("encrypted_content_affinity", "the responses API is not served"),
];

/// `optional_pre_call_checks`, as far as they tie requests to deployments.
pub(super) fn affinity(router: &mut Section<'_>) -> Affinity {
    let mut affinity = Affinity::default();
    let session_ttl = router.timeout("deployment_affinity_ttl_seconds");
    let prompt_ttl = router.timeout("prompt_affinity_ttl");
    let tokens = router.between("prompt_affinity_tokens", 1..=1_000_000);
    affinity.session_ttl = session_ttl.map_or(affinity.session_ttl, |at| at.value);
    affinity.prompt_ttl = prompt_ttl.map_or(affinity.prompt_ttl, |at| at.value);
    affinity.prefix_tokens = tokens.map_or(affinity.prefix_tokens, |at| at.value);
    for At { value, spot } in router.texts("optional_pre_call_checks").unwrap_or_default() {
        match value {
            "session_affinity" => affinity.session = true,
            "deployment_affinity" => affinity.caller = true,
            "prompt_caching" => affinity.prompt = true,
            other => router.problems.push(not_affinity(other, spot)),
        }
    }
    affinity
}

fn not_affinity(name: &str, spot: Spot) -> Finding {
    if let Some((_, why)) = OTHER_CHECKS.iter().find(|(known, _)| *known == name) {
        return Finding::warning(spot, format!("`{name}` is not available in this version: {why}"));
    }
    let own = ["session_affinity", "deployment_affinity", "prompt_caching"];
    let known = own.into_iter().chain(OTHER_CHECKS.iter().map(|(name, _)| *name));
    let help = match nearest(name, known) {
        Some((near, _)) => format!("did you mean `{near}`?"),
        None => format!("write one of `{}`", own.join("`, `")),
    };
    Finding::error(spot, format!("`{name}` is not a check")).help(help)
}
