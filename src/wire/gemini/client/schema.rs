//! Google's subset of OpenAPI schemas as JSON schemas.

use std::borrow::Cow;

use super::read::{Message, integer, list, number, word};
use crate::failure::Failure;
use crate::wire::chat::Raw;
use crate::wire::fields::{Text, read};
use crate::wire::json::quoted;

/// Levels of a schema that are followed; JSON itself is read no deeper.
const MAX_DEPTH: usize = 100;

/// Formats that say how a number is stored. They mean nothing in a JSON schema, and strict readers
/// refuse them.
const STORAGE: [&str; 5] = ["int32", "int64", "float", "double", "enum"];

/// Writes the schema at `param` as a JSON schema: types in lower case, `nullable` as a type,
/// properties in the order that `propertyOrdering` gives.
///
/// # Errors
/// It is no schema.
pub(super) fn json_schema(param: &str, raw: Raw<'_>) -> Result<String, Failure> {
    let mut out = String::with_capacity(raw.get().len());
    write(param, raw, MAX_DEPTH, &mut out)?;
    Ok(out)
}

fn write(param: &str, raw: Raw<'_>, depth: usize, out: &mut String) -> Result<(), Failure> {
    if depth == 0 || matches!(raw.get(), "true" | "false") {
        out.push_str(raw.get());
        return Ok(());
    }
    let schema = Message::read(param, raw.get())?;
    let nullable = schema.is_true("nullable");
    let mut object = Writer::new(out);
    for (written, raw) in schema.written() {
        let param = format!("{param}.{written}");
        let name = super::read::camel(written);
        match &*name {
            "type" => {
                if let Some(kind) = kind(&param, raw, nullable)? {
                    object.field("type", &kind);
                }
            }
            "nullable" | "propertyOrdering" => {}
            "format" => {
                let format: Text<'_> = read(&param, raw.get())?;
                if !STORAGE.contains(&&*format) {
                    object.field("format", raw.get());
                }
            }
            "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength"
            | "maxLength" => object.field(&name, &integer(&param, raw)?.to_string()),
            "minimum" | "maximum" => object.field(&name, &number(&param, raw)?),
            "enum" => {
                let mut words: Vec<&str> = Vec::new();
                let elements = list(&param, raw)?;
                words.extend(elements.iter().map(|(_, raw)| raw.get()));
                if nullable && !words.contains(&"null") {
                    words.push("null");
                }
                object.field("enum", &format!("[{}]", words.join(",")));
            }
            "example" => object.field("examples", &format!("[{}]", raw.get())),
            "ref" => object.field("$ref", raw.get()),
            "items" | "additionalProperties" => {
                write(&param, raw, depth - 1, object.open(&name))?;
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                let inner = object.open(&name);
                inner.push('[');
                for (at, (param, raw)) in list(&param, raw)?.into_iter().enumerate() {
                    separate(at, inner);
                    write(&param, raw, depth - 1, inner)?;
                }
                if nullable && name == "anyOf" && schema.get("type").is_none() {
                    inner.push_str(r#",{"type":"null"}"#);
                }
                inner.push(']');
            }
            "properties" | "defs" | "$defs" => {
                let order = schema.get("propertyOrdering").filter(|_| name == "properties");
                let inner = object.open(if name == "properties" { "properties" } else { "$defs" });
                properties(&param, raw, order, depth, inner)?;
            }
            // The name as written: it is JSON schema's own.
            _ => object.field(written, raw.get()),
        }
    }
    object.close();
    Ok(())
}

/// Properties, those of `order` first. Their names are data and stay as they are.
fn properties(
    param: &str,
    raw: Raw<'_>,
    order: Option<Raw<'_>>,
    depth: usize,
    out: &mut String,
) -> Result<(), Failure> {
    let properties = Message::read(param, raw.get())?;
    let order: Vec<Text<'_>> = match order {
        Some(order) => serde_json::from_str(order.get()).unwrap_or_default(),
        None => Vec::new(),
    };
    let mut named: Vec<(&str, Raw<'_>)> = properties.written().collect();
    // A stable sort: those that the order does not name stay behind, as they were written.
    let place = |name: &str| order.iter().position(|other| **other == *name);
    named.sort_by_key(|(name, _)| place(name).unwrap_or(order.len()));
    out.push('{');
    for (at, (name, raw)) in named.into_iter().enumerate() {
        separate(at, out);
        out.push_str(&quoted(name));
        out.push(':');
        write(&format!("{param}.{name}"), raw, depth - 1, out)?;
    }
    out.push('}');
    Ok(())
}

/// A type in JSON schema's spelling; `None` where none is meant. Some clients write lists of types.
fn kind(param: &str, raw: Raw<'_>, nullable: bool) -> Result<Option<String>, Failure> {
    let mut kinds = Vec::new();
    for (param, raw) in list(param, raw)? {
        let kind = word(&param, raw)?.to_ascii_lowercase();
        if kind != "type_unspecified" {
            kinds.push(kind);
        }
    }
    if nullable && !kinds.is_empty() && !kinds.iter().any(|kind| kind == "null") {
        kinds.push("null".to_owned());
    }
    let quoted: Vec<Cow<'_, str>> = kinds.iter().map(|kind| quoted(kind).into()).collect();
    Ok(match quoted.as_slice() {
        [] => None,
        [kind] => Some(kind.to_string()),
        kinds => Some(format!("[{}]", kinds.join(","))),
    })
}

fn separate(at: usize, out: &mut String) {
    if at > 0 {
        out.push(',');
    }
}

/// An object that is being written.
struct Writer<'o> {
    out: &'o mut String,
    empty: bool,
}

impl<'o> Writer<'o> {
    fn new(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    fn open(&mut self, name: &str) -> &mut String {
        separate(usize::from(!self.empty), self.out);
        self.empty = false;
        self.out.push_str(&quoted(name));
        self.out.push(':');
        self.out
    }

    fn field(&mut self, name: &str, json: &str) {
        self.open(name).push_str(json);
    }

    fn close(self) {
        self.out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> String {
        json_schema("s", serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn types_are_spelled_as_json_schema_does() {
        for (written, expected) in [
            (r#"{"type":"OBJECT"}"#, r#"{"type":"object"}"#),
            (
                r#"{"type":"STRING","nullable":true,"enum":["a"]}"#,
                r#"{"type":["string","null"],"enum":["a",null]}"#,
            ),
            (r#"{"type":"string"}"#, r#"{"type":"string"}"#),
            (r#"{"type":["STRING","NULL"]}"#, r#"{"type":["string","null"]}"#),
            (r#"{"type":"TYPE_UNSPECIFIED"}"#, "{}"),
            (r#"{"type":"NUMBER","format":"double"}"#, r#"{"type":"number"}"#),
            (
                r#"{"type":"STRING","format":"date-time"}"#,
                r#"{"type":"string","format":"date-time"}"#,
            ),
            (
                r#"{"type":"ARRAY","min_items":"1","items":{"type":"INTEGER"}}"#,
                r#"{"type":"array","minItems":1,"items":{"type":"integer"}}"#,
            ),
            (
                r#"{"any_of":[{"type":"STRING"}],"nullable":true}"#,
                r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
            ),
            (r#"{"type":"STRING","example":"x"}"#, r#"{"type":"string","examples":["x"]}"#),
            (r##"{"ref":"#/defs/a","x":1}"##, r##"{"$ref":"#/defs/a","x":1}"##),
        ] {
            assert_eq!(schema(written), expected, "{written}");
        }
    }

    #[test]
    fn properties_keep_their_names_and_take_their_order() {
        let written = r#"{"type":"OBJECT","properties":{"min_items":{"type":"STRING"},
            "type":{"type":"NUMBER"},"z":{"type":"BOOLEAN"}},"propertyOrdering":["z","type"],
            "required":["z"],"additionalProperties":false}"#;
        assert_eq!(
            schema(written),
            concat!(
                r#"{"type":"object","properties":{"z":{"type":"boolean"},"type":{"type":"number"},"#,
                r#""min_items":{"type":"string"}},"required":["z"],"additionalProperties":false}"#
            )
        );
    }

    #[test]
    fn what_is_no_schema_is_told_with_its_place() {
        let raw = serde_json::from_str(r#"{"properties":{"a":{"type":5}}}"#).unwrap();
        let failure = json_schema("tools[0].parameters", raw).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("tools[0].parameters.properties.a.type"));
    }
}
