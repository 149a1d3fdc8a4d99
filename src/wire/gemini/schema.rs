//! JSON schemas in the subset of OpenAPI that models before 2.5 take.
//!
//! What the subset lacks is left out: the model is led by what is left. Newer models take the
//! client's schema as it is.

use crate::wire::json::Node;

/// Bound of a schema after its references were put in place: they can multiply.
const MAX_NODES: usize = 20_000;

/// Keywords that mean the same in both, and are copied.
const KEPT: [&str; 14] = [
    "title",
    "description",
    "default",
    "example",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "nullable",
];

/// Formats, by the type that has them.
const FORMATS: [(&str, &[&str]); 3] = [
    ("STRING", &["enum", "date-time"]),
    ("NUMBER", &["float", "double"]),
    ("INTEGER", &["int32", "int64"]),
];

/// Why a schema has no form in the subset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the reference {0:?} leads nowhere within the schema")]
    Dangling(String),
    #[error("with its references in place the schema has more than {MAX_NODES} parts")]
    TooLarge,
}

/// Rewrites a schema into the subset.
///
/// # Errors
/// The schema cannot be said in the subset at all.
pub(super) fn fit(schema: &Node) -> Result<Node, Unfit> {
    Ok(Fitter { root: schema, entered: Vec::new(), nodes: 0 }.schema(schema)?.into_node())
}

struct Fitter<'a> {
    root: &'a Node,
    /// The references that led to where we are.
    entered: Vec<&'a str>,
    nodes: usize,
}

/// A schema as it is put together; a later word replaces an earlier one.
#[derive(Clone, Debug, Default)]
struct Fitted(Vec<(String, Node)>);

impl Fitted {
    fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn set(&mut self, key: &str, value: Node) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    fn set_nullable(&mut self) {
        self.set("nullable", Node::Bool(true));
    }

    fn into_node(self) -> Node {
        Node::Object(self.0)
    }

    /// A schema that lets everything pass says nothing; the subset has no word for it.
    fn anything() -> Self {
        Self::of("OBJECT")
    }

    fn of(kind: &str) -> Self {
        Self(vec![("type".to_owned(), text(kind))])
    }

    /// Takes over what another schema says and this one does not.
    fn merge(&mut self, other: Self) {
        for (name, value) in other.0 {
            match (self.0.iter_mut().find(|(known, _)| *known == name), value) {
                (None, value) => self.0.push((name, value)),
                (Some((_, Node::Object(own))), Node::Object(more)) => {
                    for (key, value) in more {
                        if !own.iter().any(|(known, _)| *known == key) {
                            own.push((key, value));
                        }
                    }
                }
                (Some((_, Node::Array(own))), Node::Array(more)) if name == "required" => {
                    own.extend(more);
                }
                (Some(_), _) => {}
            }
        }
    }
}

fn text(text: &str) -> Node {
    Node::Text(text.to_owned())
}

impl<'a> Fitter<'a> {
    fn schema(&mut self, schema: &'a Node) -> Result<Fitted, Unfit> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Unfit::TooLarge);
        }
        let Node::Object(entries) = schema else {
            return Ok(Fitted::anything());
        };
        let Some(Node::Text(reference)) = schema.get("$ref") else {
            return self.object(schema, entries);
        };
        if self.entered.contains(&reference.as_str()) {
            // The subset has no recursion: where it would begin anew, any object will do.
            return Ok(Fitted::anything());
        }
        let target = self.root.find(reference).ok_or_else(|| Unfit::Dangling(reference.clone()))?;
        self.entered.push(reference);
        let fitted = self.schema(target);
        self.entered.pop();
        let mut fitted = fitted?;
        // What stands beside a reference is about this use of it.
        for (name, value) in entries.iter().filter(|(name, _)| name == "description") {
            fitted.set(name, value.clone());
        }
        Ok(fitted)
    }

    fn object(&mut self, schema: &'a Node, entries: &'a [(String, Node)]) -> Result<Fitted, Unfit> {
        for choice in ["anyOf", "oneOf"] {
            if let Some(Node::Array(schemas)) = schema.get(choice) {
                return self.any(schema, schemas);
            }
        }
        let mut fitted = Fitted::default();
        let mut kinds = kinds(schema);
        if let Some(null) = kinds.iter().position(|kind| kind == "NULL")
            && kinds.len() > 1
        {
            kinds.remove(null);
            fitted.set_nullable();
        }
        if kinds.len() > 1 {
            return self.each_kind(schema, &kinds, fitted);
        }
        if let Some(kind) = kinds.first() {
            fitted.set("type", text(kind));
        }
        for (name, value) in entries {
            match (name.as_str(), value) {
                (name, value) if KEPT.contains(&name) => fitted.set(name, value.clone()),
                ("const", value) => choices(&mut fitted, std::slice::from_ref(value)),
                ("enum", Node::Array(values)) => choices(&mut fitted, values),
                ("properties", Node::Object(properties)) => {
                    let mut kept = Vec::with_capacity(properties.len());
                    for (name, schema) in properties {
                        kept.push((name.clone(), self.schema(schema)?.into_node()));
                    }
                    fitted.set(name, Node::Object(kept));
                }
                ("items", Node::Object(_)) => {
                    fitted.set(name, self.schema(value)?.into_node());
                }
                ("items" | "prefixItems", Node::Array(schemas)) => {
                    if let Some(first) = schemas.first() {
                        fitted.set("items", self.schema(first)?.into_node());
                    }
                }
                ("required", Node::Array(_)) => fitted.set(name, value.clone()),
                _ => {}
            }
        }
        if let Some(Node::Array(schemas)) = schema.get("allOf") {
            for schema in schemas {
                let more = self.schema(schema)?;
                fitted.merge(more);
            }
        }
        Ok(completed(fitted, schema))
    }

    /// A choice must stand alone; `null` among the choices has a keyword of its own.
    fn any(&mut self, schema: &'a Node, schemas: &'a [Node]) -> Result<Fitted, Unfit> {
        let is_null = |schema: &Node| schema.get("type") == Some(&text("null"));
        let nullable = schemas.iter().any(is_null);
        let mut fitted = Vec::new();
        for schema in schemas.iter().filter(|schema| !is_null(schema)) {
            fitted.push(self.schema(schema)?);
        }
        if nullable {
            fitted.iter_mut().for_each(Fitted::set_nullable);
        }
        if fitted.len() > 1 {
            let any = fitted.into_iter().map(Fitted::into_node).collect();
            return Ok(Fitted(vec![("anyOf".to_owned(), Node::Array(any))]));
        }
        let Some(mut only) = fitted.pop() else { return Ok(Fitted::of("NULL")) };
        for name in ["title", "description", "default"] {
            if let Some(value) = schema.get(name) {
                only.set(name, value.clone());
            }
        }
        Ok(only)
    }

    /// Several types become a choice of schemas that have one each.
    fn each_kind(
        &mut self,
        schema: &'a Node,
        kinds: &[String],
        common: Fitted,
    ) -> Result<Fitted, Unfit> {
        let mut any = Vec::new();
        for kind in kinds {
            let mut fitted = common.clone();
            fitted.set("type", text(kind));
            let items = schema.get("items").filter(|_| kind == "ARRAY");
            if let Some(items) = items {
                fitted.set("items", self.schema(items)?.into_node());
            }
            if let (Some(description), true) = (schema.get("description"), any.is_empty()) {
                fitted.set("description", description.clone());
            }
            any.push(completed(fitted, schema).into_node());
        }
        Ok(Fitted(vec![("anyOf".to_owned(), Node::Array(any))]))
    }
}

/// The types of a schema, in the subset's words.
fn kinds(schema: &Node) -> Vec<String> {
    let upper = |node: &Node| match node {
        Node::Text(kind) => Some(kind.to_ascii_uppercase()),
        _ => None,
    };
    match schema.get("type") {
        Some(Node::Array(kinds)) => kinds.iter().filter_map(upper).collect(),
        Some(kind) => upper(kind).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Only strings are chosen from; an empty one is refused.
fn choices(fitted: &mut Fitted, values: &[Node]) {
    if values.contains(&Node::Null) {
        fitted.set_nullable();
    }
    let texts: Vec<Node> = values
        .iter()
        .filter(|value| matches!(value, Node::Text(text) if !text.is_empty()))
        .cloned()
        .collect();
    let is_text = fitted.get("type").is_none_or(|kind| *kind == text("STRING"));
    if is_text && !texts.is_empty() {
        fitted.set("type", text("STRING"));
        fitted.set("enum", Node::Array(texts));
    }
}

/// Adds what the subset demands, takes out what it refuses.
fn completed(mut fitted: Fitted, schema: &Node) -> Fitted {
    if fitted.get("type").is_none() && fitted.get("anyOf").is_none() {
        let kind = if fitted.get("items").is_some() { "ARRAY" } else { "OBJECT" };
        fitted.set("type", text(kind));
    }
    let kind = match fitted.get("type") {
        Some(Node::Text(kind)) => kind.clone(),
        _ => return fitted,
    };
    if kind == "ARRAY" && fitted.get("items").is_none() {
        fitted.set("items", Fitted::anything().into_node());
    }
    if kind != "STRING" {
        fitted.0.retain(|(name, _)| name != "enum");
    }
    if kind != "OBJECT" {
        fitted.0.retain(|(name, _)| name != "properties" && name != "required");
    }
    if let Some(Node::Text(format)) = schema.get("format") {
        let known = FORMATS.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, all)| all);
        if known.contains(&format.as_str()) {
            fitted.set("format", text(format));
        }
    }
    let names: Vec<Node> = match fitted.get("properties") {
        Some(Node::Object(properties)) => properties.iter().map(|(name, _)| text(name)).collect(),
        _ => Vec::new(),
    };
    if let Some((_, Node::Array(required))) =
        fitted.0.iter_mut().find(|(name, _)| name == "required")
    {
        required.retain(|name| names.contains(name));
    }
    let is_empty = |node: &Node| {
        matches!(node, Node::Array(list) if list.is_empty())
            || matches!(node, Node::Object(entries) if entries.is_empty())
    };
    fitted.0.retain(|(name, value)| {
        !(matches!(name.as_str(), "required" | "properties") && is_empty(value))
    });
    if names.len() > 1 {
        // Otherwise they are written in the order of the alphabet.
        fitted.set("propertyOrdering", Node::Array(names));
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(schema: &str) -> String {
        match fit(&serde_json::from_str(schema).unwrap()) {
            Ok(fitted) => serde_json::to_string(&fitted).unwrap(),
            Err(unfit) => unfit.to_string(),
        }
    }

    #[test]
    fn a_schema_is_said_in_the_subset() {
        for (schema, expected) in [
            (
                r#"{"$schema":"x","type":"object","additionalProperties":false,"properties":{
                    "z":{"type":"string","format":"uuid","minLength":1},
                    "a":{"type":["integer","null"],"exclusiveMinimum":0,"format":"int32"}},
                    "required":["z","gone"]}"#,
                r#"{"type":"OBJECT","properties":{"z":{"type":"STRING","minLength":1},"a":{"nullable":true,"type":"INTEGER","format":"int32"}},"required":["z"],"propertyOrdering":["z","a"]}"#,
            ),
            (
                r#"{"anyOf":[{"type":"string"},{"type":"null"}],"description":"d"}"#,
                r#"{"type":"STRING","nullable":true,"description":"d"}"#,
            ),
            (
                r#"{"description":"d","oneOf":[{"type":"string"},{"type":"number"},{"type":"null"}]}"#,
                r#"{"anyOf":[{"type":"STRING","nullable":true},{"type":"NUMBER","nullable":true}]}"#,
            ),
            (
                r#"{"type":["string","number"]}"#,
                r#"{"anyOf":[{"type":"STRING"},{"type":"NUMBER"}]}"#,
            ),
            (
                r#"{"enum":["a","",null,"b"]}"#,
                r#"{"nullable":true,"type":"STRING","enum":["a","b"]}"#,
            ),
            (r#"{"type":"integer","enum":[1,2]}"#, r#"{"type":"INTEGER"}"#),
            (r#"{"const":"x"}"#, r#"{"type":"STRING","enum":["x"]}"#),
            (r#"{"type":"array","items":{}}"#, r#"{"type":"ARRAY","items":{"type":"OBJECT"}}"#),
            (r#"{"type":"array"}"#, r#"{"type":"ARRAY","items":{"type":"OBJECT"}}"#),
            (
                r#"{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}]}"#,
                r#"{"type":"ARRAY","items":{"type":"STRING"}}"#,
            ),
            (r#"{"type":"object","properties":{}}"#, r#"{"type":"OBJECT"}"#),
            (
                r##"{"$ref":"#/$defs/S","description":"mine","$defs":{"S":{"type":"string","description":"its"}}}"##,
                r#"{"type":"STRING","description":"mine"}"#,
            ),
            (
                r#"{"allOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},
                    {"properties":{"b":{"type":"number"}},"required":["b"]}]}"#,
                r#"{"type":"OBJECT","properties":{"a":{"type":"STRING"},"b":{"type":"NUMBER"}},"required":["a","b"],"propertyOrdering":["a","b"]}"#,
            ),
            (
                r##"{"type":"object","properties":{"next":{"$ref":"#"},"v":true}}"##,
                r#"{"type":"OBJECT","properties":{"next":{"type":"OBJECT","properties":{"next":{"type":"OBJECT"},"v":{"type":"OBJECT"}},"propertyOrdering":["next","v"]},"v":{"type":"OBJECT"}},"propertyOrdering":["next","v"]}"#,
            ),
        ] {
            assert_eq!(fitted(schema), expected, "{schema}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_an_error() {
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
