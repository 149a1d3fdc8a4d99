//! Tools, the choice among them, and the form of the answer.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::names::short;
use crate::failure::Failure;
use crate::wire::chat::Raw;
use crate::wire::fields::{Text, invalid, missing, read};
use crate::wire::json::Object;

/// A tool as Anthropic's clients define it.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
    #[serde(borrow, default)]
    input_schema: Option<Raw<'a>>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Raw<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// The client's own functions.
#[derive(Default)]
pub(super) struct Functions {
    /// As a JSON list.
    pub(super) list: String,
    names: Vec<String>,
}

impl Functions {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The client's own functions. Anthropic's own tools are left out: whether that may be is decided
/// where the provider is known.
pub(super) fn tools(raw: &str) -> Result<Functions, Failure> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Option<Text<'a>>,
    }

    let mut written = Vec::new();
    let mut names = Vec::new();
    for (at, tool) in read::<Vec<Raw<'_>>>("tools", raw)?.into_iter().enumerate() {
        let param = format!("tools.{at}");
        let kind: Kind<'_> = read(&param, tool.get())?;
        if kind.kind.is_some_and(|kind| *kind != *"custom") {
            continue;
        }
        let tool: Tool<'_> = read(&param, tool.get())?;
        debug_assert!(tool.kind.is_none_or(|kind| *kind == *"custom"));
        let name = short(&tool.name);
        // Anthropic's strict tools may leave a property out; OpenAI's may not.
        let strict = tool.strict.filter(|strict| !strict || has_closed_schema(tool.input_schema));
        let tool = Written {
            kind: "function",
            function: Function {
                name: &name,
                description: tool.description.as_deref().filter(|text| !text.is_empty()),
                parameters: tool.input_schema,
                strict,
            },
            cache_control: tool.cache_control.filter(|raw| raw.get() != "null"),
        };
        written.push(serde_json::to_string(&tool).unwrap_or_default());
        names.push(name.into_owned());
    }
    Ok(Functions { list: format!("[{}]", written.join(",")), names })
}

/// The choice among tools.
pub(super) struct Choice {
    /// OpenAI's word or object; `None`: it is about a tool of Anthropic's, and goes with it.
    pub(super) choice: Option<Value>,
    pub(super) one_at_a_time: bool,
}

impl Choice {
    pub(super) fn of(raw: &str, functions: &Functions) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Written<'a> {
            #[serde(borrow, rename = "type")]
            kind: Text<'a>,
            #[serde(borrow, default)]
            name: Option<Text<'a>>,
            #[serde(default)]
            disable_parallel_tool_use: Option<bool>,
        }

        let written: Written<'_> = read("tool_choice", raw)?;
        let choice = match &*written.kind {
            "auto" => Some(json!("auto")),
            "any" => Some(json!("required")),
            "none" => Some(json!("none")),
            "tool" => {
                let name = written.name.ok_or_else(|| missing("tool_choice.name"))?;
                let name = short(&name);
                let is_known = functions.names.iter().any(|known| **known == *name);
                is_known.then(|| json!({"type": "function", "function": {"name": name}}))
            }
            _ => {
                let message = "tool_choice.type: it is one of `auto`, `any`, `tool` and `none`.";
                return Err(invalid("tool_choice.type", message));
            }
        };
        Ok(Self { choice, one_at_a_time: written.disable_parallel_tool_use == Some(true) })
    }
}

/// `output_config.format`, or `output_format` in the first form of it, as a `response_format`.
pub(super) fn response_format(param: &str, format: &Object) -> Result<Option<Value>, Failure> {
    match format.str("type").as_deref() {
        Some("json_schema") => {}
        Some("text") => return Ok(None),
        _ => {
            let param = format!("{param}.type");
            let message = format!("{param}: it is `json_schema`.");
            return Err(invalid(&param, message));
        }
    }
    let Some(schema) = format.value("schema") else {
        return Err(missing(&format!("{param}.schema")));
    };
    let mut described = json!({"name": "response"});
    // Without it OpenAI only tries; with it, it refuses schemas that leave a property out.
    if is_closed(&schema) {
        described["strict"] = true.into();
    }
    described["schema"] = schema;
    Ok(Some(json!({"type": "json_schema", "json_schema": described})))
}

fn has_closed_schema(raw: Option<Raw<'_>>) -> bool {
    let schema = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    schema.is_some_and(|schema| is_closed(&schema))
}

/// Whether every object in a schema names all its properties as required and allows no other.
fn is_closed(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                let required = fields.get("required").and_then(Value::as_array);
                let names = |name: &String| {
                    required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)))
                };
                let open = fields.get("additionalProperties") != Some(&Value::Bool(false));
                if open || !properties.keys().all(names) {
                    return false;
                }
            } else if fields.get("type").and_then(Value::as_str) == Some("object") {
                return false;
            }
            fields.values().all(is_closed)
        }
        Value::Array(list) => list.iter().all(is_closed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
