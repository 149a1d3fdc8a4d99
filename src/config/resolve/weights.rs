//! Weights among names: `model_weights` of `router_settings`, and `weights` of `router`.

use std::sync::Arc;

use super::Sections;
use super::names::References;
use crate::config::problem::{Finding, Problems};
use crate::config::yaml::{Entry, Value};

/// Names with their weights, in the order written.
pub(super) type Weights = Vec<(Arc<str>, f64)>;

pub(super) fn read(sections: &mut Sections<'_>, references: &mut References) -> Weights {
    let problems = sections.router.problems;
    let written = |entry: &&Entry| entry.node.map().is_none_or(|entries| !entries.is_empty());
    let models = sections.router.entry("model_weights").filter(written);
    let router = sections.router_too.entry("weights").filter(written);
    if let (Some(models), Some(router)) = (models, router) {
        let message = "`weights` of `router` is not used";
        let finding = Finding::warning(router.spot, message).note(models.spot, "this is used");
        problems.push(finding.help("remove one of the two"));
    }
    let Some(entry) = models.or(router) else { return Weights::new() };
    let Some(entries) = entry.node.map() else {
        let found = entry.node.found("");
        let message = format!("`{}` must be a mapping, found {found}", entry.key);
        problems.push(
            Finding::error(entry.value_spot(), message)
                .help("write `model: weight` lines under it, as in `gpt-4o-mini: 0.8`"),
        );
        return Weights::new();
    };
    let mut weights = Weights::with_capacity(entries.len());
    for one in entries {
        references.add(&one.key, one.spot, &format!("`{}`", entry.key));
        if let Some(weight) = weight(one, problems) {
            weights.push(((*one.key).into(), weight));
        }
    }
    let all_read = weights.len() == entries.len();
    if all_read && !weights.iter().any(|(_, weight)| *weight > 0.0) {
        let message = format!("nothing in `{}` has a weight above 0", entry.key);
        problems.push(Finding::error(entry.spot, message));
        return Weights::new();
    }
    if entries.len() == 1 {
        let message = format!("`{}` names one model: there is nothing to divide", entry.key);
        problems.push(Finding::warning(entry.spot, message).help("add another model"));
    }
    weights
}

fn weight(entry: &Entry, problems: &Problems) -> Option<f64> {
    let number = match &entry.node.value {
        Value::Scalar(scalar) => scalar.number(),
        Value::List(_) | Value::Map(_) => None,
    };
    match number.filter(|weight| weight.is_finite() && *weight >= 0.0) {
        Some(weight) => {
            if weight == 0.0 {
                let message = format!("`{}` has no weight: it serves when no other can", entry.key);
                problems.push(Finding::warning(entry.value_spot(), message));
            }
            Some(weight)
        }
        None => {
            let found = entry.node.found("");
            let message = format!(
                "the weight of `{}` must be a number that is not negative, found {found}",
                entry.key
            );
            if !entry.node.is_unresolved() {
                problems.push(Finding::error(entry.value_spot(), message));
            }
            None
        }
    }
}
