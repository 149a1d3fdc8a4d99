//! What a configuration consists of, for telling two of them apart.
//!
//! Options are compared by a hash of what is written, variables replaced: so a changed secret is
//! noticed, and nothing of it is kept. Deployments are compared elsewhere, as they are resolved.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::yaml::{Node, Value};

/// The sections whose options are told apart one by one.
const SECTIONS: [&str; 4] =
    ["general_settings", "router_settings", "litellm_settings", "environment_variables"];

/// The names of all options that are written, each with a hash of its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    options: BTreeMap<Box<str>, u64>,
}

impl Outline {
    /// The outline of a tree whose variables are replaced.
    pub(super) fn of(root: &Node) -> Self {
        let mut options = BTreeMap::new();
        let written = root.map().unwrap_or_default();
        // Deployments have names of their own; what is included is part of the tree already.
        let written =
            written.iter().filter(|entry| !matches!(&*entry.key, "model_list" | "include"));
        for entry in written {
            match &entry.node.value {
                Value::Map(inner) if SECTIONS.contains(&&*entry.key) => {
                    options.extend(inner.iter().map(|option| {
                        (format!("{}.{}", entry.key, option.key).into(), hash(&option.node))
                    }));
                }
                Value::Map(_) | Value::List(_) | Value::Scalar(_) => {
                    options.insert(entry.key.clone(), hash(&entry.node));
                }
            }
        }
        Self { options }
    }

    /// The names of all options that are written.
    #[must_use]
    pub fn names(&self) -> Vec<Box<str>> {
        self.options.keys().cloned().collect()
    }

    /// The names of the options that are written in one of the two only, or differently.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Box<str>> {
        let changed =
            self.options.iter().filter(|(name, value)| other.options.get(*name) != Some(*value));
        let gone = other.options.keys().filter(|name| !self.options.contains_key(*name));
        let mut names: Vec<_> = changed.map(|(name, _)| name).chain(gone).cloned().collect();
        names.sort();
        names
    }
}

fn hash(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    node.json().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use crate::config::{Loaded, load_text};

    fn loaded(yaml: &str, key: &str) -> Loaded {
        let env = BTreeMap::from([("KEY".to_owned(), key.to_owned())]);
        load_text(Path::new("test"), yaml, &env)
    }

    #[test]
    fn differences_are_named_and_nothing_else_is() {
        let old = "general_settings:\n  master_key: os.environ/KEY\n  total_timeout: 30\n\
                   router_settings:\n  num_retries: 1\nmodel_list: []\n";
        let new = "general_settings:\n  master_key: ${KEY}\n  heartbeat: 5\n\
                   router_settings:\n  num_retries: 2\nx-mine: 1\nmodel_list: []\n";
        let names = |a: &Loaded, b: &Loaded| -> Vec<String> {
            a.outline.differences(&b.outline).into_iter().map(String::from).collect()
        };
        let (a, b) = (loaded(old, "sk-long-enough"), loaded(new, "sk-long-enough"));
        let expected = [
            "general_settings.heartbeat",
            "general_settings.total_timeout",
            "router_settings.num_retries",
            "x-mine",
        ];
        assert_eq!(names(&a, &b), expected);
        assert_eq!(names(&b, &a), expected);
        assert!(names(&a, &loaded(old, "sk-long-enough")).is_empty());
        let other_key = loaded(old, "sk-another-one");
        assert_eq!(names(&a, &other_key), ["general_settings.master_key"]);
        assert!(!format!("{:?}", a.outline).contains("sk-"));
    }
}
