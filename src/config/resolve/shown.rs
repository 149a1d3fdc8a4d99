//! Which metrics are served: `prometheus_metrics_config`, `prometheus_exclude_metrics`,
//! `prometheus_exclude_labels`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Sections;
use crate::config::options::METRICS_GROUP;
use crate::config::problem::{Finding, Problems, nearest};
use crate::config::section::{At, Section};
use crate::snapshot::{Labels, Shown};
use crate::telemetry::metrics::names;

/// What of the page is served.
pub(super) fn read(sections: &mut Sections<'_>) -> Arc<Shown> {
    let litellm = &mut sections.litellm;
    let problems = litellm.problems;
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
    })
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
fn known(
    written: &[At<&str>],
    what: &str,
    names: fn() -> Vec<&'static str>,
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
