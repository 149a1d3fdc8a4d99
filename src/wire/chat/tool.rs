//! Tools, the choice among them, and the form of the answer.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Raw;
use crate::failure::Failure;
use crate::wire::fields::{Fields, Text, invalid, read};

/// A function that the model may call.
#[derive(Debug, Deserialize, Serialize)]
pub struct FunctionTool<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// A JSON schema of an object; none: the function takes nothing.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Raw<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Written beside `function`; kept here.
    #[serde(borrow, default, skip_serializing)]
    pub cache_control: Option<Raw<'a>>,
}

/// A tool that says nothing at all.
const EMPTY: &str = "{}";

/// The tools of a request.
#[derive(Debug, Default)]
pub struct Tools<'a> {
    pub functions: Vec<FunctionTool<'a>>,
    /// Tools of other types, with their type: hosted ones, `custom` ones, a provider's own. The type
    /// is empty where none is written.
    pub others: Vec<(Cow<'a, str>, Raw<'a>)>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<FunctionTool<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
}

impl<'a> Tools<'a> {
    /// Reads `tools`, or `functions` in the old form.
    ///
    /// # Errors
    /// They are no list of tools.
    pub fn of(fields: &Fields<'a>) -> Result<Self, Failure> {
        let mut tools = Self::default();
        for (at, raw) in fields.read::<Vec<Raw<'a>>>("tools")?.into_iter().flatten().enumerate() {
            let param = format!("tools[{at}]");
            let written: Written<'a> = read(&param, raw.get())?;
            match (written.kind, written.function) {
                (_, Some(mut function)) => {
                    function.cache_control = written.cache_control.or(function.cache_control);
                    tools.functions.push(function);
                }
                (Some(kind), None) if kind.0 != "function" => tools.others.push((kind.0, raw)),
                // Google's own tools have no type: `{"googleSearch": {}}`.
                (None, None) if raw.get().len() > EMPTY.len() => {
                    tools.others.push((Cow::Borrowed(""), raw));
                }
                (_, None) => {
                    return Err(crate::wire::fields::missing(&format!("{param}.function")));
                }
            }
        }
        if let Some(functions) = fields.read::<Vec<FunctionTool<'a>>>("functions")? {
            tools.functions.extend(functions);
        }
        Ok(tools)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.others.is_empty()
    }
}

/// Which tools the model may or must call.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    Auto,
    None,
    /// At least one.
    Required,
    Function(Cow<'a, str>),
    /// Only these, and at least one of them if `required`.
    Allowed {
        names: Vec<Cow<'a, str>>,
        required: bool,
    },
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    function: Option<Name<'a>>,
    #[serde(borrow, default)]
    custom: Option<Name<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    allowed_tools: Option<Allowed<'a>>,
}

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize)]
struct Allowed<'a> {
    #[serde(borrow)]
    mode: Text<'a>,
    #[serde(borrow)]
    tools: Vec<Named<'a>>,
}

impl<'a> Named<'a> {
    fn name(self) -> Option<Cow<'a, str>> {
        let name = self.function.or(self.custom).map(|named| named.name).or(self.name);
        name.map(|name| name.0)
    }
}

impl<'a> Choice<'a> {
    /// Reads `tool_choice`, or `function_call` in the old form; `None` if neither is sent.
    ///
    /// # Errors
    /// It is no choice that OpenAI knows.
    pub fn of(fields: &Fields<'a>) -> Result<Option<Self>, Failure> {
        let written = ["tool_choice", "function_call"]
            .into_iter()
            .find_map(|name| Some((name, fields.raw(name)?)));
        let Some((param, raw)) = written else { return Ok(None) };
        if raw.starts_with('"') {
            let word: Text<'a> = read(param, raw)?;
            return Ok(Some(match &*word.0 {
                "auto" => Self::Auto,
                "none" => Self::None,
                "required" | "any" => Self::Required,
                _ => return Err(invalid(param, format!("Invalid value for '{param}'."))),
            }));
        }
        let mut named: Named<'a> = read(param, raw)?;
        if let Some(Allowed { mode, tools }) = named.allowed_tools.take() {
            let names = tools.into_iter().filter_map(Named::name).collect();
            return Ok(Some(Self::Allowed { names, required: mode.0 == "required" }));
        }
        match named.name() {
            Some(name) => Ok(Some(Self::Function(name))),
            None => Err(crate::wire::fields::missing(&format!("{param}.function.name"))),
        }
    }
}

/// The form that the answer must have.
#[derive(Debug)]
pub enum Format<'a> {
    Text,
    JsonObject,
    JsonSchema(Schema<'a>),
}

/// The schema of an answer.
#[derive(Debug, Deserialize, Serialize)]
pub struct Schema<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Raw<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

#[derive(Deserialize)]
struct WrittenFormat<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    json_schema: Option<Schema<'a>>,
    /// In the old spelling of some clients, a schema beside `json_object`.
    #[serde(borrow, default)]
    response_schema: Option<Raw<'a>>,
}

impl<'a> Format<'a> {
    /// Reads `response_format`; text if none is sent.
    ///
    /// # Errors
    /// It is none that OpenAI knows.
    pub fn of(fields: &Fields<'a>) -> Result<Self, Failure> {
        const PARAM: &str = "response_format";
        let Some(written) = fields.read::<WrittenFormat<'a>>(PARAM)? else {
            return Ok(Self::Text);
        };
        let bare = |schema| Schema { name: None, description: None, schema, strict: None };
        match (&*written.kind.0, written.json_schema, written.response_schema) {
            ("text", ..) => Ok(Self::Text),
            ("json_schema", Some(schema), _) => Ok(Self::JsonSchema(schema)),
            ("json_object", _, schema @ Some(_)) => Ok(Self::JsonSchema(bare(schema))),
            ("json_object", None, None) => Ok(Self::JsonObject),
            ("json_object", Some(schema), None) => Ok(Self::JsonSchema(schema)),
            ("json_schema", None, _) => {
                Err(crate::wire::fields::missing("response_format.json_schema"))
            }
            _ => Err(invalid(PARAM, "Invalid value for 'response_format.type'.")),
        }
    }
}
