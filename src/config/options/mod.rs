//! THE table of options: every name that a configuration file may hold, and what becomes of it.
//!
//! One row per option, in LiteLLM's words (1.106) plus the few that are Tollgate's own. The readers
//! in `resolve` ask for options by name and are held to this table; the messages about unknown and
//! unavailable options, `tollgate options` and the test of `conf/reference.yaml` come from it.

mod alerting;
mod callbacks;
mod deployment;
mod general;
mod guardrails;
mod issuing;
mod keys;
mod limits;
mod litellm;
mod router;
mod top;

pub(crate) use alerting::ALERTING_ARGS;
pub(crate) use callbacks::{CALLBACK, S3_PARAMS, TEAM_CALLBACK_VARS, TEAM_CALLBACKS};
pub(crate) use deployment::{BODY_PARAMETERS, ENTRY, LITELLM_PARAMS, MODEL_INFO, is_price};
pub(crate) use general::{GENERAL_SETTINGS, REDACTED};
pub(crate) use guardrails::{
    GUARD_API, GUARD_FILTER, GUARD_INJECTION, GUARD_MODERATION, GUARD_PATTERN, GUARD_PII,
    GUARD_PRESIDIO, GUARD_SECRETS, GUARD_WORD, GUARDRAIL,
};
pub(crate) use issuing::{KEY_BOUNDS, KEY_DEFAULTS, TEAM_DEFAULTS, USER_DEFAULTS};
pub(crate) use keys::{KEY, KEY_BUDGET, KEY_RATE_LIMIT};
pub(crate) use limits::{API_BASE, BUDGET, CIRCUIT_BREAKER, PASS_THROUGH, RATE_LIMIT};
pub(crate) use litellm::{CACHE_PARAMS, LITELLM_SETTINGS, METRICS_GROUP};
pub(crate) use router::{
    ALLOWED_FAILS_POLICY, CUSTOM_ROUTING, HEDGING, RETRY_POLICY, ROUTER, ROUTER_SETTINGS,
    ROUTING_GROUP, STRATEGY_ARGS,
};
pub(crate) use top::{
    CALLBACK_OTEL, CREDENTIAL, CUSTOM_PROVIDER, DASHBOARD, DATABASE, FALLBACK_CONFIG,
    RESPONSE_MAPPING, STREAM_MAPPING, TOP,
};

/// One option of one section.
#[derive(Debug)]
pub struct Opt {
    pub name: &'static str,
    pub verdict: Verdict,
    pub kind: Kind,
    /// As one would write it; empty if there is none.
    pub default: &'static str,
    /// One line: what it does, or why it does nothing.
    pub doc: &'static str,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does what `doc` says.
    Supported,
    /// LiteLLM knows it and it can have no effect here; `doc` says why.
    Ignored,
    /// LiteLLM knows it and this version does not do it yet; `doc` says what happens instead.
    NotYet,
}

/// What is written under an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Secret,
    Flag,
    Count,
    Number,
    Seconds,
    Megabytes,
    List,
    Map,
    Any,
}

impl Kind {
    /// The kind in one word, for lists of options.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Secret => "secret",
            Self::Flag => "true/false",
            Self::Count => "whole number",
            Self::Number => "number",
            Self::Seconds => "seconds",
            Self::Megabytes => "megabytes",
            Self::List => "list",
            Self::Map => "mapping",
            Self::Any => "",
        }
    }
}

/// What is expected where a flag is not one.
pub(crate) const FLAG: &str = "`true` or `false`";
/// What is expected where a time is not one.
pub(crate) const SECONDS: &str = "seconds (`30`, `0.5`, `30s`, `500ms`, `2m`)";

/// The options of one section.
#[derive(Debug)]
pub struct Table {
    /// As messages name it: `router_settings`.
    pub name: &'static str,
    /// Where it stands in a file.
    pub place: &'static str,
    /// Whether names that are not listed are passed on rather than refused.
    pub open: bool,
    pub options: &'static [Opt],
}

impl Table {
    /// How a sentence names the section: ``an entry of `model_list` ``.
    pub(crate) fn subject(&self) -> String {
        match self.place.strip_prefix("An entry of ") {
            Some(list) => format!("an entry of {list}"),
            None => format!("`{}`", self.name),
        }
    }

    /// The row of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Opt> {
        self.options.iter().find(|option| option.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.options.iter().map(|option| option.name)
    }
}

/// All sections, in the order in which the reference shows them.
pub const TABLES: [&Table; 51] = [
    &TOP,
    &ENTRY,
    &LITELLM_PARAMS,
    &MODEL_INFO,
    &ROUTER_SETTINGS,
    &CUSTOM_ROUTING,
    &STRATEGY_ARGS,
    &ROUTING_GROUP,
    &RETRY_POLICY,
    &HEDGING,
    &ROUTER,
    &LITELLM_SETTINGS,
    &CACHE_PARAMS,
    &S3_PARAMS,
    &TEAM_CALLBACKS,
    &TEAM_CALLBACK_VARS,
    &METRICS_GROUP,
    &KEY_DEFAULTS,
    &KEY_BOUNDS,
    &USER_DEFAULTS,
    &TEAM_DEFAULTS,
    &GENERAL_SETTINGS,
    &REDACTED,
    &CALLBACK_OTEL,
    &DATABASE,
    &DASHBOARD,
    &API_BASE,
    &CIRCUIT_BREAKER,
    &RATE_LIMIT,
    &BUDGET,
    &PASS_THROUGH,
    &ALERTING_ARGS,
    &FALLBACK_CONFIG,
    &CREDENTIAL,
    &CALLBACK,
    &KEY,
    &KEY_RATE_LIMIT,
    &KEY_BUDGET,
    &CUSTOM_PROVIDER,
    &RESPONSE_MAPPING,
    &STREAM_MAPPING,
    &GUARDRAIL,
    &GUARD_FILTER,
    &GUARD_PATTERN,
    &GUARD_WORD,
    &GUARD_SECRETS,
    &GUARD_PII,
    &GUARD_INJECTION,
    &GUARD_MODERATION,
    &GUARD_API,
    &GUARD_PRESIDIO,
];

/// The section in which an option with this name does something; the likeliest one, seen from
/// where it was written.
pub(crate) fn home(name: &str, from: &Table) -> Option<&'static Table> {
    let mut sections: [&'static Table; 5] =
        [&ROUTER_SETTINGS, &LITELLM_SETTINGS, &GENERAL_SETTINGS, &LITELLM_PARAMS, &TOP];
    if from.name == ENTRY.name {
        sections.rotate_right(2);
    }
    sections
        .into_iter()
        .find(|table| table.find(name).is_some_and(|option| option.verdict == Verdict::Supported))
}

/// The whole table as text for a terminal.
#[must_use]
pub fn plain() -> String {
    let mut out = String::new();
    for table in TABLES {
        out.push_str(&format!("{} ({})\n", table.name, table.place));
        for Opt { name, kind, default, doc, .. } in of(table, Verdict::Supported) {
            let mut takes = kind.word().to_owned();
            if !default.is_empty() {
                takes += &format!(", default {default}");
            }
            out.push_str(&format!("  {name:<44} {doc}\n  {:<44} ({takes})\n", ""));
        }
        for (verdict, head) in [(Verdict::NotYet, NOT_YET), (Verdict::Ignored, IGNORED)] {
            let mut rows = of(table, verdict).peekable();
            if rows.peek().is_some() {
                out.push_str(&format!("  -- {head}\n"));
            }
            for Opt { name, doc, .. } in rows {
                out.push_str(&format!("  {name:<44} {doc}\n"));
            }
        }
        out.push('\n');
    }
    out
}

/// The whole table as Markdown.
#[must_use]
pub fn options_markdown() -> String {
    let mut out = String::new();
    for table in TABLES {
        out.push_str(&format!("## `{}`\n\n{}.\n\n", table.name, table.place));
        out.push_str("| option | takes | default | effect |\n| --- | --- | --- | --- |\n");
        for Opt { name, kind, default, doc, verdict } in table.options {
            let effect = match verdict {
                Verdict::Supported => (*doc).to_owned(),
                Verdict::NotYet => format!("_{NOT_YET}:_ {doc}"),
                Verdict::Ignored => format!("_{IGNORED}:_ {doc}"),
            };
            let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
            let row = format!("| `{name}` | {} | {default} | {effect} |", kind.word());
            out.push_str(&row);
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

const NOT_YET: &str = "not available in this version";
const IGNORED: &str = "no effect";

fn of(table: &Table, verdict: Verdict) -> impl Iterator<Item = &'static Opt> {
    table.options.iter().filter(move |option| option.verdict == verdict)
}

const fn on(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Opt {
    Opt { name, verdict: Verdict::Supported, kind, default, doc }
}

const fn ignored(name: &'static str, reason: &'static str) -> Opt {
    Opt { name, verdict: Verdict::Ignored, kind: Kind::Any, default: "", doc: reason }
}

const fn later(name: &'static str, instead: &'static str) -> Opt {
    Opt { name, verdict: Verdict::NotYet, kind: Kind::Any, default: "", doc: instead }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_is_listed_twice_in_a_section() {
        for table in TABLES {
            let names: BTreeSet<_> = table.names().collect();
            let mut seen = BTreeSet::new();
            let twice: Vec<_> = table.names().filter(|name| !seen.insert(*name)).collect();
            assert_eq!(names.len(), table.options.len(), "{}: {twice:?}", table.name);
        }
    }

    #[test]
    fn every_row_says_something_in_one_line() {
        for table in TABLES {
            for option in table.options {
                let Opt { name, doc, kind, verdict, .. } = option;
                assert!(!doc.is_empty() && !doc.contains('\n'), "{name}");
                assert!(!doc.ends_with('.') && doc.len() <= 120, "{name}: {doc}");
                assert_eq!(*verdict == Verdict::Supported, *kind != Kind::Any, "{name}");
            }
        }
    }

    #[test]
    fn both_forms_of_the_table_name_every_option() {
        let (plain, markdown) = (plain(), options_markdown());
        for name in TABLES.iter().flat_map(|table| table.names()) {
            assert!(plain.contains(name) && markdown.contains(&format!("`{name}`")), "{name}");
        }
    }
}
