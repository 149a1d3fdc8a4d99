//! `custom_routing`: the rules, their conditions and the models they lead to.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::Sections;
use super::names::References;
use crate::config::options::CUSTOM_ROUTING;
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section};
use crate::config::yaml::{Entry, Node};
use crate::routing::rules::{Condition, Malformed, Rule};

/// More rules than this are not read by anybody who has to understand them.
const RULES_MAX: usize = 1_000;

/// The rules as written, before the models are looked up.
pub(crate) struct Written {
    pub(crate) rules: Vec<Rule>,
    pub(crate) default: Option<Arc<str>>,
    pub(crate) zone: TimeZone,
}

pub(super) fn read(sections: &mut Sections<'_>, references: &mut References) -> Option<Written> {
    let problems = sections.router.problems;
    let zone = sections.router.text("timezone").map(|at| zone(at, problems));
    let entry = sections.router.entry("custom_routing")?;
    let Some(items) = entry.node.list() else {
        let message = format!("`custom_routing` must be a list, found {}", entry.node.found(""));
        let help = "write `- condition: input_tokens < 100` with `route_to: model` below it";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return None;
    };
    if items.len() > RULES_MAX {
        let message = format!("`custom_routing` has more than {RULES_MAX} rules");
        problems.push(Finding::error(entry.spot, message));
        return None;
    }
    let mut written = Written {
        rules: Vec::with_capacity(items.len()),
        default: None,
        zone: zone.unwrap_or(TimeZone::UTC),
    };
    let mut default: Option<At<&str>> = None;
    for item in items {
        if let Some(other) = rule(item, &mut written, references, problems) {
            match default {
                None => default = Some(other),
                Some(first) => problems.push(
                    Finding::error(other.spot, "a second default")
                        .note(first.spot, "the first one")
                        .help("remove one of the two"),
                ),
            }
        } else if let Some(first) = default {
            problems.push(
                Finding::warning(item.spot, "a rule after the default: it is tried before it")
                    .note(first.spot, "the default is for requests that no rule fits")
                    .help("write the default last"),
            );
        }
    }
    if let Some(At { value, spot }) = default {
        written.default = Some(value.into());
        references.add(value, spot, "the default of `custom_routing`");
    }
    if written.rules.is_empty() && written.default.is_none() {
        problems.push(Finding::warning(entry.spot, "`custom_routing` has no rules"));
        return None;
    }
    Some(written)
}

/// One entry of the list; returns the model if it is the default.
fn rule<'a>(
    item: &'a Node,
    written: &mut Written,
    references: &mut References,
    problems: &'a Problems,
) -> Option<At<&'a str>> {
    let mut section = Section::new(&CUSTOM_ROUTING, item, item.spot, problems);
    let condition = section.entry("condition");
    let route_to = section.text("route_to");
    let default = section.text("default");
    let lacks = |name: &str| !section.has(name);
    match (condition, route_to, default) {
        (_, _, Some(default)) => {
            if let Some(spot) = condition.map(|it| it.spot).or_else(|| route_to.map(|at| at.spot)) {
                problems.push(
                    Finding::error(spot, "a default has no condition and no `route_to`")
                        .help("write `- default: model` as an entry of its own"),
                );
            }
            section.finish();
            return Some(default);
        }
        (None, _, None) if item.map().is_some() && lacks("condition") && lacks("default") => {
            problems.push(
                Finding::error(item.spot, "this rule has no `condition`")
                    .help("add `condition: input_tokens < 100`, or write `- default: model`"),
            );
        }
        (Some(_), None, None) if lacks("route_to") => problems.push(
            Finding::error(item.spot, "this rule has no `route_to`")
                .help("add `route_to:` with the model that such requests go to"),
        ),
        _ => {}
    }
    section.finish();
    if let Some(At { value, spot }) = route_to {
        references.add(value, spot, "a rule");
    }
    let condition = condition.and_then(|entry| read_condition(entry, problems));
    if let (Some((condition, text)), Some(At { value, .. })) = (condition, route_to) {
        written.rules.push(Rule { condition, written: text.into(), route_to: value.into() });
    }
    None
}

fn read_condition<'a>(entry: &'a Entry, problems: &Problems) -> Option<(Condition, &'a str)> {
    let Some(text) = entry.node.text() else {
        let found = entry.node.found("");
        let message = format!("`condition` must be a text, found {found}");
        let help = "write `condition: input_tokens < 100`; put one that starts with `!`, `[` or a \
                    quote in quotes";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return None;
    };
    match Condition::parse(text) {
        Ok(condition) => Some((condition, text)),
        Err(malformed) => {
            problems.push(finding(entry.node.spot, malformed));
            None
        }
    }
}

fn finding(spot: Spot, malformed: Malformed) -> Finding {
    let Malformed { at, width, message, help, unknown } = malformed;
    let near = unknown.map(|(word, known)| match nearest(&word, known.iter().copied()) {
        Some((near, _)) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("known are {}; texts stand in quotes", known.join(", "))
        }
    });
    Finding::error(spot, message).part(at, width).maybe_help(help.or(near))
}

fn zone(at: At<&str>, problems: &Problems) -> TimeZone {
    TimeZone::get(at.value).unwrap_or_else(|_unknown| {
        let known: Vec<String> =
            jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        let near = nearest(at.value, known.iter().map(String::as_str));
        let help = match near {
            Some((near, _)) => format!("did you mean `{near}`?"),
            None => "write a name such as `Europe/Berlin` or `UTC`".to_owned(),
        };
        let message = format!("`{}` is not a time zone", at.value);
        problems.push(Finding::error(at.spot, message).help(help));
        TimeZone::UTC
    })
}
