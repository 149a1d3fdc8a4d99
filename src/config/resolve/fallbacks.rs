//! Fallbacks, in every form in which people write them.
//!
//! - `[{a: [b, c]}, {b: [c]}]` and `{a: [b, c]}`: rules by group; `b` alone stands for `[b]`.
//! - `[a, b, c]`: one chain. After any of its groups fails, the others are tried in the order
//!   written. Groups outside the chain have no part in it. (LiteLLM refuses to start with it.)
//! - a target may be `{model: b, temperature: 0}`: the further names replace body parameters.
//! - a group that falls back to itself gets a further round over its deployments. (LiteLLM skips
//!   such a rule.)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::Sections;
use super::names::Names;
use crate::config::options::FALLBACK_CONFIG;
use crate::config::problem::{Finding, Problems, Spot};
use crate::config::section::{At, Section};
use crate::config::yaml::{Entry, Node, Value};
use crate::routing::Fallback;

/// Fallbacks by group, as `routing` takes them.
pub(super) type Rules = HashMap<Arc<str>, Vec<Fallback>>;

/// The key under which the fallbacks for every other group are kept.
const EVERY_GROUP: &str = "*";

/// Groups that one rule may name.
const TARGETS_MAX: usize = 64;

/// One group to fall back to, as written.
struct Target {
    spot: Spot,
    fallback: Fallback,
}

/// `a: [b, c]`.
struct Rule {
    group: At<Arc<str>>,
    targets: Vec<Target>,
}

/// The three lists of one name, with `default_fallbacks` and `fallback_config` for the general one.
pub(super) fn read(sections: &mut Sections<'_>, names: &Names, name: &'static str) -> Rules {
    let problems = sections.router.problems;
    let mut rules = Rules::new();
    if let Some(entry) = preferred(sections, name) {
        for rule in written(entry, problems) {
            add(&mut rules, rule, names, problems);
        }
    }
    rules
}

/// Adds the fallbacks of every group without its own.
pub(super) fn defaults(sections: &mut Sections<'_>, names: &Names, rules: &mut Rules) {
    let problems = sections.router.problems;
    let Some(entry) = preferred(sections, "default_fallbacks") else { return };
    let group = At { value: Arc::from(EVERY_GROUP), spot: entry.spot };
    if rules.contains_key(&*group.value) {
        let message = "`default_fallbacks` is not used: `fallbacks` has a rule for `*`";
        problems.push(Finding::warning(entry.spot, message).help("remove one of the two"));
        return;
    }
    let targets = targets(&entry.node, problems);
    add(rules, Rule { group, targets }, names, problems);
}

/// What `router_settings` says, or else `litellm_settings`, as in LiteLLM.
fn preferred<'a>(sections: &mut Sections<'a>, name: &'static str) -> Option<&'a Entry> {
    let (router, litellm) = (sections.router.entry(name), sections.litellm.entry(name));
    if let (Some(router), Some(litellm)) = (router, litellm)
        && router.node.json() != litellm.node.json()
    {
        let message = format!("`{name}` of `litellm_settings` is not used");
        let finding = Finding::warning(litellm.spot, message);
        let finding = finding.note(router.spot, "`router_settings` wins");
        sections.router.problems.push(finding.help("remove one of the two"));
    }
    router.or(litellm)
}

fn add(rules: &mut Rules, rule: Rule, names: &Names, problems: &Problems) {
    let Rule { group: At { value: group, spot }, targets } = rule;
    if !names.resolves(&group) && &*group != EVERY_GROUP {
        problems.push(
            Finding::warning(spot, format!("fallbacks for `{group}`, which nothing serves"))
                .help(names.help(&group)),
        );
    }
    let every = &*group == EVERY_GROUP;
    let who = if every { "every group".to_owned() } else { format!("`{group}`") };
    for Target { spot, fallback } in &targets {
        if !names.resolves(&fallback.group) {
            problems.push(
                Finding::error(
                    *spot,
                    format!("{who} falls back to `{}`, which nothing serves", fallback.group),
                )
                .help(names.help(&fallback.group)),
            );
        }
    }
    if targets.len() > TARGETS_MAX {
        let message = format!("`{group}` has more than {TARGETS_MAX} fallbacks");
        problems.push(Finding::error(spot, message));
    }
    let fallbacks = targets.into_iter().map(|target| target.fallback);
    if rules.contains_key(&group) {
        let message = format!("the fallbacks for `{group}` are written twice; the first are used");
        problems.push(Finding::warning(spot, message).help("join the two lists"));
        return;
    }
    rules.insert(group, fallbacks.collect());
}

fn written(entry: &Entry, problems: &Problems) -> Vec<Rule> {
    match &entry.node.value {
        Value::Map(entries) => entries.iter().map(|rule| rule_of(rule, problems)).collect(),
        Value::List(items) if items.iter().all(is_target) => chain(items, problems),
        Value::List(items) => {
            let mut rules = Vec::new();
            for item in items {
                match item.map() {
                    Some(entries) if !is_target(item) => {
                        rules.extend(entries.iter().map(|rule| rule_of(rule, problems)));
                    }
                    Some(_) | None => problems.push(
                        Finding::error(item.spot, format!("`{}` mixes names and rules", entry.key))
                            .help("write rules only (`- a: [b, c]`), or names only (one chain)"),
                    ),
                }
            }
            rules
        }
        Value::Scalar(_) => {
            let found = entry.node.found("");
            let message = format!("`{}` must be a list, found {found}", entry.key);
            problems.push(
                Finding::error(entry.value_spot(), message)
                    .help("write `- a: [b, c]`: after `a` fails, `b` and then `c` are tried"),
            );
            Vec::new()
        }
    }
}

fn rule_of(entry: &Entry, problems: &Problems) -> Rule {
    let targets = targets(&entry.node, problems);
    if targets.is_empty() && entry.node.list().is_none_or(<[Node]>::is_empty) {
        let message = format!("`{}` has no fallbacks", entry.key);
        problems.push(Finding::warning(entry.spot, message).help("name at least one group"));
    }
    Rule { group: At { value: (*entry.key).into(), spot: entry.spot }, targets }
}

fn chain(items: &[Node], problems: &Problems) -> Vec<Rule> {
    let members: Vec<Target> = items.iter().filter_map(|item| target(item, problems)).collect();
    let others = |at: usize| {
        let others = members.iter().enumerate().filter(move |(other, _)| *other != at);
        others.map(|(_, Target { spot, fallback })| Target {
            spot: *spot,
            fallback: fallback.clone(),
        })
    };
    let rules = members.iter().enumerate().map(|(at, member)| Rule {
        group: At { value: Arc::clone(&member.fallback.group), spot: member.spot },
        targets: others(at).collect(),
    });
    rules.collect()
}

/// A name, or a mapping that names one under `model`.
fn is_target(node: &Node) -> bool {
    node.text().is_some() || node.get("model").is_some_and(|entry| entry.node.text().is_some())
}

fn targets(node: &Node, problems: &Problems) -> Vec<Target> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| target(item, problems)).collect(),
        Value::Scalar(_) if node.is_null() => Vec::new(),
        Value::Scalar(_) | Value::Map(_) => target(node, problems).into_iter().collect(),
    }
}

fn target(node: &Node, problems: &Problems) -> Option<Target> {
    if let Some(group) = node.text() {
        let fallback = Fallback { group: group.into(), params: Vec::new() };
        return Some(Target { spot: node.spot, fallback });
    }
    let model = node.get("model").and_then(|entry| Some((entry.node.text()?, entry.node.spot)));
    let (Some((group, spot)), Some(entries)) = (model, node.map()) else {
        let message = format!("a fallback must be the name of a group, found {}", node.found(""));
        let help = "write the name, or `{model: name, temperature: 0}`";
        problems.push(Finding::error(node.spot, message).help(help));
        return None;
    };
    let params = entries.iter().filter(|entry| &*entry.key != "model").filter_map(param);
    Some(Target { spot, fallback: Fallback { group: group.into(), params: params.collect() } })
}

/// A body parameter as JSON.
pub(super) fn param(entry: &Entry) -> Option<(Box<str>, Box<RawValue>)> {
    // The tree writes valid JSON, so this cannot fail; an option that did would be left out.
    Some((entry.key.clone(), RawValue::from_string(entry.node.json()).ok()?))
}

/// What `fallback_config` says besides the fallbacks themselves.
#[derive(Default)]
pub(super) struct PerGroup {
    pub(super) num_retries: HashMap<Arc<str>, u32>,
    pub(super) retry_after: HashMap<Arc<str>, Duration>,
}

/// Reads `fallback_config` and adds its fallbacks to the general ones.
pub(super) fn config(sections: &mut Sections<'_>, names: &Names, rules: &mut Rules) -> PerGroup {
    let problems = sections.top.problems;
    let mut per_group = PerGroup::default();
    let Some(entry) = sections.top.entry("fallback_config") else { return per_group };
    let Some(items) = entry.node.list() else {
        let found = entry.node.found("");
        let message = format!("`fallback_config` must be a list, found {found}");
        problems.push(Finding::error(entry.value_spot(), message));
        return per_group;
    };
    for item in items {
        let mut section = Section::new(&FALLBACK_CONFIG, item, item.spot, problems);
        let name = section.text("model_name");
        let to = section.entry("fallback_to");
        let retries = section.count("retry_attempts", super::router::RETRIES_MAX);
        let delay = section.seconds("retry_delay");
        let spot = section.spot;
        section.finish();
        let Some(At { value: group, spot }) = name else {
            if item.map().is_some() {
                let message = "this entry of `fallback_config` names no group";
                problems.push(Finding::error(spot, message).help("add `model_name:`"));
            }
            continue;
        };
        let group: Arc<str> = group.into();
        if let Some(to) = to {
            let targets = targets(&to.node, problems);
            let group = At { value: Arc::clone(&group), spot };
            add(rules, Rule { group, targets }, names, problems);
        }
        if let Some(retries) = retries {
            per_group.num_retries.insert(Arc::clone(&group), retries.value);
        }
        if let Some(delay) = delay {
            per_group.retry_after.insert(group, delay.value);
        }
    }
    per_group
}
