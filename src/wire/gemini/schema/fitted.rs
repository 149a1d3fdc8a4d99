//! One schema of the subset while it is put together: how two become one, and what is added and taken
//! out at the end.

use crate::wire::json::Node;

/// Formats, by the type that has them.
const FORMATS: [(&str, &[&str]); 3] = [
    ("STRING", &["enum", "date-time"]),
    ("NUMBER", &["float", "double"]),
    ("INTEGER", &["int32", "int64"]),
];

/// Keywords that only some types have. They tell the type where none is written: the first.
const BOUND: [(&str, &[&str]); 13] = [
    ("properties", &["OBJECT"]),
    ("required", &["OBJECT"]),
    ("minProperties", &["OBJECT"]),
    ("maxProperties", &["OBJECT"]),
    ("items", &["ARRAY"]),
    ("minItems", &["ARRAY"]),
    ("maxItems", &["ARRAY"]),
    ("minLength", &["STRING"]),
    ("maxLength", &["STRING"]),
    ("pattern", &["STRING"]),
    ("enum", &["STRING"]),
    ("minimum", &["NUMBER", "INTEGER"]),
    ("maximum", &["NUMBER", "INTEGER"]),
];

/// A schema of at most one type, whose parts are whole schemas already.
#[derive(Clone, Debug, Default)]
pub(super) struct Fitted(Vec<(String, Node)>);

impl Fitted {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn set(&mut self, key: &str, value: Node) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    pub(super) fn set_nullable(&mut self) {
        self.set("nullable", Node::Bool(true));
    }

    /// Only strings are chosen from; an empty one is refused.
    pub(super) fn choose_from(&mut self, values: &[Node]) {
        let is_choice = |value: &&Node| matches!(value, Node::Text(text) if !text.is_empty());
        let texts: Vec<Node> = values.iter().filter(is_choice).cloned().collect();
        if !texts.is_empty() {
            self.set("enum", Node::Array(texts));
        }
    }

    pub(super) fn kind(&self) -> Option<&str> {
        match self.get("type") {
            Some(Node::Text(kind)) => Some(kind),
            _ => None,
        }
    }

    /// Parts of the schema, for bounds.
    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|(_, value)| weight(value)).sum()
    }

    /// Whether something can pass this schema and another.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        match (self.kind(), other.kind()) {
            (Some("NUMBER"), Some("INTEGER")) | (Some("INTEGER"), Some("NUMBER")) => true,
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }

    /// Takes over what another schema says and this one does not: both have to be passed.
    pub(super) fn merge(&mut self, other: Self) {
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
                    for name in more {
                        if !own.contains(&name) {
                            own.push(name);
                        }
                    }
                }
                // Of two types that go together it is the narrower one.
                (Some((_, own)), value @ Node::Text(_)) if name == "type" => {
                    if value == text("INTEGER") {
                        *own = value;
                    }
                }
                (Some(_), _) => {}
            }
        }
    }

    /// One object for two: it has the properties of both, and only what both require has to be there.
    pub(super) fn or(mut self, mut other: Self) -> Self {
        let mut properties = entries(self.take("properties"));
        for (name, more) in entries(other.take("properties")) {
            match properties.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => either(known, more),
                None => properties.push((name, more)),
            }
        }
        let (own, others) = (list(self.take("required")), list(other.take("required")));
        let required = own.into_iter().filter(|name| others.contains(name)).collect();
        self.set("properties", Node::Object(properties));
        self.set("required", Node::Array(required));
        self.merge(other);
        self
    }

    /// Adds what the subset demands, takes out what it refuses.
    pub(super) fn complete(mut self) -> Node {
        let told = || BOUND.iter().find(|(name, _)| self.get(name).is_some());
        let kind = self.kind().or_else(|| told().map(|(_, kinds)| kinds[0]));
        // A schema that lets everything pass says nothing; the subset has no word for it.
        let kind = kind.unwrap_or("OBJECT").to_owned();
        self.take("type");
        self.0.insert(0, ("type".to_owned(), text(&kind)));
        self.0.retain(|(name, value)| {
            let bound = BOUND.iter().find(|(known, _)| known == name);
            let is_format = name == "format";
            bound.is_none_or(|(_, kinds)| kinds.contains(&&*kind))
                && (!is_format || is_known_format(&kind, value))
        });
        if kind == "ARRAY" && self.get("items").is_none() {
            self.set("items", Self::default().complete());
        }
        let names: Vec<Node> = match self.get("properties") {
            Some(Node::Object(properties)) => {
                properties.iter().map(|(name, _)| text(name)).collect()
            }
            _ => Vec::new(),
        };
        if let Some((_, Node::Array(required))) =
            self.0.iter_mut().find(|(name, _)| name == "required")
        {
            required.retain(|name| names.contains(name));
        }
        let is_empty = |node: &Node| {
            matches!(node, Node::Array(list) if list.is_empty())
                || matches!(node, Node::Object(entries) if entries.is_empty())
        };
        self.0.retain(|(name, value)| {
            !(matches!(name.as_str(), "required" | "properties") && is_empty(value))
        });
        if names.len() > 1 {
            // Otherwise they are written in the order of the alphabet.
            self.set("propertyOrdering", Node::Array(names));
        }
        Node::Object(self.0)
    }
}

/// A whole schema: one alternative, or a choice that stands alone. `null` among the alternatives has
/// a keyword of its own.
pub(super) fn closed(mut choices: Vec<Fitted>) -> Node {
    let all = choices.len();
    choices.retain(|choice| choice.kind() != Some("NULL"));
    if choices.len() < all {
        choices.iter_mut().for_each(Fitted::set_nullable);
    }
    let mut any: Vec<Node> = choices.into_iter().map(Fitted::complete).collect();
    any.dedup();
    if any.len() > 1 {
        return Node::Object(vec![("anyOf".to_owned(), Node::Array(any))]);
    }
    any.pop().unwrap_or_else(|| Node::Object(vec![("type".to_owned(), text("NULL"))]))
}

/// Makes a whole schema one that lets pass what another does, too.
fn either(known: &mut Node, more: Node) {
    if *known == more {
        return;
    }
    let mut any = alternatives(std::mem::replace(known, Node::Null));
    for choice in alternatives(more) {
        if !any.contains(&choice) {
            any.push(choice);
        }
    }
    *known = Node::Object(vec![("anyOf".to_owned(), Node::Array(any))]);
}

fn alternatives(schema: Node) -> Vec<Node> {
    match schema {
        Node::Object(mut entries) if entries.len() == 1 && entries[0].0 == "anyOf" => {
            list(entries.pop().map(|(_, any)| any))
        }
        schema => vec![schema],
    }
}

fn is_known_format(kind: &str, format: &Node) -> bool {
    let known = FORMATS.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, all)| all);
    matches!(format, Node::Text(format) if known.contains(&format.as_str()))
}

fn text(text: &str) -> Node {
    Node::Text(text.to_owned())
}

fn entries(node: Option<Node>) -> Vec<(String, Node)> {
    if let Some(Node::Object(entries)) = node { entries } else { Vec::new() }
}

fn list(node: Option<Node>) -> Vec<Node> {
    if let Some(Node::Array(list)) = node { list } else { Vec::new() }
}

fn weight(node: &Node) -> usize {
    1 + match node {
        Node::Array(items) => items.iter().map(weight).sum::<usize>(),
        Node::Object(entries) => entries.iter().map(|(_, value)| weight(value)).sum(),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => 0,
    }
}
