//! Labels that the configuration adds to some families (`custom_prometheus_metadata_labels`,
//! `custom_prometheus_tags`).
//!
//! Which labels there are may change with a reload, those of a family cannot. So these families have one label
//! more, which holds all of them as text, and the page takes it apart. Without such labels it is empty.

use parking_lot::RwLock;
use prometheus::proto::{LabelPair, MetricFamily};
use rustc_hash::{FxHashMap, FxHashSet};

use super::names::CUSTOM;
use super::series::OTHER;

/// The most values that one of these labels has: clients may be free to invent them.
const VALUES_MAX: usize = 100;
/// The longest value, in characters.
const CHARS_MAX: usize = 100;
/// Between two labels. No value has it.
const NEXT: char = '\u{1f}';

/// The values that were seen.
#[derive(Debug, Default)]
pub(super) struct Values(RwLock<FxHashMap<Box<str>, FxHashSet<Box<str>>>>);

impl Values {
    /// The labels of a request as one value. What is beyond the bound is `other`.
    pub(super) fn joined(&self, labels: &[(Box<str>, String)]) -> String {
        let mut joined = String::new();
        for (name, value) in labels {
            let value: String =
                value.chars().filter(|char| !char.is_control()).take(CHARS_MAX).collect();
            if !joined.is_empty() {
                joined.push(NEXT);
            }
            joined.push_str(name);
            joined.push('=');
            joined.push_str(if self.admits(name, &value) { &value } else { OTHER });
        }
        joined
    }

    fn admits(&self, name: &str, value: &str) -> bool {
        if self.0.read().get(name).is_some_and(|known| known.contains(value)) {
            return true;
        }
        let mut all = self.0.write();
        let known = all.entry(name.into()).or_default();
        if known.len() >= VALUES_MAX && !known.contains(value) {
            return false;
        }
        known.insert(value.into());
        true
    }
}

/// Puts the labels in the place of the one that holds them.
pub(super) fn take_apart(families: &mut [MetricFamily]) {
    for family in families {
        for metric in family.mut_metric() {
            let mut labels = metric.take_label();
            let Some(at) = labels.iter().position(|label| label.name() == CUSTOM) else {
                metric.set_label(labels);
                continue;
            };
            let joined = labels.remove(at);
            let pairs = joined.value().split(NEXT).filter_map(|pair| pair.split_once('='));
            labels.extend(pairs.map(|(name, value)| {
                let mut label = LabelPair::default();
                label.set_name(name.to_owned());
                label.set_value(value.to_owned());
                label
            }));
            labels.sort_by(|a, b| a.name().cmp(b.name()));
            metric.set_label(labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_cannot_invent_values_without_bound() {
        let values = Values::default();
        let of = |value: String| values.joined(&[("metadata_a".into(), value)]);
        for number in 0..VALUES_MAX {
            assert_eq!(of(number.to_string()), format!("metadata_a={number}"));
        }
        assert_eq!(of("new".into()), "metadata_a=other");
        assert_eq!(of("0".into()), "metadata_a=0", "what is known stays");
        let both = [("metadata_b".into(), "x\u{1f}y".into()), ("tag_c".into(), "true".into())];
        assert_eq!(values.joined(&both), "metadata_b=xy\u{1f}tag_c=true");
    }
}
