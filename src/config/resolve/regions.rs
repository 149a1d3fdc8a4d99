//! `regional_routing`, and the region that this gateway is in.

use std::sync::Arc;

use super::names::References;
use super::{Context, Sections};
use crate::config::problem::{Finding, Spot};
use crate::routing::rules::normalised;

/// Names the region where the file does not.
const REGION_VAR: &str = "TOLLGATE_REGION";

/// Regions with their models, as written.
pub(super) type List = Vec<(Arc<str>, Arc<str>)>;

pub(super) fn read(sections: &mut Sections<'_>, references: &mut References) -> List {
    let problems = sections.top.problems;
    let Some(entry) = sections.top.entry("regional_routing") else { return List::new() };
    let Some(entries) = entry.node.map() else {
        let found = entry.node.found("");
        let message = format!("`regional_routing` must be a mapping, found {found}");
        let help = "write `region: model` lines under it, as in `us-east: azure/gpt-4o`";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return List::new();
    };
    let mut list = List::with_capacity(entries.len());
    let mut seen: Vec<(String, Spot)> = Vec::new();
    for entry in entries {
        let region = normalised(&entry.key);
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == region) {
            let message = format!("`{}` is the same region as one above", entry.key);
            let finding = Finding::error(entry.spot, message).note(*first, "first written here");
            problems.push(finding.help("remove one of the two"));
            continue;
        }
        seen.push((region, entry.spot));
        match entry.node.text().map(str::trim).filter(|model| !model.is_empty()) {
            Some(model) => {
                references.add(model, entry.node.spot, &format!("the region `{}`", entry.key));
                list.push(((*entry.key).into(), model.into()));
            }
            None if entry.node.is_unresolved() => {}
            None => {
                let found = entry.node.found("");
                let message =
                    format!("the region `{}` must name a model, found {found}", entry.key);
                problems.push(
                    Finding::error(entry.value_spot(), message)
                        .help("write a model group, an alias or `provider/model`"),
                );
            }
        }
    }
    list
}

/// Where this gateway is, and whether a client's word on it counts.
pub(super) fn here(sections: &mut Sections<'_>, context: &Context<'_>) -> (Option<Box<str>>, bool) {
    let general = &mut sections.general;
    let written = general.text("region").map(|at| at.value.to_owned());
    let region = written.or_else(|| context.env.var(REGION_VAR)).map(|text| text.trim().to_owned());
    let trusted = general.flag("trust_region_header").is_some_and(|at| at.value);
    (region.filter(|region| !region.is_empty()).map(Into::into), trusted)
}
