//! What a configuration consists of, for telling two of them apart and for showing what is set.
//!
//! Options are compared by a hash of what is written, variables replaced: so a changed secret is
//! noticed, and nothing of it is kept. Shown is what stands in the file, with the names of variables
//! instead of their values, and only where the table of options says that it is no secret. Deployments
//! are compared and shown elsewhere, as they are resolved.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::mask;
use super::options::{Kind, TABLES, TOP, Table};
use super::yaml::{Node, Value};

/// The sections whose options are told apart one by one.
const SECTIONS: [&str; 4] =
    ["general_settings", "router_settings", "litellm_settings", "environment_variables"];

/// Options that hold names of models or numbers, however deep they are written.
const PLAIN: [&str; 8] = [
    "fallbacks",
    "default_fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "model_group_alias",
    "model_group_retry_policy",
    "retry_policy",
    "allowed_fails_policy",
];

/// The names of all options that are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    options: BTreeMap<Box<str>, Written>,
}

/// What is kept of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    /// Of its value.
    hash: u64,
    /// The value as it may be shown.
    shown: Option<Box<str>>,
}

impl Written {
    fn of(table: Option<&Table>, name: &str, node: &Node) -> Self {
        Self { hash: hash(node), shown: shown(table, name, node).map(Into::into) }
    }
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
                    let table = table(&entry.key);
                    options.extend(inner.iter().map(|option| {
                        let written = Written::of(table, &option.key, &option.node);
                        (format!("{}.{}", entry.key, option.key).into(), written)
                    }));
                }
                Value::Map(_) | Value::List(_) | Value::Scalar(_) => {
                    let written = Written::of(Some(&TOP), &entry.key, &entry.node);
                    options.insert(entry.key.clone(), written);
                }
            }
        }
        Self { options }
    }

    /// All options that are written, each with its value as it stands in the file; `None` where that
    /// may be a secret or is more than a line.
    pub fn shown(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.options.iter().map(|(name, written)| (&**name, written.shown.as_deref()))
    }

    /// The names of the options that are written in one of the two only, or differently.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Box<str>> {
        let changed = self
            .options
            .iter()
            .filter(|(name, value)| other.options.get(*name).map(|it| it.hash) != Some(value.hash));
        let gone = other.options.keys().filter(|name| !self.options.contains_key(*name));
        let mut names: Vec<_> = changed.map(|(name, _)| name).chain(gone).cloned().collect();
        names.sort();
        names
    }
}

/// The options of a section.
fn table(name: &str) -> Option<&'static Table> {
    TABLES.into_iter().find(|table| table.name == name && !table.open)
}

/// A value on one line. What the table does not know is not shown.
fn shown(within: Option<&Table>, name: &str, node: &Node) -> Option<String> {
    let option = within?.find(name)?;
    if PLAIN.contains(&name) {
        return brief(name, node);
    }
    match (&node.value, option.kind) {
        (Value::Scalar(scalar), Kind::Secret) => Some(mask::shown("secret", scalar.written())),
        (
            Value::Scalar(scalar),
            Kind::Text
            | Kind::Flag
            | Kind::Count
            | Kind::Number
            | Kind::Seconds
            | Kind::Megabytes
            | Kind::Any,
        ) => Some(mask::shown(name, scalar.written())),
        (Value::List(items), Kind::List | Kind::Any)
            if items.iter().all(|item| matches!(item.value, Value::Scalar(_))) =>
        {
            brief(name, node)
        }
        (Value::Map(entries), Kind::Map) => {
            let within = table(name)?;
            let shown = entries.iter().map(|entry| {
                let value = shown(Some(within), &entry.key, &entry.node);
                format!("{}: {}", entry.key, value.as_deref().unwrap_or("..."))
            });
            Some(shown.collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

/// What holds no secrets but by mistake, in YAML's short form.
fn brief(name: &str, node: &Node) -> Option<String> {
    let all = |parts: Option<Vec<String>>| parts.map(|parts| parts.join(", "));
    match &node.value {
        Value::Scalar(scalar) => Some(mask::shown(name, scalar.written())),
        Value::List(items) => {
            let items = all(items.iter().map(|item| brief(name, item)).collect())?;
            Some(format!("[{items}]"))
        }
        Value::Map(entries) => {
            let one = |entry: &super::yaml::Entry| {
                Some(format!("{}: {}", entry.key, brief(&entry.key, &entry.node)?))
            };
            let entries = all(entries.iter().map(one).collect())?;
            Some(format!("{{{entries}}}"))
        }
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

    #[test]
    fn what_is_set_is_shown_and_no_secret_is() {
        let yaml = "general_settings:\n  master_key: sk-in-the-file\n  total_timeout: 30\n  \
                    database_url: os.environ/KEY\n\
                    router_settings:\n  routing_strategy: ${KEY}\n  fallbacks: [{a: [b, c]}]\n\
                    litellm_settings:\n  cache_params: {type: local, password: hunter2}\n  \
                    no_such_option: hunter2\n\
                    dashboard: {session_duration: 1h}\nx-mine: hunter2\n\
                    environment_variables: {MINE: hunter2}\nmodel_list: []\n";
        let loaded = loaded(yaml, "hunter2");
        let shown: BTreeMap<_, _> = loaded.outline.shown().collect();
        for (name, value) in [
            ("general_settings.master_key", Some("***")),
            ("general_settings.total_timeout", Some("30")),
            ("general_settings.database_url", Some("os.environ/KEY")),
            ("router_settings.routing_strategy", Some("${KEY}")),
            ("router_settings.fallbacks", Some("[{a: [b, c]}]")),
            ("litellm_settings.cache_params", Some("type: local, password: ***")),
            ("litellm_settings.no_such_option", None),
            ("dashboard", Some("session_duration: 1h")),
            ("x-mine", None),
            ("environment_variables.MINE", None),
        ] {
            assert_eq!(shown.get(name), Some(&value), "{name}");
        }
        assert!(!format!("{:?}", loaded.outline).contains("hunter2"));
    }
}
