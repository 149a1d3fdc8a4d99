//! Which metrics are served: `prometheus_metrics_config`, `prometheus_exclude_metrics`,
//! `prometheus_exclude_labels`; and which labels they have besides.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Sections;
use crate::config::options::METRICS_GROUP;
use crate::config::problem::{Finding, Problems, nearest};
use crate::config::section::{At, Section};
use crate::snapshot::{CustomLabel, LabelOf, Labels, Shown};
use crate::telemetry::metrics::names;

/// What of the page is served.
pub(super) fn read(sections: &mut Sections<'_>) -> Arc<Shown> {
    let litellm = &mut sections.litellm;
    let problems = litellm.problems;
    let custom = custom(litellm);
    let label_names =
        || label_names().into_iter().chain(custom.iter().map(|label| &*label.name)).collect();
    let metrics = litellm.texts("prometheus_exclude_metrics").unwrap_or_default();
    let labels = litellm.texts("prometheus_exclude_labels").unwrap_or_default();
    let only = litellm.entry("prometheus_metrics_config").map(|entry| {
        let mut only = BTreeMap::<Box<str>, Labels>::new();
        let Some(items) = entry.node.list() else {
            let message = "`prometheus_metrics_config` must be a list of groups of metrics";
            problems.push(Finding::error(entry.value_spot(), message));
            return only;
        };
        for item in items {
            let mut group = Section::new(&METRICS_GROUP, item, item.spot, problems);
            // For people.
            group.text("group");
            let metrics = group.texts("metrics").unwrap_or_default();
            let labels = group.texts("include_labels");
            if metrics.is_empty() {
                let message = "a group of `prometheus_metrics_config` has no `metrics`";
                problems.push(Finding::error(item.spot, message));
            }
            let labels = labels.map_or(Labels::All, |labels| {
                Labels::Only(known(&labels, "label", label_names, problems))
            });
            for metric in known(&metrics, "metric", metric_names, problems) {
                only.insert(metric, labels.clone());
            }
            group.finish();
        }
        only
    });
    Arc::new(Shown {
        only,
        without_metrics: known(&metrics, "metric", metric_names, problems),
        without_labels: known(&labels, "label", label_names, problems),
        custom,
    })
}

/// The most labels that are added: each of their values may be a series of its own.
const CUSTOM_MAX: usize = 20;

/// The labels that the configuration adds.
fn custom(litellm: &mut Section<'_>) -> Vec<CustomLabel> {
    let problems = litellm.problems;
    let fields = litellm.texts("custom_prometheus_metadata_labels").unwrap_or_default();
    let tags = litellm.texts("custom_prometheus_tags").unwrap_or_default();
    let fields = fields.into_iter().map(|at| {
        let way = at.value.strip_prefix("metadata.").unwrap_or(at.value).split('.');
        (at.spot, label_name(at.value), LabelOf::Metadata(way.map(Box::from).collect()))
    });
    let tags = tags.into_iter().map(|at| {
        (at.spot, label_name(&format!("tag_{}", at.value)), LabelOf::Tag(at.value.into()))
    });
    let mut custom: Vec<CustomLabel> = Vec::new();
    for (spot, name, of) in fields.chain(tags) {
        let is_known = label_names().contains(&&*name) || custom.iter().any(|it| it.name == name);
        if is_known || name.starts_with(|first: char| first.is_ascii_digit()) {
            let message = format!("metrics cannot have another label `{name}`");
            problems.push(Finding::error(spot, message));
        } else if custom.len() == CUSTOM_MAX {
            let message = format!("metrics can have {CUSTOM_MAX} labels more at most");
            problems.push(Finding::error(spot, message));
            break;
        } else {
            custom.push(CustomLabel { name, of });
        }
    }
    custom
}

/// As LiteLLM writes it: what a label's name cannot have is an underscore.
fn label_name(written: &str) -> Box<str> {
    let allowed = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
    written.chars().map(allowed).collect()
}

/// With and without the end that counters are exported with: LiteLLM's lists have the short ones.
fn metric_names() -> Vec<&'static str> {
    let all = names::ALL.iter().map(|family| family.name);
    all.flat_map(|name| [Some(name), name.strip_suffix("_total")]).flatten().collect()
}

fn label_names() -> Vec<&'static str> {
    names::ALL.iter().flat_map(|family| family.labels.iter().copied()).collect()
}

/// What is written, with a warning for each name that there is not.
fn known<'n>(
    written: &[At<&str>],
    what: &str,
    names: impl Fn() -> Vec<&'n str>,
    problems: &Problems,
) -> Vec<Box<str>> {
    if written.is_empty() {
        return Vec::new();
    }
    let names = names();
    for At { value, spot } in written {
        if !names.contains(value) {
            let near = nearest(value, names.iter().copied());
            let help = near.map(|(near, _)| format!("did you mean `{near}`?"));
            let message = format!("there is no {what} `{value}`: nothing is left out for it");
            problems.push(Finding::warning(*spot, message).maybe_help(help));
        }
    }
    written.iter().map(|at| at.value.into()).collect()
}
