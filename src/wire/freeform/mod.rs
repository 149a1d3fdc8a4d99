//! Tools that take free text, where there are functions only: a function of one string.
//!
//! What the model calls is a function to it and free text to the client, which says in its request
//! which tools are of this kind; nothing is remembered for it. Clients of the Responses API are told in
//! `wire/responses/client`, chat clients here.

mod reply;
mod request;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::wire::chat::Raw;
use crate::wire::fields::Text;

pub use reply::{FreeformStream, reply};
pub use request::{as_functions, names};

const PARAMETERS: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},"required":["input"],"additionalProperties":false}"#;

/// What the model is told of a tool: what the client says, and the grammar (its syntax and its rules).
/// Nobody holds the model to that, so it has to read it.
pub(in crate::wire) fn description<'a>(
    said: Option<Text<'a>>,
    grammar: Option<(Cow<'a, str>, Cow<'a, str>)>,
) -> Option<Text<'a>> {
    let rules = grammar
        .map(|(syntax, rules)| format!("`input` has to follow this {syntax} grammar:\n{rules}"));
    match (said, rules) {
        (Some(said), Some(rules)) => Some(Text::from(format!("{}\n\n{rules}", said.0))),
        (said, rules) => said.or_else(|| rules.map(Text::from)),
    }
}

/// What such a function takes.
pub(in crate::wire) fn parameters() -> Option<Raw<'static>> {
    serde_json::from_str(PARAMETERS).ok()
}

/// The arguments that hold a text.
pub(in crate::wire) fn arguments(input: &str) -> String {
    #[derive(Serialize)]
    struct Arguments<'a> {
        input: &'a str,
    }
    serde_json::to_string(&Arguments { input }).unwrap_or_default()
}

/// The text in the arguments of a call. Models that do not keep to the schema write it under another
/// name, or as it is.
pub(in crate::wire) fn input(arguments: &str) -> String {
    let only = |fields: serde_json::Map<String, Value>| match fields.len() {
        1 => fields.into_iter().next().map(|(_, value)| value),
        _ => None,
    };
    let value = match serde_json::from_str(arguments) {
        Ok(Value::Object(mut fields)) => fields.remove("input").or_else(|| only(fields)),
        Ok(value) => Some(value),
        Err(_) => None,
    };
    match value {
        Some(Value::String(text)) => text,
        _ => arguments.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_there_and_back() {
        let patch = "*** Begin Patch\n+ \"é\" \\ \u{1}\n*** End Patch";
        assert_eq!(input(&arguments(patch)), patch);
        assert!(parameters().is_some());
        for (written, read) in [
            (r#"{"patch":"x"}"#, "x"),
            (r#""x""#, "x"),
            ("x", "x"),
            (r#"{"input":"x","more":1}"#, "x"),
            (r#"{"a":"x","b":"y"}"#, r#"{"a":"x","b":"y"}"#),
            (r#"{"input":"cut of"#, r#"{"input":"cut of"#),
        ] {
            assert_eq!(input(written), read, "{written}");
        }
    }
}
