//! `guardrails`: who looks at requests and replies. Both places are read, and all kinds.
//!
//! A guardrail that cannot be what the file says is an error and no warning: nobody is to believe that
//! something is looked at that is not. What a kind looks for is read by `filter` and `elsewhere`.

mod elsewhere;
mod filter;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use super::models::Draft;
use super::{Context, Sections};
use crate::config::options::{
    GUARD_API, GUARD_FILTER, GUARD_INJECTION, GUARD_MODERATION, GUARD_PII, GUARD_PRESIDIO,
    GUARD_SECRETS, GUARDRAIL, Table,
};
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section};
use crate::config::yaml::{Entry, Node};
use crate::guard::{
    Check, Entity, Guardrail, Guardrails, Injection, Mode, Modes, PREBUILT, Pii, Secrets,
    THRESHOLD, When, Window, prebuilt,
};

/// The kinds, by the table of their options.
const KINDS: [&Table; 7] = [
    &GUARD_FILTER,
    &GUARD_SECRETS,
    &GUARD_PII,
    &GUARD_INJECTION,
    &GUARD_MODERATION,
    &GUARD_API,
    &GUARD_PRESIDIO,
];

const WINDOW_MAX: u32 = 1_000_000;

/// Both lists, and what deployments ask for.
pub(super) fn read(
    sections: &mut Sections<'_>,
    context: &Context<'_>,
    drafts: &[Draft],
) -> Guardrails {
    let problems = context.problems;
    let lists = [sections.top.entry("guardrails"), sections.litellm.entry("guardrails")];
    let mut guardrails = Guardrails::default();
    for entry in lists.into_iter().flatten() {
        let Some(items) = entry.node.list() else {
            let message = format!("`guardrails` must be a list, found {}", entry.node.found(""));
            let help = "begin each with `- guardrail_name:`";
            problems.push(Finding::error(entry.value_spot(), message).help(help));
            continue;
        };
        for item in items {
            if let Some((guardrail, spot)) = one(item, context) {
                if guardrails.named(&guardrail.name).is_some() {
                    let message = format!("the guardrail `{}` is written twice", guardrail.name);
                    problems.push(Finding::error(spot, message));
                }
                guardrails.list.push(Arc::new(guardrail));
            }
        }
    }
    for draft in drafts {
        for (name, spot) in &draft.guardrails {
            if guardrails.named(name).is_none() {
                let near = nearest(name, guardrails.list.iter().map(|known| &*known.name));
                let help = near.map(|(near, _)| format!("did you mean `{near}`?"));
                let message = format!("there is no guardrail `{name}`");
                problems.push(Finding::error(*spot, message).maybe_help(help));
            }
        }
        if !draft.guardrails.is_empty() {
            let names = draft.guardrails.iter().map(|(name, _)| Arc::clone(name)).collect();
            guardrails.of_deployments.insert(Arc::clone(&draft.id), names);
        }
    }
    guardrails
}

fn one(item: &Node, context: &Context<'_>) -> Option<(Guardrail, Spot)> {
    let problems = context.problems;
    let mut section = Section::new(&GUARDRAIL, item, item.spot, problems);
    let name = section.text("guardrail_name");
    let info = section.entry("guardrail_info");
    let written = section.entry("litellm_params");
    let spot = section.spot;
    section.finish();
    let (Some(name), Some(written)) = (name, written) else {
        // LiteLLM's first form was a mapping by name.
        let is_old = item.map().is_some_and(|entries| entries.len() == 1 && name.is_none());
        let help = match is_old {
            true => {
                "the form by name is no longer LiteLLM's: write `guardrail_name:` and, as a \
                     mapping, `litellm_params:`"
            }
            false => "write `guardrail_name:` and, as a mapping, `litellm_params:`",
        };
        let message = "a guardrail needs a name and parameters";
        problems.push(Finding::error(spot, message).help(help));
        return None;
    };
    let kind = written.node.get("guardrail");
    let Some((kind, kind_spot)) =
        kind.and_then(|kind| Some((kind.node.text()?.trim(), kind.value_spot())))
    else {
        let message = "a guardrail needs its kind";
        let help = format!("write `guardrail:` with one of {}", kinds());
        problems.push(Finding::error(written.spot, message).help(help));
        return None;
    };
    let Some(table) = KINDS.into_iter().find(|table| is_called(table, kind)) else {
        let message = format!("guardrails of the kind `{kind}` are not available");
        let help = format!("there are {}; others by `generic_guardrail_api`", kinds());
        problems.push(Finding::error(kind_spot, message).help(help));
        return None;
    };
    let mut params = Section::new(table, &written.node, written.spot, problems);
    params.entry("guardrail");
    let when = params.entry("mode").and_then(|entry| when(entry, problems));
    if when.is_none() && !written.node.get("mode").is_some_and(|mode| mode.node.is_unresolved()) {
        let has_mode = written.node.get("mode").is_some_and(|mode| !mode.node.is_null());
        if !has_mode {
            let message = "a guardrail needs to know when it looks";
            let help = "write `mode: pre_call`, or `during_call`, `post_call`, `logging_only`";
            problems.push(Finding::error(written.spot, message).help(help));
        }
    }
    let default_on = params.flag("default_on").is_some_and(|at| at.value);
    let fails_open = params.text("unreachable_fallback").is_some_and(|at| match at.value {
        "fail_open" => true,
        "fail_closed" => false,
        other => {
            let message = format!("`{other}` is neither `fail_open` nor `fail_closed`");
            problems.push(Finding::error(at.spot, message));
            false
        }
    });
    let window = params.count("stream_window", WINDOW_MAX).map(|at| at.value as usize);
    let overlap = params.count("stream_overlap", WINDOW_MAX).map(|at| at.value as usize);
    let at_the_end = params.flag("streaming_end_of_stream_only").is_some_and(|at| at.value);
    let check = check(table, &mut params, name.value, context);
    params.finish();
    let (when, check) = (when?, check?);
    let usual = match &check {
        Check::Here(_) => Window::HERE,
        Check::There(_) => Window::THERE,
    };
    let window = match at_the_end {
        true => Window::WHOLE,
        false => Window {
            bytes: window.unwrap_or(usual.bytes),
            overlap: overlap.unwrap_or(usual.overlap),
        },
    };
    let info = info.and_then(|info| serde_json::from_str(&info.node.json()).ok());
    let guardrail = Guardrail {
        name: name.value.into(),
        kind: table.name,
        when,
        default_on,
        fails_open,
        check,
        window,
        info: info.unwrap_or(Value::Null),
    };
    if guardrail.when.all().has(Mode::DuringCall) && guardrail.masks() {
        let message = format!("the guardrail `{}` masks, which `during_call` cannot", name.value);
        let help = "the request is on its way then: write `pre_call`, or let it block";
        problems.push(Finding::error(written.spot, message).help(help));
    }
    Some((guardrail, name.spot))
}

/// LiteLLM writes some kinds in two ways.
fn is_called(table: &Table, kind: &str) -> bool {
    table.name == kind || table.name.replace('-', "_") == kind.replace('-', "_")
}

fn kinds() -> String {
    KINDS.map(|table| format!("`{}`", table.name)).join(", ")
}

fn when(entry: &Entry, problems: &Problems) -> Option<When> {
    let Some(fields) = entry.node.map() else {
        let otherwise = modes(&entry.node, problems)?;
        return Some(When { otherwise, tagged: Vec::new() });
    };
    let mut when = When::default();
    for field in fields {
        match &*field.key {
            "default" => when.otherwise = modes(&field.node, problems)?,
            "tags" => {
                for tag in field.node.map().unwrap_or_default() {
                    when.tagged.push((tag.key.clone(), modes(&tag.node, problems)?));
                }
            }
            other => {
                let message = format!("unknown option `{other}` in `mode`");
                let help = "write `default:` and, by tag, `tags:`";
                problems.push(Finding::error(field.spot, message).help(help));
                return None;
            }
        }
    }
    Some(when)
}

fn modes(node: &Node, problems: &Problems) -> Option<Modes> {
    let alone = std::slice::from_ref(node);
    let mut modes = Modes::default();
    for item in node.list().unwrap_or(alone) {
        let word = item.text()?.trim();
        let Some(mode) = Mode::ALL.into_iter().find(|mode| mode.word() == word) else {
            let near = nearest(word, Mode::ALL.into_iter().map(Mode::word));
            let help = near.map_or_else(
                || "write `pre_call`, `during_call`, `post_call` or `logging_only`".to_owned(),
                |(near, _)| format!("did you mean `{near}`?"),
            );
            let message = format!("`{word}` is no mode of a guardrail");
            problems.push(Finding::error(item.spot, message).help(help));
            return None;
        };
        modes = modes.with(mode);
    }
    if modes.is_empty() {
        problems.push(Finding::error(node.spot, "`mode` is empty: the guardrail would never look"));
        return None;
    }
    Some(modes)
}

fn check(
    table: &Table,
    params: &mut Section<'_>,
    name: &str,
    context: &Context<'_>,
) -> Option<Check> {
    let (problems, spot) = (params.problems, params.spot);
    let failed = |why: String| problems.push(Finding::error(spot, why));
    Some(match table.name {
        "litellm_content_filter" => Check::Here(Arc::new(filter::read(params, context)?)),
        "hide-secrets" => {
            let blocks = params.text("action").is_some_and(|at| blocks(at, problems));
            Check::Here(Arc::new(Secrets::new(blocks).map_err(failed).ok()?))
        }
        "pii" => {
            let entities = entities(params, true)?.into_iter();
            let known = entities
                .filter_map(|(name, blocks)| Some(Entity { known: prebuilt(&name)?, blocks }));
            let mut known: Vec<_> = known.collect();
            if known.is_empty() {
                known = Entity::all().collect();
            }
            let gives_back = params.flag("output_parse_pii").is_none_or(|at| at.value);
            Check::Here(Arc::new(Pii::new(name, known, gives_back).map_err(failed).ok()?))
        }
        "prompt_injection" => {
            let threshold = params.number("threshold").map_or(THRESHOLD, |at| at.value);
            Check::Here(Arc::new(Injection::new(threshold).map_err(failed).ok()?))
        }
        _ => return elsewhere::read(table, params, name, context),
    })
}

fn blocks(At { value, spot }: At<&str>, problems: &Problems) -> bool {
    match value {
        _ if value.eq_ignore_ascii_case("BLOCK") => true,
        _ if value.eq_ignore_ascii_case("MASK") => false,
        other => {
            let message = format!("`{other}` is no action: write `BLOCK` or `MASK`");
            problems.push(Finding::error(spot, message));
            true
        }
    }
}

/// What becomes of which entity. `here`: only those that can be known by their form.
fn entities(params: &mut Section<'_>, here: bool) -> Option<Vec<(String, bool)>> {
    let problems = params.problems;
    let mut entities = Vec::new();
    let Some(entry) = params.entry("pii_entities_config") else { return Some(entities) };
    for field in entry.node.map().unwrap_or_default() {
        let name = &*field.key;
        let is_known = prebuilt(name).is_some_and(|known| known.entity == name);
        if here && !is_known {
            let known = PREBUILT.iter().map(|known| known.entity).filter(|name| !name.is_empty());
            let known: Vec<_> = known.collect();
            let message = format!("`{name}` cannot be known by its form");
            let help = format!("`guardrail: presidio` finds it; `pii` knows {}", known.join(", "));
            problems.push(Finding::error(field.spot, message).help(help));
            return None;
        }
        let action = field.node.text().unwrap_or_default();
        let blocks = blocks(At { value: action.trim(), spot: field.node.spot }, problems);
        entities.push((name.to_owned(), blocks));
    }
    Some(entities)
}
