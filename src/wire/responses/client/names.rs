//! The tools that a client runs, by the names that the model calls them.
//!
//! A provider without a Responses API knows functions with plain names only. So functions of a namespace
//! (the tools of one MCP server) get its name in front of theirs; what a name stands for is found again
//! in the client's own request, and nothing is remembered for it.

use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::shell;
use crate::wire::chat::Raw;
use crate::wire::fields::Text;
use crate::wire::json::Object;

/// What every provider takes.
const MAX_CHARS: usize = 64;
/// Hexadecimal digits of the digest.
const DIGITS: usize = 8;
/// Between a namespace and a name, unless the namespace ends with it.
const BETWEEN: &str = "__";

/// What a tool is to the client. To the model it is a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    /// It takes free text.
    Custom,
    /// A command that is run where the client is.
    Shell,
}

#[derive(Debug)]
pub(super) struct Tool {
    /// What the model calls it.
    called: String,
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// The tools of a request whose calls the client wants told in another way than the model makes them.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Tool>);

#[derive(Default, Deserialize)]
struct Written<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    tools: Option<Vec<Raw<'a>>>,
}

impl Written<'_> {
    fn of(raw: Raw<'_>) -> Written<'_> {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("function")
    }
}

impl Names {
    pub(super) fn of(request: Option<&Object>) -> Self {
        let tools = request.and_then(|request| request.raw("tools"));
        let tools: Vec<Raw<'_>> =
            tools.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        let tools: Vec<Written<'_>> = tools.into_iter().map(Written::of).collect();
        // Names that stand alone stay as they are, so they are taken first.
        let mut taken: Vec<String> = Vec::new();
        let mut names = Vec::new();
        for tool in &tools {
            let kind = match tool.kind() {
                "function" => Kind::Function,
                "custom" => Kind::Custom,
                shell::TOOL => Kind::Shell,
                _ => continue,
            };
            let name = match kind {
                Kind::Shell => shell::TOOL,
                _ => tool.name.as_deref().unwrap_or_default(),
            };
            taken.push(name.to_owned());
            if kind != Kind::Function {
                let (called, name) = (name.to_owned(), name.to_owned());
                names.push(Tool { called, kind, namespace: None, name });
            }
        }
        for space in tools.iter().filter(|tool| tool.kind() == "namespace") {
            let namespace = space.name.as_deref().unwrap_or_default();
            for inner in space.tools.iter().flatten().map(|raw| Written::of(raw)) {
                let Some(name) = inner.name.as_deref() else { continue };
                let kind = if inner.kind() == "custom" { Kind::Custom } else { Kind::Function };
                let plain = joined(namespace, name);
                let is_free = plain.len() <= MAX_CHARS && !taken.contains(&plain);
                let called = if is_free { plain } else { digested(&plain, namespace, name) };
                taken.push(called.clone());
                let (namespace, name) = (Some(namespace.to_owned()), name.to_owned());
                names.push(Tool { called, kind, namespace, name });
            }
        }
        Self(names)
    }

    /// The tool that the model calls so; `None`: a function of that name.
    pub(super) fn find(&self, called: &str) -> Option<&Tool> {
        self.0.iter().find(|tool| tool.called == called)
    }

    /// What the model calls a tool of the client's; one of an earlier request may be gone.
    pub(super) fn called(&self, namespace: &str, name: &str) -> String {
        let is_it =
            |tool: &&Tool| tool.namespace.as_deref() == Some(namespace) && tool.name == name;
        match self.0.iter().find(is_it) {
            Some(tool) => tool.called.clone(),
            None => fitted(namespace, name),
        }
    }
}

/// The two as one name that every provider takes.
pub(super) fn fitted(namespace: &str, name: &str) -> String {
    let plain = joined(namespace, name);
    if plain.len() <= MAX_CHARS { plain } else { digested(&plain, namespace, name) }
}

fn joined(namespace: &str, name: &str) -> String {
    let between = if namespace.is_empty() || namespace.ends_with(BETWEEN) { "" } else { BETWEEN };
    let taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let whole = [namespace, between, name].concat();
    whole.chars().map(|c| if taken(c) { c } else { '_' }).collect()
}

fn digested(plain: &str, namespace: &str, name: &str) -> String {
    let mut short: String = plain.chars().take(MAX_CHARS - DIGITS - 1).collect();
    short.push('_');
    for byte in Sha256::digest(format!("{namespace}\n{name}")).iter().take(DIGITS / 2) {
        write!(short, "{byte:02x}").expect("writing to a String cannot fail");
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_unique_and_short_and_lead_back() {
        let long = "x".repeat(70);
        let request = json!({"tools": [
            {"type": "namespace", "name": "mcp__a__", "tools": [
                {"type": "function", "name": "f"}, {"type": "function", "name": long}]},
            {"type": "namespace", "name": "b.c", "tools": [{"type": "custom", "name": "g"}]},
            {"type": "function", "name": "mcp__a__f"},
            {"type": "local_shell"},
        ]});
        let request = Object::parse(request.to_string().into()).unwrap();
        let names = Names::of(Some(&request));
        assert_eq!(names.called("b.c", "g"), "b_c__g");
        assert_eq!(names.find("b_c__g").unwrap().kind, Kind::Custom);
        assert!(names.find("mcp__a__f").is_none(), "a function of its own has the name");
        for name in ["f", &*long] {
            let called = names.called("mcp__a__", name);
            assert!(called.len() <= MAX_CHARS && called != "mcp__a__f", "{called}");
            let tool = names.find(&called).unwrap();
            assert_eq!((tool.namespace.as_deref(), &*tool.name), (Some("mcp__a__"), name));
        }
        assert_eq!(names.find("local_shell").unwrap().kind, Kind::Shell);
    }
}
