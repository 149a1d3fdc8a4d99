//! Tools and the choice among them, from flat to nested.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::names::Names;
use super::shell;
use crate::failure::Failure;
use crate::wire::chat::{FunctionTool, Raw};
use crate::wire::client::Search;
use crate::wire::fields::{Text, missing, read};
use crate::wire::freeform;
use crate::wire::json::Object;

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
    /// Of a namespace.
    #[serde(borrow, default)]
    tools: Option<Vec<Raw<'a>>>,
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
pub(super) fn tools<'a>(raw: &'a str, names: &Names) -> Result<Vec<Nested<'a>>, Failure> {
    let list: Vec<Raw<'a>> = read("tools", raw)?;
    let mut tools = Vec::with_capacity(list.len());
    for (at, raw) in list.into_iter().enumerate() {
        let param = format!("tools[{at}]");
        let tool: Written<'a> = read(&param, raw.get())?;
        match tool.kind.as_deref().unwrap_or("function") {
            "function" | "custom" => tools.push(function(&param, tool)?),
            shell::TOOL => tools.push(Nested::Function {
                function: FunctionTool {
                    name: shell::TOOL.into(),
                    description: Some(shell::DESCRIPTION.into()),
                    parameters: shell::parameters(),
                    strict: None,
                    cache_control: None,
                },
                cache_control: None,
            }),
            "namespace" => {
                let namespace = tool.name.ok_or_else(|| missing(&format!("{param}.name")))?;
                for (at, raw) in tool.tools.unwrap_or_default().into_iter().enumerate() {
                    let param = format!("{param}.tools[{at}]");
                    let mut inner: Written<'a> = read(&param, raw.get())?;
                    let kind = inner.kind.as_deref().unwrap_or("function");
                    if !matches!(kind, "function" | "custom") {
                        continue;
                    }
                    inner.name = inner.name.map(|name| names.called(&namespace, &name).into());
                    tools.push(function(&param, inner)?);
                }
            }
            _ => {}
        }
    }
    Ok(tools)
}

/// One function, or a tool that takes free text as one.
fn function<'a>(param: &str, tool: Written<'a>) -> Result<Nested<'a>, Failure> {
    let name = tool.name.ok_or_else(|| missing(&format!("{param}.name")))?;
    let description = tool.description;
    if tool.kind.as_deref() != Some("custom") {
        let parameters = tool.parameters.filter(|raw| raw.get() != "null");
        let strict = tool.strict;
        let function = FunctionTool { name, description, parameters, strict, cache_control: None };
        return Ok(Nested::Function { function, cache_control: tool.cache_control });
    }
    let format = tool.format.unwrap_or_default();
    let grammar = match (format.syntax, format.definition) {
        (Some(syntax), Some(definition)) if format.kind.as_deref() == Some("grammar") => {
            Some((syntax.0, definition.0))
        }
        _ => None,
    };
    let description = freeform::description(description, grammar);
    let parameters = freeform::parameters();
    let function =
        FunctionTool { name, description, parameters, strict: None, cache_control: None };
    Ok(Nested::Function { function, cache_control: tool.cache_control })
}

/// The search in the web that a tool asks for, if one does.
pub(super) fn search(body: &Object) -> Option<Search> {
    let list: Vec<Raw<'_>> = serde_json::from_str(body.raw("tools")?).ok()?;
    let tools = list.iter().filter_map(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let (at, tool) = tools
        .enumerate()
        .find(|(_, tool)| tool.get("type").and_then(Value::as_str).is_some_and(is_search))?;
    let mut options = Map::new();
    for name in ["search_context_size", "filters"] {
        let written = tool.get(name).filter(|value| !value.is_null());
        options.extend(written.map(|value| (name.to_owned(), value.clone())));
    }
    if let Some(Value::Object(place)) = tool.get("user_location") {
        let mut place = place.clone();
        place.remove("type");
        let location = json!({"type": "approximate", "approximate": place});
        options.insert("user_location".to_owned(), location);
    }
    let choice = body.object("tool_choice").and_then(|choice| choice.str("type").map(String::from));
    let choice = choice.filter(|kind| is_search(kind));
    let choice = choice.map(|_| json!({"type": "function", "function": {"name": "web_search"}}));
    let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
    let refusal = super::obstacle::no_tool(&format!("tools[{at}]"), kind);
    Some(Search { options: options.into(), most: None, choice, refusal, may_drop: true })
}

/// Whether a type of tool searches the web.
pub(super) fn is_search(kind: &str) -> bool {
    kind.starts_with("web_search")
}

#[derive(Deserialize)]
struct WrittenChoice<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
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
pub(super) fn choice<'a>(raw: &'a str, names: &Names) -> Result<Option<NestedChoice<'a>>, Failure> {
    let named = |written| named(written, names);
    if raw.starts_with('"') {
        return Ok(Some(NestedChoice::Word(read("tool_choice", raw)?)));
    }
    let written: WrittenChoice<'a> = read("tool_choice", raw)?;
    if written.kind.as_deref() == Some("allowed_tools") {
        let listed = written.tools.unwrap_or_default();
        let any = !listed.is_empty();
        let tools: Vec<NamedChoice<'a>> = listed.into_iter().filter_map(named).collect();
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

fn named<'a>(written: WrittenChoice<'a>, names: &Names) -> Option<NamedChoice<'a>> {
    let name = match written.kind.as_deref() {
        Some("function" | "custom") => {
            let name = written.name?;
            match written.namespace {
                Some(namespace) => names.called(&namespace, &name).into(),
                None => name.0,
            }
        }
        Some(shell::TOOL) => shell::TOOL.into(),
        _ => return None,
    };
    Some(NamedChoice::Function { function: Name { name } })
}
