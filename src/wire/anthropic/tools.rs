//! Tools, the choice among them, and the form of the answer, which older models give as a tool call.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::PROVIDER;
use super::content::Raw;
use super::models::Capabilities;
use super::names::{JSON_TOOL, tool_name};
use super::schema::fit;
use crate::failure::Failure;
use crate::wire::fields::{Fields, Text, impossible, invalid, missing, read, unsupported};
use crate::wire::json::Node;

/// How many searches each size of OpenAI's `web_search_options` allows; LiteLLM's numbers.
const SEARCHES: [(&str, u32); 3] = [("low", 1), ("medium", 5), ("high", 10)];

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
    Native(Raw<'a>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::wire) enum Schema<'a> {
    Verbatim(Raw<'a>),
    Tree(Node),
}

#[derive(Debug, Serialize)]
pub(super) struct WebSearch<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_uses: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_location: Option<Location<'a>>,
}

#[derive(Debug, Serialize)]
struct Location<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    place: Place<'a>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Place<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    city: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    region: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    country: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    timezone: Option<Cow<'a, str>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Choice<'a> {
    Auto {
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    Any {
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    Tool {
        name: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    None,
}

#[derive(Debug, Serialize)]
pub(super) struct Format {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: Node,
}

impl Choice<'_> {
    pub(super) const fn is_forced(&self) -> bool {
        matches!(self, Self::Any { .. } | Self::Tool { .. })
    }
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
        tooling.choose(wanted, fields.read("parallel_tool_calls")?, model)?;
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
                self.tools.push(Tool::Native(raw));
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
        wanted: Wanted<'a>,
        parallel: Option<bool>,
        model: &Capabilities,
    ) -> Result<(), Failure> {
        if let Wanted { allowed: Some(allowed), .. } = &wanted {
            self.tools
                .retain(|tool| tool.name().is_none_or(|name| allowed.iter().any(|a| a == name)));
        }
        // Without tools there is nothing to choose, and the API says so.
        if self.tools.is_empty() {
            return Ok(());
        }
        let disable_parallel_tool_use = parallel.map(|parallel| !parallel);
        self.choice = match wanted.mode {
            Mode::Unsaid if parallel.is_none() => None,
            Mode::Unsaid | Mode::Auto => Some(Choice::Auto { disable_parallel_tool_use }),
            Mode::None => Some(Choice::None),
            Mode::Required if model.forced_tools => Some(Choice::Any { disable_parallel_tool_use }),
            Mode::Required => Some(Choice::Auto { disable_parallel_tool_use }),
            Mode::Named(name) => {
                if !self.tools.iter().any(|tool| tool.name() == Some(&name)) {
                    let message = format!("`tool_choice`: there is no tool {name:?} in `tools`");
                    return Err(invalid("tool_choice", message));
                }
                if model.forced_tools {
                    Some(Choice::Tool { name, disable_parallel_tool_use })
                } else {
                    // As near as the model allows: no other tool is there to be called.
                    self.tools.retain(|tool| tool.name() == Some(&name));
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
            Self::WebSearch(_) | Self::Native(_) => None,
        }
    }
}

const CUSTOM: &str = "tools of type `custom` are not supported by Anthropic models; leave it out, \
                      or set `drop_params` to have it dropped";

#[derive(Deserialize)]
struct WrittenTool<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
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
struct WebSearchOptions<'a> {
    #[serde(borrow)]
    search_context_size: Option<Text<'a>>,
    #[serde(borrow)]
    user_location: Option<UserLocation<'a>>,
}

#[derive(Deserialize)]
struct UserLocation<'a> {
    #[serde(borrow)]
    approximate: Option<Place<'a>>,
}

impl<'a> WebSearchOptions<'a> {
    fn translate(self) -> WebSearch<'a> {
        let size = self.search_context_size.map(|size| size.0);
        let known = SEARCHES.iter().find(|(name, _)| size.as_deref() == Some(*name));
        let place = self.user_location.and_then(|location| location.approximate);
        WebSearch {
            kind: "web_search_20250305",
            name: "web_search",
            max_uses: known.map(|(_, uses)| *uses),
            user_location: place.map(|place| Location { kind: "approximate", place }),
        }
    }
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

/// What the client wants of its tools. Names are in the provider's alphabet.
struct Wanted<'a> {
    mode: Mode<'a>,
    /// The only tools that may be called, if it is not all of them.
    allowed: Option<Vec<Cow<'a, str>>>,
}

enum Mode<'a> {
    Unsaid,
    Auto,
    Required,
    None,
    Named(Cow<'a, str>),
}

#[derive(Deserialize)]
struct WrittenChoice<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<Named<'a>>,
    #[serde(borrow)]
    allowed_tools: Option<AllowedTools<'a>>,
    /// Anthropic's form, and that of the deprecated `function_call`.
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize)]
struct AllowedTools<'a> {
    #[serde(borrow)]
    mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    tools: Vec<WrittenChoice<'a>>,
}

impl<'a> Wanted<'a> {
    fn of(fields: &Fields<'a>, drop_params: bool) -> Result<Self, Failure> {
        let written = ["tool_choice", "function_call"]
            .into_iter()
            .find_map(|param| fields.raw(param).map(|raw| (param, raw)));
        let all = |mode| Ok(Self { mode, allowed: None });
        let Some((param, raw)) = written else {
            return all(Mode::Unsaid);
        };
        if raw.starts_with('"') {
            let word: Text<'a> = read(param, raw)?;
            return all(mode(param, &word.0)?);
        }
        let choice: WrittenChoice<'a> = read(param, raw)?;
        let kind = choice.kind.as_ref().map(|kind| &*kind.0);
        if let Some(allowed) = choice.allowed_tools {
            let mode = match &allowed.mode {
                Some(word) => mode(param, &word.0)?,
                None => Mode::Auto,
            };
            let names = allowed.tools.into_iter().filter_map(WrittenChoice::into_name);
            let names = names.map(|name| encode_name(param, name)).collect::<Result<_, _>>()?;
            return Ok(Self { mode, allowed: Some(names) });
        }
        match kind {
            Some("custom") if drop_params => all(Mode::Unsaid),
            Some("custom") => Err(unsupported(PROVIDER, param)),
            Some(word @ ("auto" | "any" | "none")) => all(mode(param, word)?),
            _ => match choice.into_name() {
                Some(name) => all(Mode::Named(encode_name(param, name)?)),
                None => Err(invalid(param, format!("`{param}` names no tool"))),
            },
        }
    }
}

impl<'a> WrittenChoice<'a> {
    fn into_name(self) -> Option<Cow<'a, str>> {
        self.function.map(|function| function.name).or(self.name).map(|name| name.0)
    }
}

fn mode<'a>(param: &str, word: &str) -> Result<Mode<'a>, Failure> {
    match word {
        "auto" => Ok(Mode::Auto),
        "required" | "any" => Ok(Mode::Required),
        "none" => Ok(Mode::None),
        _ => Err(invalid(param, format!("`{param}`: {word:?} is not a choice of tools"))),
    }
}
