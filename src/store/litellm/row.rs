//! A row of LiteLLM's as JSON, and its fields as they are meant.
//!
//! What is absent, null or empty is the same: older schemas lack columns, and LiteLLM's clients leave
//! `{}` and `[]` where nothing is set.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row(Map<String, Value>);

impl Row {
    pub(super) const fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        let number = self.0.get(name)?;
        // Limits were floating point numbers in some versions.
        number.as_u64().or_else(|| number.as_f64().filter(|it| *it >= 0.0).map(|it| it as u64))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.json(name).map(|list| texts(&list)).unwrap_or_default()
    }

    pub(super) fn object(&self, name: &str) -> Map<String, Value> {
        match self.json(name) {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }

    /// What a JSON column holds. Some of LiteLLM's code has written JSON as a text into it.
    pub(super) fn json(&self, name: &str) -> Option<Value> {
        match self.0.get(name)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            value => Some(value.clone()),
        }
    }

    /// LiteLLM's times have no zone and are meant in UTC.
    pub(super) fn time(&self, name: &str) -> Option<Timestamp> {
        let text = self.0.get(name)?.as_str()?;
        text.parse().ok().or_else(|| {
            let civil: DateTime = text.parse().ok()?;
            Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
        })
    }

    /// Whether anything is set there.
    pub(super) fn says(&self, name: &str) -> bool {
        match self.json(name).or_else(|| self.0.get(name).cloned()) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(fields)) => fields.values().any(|value| !value.is_null()),
            Some(Value::Bool(true) | Value::Number(_)) => true,
        }
    }
}

/// The texts of a list; whatever else is in it is left out.
pub(super) fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_whatever_wrote_them() {
        let Value::Object(fields) = json!({
            "at": "2026-01-31T10:20:30.123", "zoned": "2026-01-31T10:20:30+01:00",
            "nested": "{\"a\": 1}", "limit": 10.0, "none": null, "empty": {}, "blank": "",
        }) else {
            unreachable!()
        };
        let row = Row::new(fields);
        assert_eq!(row.time("at").unwrap().to_string(), "2026-01-31T10:20:30.123Z");
        assert_eq!(row.time("zoned").unwrap().to_string(), "2026-01-31T09:20:30Z");
        assert_eq!(row.object("nested")["a"], 1);
        assert_eq!(row.whole("limit"), Some(10));
        assert_eq!(row.text("blank"), None);
        for nothing in ["none", "empty", "blank", "absent"] {
            assert!(!row.says(nothing), "{nothing}");
        }
        assert!(row.says("nested") && row.says("limit"));
    }
}
