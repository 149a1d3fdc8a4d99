//! Tools, the choice among them, and the form of the answer.
//!
//! Converse knows no choice of no tool, and refuses a conversation in which tools were called if it
//! is sent without tools. So tools of which none may be called are sent all the same, and the model
//! is told in words.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::PROVIDER;
use super::content::CachePoint;
use super::messages::Conversation;
use super::models::Model;
use super::names::name;
use crate::failure::Failure;
use crate::wire::anthropic::betas;
use crate::wire::anthropic::names::JSON_TOOL;
use crate::wire::anthropic::request::JSON_ONLY;
use crate::wire::anthropic::tools::{JSON_TOOL_DESCRIPTION, Schema, input_schema};
use crate::wire::chat::{self, Choice, Format, FunctionTool, Raw, Tools};
use crate::wire::fields::{Fields, impossible, invalid, missing, read, unsupported};
use crate::wire::json::Node;

/// Told to the model where it may call no tool.
const NO_TOOLS: &str = "No tool can be called now. Answer in words, without calling a tool.";

/// Stands for tools of which only the results are left in the conversation.
const LOST_TOOL: &str = "unavailable_tool";

/// Anthropic's own tools, by the start of their types. Converse passes them on to the model.
const ANTHROPICS: [&str; 4] = ["bash_", "computer_", "memory_", "text_editor_"];

/// Whether Converse passes a tool of Anthropic's own on to this model.
#[must_use]
pub fn passes_on(model: &str, kind: &str) -> bool {
    Model::of(model).claude && is_anthropics(kind)
}

fn is_anthropics(kind: &str) -> bool {
    ANTHROPICS.iter().any(|start| kind.starts_with(start))
}

/// Nova's search in the web.
const NOVA_SEARCH: &str = "nova_grounding";

/// What a request says about tools and the form of the answer.
#[derive(Debug, Default)]
pub(super) struct Tooling<'a> {
    pub(super) config: Option<ToolConfig<'a>>,
    /// `outputConfig.textFormat`.
    pub(super) format: Option<Value>,
    /// For `additionalModelRequestFields`: `tool_choice` and `tools` in Anthropic's words.
    pub(super) choice: Option<Value>,
    pub(super) tools: Vec<Raw<'a>>,
    /// What those tools are behind.
    pub(super) betas: Vec<String>,
    /// Instructions for the system prompt.
    pub(super) told: Vec<Cow<'static, str>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig<'a> {
    tools: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Entry<'a> {
    ToolSpec(ToolSpec<'a>),
    SystemTool { name: &'static str },
    CachePoint(CachePoint),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Debug, Serialize)]
struct InputSchema<'a> {
    json: Schema<'a>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum ToolChoice<'a> {
    Auto {},
    Any {},
    Tool { name: Cow<'a, str> },
}

impl Tooling<'_> {
    /// A tool call is demanded.
    pub(super) fn is_forced(&self) -> bool {
        let choice = self.config.as_ref().and_then(|config| config.tool_choice.as_ref());
        matches!(choice, Some(ToolChoice::Any {} | ToolChoice::Tool { .. }))
    }
}

impl<'a> Tooling<'a> {
    /// Reads tools, choice and form of the answer from a request.
    pub(super) fn of(
        fields: &Fields<'a>,
        conversation: &Conversation<'a>,
        model: &Model,
        drop_params: bool,
    ) -> Result<Self, Failure> {
        let mut tooling = Self::default();
        let mut entries = tooling.read_tools(fields, model, drop_params)?;
        let choice = Choice::of(fields)?;
        if let Some(Choice::Allowed { names, .. }) = &choice {
            let allowed = names.iter().map(|allowed| name("tool_choice", Cow::Borrowed(allowed)));
            let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
            entries.retain(|entry| match entry {
                Entry::ToolSpec(spec) => allowed.contains(&spec.name),
                Entry::SystemTool { .. } | Entry::CachePoint(_) => true,
            });
        }
        let offers = entries.iter().any(|entry| !matches!(entry, Entry::CachePoint(_)));
        if offers && choice != Some(Choice::None) {
            let chosen = choose(choice, &mut entries, model, drop_params)?;
            tooling.limit_parallel(fields, chosen.as_ref(), model, drop_params)?;
            tooling.config = Some(ToolConfig { tools: entries, tool_choice: chosen });
        } else if let Some(called) = conversation.tools() {
            // Anthropic's own tools are offered elsewhere, and no name may be there twice.
            let has_own = !tooling.tools.is_empty();
            if !offers {
                let mut names: Vec<&str> = Vec::new();
                if !has_own {
                    names.extend(called.iter().copied());
                }
                if names.is_empty() {
                    names.push(LOST_TOOL);
                }
                let specs = names.into_iter().map(|name| ToolSpec::bare(name.to_owned()));
                entries = specs.map(Entry::ToolSpec).collect();
            }
            tooling.config = Some(ToolConfig { tools: entries, tool_choice: None });
            if !has_own || choice == Some(Choice::None) {
                tooling.told.push(Cow::Borrowed(NO_TOOLS));
            }
        }
        tooling.answer_form(fields, model)?;
        Ok(tooling)
    }

    fn read_tools(
        &mut self,
        fields: &Fields<'a>,
        model: &Model,
        drop_params: bool,
    ) -> Result<Vec<Entry<'a>>, Failure> {
        let written = Tools::of(fields)?;
        let mut entries = Vec::with_capacity(written.functions.len());
        for (at, function) in written.functions.into_iter().enumerate() {
            let point = function.cache_control.filter(|_| model.cache_tools).map(CachePoint::of);
            entries.push(Entry::ToolSpec(ToolSpec::of(&format!("tools[{at}]"), function, model)?));
            entries.extend(point.map(Entry::CachePoint));
        }
        for (kind, raw) in written.others {
            if model.claude && is_anthropics(&kind) {
                betas::add_for_tool(&mut self.betas, &kind);
                self.tools.push(raw);
            } else if !drop_params {
                let message = format!(
                    "`tools`: tools of type `{kind}` are not supported by Bedrock; leave it out, or \
                     set `drop_params` to have it dropped"
                );
                return Err(impossible("tools", message));
            }
        }
        if fields.raw("web_search_options").is_some() {
            if model.is_nova() {
                entries.push(Entry::SystemTool { name: NOVA_SEARCH });
            } else if !drop_params {
                return Err(unsupported(PROVIDER, "web_search_options"));
            }
        }
        Ok(entries)
    }

    /// Keeps the model from calling several tools at once, which only Claude can be told.
    fn limit_parallel(
        &mut self,
        fields: &Fields<'a>,
        chosen: Option<&ToolChoice<'a>>,
        model: &Model,
        drop_params: bool,
    ) -> Result<(), Failure> {
        const PARAM: &str = "parallel_tool_calls";
        if fields.read::<bool>(PARAM)? != Some(false) {
            return Ok(());
        }
        if !model.claude {
            return if drop_params { Ok(()) } else { Err(unsupported(PROVIDER, PARAM)) };
        }
        let mut choice = match chosen {
            None | Some(ToolChoice::Auto {}) => json!({"type": "auto"}),
            Some(ToolChoice::Any {}) => json!({"type": "any"}),
            Some(ToolChoice::Tool { name }) => json!({"type": "tool", "name": name}),
        };
        choice["disable_parallel_tool_use"] = Value::Bool(true);
        self.choice = Some(choice);
        Ok(())
    }

    fn answer_form(&mut self, fields: &Fields<'a>, model: &Model) -> Result<(), Failure> {
        const PARAM: &str = "response_format.json_schema.schema";
        let written = match Format::of(fields)? {
            Format::Text => return Ok(()),
            Format::JsonObject => {
                self.told.push(Cow::Borrowed(JSON_ONLY));
                return Ok(());
            }
            Format::JsonSchema(written) => written,
        };
        let raw = written.schema.ok_or_else(|| missing(PARAM))?;
        let schema: Node = read(PARAM, raw.get())?;
        if model.structured {
            self.format = Some(text_format(&written, &schema, model)?);
        } else if model.forced_tools() && schema.describes_object() {
            self.answer_by_tool(schema);
        } else {
            self.told
                .push(format!("{JSON_ONLY} It has to conform to this JSON schema:\n{raw}").into());
        }
        Ok(())
    }

    /// The model is made to call a tool whose input is the answer; the reply is unwrapped again.
    fn answer_by_tool(&mut self, schema: Node) {
        let tool = Entry::ToolSpec(ToolSpec {
            name: Cow::Borrowed(JSON_TOOL),
            description: Some(Cow::Borrowed(JSON_TOOL_DESCRIPTION)),
            input_schema: InputSchema { json: Schema::Tree(schema.into_object_schema()) },
            strict: None,
        });
        let may_call_others = !self.told.iter().any(|told| told == NO_TOOLS);
        match self.config.as_mut().filter(|_| may_call_others) {
            Some(config) => {
                config.tools.push(tool);
                if !matches!(config.tool_choice, Some(ToolChoice::Tool { .. })) {
                    config.tool_choice = Some(ToolChoice::Any {});
                    if let Some(choice) = &mut self.choice {
                        choice["type"] = Value::from("any");
                    }
                }
            }
            None => {
                let tool_choice = Some(ToolChoice::Tool { name: Cow::Borrowed(JSON_TOOL) });
                let mut tools = self.config.take().map(|config| config.tools).unwrap_or_default();
                tools.push(tool);
                self.config = Some(ToolConfig { tools, tool_choice });
                self.told.clear();
            }
        }
    }
}

impl<'a> ToolSpec<'a> {
    fn of(param: &str, function: FunctionTool<'a>, model: &Model) -> Result<Self, Failure> {
        let mut schema = input_schema(param, function.parameters)?;
        let mut strict = None;
        if function.strict == Some(true) && model.structured {
            // A schema that has no strict form is better sent as it is than not at all.
            if !model.claude {
                strict = Some(true);
            } else if let Some(fitted) = schema.fit() {
                (strict, schema) = (Some(true), Schema::Tree(fitted));
            }
        }
        let description = function.description.map(|text| text.0);
        Ok(Self {
            name: name(&format!("{param}.function.name"), function.name.0)?,
            description: description.filter(|text| !text.trim().is_empty()),
            input_schema: InputSchema { json: schema },
            strict,
        })
    }

    /// A tool of which only the name is known.
    fn bare(name: String) -> Self {
        let json = Schema::Tree(Node::empty_object());
        Self {
            name: Cow::Owned(name),
            description: None,
            input_schema: InputSchema { json },
            strict: None,
        }
    }
}

/// The choice among tools, of which there is at least one.
fn choose<'a>(
    choice: Option<Choice<'a>>,
    entries: &mut Vec<Entry<'a>>,
    model: &Model,
    drop_params: bool,
) -> Result<Option<ToolChoice<'a>>, Failure> {
    const PARAM: &str = "tool_choice";
    let auto = model.choice.then_some(ToolChoice::Auto {});
    // As near as it can be said: a Claude that cannot be forced is at least given the choice.
    let refused = !model.choice && !drop_params;
    match choice {
        None => Ok(None),
        Some(Choice::None | Choice::Auto | Choice::Allowed { required: false, .. }) => Ok(auto),
        Some(Choice::Required | Choice::Allowed { required: true, .. }) => {
            match model.forced_tools() {
                true => Ok(Some(ToolChoice::Any {})),
                false if refused => Err(unsupported(PROVIDER, PARAM)),
                false => Ok(auto),
            }
        }
        Some(Choice::Function(wanted)) => {
            let sent = name(PARAM, wanted.clone())?;
            let is_it =
                |entry: &Entry<'_>| matches!(entry, Entry::ToolSpec(spec) if spec.name == sent);
            if !entries.iter().any(is_it) {
                let message = format!("`{PARAM}`: there is no tool {wanted:?} in `tools`");
                return Err(invalid(PARAM, message));
            }
            if model.forced_tools() {
                return Ok(Some(ToolChoice::Tool { name: sent }));
            }
            if refused {
                return Err(unsupported(PROVIDER, PARAM));
            }
            // No other tool is there to be called.
            entries.retain(is_it);
            Ok(auto)
        }
    }
}

/// The schema goes as text. Claude takes a part of JSON schema only.
fn text_format(written: &chat::Schema<'_>, schema: &Node, model: &Model) -> Result<Value, Failure> {
    let wrong = |why: String| impossible("response_format", format!("`response_format`: {why}"));
    let text = match model.claude {
        true => {
            let fitted = crate::wire::anthropic::schema::fit(schema)
                .map_err(|unfit| wrong(unfit.to_string()))?;
            serde_json::to_string(&fitted)
        }
        false => serde_json::to_string(schema),
    };
    let text = text.map_err(|error| wrong(error.to_string()))?;
    let mut json_schema = json!({ "schema": text });
    for (key, value) in [("name", &written.name), ("description", &written.description)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            json_schema[key] = Value::from(value);
        }
    }
    Ok(json!({"type": "json_schema", "structure": {"jsonSchema": json_schema}}))
}
