//! A chat completion request, turned into a request of `/v2/chat`.
//!
//! Every parameter that OpenAI or this gateway knows has one place here. What nobody knows is passed
//! on, so that Cohere's own parameters (`safety_mode`, `citation_options`, `priority`) can be used
//! from an OpenAI client.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::PROVIDER;
use super::messages::{Turn, translate};
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::asked::{any_object, asks_nothing, effort, limit, stop};
use crate::wire::chat::{Choice, Format, FunctionTool, Raw, Tools};
use crate::wire::fields::{
    Fields, Text, as_map, impossible, invalid, missing, read, unsupported, written,
};
use crate::wire::json::Object;
use crate::wire::request::is_own;

/// Tokens of thinking for each effort; `none` is none. Those of LiteLLM for other models.
const BUDGETS: [(&str, u64); 6] = [
    ("minimal", 512),
    ("low", 1_024),
    ("medium", 2_048),
    ("high", 4_096),
    ("xhigh", 8_192),
    ("max", 16_384),
];

/// Turns a chat completion request into Cohere's.
///
/// # Errors
/// [`BadRequest`](crate::failure::FailureClass::BadRequest): the request is wrong, or cannot be said to Cohere. The parameter is
/// named.
pub fn request(request: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let fields = Fields::gather(request, options);
    let body = Body::translate(&fields, options)?;
    written(&body, request.bytes().len())
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict_tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<JsonFormat<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    documents: Vec<Document<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(flatten)]
    passed: Passed<'a>,
}

impl<'a> Body<'a> {
    fn translate(fields: &Fields<'a>, options: &RequestOptions<'a>) -> Result<Self, Failure> {
        let passed = Passed::of(fields, options)?;
        let Some(messages) = fields.raw("messages") else {
            return Err(missing("messages"));
        };
        let model = if options.model_hint.is_empty() { options.model } else { None };
        let model = model.unwrap_or(options.model_hint);
        let (tools, tool_choice) = tooling(fields, options.drop_params)?;
        let strict = tools.iter().any(|tool| tool.strict);
        let strict = fields.read("strict_tools")?.or_else(|| strict.then_some(true));
        let own = |ours: &str, theirs: &str| match fields.raw(theirs) {
            Some(_) => fields.pass(theirs),
            None => fields.pass(ours),
        };
        let max_tokens = limit(fields)?;
        Ok(Self {
            model: options.model,
            messages: translate(messages, model.contains("reasoning"))?,
            strict_tools: strict.filter(|_| !tools.is_empty()),
            tools,
            tool_choice,
            response_format: JsonFormat::of(fields)?,
            documents: documents(fields)?,
            max_tokens,
            p: own("top_p", "p")?,
            k: own("top_k", "k")?,
            stop_sequences: stop(fields)?,
            thinking: Thinking::of(fields, max_tokens)?,
            stream: options.stream,
            passed,
        })
    }
}

/// Parameters that have the same name at Cohere, or of which nothing is known here.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Passed<'a>(#[serde(serialize_with = "as_map")] Vec<(&'a str, Raw<'a>)>);

impl<'a> Passed<'a> {
    /// # Errors
    /// A parameter asks for what Cohere cannot do, unless it may be dropped.
    fn of(fields: &Fields<'a>, options: &RequestOptions<'_>) -> Result<Self, Failure> {
        let mut passed = Vec::new();
        for (name, raw) in fields.iter() {
            match fate(name) {
                Fate::Translated | Fate::Ignored => {}
                Fate::Unsupported if asks_nothing(name, raw) => {}
                Fate::Unsupported if name == "n" => {
                    return Err(impossible(name, "`n`: Cohere gives one answer per request"));
                }
                Fate::Unsupported if options.leaves_out(name) => {}
                Fate::Unsupported => return Err(unsupported(PROVIDER, name)),
                Fate::Passed => passed.push((name, read(name, raw)?)),
            }
        }
        Ok(Self(passed))
    }
}

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Read by name elsewhere in this module.
    Translated,
    /// Left out: the answer is the same without it, or it is meant for the gateway.
    Ignored,
    /// Cohere has nothing like it.
    Unsupported,
    Passed,
}

fn fate(name: &str) -> Fate {
    match name {
        "model"
        | "messages"
        | "tools"
        | "strict_tools"
        | "tool_choice"
        | "functions"
        | "function_call"
        | "response_format"
        | "documents"
        | "max_tokens"
        | "max_completion_tokens"
        | "top_p"
        | "p"
        | "top_k"
        | "k"
        | "stop"
        | "stop_sequences"
        | "reasoning_effort"
        | "thinking"
        | "stream" => Fate::Translated,
        // Hints to OpenAI's own storage, caches and speed, and who the user is.
        "store"
        | "stream_options"
        | "prompt_cache_key"
        | "prompt_cache_retention"
        | "cache_control"
        | "prediction"
        | "service_tier"
        | "metadata"
        | "safety_identifier"
        | "user" => Fate::Ignored,
        "n"
        | "logit_bias"
        | "top_logprobs"
        | "modalities"
        | "audio"
        | "verbosity"
        | "parallel_tool_calls"
        | "web_search_options" => Fate::Unsupported,
        name if is_own(name) => Fate::Ignored,
        _ => Fate::Passed,
    }
}

/// A function that the model may call.
#[derive(Debug, Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
    /// Told once for all tools.
    #[serde(skip)]
    strict: bool,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Text<'a>>,
    parameters: Cow<'a, RawValue>,
}

/// The tools, and whether one of them has to be called. Cohere has no way to name one: the others are
/// left out instead.
fn tooling<'a>(
    fields: &Fields<'a>,
    drop_params: bool,
) -> Result<(Vec<Tool<'a>>, Option<&'static str>), Failure> {
    let Tools { mut functions, others } = Tools::of(fields)?;
    if let (Some((kind, _)), false) = (others.first(), drop_params) {
        let message = format!("`tools`: {PROVIDER} has no tools of type `{kind}`, only functions");
        return Err(impossible("tools", message));
    }
    let choice = match Choice::of(fields)? {
        None | Some(Choice::Auto) => None,
        Some(Choice::None) => Some("NONE"),
        Some(Choice::Required) => Some("REQUIRED"),
        Some(Choice::Function(name)) => {
            keep(&mut functions, &[name])?;
            Some("REQUIRED")
        }
        Some(Choice::Allowed { names, required }) => {
            keep(&mut functions, &names)?;
            required.then_some("REQUIRED")
        }
    };
    let tools: Vec<Tool<'a>> = functions
        .into_iter()
        .map(|function| Tool {
            kind: "function",
            strict: function.strict == Some(true),
            function: Function {
                name: function.name,
                description: function.description,
                parameters: function.parameters.map_or_else(any_object, Cow::Borrowed),
            },
        })
        .collect();
    let choice = choice.filter(|_| !tools.is_empty());
    Ok((tools, choice))
}

/// Leaves out the tools that are not named.
fn keep(functions: &mut Vec<FunctionTool<'_>>, names: &[Cow<'_, str>]) -> Result<(), Failure> {
    functions.retain(|function| names.iter().any(|name| **name == *function.name));
    if functions.is_empty() {
        return Err(invalid("tool_choice", "`tool_choice` names no tool of the request"));
    }
    Ok(())
}

/// An answer in JSON. The schema stands inside `json_object`.
#[derive(Debug, Serialize)]
struct JsonFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<Raw<'a>>,
}

impl<'a> JsonFormat<'a> {
    fn of(fields: &Fields<'a>) -> Result<Option<Self>, Failure> {
        let kind = "json_object";
        Ok(match Format::of(fields)? {
            Format::Text => None,
            Format::JsonObject => Some(Self { kind, json_schema: own_schema(fields)? }),
            // Cohere's own spelling is read as a schema without the envelope that OpenAI has.
            Format::JsonSchema(schema) => {
                let json_schema = match schema.schema {
                    Some(schema) => Some(schema),
                    None => own_schema(fields)?,
                };
                Some(Self { kind, json_schema })
            }
        })
    }
}

/// The schema of a `json_object` in Cohere's own spelling.
fn own_schema<'a>(fields: &Fields<'a>) -> Result<Option<Raw<'a>>, Failure> {
    #[derive(Deserialize)]
    struct Own<'a> {
        #[serde(borrow, default)]
        json_schema: Option<Raw<'a>>,
        #[serde(borrow, default)]
        schema: Option<Raw<'a>>,
    }
    let own: Option<Own<'a>> = fields.read("response_format")?;
    Ok(own.and_then(|own| own.json_schema.or(own.schema)))
}

/// A text that the answer may rest on: a string, or fields of which each is a string.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Document<'a> {
    AsWritten(Raw<'a>),
    /// Fields that the client wrote without Cohere's envelope, as the API's first version had them.
    Bare {
        data: Raw<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Raw<'a>>,
    },
}

fn documents<'a>(fields: &Fields<'a>) -> Result<Vec<Document<'a>>, Failure> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow, default)]
        data: Option<Raw<'a>>,
        #[serde(borrow, default)]
        id: Option<Raw<'a>>,
    }
    let mut documents = Vec::new();
    for (at, raw) in fields.read::<Vec<Raw<'a>>>("documents")?.into_iter().flatten().enumerate() {
        if raw.get().starts_with('"') {
            documents.push(Document::AsWritten(raw));
            continue;
        }
        let envelope: Envelope<'a> = read(&format!("documents[{at}]"), raw.get())?;
        documents.push(match envelope.data {
            Some(_) => Document::AsWritten(raw),
            None => Document::Bare { data: raw, id: envelope.id },
        });
    }
    Ok(documents)
}

/// How long the model thinks.
#[derive(Debug, Serialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_budget: Option<u64>,
}

impl Thinking {
    /// Reads `thinking` in Cohere's words or in Anthropic's, else `reasoning_effort`. What an effort
    /// stands for is chosen here, so it leaves half of `max_tokens`, which holds thoughts and answer, to
    /// the answer; what the client counted itself is sent as it is.
    fn of(fields: &Fields<'_>, max_tokens: Option<u64>) -> Result<Option<Self>, Failure> {
        #[derive(Deserialize)]
        struct Written<'a> {
            #[serde(borrow, rename = "type")]
            kind: Text<'a>,
            #[serde(alias = "budget_tokens")]
            token_budget: Option<u64>,
        }
        if let Some(written) = fields.read::<Written<'_>>("thinking")? {
            return Ok(Some(match &*written.kind {
                "disabled" => Self { kind: "disabled", token_budget: None },
                _ => Self { kind: "enabled", token_budget: written.token_budget },
            }));
        }
        let Some(effort) = effort(fields)? else { return Ok(None) };
        if effort == "none" {
            return Ok(Some(Self { kind: "disabled", token_budget: None }));
        }
        match BUDGETS.iter().find(|(name, _)| *name == effort) {
            Some((_, budget)) => {
                let budget = max_tokens.map_or(*budget, |most| (*budget).min(most / 2));
                // Where there is no room for a thought, there is none.
                Ok(Some(match budget {
                    0 => Self { kind: "disabled", token_budget: None },
                    _ => Self { kind: "enabled", token_budget: Some(budget) },
                }))
            }
            None => {
                let message = format!("`reasoning_effort`: {effort:?} is not an effort");
                Err(invalid("reasoning_effort", message))
            }
        }
    }
}
