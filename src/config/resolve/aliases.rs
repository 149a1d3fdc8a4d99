//! `model_group_alias`: other names for groups.

use std::sync::Arc;

use super::Sections;
use super::names::{Names, References};
use crate::catalog::{Alias, AliasTarget};
use crate::config::options::FLAG;
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::yaml::{Entry, Node, Typed, Value};

/// An alias and the places of the names it refers to.
pub(crate) struct WrittenAlias {
    pub(crate) alias: Alias,
    pub(super) spot: Spot,
    pub(super) targets: Vec<(Arc<str>, Spot)>,
}

pub(super) fn read(sections: &mut Sections<'_>) -> Vec<WrittenAlias> {
    let problems = sections.router.problems;
    let Some(entry) = sections.router.entry("model_group_alias") else { return Vec::new() };
    let Some(entries) = entry.node.map() else {
        let found = entry.node.found("");
        let message = format!("`model_group_alias` must be a mapping, found {found}");
        problems.push(
            Finding::error(entry.value_spot(), message).help("write `alias: group` lines under it"),
        );
        return Vec::new();
    };
    entries.iter().filter_map(|entry| alias(entry, problems)).collect()
}

fn alias(entry: &Entry, problems: &Problems) -> Option<WrittenAlias> {
    let name: Arc<str> = (*entry.key).into();
    let mut hidden = false;
    let (target, targets) = if let Some(text) = entry.node.text() {
        let group: Arc<str> = text.into();
        (AliasTarget::Group(Arc::clone(&group)), vec![(group, entry.node.spot)])
    } else if let Some(items) = entry.node.list() {
        weighted(entry, items, problems)?
    } else if let Some((group, spot)) = model_of(&entry.node) {
        hidden = flag(&entry.node, "hidden", problems);
        only(&entry.node, &["model", "hidden"], problems);
        (AliasTarget::Group(Arc::clone(&group)), vec![(group, spot)])
    } else {
        let found = entry.node.found("");
        problems.push(
            Finding::error(
                entry.value_spot(),
                format!("the alias `{name}` must name a group, found {found}"),
            )
            .help("write the group, or `{model: group, hidden: true}`, or a list with weights"),
        );
        return None;
    };
    Some(WrittenAlias { alias: Alias { name, target, hidden }, spot: entry.spot, targets })
}

type Target = (AliasTarget, Vec<(Arc<str>, Spot)>);

/// A list of `{model, weight}`.
fn weighted(entry: &Entry, items: &[Node], problems: &Problems) -> Option<Target> {
    let (mut shares, mut targets) = (Vec::new(), Vec::new());
    for item in items {
        let plain = || item.text().map(|text| (Arc::from(text), item.spot));
        let Some((group, spot)) = model_of(item).or_else(plain) else {
            let found = item.found("");
            problems.push(
                Finding::error(
                    item.spot,
                    format!("a share of `{}` must be a mapping, found {found}", entry.key),
                )
                .help("write `- {model: group, weight: 0.5}`"),
            );
            continue;
        };
        only(item, &["model", "weight"], problems);
        let weight = item.get("weight").filter(|weight| !weight.node.is_null());
        let share = match weight {
            None => Some(1.0),
            Some(weight) => weight.node.text().and_then(|text| text.trim().parse::<f64>().ok()),
        };
        match share.filter(|share| share.is_finite() && *share >= 0.0) {
            Some(share) => shares.push((Arc::clone(&group), share)),
            None => problems.push(Finding::error(
                weight.map_or(item.spot, Entry::value_spot),
                "`weight` must be a number that is not negative",
            )),
        }
        targets.push((group, spot));
    }
    let all_read = shares.len() == items.len();
    if all_read && !shares.iter().any(|(_, share)| *share > 0.0) {
        problems.push(Finding::error(
            entry.spot,
            format!("no share of the alias `{}` has a weight above 0", entry.key),
        ));
    }
    Some((AliasTarget::Weighted(shares), targets))
}

fn flag(node: &Node, name: &str, problems: &Problems) -> bool {
    let Some(entry) = node.get(name).filter(|entry| !entry.node.is_null()) else { return false };
    if let Value::Scalar(scalar) = &entry.node.value
        && let Typed::Bool(value) = scalar.typed()
    {
        return value;
    }
    let message = format!("`{name}` must be {FLAG}, found {}", entry.node.found(name));
    problems.push(Finding::error(entry.value_spot(), message));
    false
}

/// Reports what is written beside these names.
fn only(node: &Node, known: &[&str], problems: &Problems) {
    for entry in node.map().unwrap_or_default() {
        if known.contains(&&*entry.key) {
            continue;
        }
        let message = format!("unknown option `{}` in an alias", entry.key);
        let finding = match nearest(&entry.key, known.iter().copied()) {
            Some((near, _)) => {
                Finding::error(entry.spot, message).help(format!("did you mean `{near}`?"))
            }
            None => Finding::warning(entry.spot, format!("{message}; it has no effect")),
        };
        problems.push(finding);
    }
}

fn model_of(node: &Node) -> Option<(Arc<str>, Spot)> {
    let model = node.get("model")?;
    Some((model.node.text()?.into(), model.node.spot))
}

/// The names that the aliases stand for.
pub(super) fn targets(aliases: &[WrittenAlias]) -> References {
    let mut references = References::default();
    for (target, spot) in aliases.iter().flat_map(|alias| &alias.targets) {
        references.add(target, *spot, "an alias");
    }
    references
}

/// Reports aliases of nothing, and aliases that lead back to themselves.
pub(super) fn check(aliases: &[WrittenAlias], names: &Names, problems: &Problems) {
    for WrittenAlias { alias, spot, targets } in aliases {
        for (target, at) in targets {
            if leads_back(&alias.name, target, aliases, names) {
                let message = format!("the alias `{}` leads back to itself", alias.name);
                problems.push(Finding::error(*at, message));
            } else if !names.resolves(target) {
                problems.push(
                    Finding::error(
                        *at,
                        format!(
                            "the alias `{}` is for `{target}`, which nothing serves",
                            alias.name
                        ),
                    )
                    .help(names.help(target)),
                );
            }
        }
        // A weighted alias of a group's name says how the group's requests are divided.
        let AliasTarget::Group(target) = &alias.target else { continue };
        if names.has_group(&alias.name) && *target != alias.name {
            problems.push(
                Finding::warning(
                    *spot,
                    format!("the alias `{0}` goes before the group `{0}`", alias.name),
                )
                .help(format!("rename one of the two, unless `{target}` shall serve in its place")),
            );
        }
    }
}

/// Whether following `from` arrives at `name` again, by names that are aliases and no groups.
fn leads_back(name: &str, from: &str, aliases: &[WrittenAlias], names: &Names) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut next = vec![from];
    while let Some(current) = next.pop() {
        if names.has_group(current) {
            continue;
        }
        if current == name {
            return true;
        }
        if seen.contains(&current) {
            continue;
        }
        seen.push(current);
        let alias = aliases.iter().find(|other| &*other.alias.name == current);
        next.extend(alias.into_iter().flat_map(|a| a.targets.iter().map(|(target, _)| &**target)));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::{
        GENERAL_SETTINGS, LITELLM_SETTINGS, ROUTER, ROUTER_SETTINGS, TOP,
    };
    use crate::config::section::Section;
    use crate::config::yaml::parse;

    fn aliases(yaml: &str) -> Vec<Alias> {
        let problems = Problems::default();
        let node = parse(&format!("model_group_alias: {yaml}"), 0, &problems).unwrap();
        let mut sections = Sections {
            top: Section::empty(&TOP, &problems),
            router: Section::new(&ROUTER_SETTINGS, &node, node.spot, &problems),
            litellm: Section::empty(&LITELLM_SETTINGS, &problems),
            general: Section::empty(&GENERAL_SETTINGS, &problems),
            router_too: Section::empty(&ROUTER, &problems),
        };
        let aliases = read(&mut sections).into_iter().map(|alias| alias.alias).collect();
        assert!(!problems.has_errors(), "{yaml}");
        aliases
    }

    #[test]
    fn an_alias_is_a_group_a_hidden_group_or_shares() {
        let found = aliases("{a: b, c: {model: d, hidden: true}, e: [{model: f, weight: 0.7}, g]}");
        assert_eq!(
            format!("{found:?}"),
            "[Alias { name: \"a\", target: Group(\"b\"), hidden: false }, \
             Alias { name: \"c\", target: Group(\"d\"), hidden: true }, \
             Alias { name: \"e\", target: Weighted([(\"f\", 0.7), (\"g\", 1.0)]), hidden: false }]"
        );
    }
}
