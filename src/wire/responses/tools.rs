//! Tools, the choice among them and the form of the answer, as the Responses API writes them: flat.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::wire::chat::{Choice, Format, Raw, Tools};
use crate::wire::fields::{Fields, Text, read};

/// A tool.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Tool<'a> {
    Function {
        name: Text<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Text<'a>>,
        /// This and `strict` have to be there, `null` or not.
        parameters: Option<Raw<'a>>,
        /// Where it is left out, the Responses API takes it for true and the chat API for false.
        strict: bool,
    },
    Custom {
        name: Text<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Text<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<FlatFormat<'a>>,
    },
    /// The search in the web.
    WebSearch(WebSearch<'a>),
    /// One that runs at the provider.
    #[serde(untagged)]
    Hosted(Raw<'a>),
}

/// What the chat API calls `web_search_options`; there the place lies one level deeper.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct WebSearch<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    search_context_size: Option<Raw<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_location: Option<Value>,
    /// Which domains to search; the chat API has no such field, others have.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    filters: Option<Raw<'a>>,
}

/// The parameter that asks for a search, and the name by which a choice refers to it.
pub(super) const SEARCH_OPTIONS: &str = "web_search_options";
const SEARCH: &str = "web_search";

fn web_search<'a>(fields: &Fields<'a>) -> Result<Option<Tool<'a>>, Failure> {
    let Some(mut search) = fields.read::<WebSearch<'a>>(SEARCH_OPTIONS)? else { return Ok(None) };
    if let Some(Value::Object(location)) = &mut search.user_location
        && let Some(Value::Object(place)) = location.remove("approximate")
    {
        location.extend(place.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Ok(Some(Tool::WebSearch(search)))
}

/// What a custom tool takes.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FlatFormat<'a> {
    Text,
    Grammar { syntax: Text<'a>, definition: Text<'a> },
}

#[derive(Deserialize)]
struct WrittenCustom<'a> {
    #[serde(borrow)]
    custom: CustomTool<'a>,
}

#[derive(Deserialize)]
struct CustomTool<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
    #[serde(borrow, default)]
    format: Option<NestedFormat<'a>>,
}

#[derive(Deserialize)]
struct NestedFormat<'a> {
    #[serde(borrow, default)]
    grammar: Option<Grammar<'a>>,
}

#[derive(Deserialize)]
struct Grammar<'a> {
    #[serde(borrow)]
    syntax: Text<'a>,
    #[serde(borrow)]
    definition: Text<'a>,
}

/// The tools of a request, and the names of those that take free text.
pub(super) fn tools<'a>(fields: &Fields<'a>) -> Result<(Vec<Tool<'a>>, Vec<Text<'a>>), Failure> {
    let Tools { functions, others } = Tools::of(fields)?;
    let mut tools: Vec<Tool<'a>> = Vec::with_capacity(functions.len() + others.len());
    tools.extend(functions.into_iter().map(|function| Tool::Function {
        name: function.name,
        description: function.description,
        parameters: function.parameters,
        strict: function.strict.unwrap_or(false),
    }));
    let mut custom = Vec::new();
    for (kind, raw) in others {
        if kind != "custom" {
            tools.push(Tool::Hosted(raw));
            continue;
        }
        let WrittenCustom { custom: tool } = read("tools", raw.get())?;
        custom.push(tool.name.clone());
        tools.push(Tool::Custom {
            name: tool.name,
            description: tool.description,
            format: tool.format.map(|format| match format.grammar {
                Some(Grammar { syntax, definition }) => FlatFormat::Grammar { syntax, definition },
                None => FlatFormat::Text,
            }),
        });
    }
    tools.extend(web_search(fields)?);
    Ok((tools, custom))
}

/// Which tools may be called.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum FlatChoice<'a> {
    Word(&'static str),
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        name: Cow<'a, str>,
    },
    Hosted {
        #[serde(rename = "type")]
        kind: &'static str,
    },
    Allowed {
        #[serde(rename = "type")]
        kind: &'static str,
        mode: &'static str,
        tools: Vec<Self>,
    },
}

/// Reads the choice among `tools`; `custom` are the names of those that take free text.
pub(super) fn choice<'a>(
    fields: &Fields<'a>,
    tools: &[Tool<'a>],
    custom: &[Text<'a>],
) -> Result<Option<FlatChoice<'a>>, Failure> {
    let is_function = |wanted: &str| {
        tools.iter().any(|tool| matches!(tool, Tool::Function { name, .. } if name.0 == wanted))
    };
    let searches = tools.iter().any(|tool| matches!(tool, Tool::WebSearch(_)));
    let named = |name: Cow<'a, str>| {
        if custom.iter().any(|known| known.0 == name) {
            FlatChoice::Named { kind: "custom", name }
        } else if searches && name == SEARCH && !is_function(&name) {
            FlatChoice::Hosted { kind: SEARCH }
        } else {
            FlatChoice::Named { kind: "function", name }
        }
    };
    Ok(Choice::of(fields)?.map(|choice| match choice {
        Choice::Auto => FlatChoice::Word("auto"),
        Choice::None => FlatChoice::Word("none"),
        Choice::Required => FlatChoice::Word("required"),
        Choice::Function(name) => named(name),
        Choice::Allowed { names, required } => FlatChoice::Allowed {
            kind: "allowed_tools",
            mode: if required { "required" } else { "auto" },
            tools: names.into_iter().map(named).collect(),
        },
    }))
}

/// `text`: the form of the answer, and how long-winded it is.
#[derive(Debug, Serialize)]
pub(super) struct TextSettings<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<AnswerFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<Raw<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerFormat<'a> {
    JsonObject,
    JsonSchema {
        name: Text<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Text<'a>>,
        schema: Option<Raw<'a>>,
        strict: bool,
    },
}

pub(super) fn text<'a>(fields: &Fields<'a>) -> Result<Option<TextSettings<'a>>, Failure> {
    let format = match Format::of(fields)? {
        Format::Text => None,
        Format::JsonObject => Some(AnswerFormat::JsonObject),
        Format::JsonSchema(schema) => Some(AnswerFormat::JsonSchema {
            name: schema.name.unwrap_or_else(|| "response".into()),
            description: schema.description,
            schema: schema.schema,
            strict: schema.strict.unwrap_or(false),
        }),
    };
    let verbosity = fields.pass("verbosity")?;
    let any = format.is_some() || verbosity.is_some();
    Ok(any.then_some(TextSettings { format, verbosity }))
}
