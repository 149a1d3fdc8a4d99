//! What of the page is served, as the configuration wants it: metrics and labels that are left out.
//!
//! Applied to the page and not to the counters, so a request pays nothing for it and a reload holds
//! at once. Series that are the same without a label are one: counts are added up, of levels the
//! highest is shown.

use std::collections::BTreeMap;

use prometheus::proto::MetricType;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily};

use crate::snapshot::{Labels, Shown};

/// The families that are served, with the labels that are.
pub(super) fn apply(shown: &Shown, families: Vec<MetricFamily>) -> Vec<MetricFamily> {
    if *shown == Shown::default() {
        return families;
    }
    families.into_iter().filter_map(|family| of(shown, family)).collect()
}

fn of(shown: &Shown, mut family: MetricFamily) -> Option<MetricFamily> {
    // LiteLLM's lists have its names without the end that is exported.
    let name = family.name();
    let bare = name.strip_suffix("_total").unwrap_or(name);
    let is_in = |listed: &str| listed == name || listed == bare;
    if shown.without_metrics.iter().any(|listed| is_in(listed)) {
        return None;
    }
    // Lists of what is served are about LiteLLM's metrics; ours are not known to whoever wrote them.
    let only = match shown.only.as_ref().filter(|_| name.starts_with("litellm_")) {
        None => None,
        Some(only) => Some(only.iter().find(|(listed, _)| is_in(listed))?.1),
    };
    let keeps = |label: &LabelPair| {
        let listed = |labels: &[Box<str>]| labels.iter().any(|listed| **listed == *label.name());
        !listed(&shown.without_labels)
            && match only {
                None | Some(Labels::All) => true,
                Some(Labels::Only(labels)) => listed(labels),
            }
    };
    let all = family.take_metric();
    if all.iter().all(|metric| metric.get_label().iter().all(keeps)) {
        family.set_metric(all);
        return Some(family);
    }
    let kind = family.get_field_type();
    let mut merged = BTreeMap::<Vec<(String, String)>, Metric>::new();
    for mut metric in all {
        let labels = metric.take_label().into_iter().filter(keeps).collect::<Vec<_>>();
        let key = labels.iter().map(|it| (it.name().to_owned(), it.value().to_owned()));
        match merged.entry(key.collect()) {
            std::collections::btree_map::Entry::Occupied(mut same) => {
                add(kind, same.get_mut(), &metric);
            }
            std::collections::btree_map::Entry::Vacant(place) => {
                metric.set_label(labels);
                place.insert(metric);
            }
        }
    }
    family.set_metric(merged.into_values().collect());
    Some(family)
}

/// Adds one series to another of the same family.
fn add(kind: MetricType, sum: &mut Metric, more: &Metric) {
    match kind {
        MetricType::COUNTER => {
            let mut counter = Counter::default();
            counter.set_value(sum.get_counter().get_value() + more.get_counter().get_value());
            sum.set_counter(counter);
        }
        MetricType::GAUGE => {
            let mut gauge = Gauge::default();
            gauge.set_value(sum.get_gauge().get_value().max(more.get_gauge().get_value()));
            sum.set_gauge(gauge);
        }
        MetricType::HISTOGRAM => {
            let (one, other) = (sum.get_histogram(), more.get_histogram());
            // All of a family have the same bounds.
            let buckets = one.get_bucket().iter().zip(other.get_bucket()).map(|(one, other)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(one.upper_bound());
                bucket.set_cumulative_count(one.cumulative_count() + other.cumulative_count());
                bucket
            });
            let mut histogram = Histogram::default();
            histogram.set_bucket(buckets.collect());
            histogram.set_sample_count(one.get_sample_count() + other.get_sample_count());
            histogram.set_sample_sum(one.get_sample_sum() + other.get_sample_sum());
            sum.set_histogram(histogram);
        }
        // There is none of these.
        MetricType::SUMMARY | MetricType::UNTYPED => {}
    }
}
