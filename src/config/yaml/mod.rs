//! A YAML file as a tree in which every key and every value knows its place.
//!
//! Why not `serde_yaml`: it gives positions for its own errors only. Once a value is deserialised
//! its line is lost, so neither `unknown option` nor `variable not set` could name one; it stops at
//! the first error; and it is no longer maintained. `saphyr-parser` is maintained and reports every
//! event with its span; this module builds the tree from them. Merge keys, anchors and the bounds
//! on depth and expansion are ours.

mod parse;
mod scalar;
mod syntax;

pub(crate) use parse::{FILE_BYTES_MAX, parse};
pub(crate) use scalar::{Scalar, Typed};

use super::mask;
use super::problem::Spot;

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) spot: Spot,
    pub(crate) value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping, with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Box<str>,
    pub(crate) spot: Spot,
    pub(crate) node: Node,
}

impl Entry {
    /// Where a message about the value points: the value, or its key if the value spans lines.
    pub(crate) fn value_spot(&self) -> Spot {
        match &self.node.value {
            Value::Scalar(_) => self.node.spot,
            Value::List(_) | Value::Map(_) => self.spot,
        }
    }
}

impl Node {
    /// Whether nothing is written (`key:`), or `null`, or the text of an empty variable.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.typed() == Typed::Null)
    }

    /// Whether a variable here or below could not be replaced.
    pub(crate) fn is_unresolved(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.is_unresolved(),
            Value::List(items) => items.iter().any(Self::is_unresolved),
            Value::Map(entries) => entries.iter().any(|entry| entry.node.is_unresolved()),
        }
    }

    /// The text of a scalar, whatever its type: `3` is `"3"`. `None` for nothing.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.typed() != Typed::Null => Some(scalar.text()),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    pub(crate) fn map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// The value under a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.map()?.iter().find(|entry| &*entry.key == key)
    }

    /// What stands here, for a message that says what was expected instead. `name` is the option:
    /// the values of secret ones are not shown.
    pub(crate) fn found(&self, name: &str) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Scalar(scalar) if scalar.typed() == Typed::Null => "nothing".to_owned(),
            Value::Scalar(scalar) => format!("`{}`", mask::shown(name, scalar.written())),
        }
    }

    /// The value as JSON, keys in the order written. A number that JSON cannot say is a string.
    pub(crate) fn json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        let mut comma = "";
        match &self.value {
            Value::Scalar(scalar) => scalar.write_json(out),
            Value::List(items) => {
                out.push('[');
                for item in items {
                    out.push_str(std::mem::replace(&mut comma, ","));
                    item.write_json(out);
                }
                out.push(']');
            }
            Value::Map(entries) => {
                out.push('{');
                for entry in entries {
                    out.push_str(std::mem::replace(&mut comma, ","));
                    scalar::write_json_string(&entry.key, out);
                    out.push(':');
                    entry.node.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

#[cfg(test)]
mod tests;
