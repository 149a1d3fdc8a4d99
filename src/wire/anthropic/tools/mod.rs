//! Tools, the choice among them, and the form of the answer, which older models give as a tool call.

mod choice;
mod web_search;

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

pub(super) use choice::Choice;
use choice::{Mode, Wanted};
use web_search::{WebSearch, WebSearchOptions};

use super::content::Raw;
use super::models::Capabilities;
use super::names::{JSON_TOOL, tool_name};
use super::schema::fit;
use crate::failure::Failure;
use crate::wire::fields::{Fields, Text, impossible, invalid, missing, read};
use crate::wire::json::Node;

/// What a model without structured output is told about the tool that stands in for it.
pub(in crate::wire) const JSON_TOOL_DESCRIPTION: &str =
    "Gives the final answer. Always answer by calling this tool, with the answer as its input.";

/// What a request says about tools and the form of the answer.
#[derive(Debug, Default)]
pub(super) struct Tooling<'a> {
    pub(super) tools: Vec<Tool<'a>>,
    pub(super) choice: Option<Choice<'a>>,
    /// `output_config.format`.
    pub(super) format: Option<Format>,
    /// An instruction to answer in JSON, where no schema was given.
    pub(super) json_object: bool,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Tool<'a> {
    Function {
        name: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Cow<'a, str>>,
        input_schema: Schema<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    WebSearch(WebSearch<'a>),
    Native(Native<'a>),
}

/// A tool in Anthropic's own form, passed on as it is.
#[derive(Debug)]
pub(super) struct Native<'a> {
    name: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    value: Raw<'a>,
}

impl Serialize for Native<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::wire) enum Schema<'a> {
    Verbatim(Raw<'a>),
    Tree(Node),
}

#[derive(Debug, Serialize)]
pub(super) struct Format {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: Node,
}

impl<'a> Tooling<'a> {
    /// Reads tools, choice and form of the answer from a request.
    pub(super) fn of(
        fields: &Fields<'a>,
        model: &Capabilities,
        drop_params: bool,
    ) -> Result<Self, Failure> {
        let mut tooling = Self::default();
        tooling.read_tools(fields, model, drop_params)?;
        let wanted = Wanted::of(fields, drop_params)?;
        tooling.choose(&wanted, fields.read("parallel_tool_calls")?, model)?;
        tooling.answer_form(fields, model)?;
        Ok(tooling)
    }

    fn read_tools(
        &mut self,
        fields: &Fields<'a>,
        model: &Capabilities,
        drop_params: bool,
    ) -> Result<(), Failure> {
        let tools: Vec<Raw<'a>> = fields.read("tools")?.unwrap_or_default();
        for (position, raw) in tools.into_iter().enumerate() {
            let param = format!("tools[{position}]");
            let tool: WrittenTool<'a> = read(&param, raw.get())?;
            if let Some(function) = tool.function {
                let cache_control = tool.cache_control;
                self.tools.push(function.translate(&param, model, cache_control)?);
            } else if tool.custom.is_some() {
                if !drop_params {
                    return Err(impossible(&param, format!("`{param}`: {}", CUSTOM)));
                }
            } else if tool.kind.as_ref().is_some_and(|kind| kind.0 == "function") {
                return Err(missing(&format!("{param}.function")));
            } else {
                let (name, kind) = (tool.name.map(|name| name.0), tool.kind.map(|kind| kind.0));
                self.tools.push(Tool::Native(Native { name, kind, value: raw }));
            }
        }
        let functions: Vec<WrittenFunction<'a>> = fields.read("functions")?.unwrap_or_default();
        for (position, function) in functions.into_iter().enumerate() {
            self.tools.push(function.translate(&format!("functions[{position}]"), model, None)?);
        }
        if let Some(options) = fields.read::<WebSearchOptions<'a>>("web_search_options")? {
            self.tools.push(Tool::WebSearch(options.translate()));
        }
        Ok(())
    }

    fn choose(
        &mut self,
        wanted: &Wanted<'a>,
        parallel: Option<bool>,
        model: &Capabilities,
    ) -> Result<(), Failure> {
        if let Wanted { allowed: Some(allowed), .. } = wanted {
            self.tools.retain(|tool| tool.is_among(allowed));
        }
        // Without tools there is nothing to choose, and the API says so.
        if self.tools.is_empty() {
            return Ok(());
        }
        let disable_parallel_tool_use = parallel.map(|parallel| !parallel);
        self.choice = match &wanted.mode {
            Mode::Unsaid if parallel.is_none() => None,
            Mode::Unsaid | Mode::Auto => Some(Choice::Auto { disable_parallel_tool_use }),
            Mode::None => Some(Choice::None),
            Mode::Required if model.forced_tools => Some(Choice::Any { disable_parallel_tool_use }),
            Mode::Required => Some(Choice::Auto { disable_parallel_tool_use }),
            Mode::Named(_) | Mode::Typed(_) => {
                let is_meant = |tool: &Tool<'_>| match &wanted.mode {
                    Mode::Typed(kind) => tool.is_of(kind),
                    Mode::Named(name) => tool.name() == Some(name),
                    _ => false,
                };
                let found = self.tools.iter().find(|tool| is_meant(tool));
                let Some(name) = found.and_then(Tool::name).map(|name| name.to_owned().into())
                else {
                    let (Mode::Named(wanted) | Mode::Typed(wanted)) = &wanted.mode else {
                        return Ok(());
                    };
                    let message = format!("`tool_choice`: there is no tool {wanted:?} in `tools`");
                    return Err(invalid("tool_choice", message));
                };
                if model.forced_tools {
                    Some(Choice::Tool { name, disable_parallel_tool_use })
                } else {
                    // As near as the model allows: no other tool is there to be called.
                    self.tools.retain(is_meant);
                    Some(Choice::Auto { disable_parallel_tool_use })
                }
            }
        };
        Ok(())
    }

    fn answer_form(&mut self, fields: &Fields<'a>, model: &Capabilities) -> Result<(), Failure> {
        let Some(form) = fields.read::<ResponseFormat<'a>>("response_format")? else {
            return Ok(());
        };
        let param = "response_format";
        let schema = match (&*form.kind.0, form.json_schema, form.response_schema) {
            ("text", ..) => return Ok(()),
            ("json_schema", Some(JsonSchema { schema: Some(schema) }), _)
            | ("json_object" | "json_schema", _, Some(schema)) => schema,
            ("json_object", ..) => {
                self.json_object = true;
                return Ok(());
            }
            ("json_schema", ..) => {
                return Err(missing("response_format.json_schema.schema"));
            }
            (kind, ..) => {
                let message = format!("`response_format`: `{kind}` is not a type of answer");
                return Err(invalid(param, message));
            }
        };
        let schema: Node = read("response_format.json_schema.schema", schema.get())?;
        if model.structured_output {
            let schema = fit(&schema)
                .map_err(|why| impossible(param, format!("`response_format`: {why}")))?;
            self.format = Some(Format { kind: "json_schema", schema });
            return Ok(());
        }
        if !schema.describes_object() {
            let message = "`response_format`: this model can only answer with a JSON object";
            return Err(impossible(param, message));
        }
        self.answer_by_tool(schema);
        Ok(())
    }

    /// The model is made to call a tool whose input is the answer; the reply is unwrapped again.
    fn answer_by_tool(&mut self, schema: Node) {
        let name = Cow::Borrowed(JSON_TOOL);
        self.choice = Some(match self.choice.take() {
            Some(choice) if choice.is_forced() => choice,
            Some(Choice::Auto { disable_parallel_tool_use }) if !self.tools.is_empty() => {
                Choice::Any { disable_parallel_tool_use }
            }
            None if !self.tools.is_empty() => Choice::Any { disable_parallel_tool_use: None },
            _ => Choice::Tool { name: name.clone(), disable_parallel_tool_use: None },
        });
        self.tools.push(Tool::Function {
            name,
            description: Some(Cow::Borrowed(JSON_TOOL_DESCRIPTION)),
            input_schema: Schema::Tree(schema.into_object_schema()),
            strict: None,
            cache_control: None,
        });
    }
}

impl Tool<'_> {
    /// The name by which a choice may refer to it.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Function { name, .. } => Some(name),
            Self::WebSearch(_) => Some(web_search::NAME),
            Self::Native(native) => native.name.as_deref(),
        }
    }

    /// Whether it is the provider's own tool of a type: `web_search` stands for each of its versions.
    fn is_of(&self, kind: &str) -> bool {
        match self {
            Self::Function { .. } => false,
            Self::WebSearch(_) => kind.starts_with(web_search::NAME),
            Self::Native(native) => {
                native.kind.as_deref() == Some(kind) || native.name.as_deref() == Some(kind)
            }
        }
    }

    /// Whether it is on a list of names and types. A set of tools has no name to be listed by.
    fn is_among(&self, allowed: &[Cow<'_, str>]) -> bool {
        match self {
            // It stands in a parameter of its own, not among the tools.
            Self::WebSearch(_) => true,
            _ => self
                .name()
                .is_none_or(|name| allowed.iter().any(|one| one == name || self.is_of(one))),
        }
    }
}

const CUSTOM: &str = "tools of type `custom` are not supported by Anthropic models; leave it out, \
                      or set `drop_params` to have it dropped";

#[derive(Deserialize)]
struct WrittenTool<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    /// Of a tool in Anthropic's own form.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<WrittenFunction<'a>>,
    #[serde(borrow)]
    custom: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct WrittenFunction<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    description: Option<Text<'a>>,
    #[serde(borrow)]
    parameters: Option<Raw<'a>>,
    strict: Option<bool>,
    #[serde(borrow)]
    cache_control: Option<Raw<'a>>,
}

impl<'a> WrittenFunction<'a> {
    fn translate(
        self,
        param: &str,
        model: &Capabilities,
        cache_control: Option<Raw<'a>>,
    ) -> Result<Tool<'a>, Failure> {
        let name = encode_name(param, self.name.0)?;
        let mut strict = None;
        let mut input_schema = input_schema(param, self.parameters)?;
        if self.strict == Some(true) && model.structured_output {
            // A schema that has no strict form is better sent as it is than not at all.
            if let Some(fitted) = input_schema.fit() {
                (strict, input_schema) = (Some(true), Schema::Tree(fitted));
            }
        }
        Ok(Tool::Function {
            name,
            description: self.description.map(|text| text.0).filter(|text| !text.is_empty()),
            input_schema,
            strict,
            cache_control: cache_control.or(self.cache_control),
        })
    }
}

impl Schema<'_> {
    pub(in crate::wire) fn fit(&self) -> Option<Node> {
        let parsed: Node;
        let node = match self {
            Self::Tree(node) => node,
            Self::Verbatim(raw) => {
                parsed = serde_json::from_str(raw.get()).ok()?;
                &parsed
            }
        };
        fit(node).ok()
    }
}

/// A tool's parameters as the schema of an object, which they have to be.
pub(in crate::wire) fn input_schema<'a>(
    param: &str,
    raw: Option<Raw<'a>>,
) -> Result<Schema<'a>, Failure> {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Raw<'a>>,
    }

    let Some(raw) = raw else {
        return Ok(Schema::Tree(Node::empty_object()));
    };
    let param = format!("{param}.function.parameters");
    let kind = read::<Peek<'a>>(&param, raw.get())?.kind.map(RawValue::get);
    if kind == Some("\"object\"") {
        return Ok(Schema::Verbatim(raw));
    }
    let schema: Node = read(&param, raw.get())?;
    if kind.is_none() || schema.describes_object() {
        return Ok(Schema::Tree(schema.into_object_schema()));
    }
    Err(invalid(&param, format!("`{param}`: the parameters of a tool have to be an object")))
}

fn encode_name<'a>(param: &str, name: Cow<'a, str>) -> Result<Cow<'a, str>, Failure> {
    let encoded = match &name {
        Cow::Borrowed(name) => tool_name(name),
        Cow::Owned(owned) => tool_name(owned).map(|name| Cow::Owned(name.into_owned())),
    };
    encoded.ok_or_else(|| invalid(param, format!("`{param}`: the tool name {name:?} is too long")))
}

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    json_schema: Option<JsonSchema<'a>>,
    /// LiteLLM's older way to give a schema.
    #[serde(borrow)]
    response_schema: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct JsonSchema<'a> {
    #[serde(borrow)]
    schema: Option<Raw<'a>>,
}
