//! Tools and the choice among them, from flat to nested.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::freeform;
use crate::failure::Failure;
use crate::wire::chat::{FunctionTool, Raw};
use crate::wire::fields::{Text, missing, read};

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
    #[serde(borrow, default)]
    parameters: Option<Raw<'a>>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(borrow, default)]
    format: Option<Format<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
struct Format<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    syntax: Option<Text<'a>>,
    #[serde(borrow, default)]
    definition: Option<Text<'a>>,
}

/// A tool as the chat API writes it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Nested<'a> {
    Function {
        function: FunctionTool<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
}

/// The tools that run at the client, all of them as functions. Others are for [`super::obstacle`] to refuse.
///
/// # Errors
/// A tool has no name, or is not an object.
pub(super) fn tools(raw: &str) -> Result<Vec<Nested<'_>>, Failure> {
    let list: Vec<Raw<'_>> = read("tools", raw)?;
    let mut tools = Vec::with_capacity(list.len());
    for (at, raw) in list.into_iter().enumerate() {
        let param = format!("tools[{at}]");
        let tool: Written<'_> = read(&param, raw.get())?;
        let kind = tool.kind.as_deref().unwrap_or("function");
        if !matches!(kind, "function" | "custom") {
            continue;
        }
        let is_function = kind == "function";
        let name = tool.name.ok_or_else(|| missing(&format!("{param}.name")))?;
        let description = tool.description;
        tools.push(if is_function {
            let parameters = tool.parameters.filter(|raw| raw.get() != "null");
            let strict = tool.strict;
            let function =
                FunctionTool { name, description, parameters, strict, cache_control: None };
            Nested::Function { function, cache_control: tool.cache_control }
        } else {
            let format = tool.format.unwrap_or_default();
            let grammar = match (format.syntax, format.definition) {
                (Some(syntax), Some(definition)) if format.kind.as_deref() == Some("grammar") => {
                    Some(format!(
                        "`input` has to follow this {} grammar:\n{}",
                        syntax.0, definition.0
                    ))
                }
                _ => None,
            };
            // Nobody holds the model to the grammar, so it has to read it.
            let description = match (description, grammar) {
                (Some(said), Some(grammar)) => Some(Text::from(format!("{}\n\n{grammar}", said.0))),
                (said, grammar) => said.or_else(|| grammar.map(Text::from)),
            };
            let parameters = freeform::parameters();
            let function =
                FunctionTool { name, description, parameters, strict: None, cache_control: None };
            Nested::Function { function, cache_control: tool.cache_control }
        });
    }
    Ok(tools)
}

#[derive(Deserialize)]
struct WrittenChoice<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    tools: Option<Vec<Self>>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum NestedChoice<'a> {
    Word(Text<'a>),
    Named(NamedChoice<'a>),
    Allowed {
        #[serde(rename = "type")]
        kind: &'static str,
        allowed_tools: Allowed<'a>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum NamedChoice<'a> {
    Function { function: Name<'a> },
}

#[derive(Serialize)]
pub(super) struct Name<'a> {
    name: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct Allowed<'a> {
    mode: Text<'a>,
    tools: Vec<NamedChoice<'a>>,
}

/// The choice, unless it is one of tools that run at the provider.
///
/// # Errors
/// It is no choice.
pub(super) fn choice(raw: &str) -> Result<Option<NestedChoice<'_>>, Failure> {
    if raw.starts_with('"') {
        return Ok(Some(NestedChoice::Word(read("tool_choice", raw)?)));
    }
    let written: WrittenChoice<'_> = read("tool_choice", raw)?;
    if written.kind.as_deref() == Some("allowed_tools") {
        let listed = written.tools.unwrap_or_default();
        let any = !listed.is_empty();
        let tools: Vec<NamedChoice<'_>> = listed.into_iter().filter_map(named).collect();
        if any && tools.is_empty() {
            return Ok(None);
        }
        let mode = written.mode.unwrap_or_else(|| "auto".into());
        let allowed_tools = Allowed { mode, tools };
        return Ok(Some(NestedChoice::Allowed { kind: "allowed_tools", allowed_tools }));
    }
    if matches!(written.kind.as_deref(), Some("function" | "custom")) && written.name.is_none() {
        return Err(missing("tool_choice.name"));
    }
    Ok(named(written).map(NestedChoice::Named))
}

fn named(written: WrittenChoice<'_>) -> Option<NamedChoice<'_>> {
    let name = Name { name: written.name?.0 };
    match written.kind.as_deref() {
        Some("function" | "custom") => Some(NamedChoice::Function { function: name }),
        _ => None,
    }
}
