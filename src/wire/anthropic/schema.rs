//! JSON schemas in the subset that structured output takes.
//!
//! The API compiles a schema into a grammar and refuses what a grammar cannot say. Constraints that
//! are taken out move into the description, where the model still reads them. The order of
//! properties is kept, because it is the order in which the model writes them.

use crate::wire::json::Node;

/// Bound of a schema after its references were put in place: they can multiply.
const MAX_NODES: usize = 20_000;

/// Keywords that are refused.
const REFUSED: [&str; 28] = [
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "additionalItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "unevaluatedItems",
    "if",
    "then",
    "else",
    "not",
];

/// Formats of strings that are understood.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Why a schema has no form in the subset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::wire) enum Unfit {
    #[error("the reference {0:?} leads back to itself; recursive schemas are not supported")]
    Recursive(String),
    #[error("the reference {0:?} leads nowhere within the schema")]
    Dangling(String),
    #[error("with its references in place the schema has more than {MAX_NODES} parts")]
    TooLarge,
}

impl Node {
    /// The schema of an object without properties.
    pub(in crate::wire) fn empty_object() -> Self {
        Self::Object(vec![
            ("type".to_owned(), Self::Text("object".to_owned())),
            ("properties".to_owned(), Self::Object(Vec::new())),
        ])
    }

    /// Whether this is the schema of an object, or of an object among others.
    pub(in crate::wire) fn describes_object(&self) -> bool {
        match self.get("type") {
            Some(Self::Text(kind)) => kind == "object",
            Some(Self::Array(kinds)) => kinds.contains(&Self::Text("object".to_owned())),
            _ => self.get("properties").is_some(),
        }
    }

    /// Says `type: object`, whatever was said before.
    pub(in crate::wire) fn into_object_schema(self) -> Self {
        let Self::Object(mut entries) = self else {
            return Self::empty_object();
        };
        entries.retain(|(name, _)| name != "type");
        entries.insert(0, ("type".to_owned(), Self::Text("object".to_owned())));
        Self::Object(entries)
    }
}

/// Rewrites a schema into the subset.
///
/// # Errors
/// The schema cannot be said in the subset at all.
pub(in crate::wire) fn fit(schema: &Node) -> Result<Node, Unfit> {
    Fitter { root: schema, entered: Vec::new(), nodes: 0 }.schema(schema)
}

struct Fitter<'a> {
    root: &'a Node,
    /// The references that led to where we are.
    entered: Vec<&'a str>,
    nodes: usize,
}

impl<'a> Fitter<'a> {
    fn schema(&mut self, schema: &'a Node) -> Result<Node, Unfit> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Unfit::TooLarge);
        }
        let Node::Object(entries) = schema else {
            return Ok(schema.clone());
        };
        let Some(Node::Text(reference)) = schema.get("$ref") else {
            return self.object(entries);
        };
        if self.entered.contains(&reference.as_str()) {
            return Err(Unfit::Recursive(reference.clone()));
        }
        let target = self.root.find(reference).ok_or_else(|| Unfit::Dangling(reference.clone()))?;
        self.entered.push(reference);
        let fitted = self.schema(target);
        self.entered.pop();
        // What stands beside a reference, usually a description, is about this use of it.
        let beside: Vec<_> = entries.iter().filter(|(name, _)| name != "$ref").cloned().collect();
        let mut fitted = fitted?;
        if let Node::Object(fitted) = &mut fitted {
            for (name, value) in beside {
                if !REFUSED.contains(&name.as_str()) && !is_definitions(&name) {
                    set(fitted, &name, value);
                }
            }
        }
        Ok(fitted)
    }

    fn object(&mut self, entries: &'a [(String, Node)]) -> Result<Node, Unfit> {
        let has = |key: &str| entries.iter().any(|(name, _)| name == key);
        let mut fitted = Vec::with_capacity(entries.len() + 1);
        let mut notes = Vec::new();
        for (name, value) in entries {
            match (name.as_str(), value) {
                (name, _) if is_definitions(name) => {}
                ("additionalProperties", Node::Object(_)) => notes.push((name, value)),
                ("additionalProperties", _) => {}
                ("properties", Node::Object(properties)) => {
                    let mut kept = Vec::with_capacity(properties.len());
                    for (name, schema) in properties {
                        kept.push((name.clone(), self.schema(schema)?));
                    }
                    fitted.push((name.clone(), Node::Object(kept)));
                }
                ("items", Node::Array(_)) => notes.push((name, value)),
                ("items", schema) => fitted.push((name.clone(), self.schema(schema)?)),
                ("anyOf" | "allOf", Node::Array(schemas)) => {
                    fitted.push((name.clone(), self.schemas(schemas)?));
                }
                ("oneOf", Node::Array(schemas)) if !has("anyOf") => {
                    fitted.push(("anyOf".to_owned(), self.schemas(schemas)?));
                }
                ("oneOf", _) => notes.push((name, value)),
                ("format", Node::Text(format)) if !FORMATS.contains(&format.as_str()) => {
                    notes.push((name, value));
                }
                (refused, _) if REFUSED.contains(&refused) => notes.push((name, value)),
                _ => fitted.push((name.clone(), value.clone())),
            }
        }
        let mut fitted = Node::Object(fitted);
        let closed = fitted.describes_object();
        if let Node::Object(fitted) = &mut fitted {
            if closed {
                fitted.push(("additionalProperties".to_owned(), Node::Bool(false)));
            }
            if !notes.is_empty() {
                describe(fitted, &notes);
            }
        }
        Ok(fitted)
    }

    fn schemas(&mut self, schemas: &'a [Node]) -> Result<Node, Unfit> {
        schemas.iter().map(|schema| self.schema(schema)).collect::<Result<_, _>>().map(Node::Array)
    }
}

fn is_definitions(name: &str) -> bool {
    matches!(name, "$defs" | "definitions")
}

/// Puts the constraints that were taken out behind the description.
fn describe(schema: &mut Vec<(String, Node)>, notes: &[(&String, &Node)]) {
    let mut text = match schema.iter().find(|(name, _)| name == "description") {
        Some((_, Node::Text(text))) if !text.is_empty() => format!("{text}\n\n"),
        _ => String::new(),
    };
    text.push_str("Constraints: ");
    for (position, (name, value)) in notes.iter().enumerate() {
        let value = serde_json::to_string(value).unwrap_or_default();
        let comma = if position == 0 { "" } else { ", " };
        text.push_str(&format!("{comma}{name}: {value}"));
    }
    set(schema, "description", Node::Text(text));
}

fn set(entries: &mut Vec<(String, Node)>, key: &str, value: Node) {
    match entries.iter_mut().find(|(name, _)| name == key) {
        Some((_, old)) => *old = value,
        None => entries.push((key.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(schema: &str) -> String {
        let schema: Node = serde_json::from_str(schema).unwrap();
        fit(&schema)
            .map_or_else(|why| why.to_string(), |node| serde_json::to_string(&node).unwrap())
    }

    #[test]
    fn constraints_move_into_the_description_and_order_is_kept() {
        assert_eq!(
            fitted(
                r#"{"type":"object","properties":{
                    "zeta":{"type":"integer","minimum":0,"maximum":9,"description":"Digit."},
                    "alpha":{"type":"string","minLength":1,"pattern":"^a"},
                    "minimum":{"type":"array","items":{"type":"string"},"uniqueItems":true}},
                    "required":["zeta"]}"#
            ),
            concat!(
                r#"{"type":"object","properties":{"#,
                r#""zeta":{"type":"integer","description":"Digit.\n\nConstraints: minimum: 0, maximum: 9"},"#,
                r#""alpha":{"type":"string","pattern":"^a","description":"Constraints: minLength: 1"},"#,
                r#""minimum":{"type":"array","items":{"type":"string"},"#,
                r#""description":"Constraints: uniqueItems: true"}},"#,
                r#""required":["zeta"],"additionalProperties":false}"#
            )
        );
    }

    #[test]
    fn every_refused_keyword_goes() {
        for keyword in REFUSED {
            let text = fitted(&format!(r#"{{"type":"array","{keyword}":1}}"#));
            assert!(!text.contains(&format!("\"{keyword}\":")), "{text}");
            assert!(text.contains(&format!("Constraints: {keyword}: 1")), "{text}");
        }
    }

    #[test]
    fn one_of_becomes_any_of_at_every_depth() {
        assert_eq!(
            fitted(r#"{"anyOf":[{"oneOf":[{"type":"null"},{"type":"object"}]}]}"#),
            r#"{"anyOf":[{"anyOf":[{"type":"null"},{"type":"object","additionalProperties":false}]}]}"#
        );
    }

    #[test]
    fn objects_are_closed_whatever_they_said() {
        for open in ["true", "false", "{}"] {
            let text = fitted(&format!(r#"{{"type":"object","additionalProperties":{open}}}"#));
            assert!(text.contains(r#""additionalProperties":false"#), "{text}");
        }
        assert_eq!(
            fitted(r#"{"type":["object","null"]}"#),
            r#"{"type":["object","null"],"additionalProperties":false}"#
        );
    }

    #[test]
    fn references_are_put_in_place_with_what_stands_beside_them() {
        assert_eq!(
            fitted(
                r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/S","description":"Mine."},
                    "b":{"$ref":"#/definitions/x~1y"}},
                    "$defs":{"S":{"type":"string","description":"Its."}},
                    "definitions":{"x/y":{"type":"number"}}}"##
            ),
            concat!(
                r#"{"type":"object","properties":{"a":{"type":"string","description":"Mine."},"#,
                r#""b":{"type":"number"}},"additionalProperties":false}"#
            )
        );
    }

    #[test]
    fn what_cannot_be_said_is_an_error() {
        let recursive = r##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##;
        assert!(fitted(recursive).contains("leads back to itself"));
        assert!(fitted(r##"{"$ref":"#/$defs/None"}"##).contains("leads nowhere"));
        assert!(fitted(r#"{"$ref":"https://example.com/s"}"#).contains("leads nowhere"));

        let mut defs = String::from(r##""d0":{"type":"string"}"##);
        for level in 1..40 {
            let below = level - 1;
            defs.push_str(&format!(
                r##","d{level}":{{"anyOf":[{{"$ref":"#/$defs/d{below}"}},{{"$ref":"#/$defs/d{below}"}}]}}"##
            ));
        }
        let bomb = format!(r##"{{"$ref":"#/$defs/d39","$defs":{{{defs}}}}}"##);
        assert!(fitted(&bomb).contains("more than 20000 parts"));
    }
}
