//! JSON schemas in the subset of OpenAPI that models before 2.5 take.
//!
//! ```text
//! schema --choices--> alternatives, one type each --closed (fitted.rs)--> schema in the subset
//! ```
//!
//! In the subset a choice stands alone: nothing may be written beside `anyOf`, and references and
//! `allOf` are unknown. So what stands beside a choice is put into each of its alternatives. What
//! the subset lacks is left out: the model is led by what is left. Newer models take the client's
//! schema as it is.

mod fitted;

use fitted::{Fitted, closed};

use crate::wire::json::Node;

/// Bound of a schema after its references were put in place: they can multiply, and so can choices.
const MAX_NODES: usize = 20_000;

/// Bound of schemas within each other, those that references lead to included.
const MAX_DEPTH: usize = 100;

/// Keywords that mean the same in both, and are copied.
const KEPT: [&str; 15] = [
    "title",
    "description",
    "default",
    "example",
    "format",
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

/// Why a schema has no form in the subset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the reference {0:?} leads nowhere within the schema")]
    Dangling(String),
    #[error("with its references in place the schema has more than {MAX_NODES} parts")]
    TooLarge,
    #[error("with its references in place the schema is more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Rewrites a schema into the subset.
///
/// # Errors
/// The schema cannot be said in the subset at all.
pub(super) fn fit(schema: &Node) -> Result<Node, Unfit> {
    Fitter::of(schema).schema(schema)
}

/// Rewrites the schema of a function's parameters, which has to be one object: a choice among
/// several becomes one that has the properties of all. `None`: the function takes nothing.
///
/// # Errors
/// As those of [`fit`].
pub(super) fn fit_parameters(schema: &Node) -> Result<Option<Node>, Unfit> {
    let choices = Fitter::of(schema).choices(schema)?;
    let objects =
        choices.into_iter().filter(|choice| matches!(choice.kind(), None | Some("OBJECT")));
    let whole = objects.reduce(Fitted::or).map(Fitted::complete);
    // An object without properties is refused.
    Ok(whole.filter(|whole| whole.get("properties").is_some()))
}

struct Fitter<'a> {
    root: &'a Node,
    /// The references that led to where we are.
    entered: Vec<&'a str>,
    nodes: usize,
    depth: usize,
}

impl<'a> Fitter<'a> {
    const fn of(root: &'a Node) -> Self {
        Self { root, entered: Vec::new(), nodes: 0, depth: 0 }
    }

    fn schema(&mut self, schema: &'a Node) -> Result<Node, Unfit> {
        Ok(closed(self.choices(schema)?))
    }

    /// What a schema lets pass, as alternatives of at most one type each; there is one at least.
    fn choices(&mut self, schema: &'a Node) -> Result<Vec<Fitted>, Unfit> {
        self.count(1)?;
        if self.depth == MAX_DEPTH {
            return Err(Unfit::TooDeep);
        }
        // `true` lets everything pass.
        let Node::Object(entries) = schema else { return Ok(vec![Fitted::default()]) };
        self.depth += 1;
        let mut choices = self.own(schema, entries)?;
        if let Some(Node::Text(reference)) = schema.get("$ref") {
            let target = self.referred(reference)?;
            // What stands beside a reference is about this use of it.
            choices = self.both(choices, target)?;
        }
        if let Some(Node::Array(schemas)) = schema.get("allOf") {
            for schema in schemas {
                let more = self.choices(schema)?;
                choices = self.both(choices, more)?;
            }
        }
        for choice in ["anyOf", "oneOf"] {
            let Some(Node::Array(schemas)) = schema.get(choice) else { continue };
            let mut any = Vec::new();
            for schema in schemas {
                any.extend(self.choices(schema)?);
            }
            if !any.is_empty() {
                choices = self.both(any, choices)?;
            }
        }
        self.depth -= 1;
        Ok(choices)
    }

    fn referred(&mut self, reference: &'a str) -> Result<Vec<Fitted>, Unfit> {
        if self.entered.contains(&reference) {
            // The subset has no recursion: where it would begin anew, anything will do.
            return Ok(vec![Fitted::default()]);
        }
        let target = self.root.find(reference);
        let target = target.ok_or_else(|| Unfit::Dangling(reference.to_owned()))?;
        self.entered.push(reference);
        let choices = self.choices(target)?;
        self.entered.pop();
        Ok(choices)
    }

    /// What a schema says without references and choices, once for each of its types.
    fn own(
        &mut self,
        schema: &'a Node,
        entries: &'a [(String, Node)],
    ) -> Result<Vec<Fitted>, Unfit> {
        let mut common = Fitted::default();
        let mut values: Option<&[Node]> = None;
        for (name, value) in entries {
            match (name.as_str(), value) {
                (name, value) if KEPT.contains(&name) => common.set(name, value.clone()),
                ("const", value) => values = Some(std::slice::from_ref(value)),
                ("enum", Node::Array(all)) => values = values.or(Some(all)),
                ("properties", Node::Object(properties)) => {
                    let mut kept = Vec::with_capacity(properties.len());
                    for (name, schema) in properties {
                        kept.push((name.clone(), self.schema(schema)?));
                    }
                    common.set(name, Node::Object(kept));
                }
                ("items", Node::Object(_)) => {
                    let items = self.schema(value)?;
                    common.set(name, items);
                }
                ("items" | "prefixItems", Node::Array(schemas)) => {
                    if let Some(first) = schemas.first() {
                        let first = self.schema(first)?;
                        common.set("items", first);
                    }
                }
                ("required", Node::Array(_)) => common.set(name, value.clone()),
                _ => {}
            }
        }
        let values = values.unwrap_or_default();
        let mut kinds = written_kinds(schema);
        if kinds.is_empty() {
            kinds = kinds_of(values);
        } else if values.contains(&Node::Null) && !kinds.iter().any(|kind| kind == "NULL") {
            common.set_nullable();
        }
        if kinds.is_empty() {
            return Ok(vec![common]);
        }
        if kinds.len() > 1 {
            self.count(common.weight().saturating_mul(kinds.len()))?;
        }
        let of_kind = |kind: String| {
            let mut fitted = common.clone();
            if kind == "STRING" {
                fitted.choose_from(values);
            }
            fitted.set("type", Node::Text(kind));
            fitted
        };
        Ok(kinds.into_iter().map(of_kind).collect())
    }

    /// What passes both: each alternative of one with each of the other. Where both have a word for
    /// something, the first one's counts.
    fn both(
        &mut self,
        mut first: Vec<Fitted>,
        mut second: Vec<Fitted>,
    ) -> Result<Vec<Fitted>, Unfit> {
        if let ([one], [_]) = (first.as_mut_slice(), second.as_slice()) {
            if let Some(other) = second.pop().filter(|other| one.goes_with(other)) {
                one.merge(other);
            }
            return Ok(first);
        }
        let mut all = Vec::new();
        for one in &first {
            for other in second.iter().filter(|other| one.goes_with(other)) {
                self.count(one.weight().saturating_add(other.weight()))?;
                let mut merged = one.clone();
                merged.merge(other.clone());
                all.push(merged);
            }
        }
        // What nothing can pass leads nobody; half of it does.
        Ok(if all.is_empty() { first } else { all })
    }

    const fn count(&mut self, nodes: usize) -> Result<(), Unfit> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES { Err(Unfit::TooLarge) } else { Ok(()) }
    }
}

/// The types that a schema names, in the subset's words.
fn written_kinds(schema: &Node) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut add = |node: &Node| {
        if let Node::Text(kind) = node {
            let kind = kind.to_ascii_uppercase();
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    };
    match schema.get("type") {
        Some(Node::Array(written)) => written.iter().for_each(&mut add),
        Some(kind) => add(kind),
        None => {}
    }
    kinds
}

/// The types of values that are chosen from.
fn kinds_of(values: &[Node]) -> Vec<String> {
    let mut kinds: Vec<&str> = Vec::new();
    for value in values {
        let kind = match value {
            Node::Null => "NULL",
            Node::Bool(_) => "BOOLEAN",
            Node::Number(number) if number.is_f64() => "NUMBER",
            Node::Number(_) => "INTEGER",
            Node::Text(_) => "STRING",
            Node::Array(_) => "ARRAY",
            Node::Object(_) => "OBJECT",
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.contains(&"NUMBER") {
        kinds.retain(|kind| *kind != "INTEGER");
    }
    kinds.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
