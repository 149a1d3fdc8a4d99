//! A chat completion request, turned into a request of `/api/chat`.
//!
//! What OpenAI writes at the top, Ollama takes in `options`. What nobody knows goes there as well, so
//! that `num_ctx`, `repeat_penalty` or `mirostat` can be written as in a configuration of LiteLLM.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::PROVIDER;
use super::messages::{Turn, translate};
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::asked::{any_object, asks_nothing, effort, limit, stop};
use crate::wire::chat::{Choice, Format, Raw, Tools};
use crate::wire::fields::{Fields, Text, as_map, impossible, missing, read, unsupported, written};
use crate::wire::json::Object;
use crate::wire::request::is_own;

/// Turns a chat completion request into Ollama's.
///
/// # Errors
/// [`BadRequest`](crate::failure::FailureClass::BadRequest): the request is wrong, or cannot be said to Ollama. The parameter is
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
    format: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    options: Vec<(&'a str, Cow<'a, RawValue>)>,
    /// Ollama streams unless told not to.
    stream: bool,
    #[serde(flatten, serialize_with = "as_map")]
    top: Vec<(&'a str, Cow<'a, RawValue>)>,
}

impl<'a> Body<'a> {
    fn translate(fields: &Fields<'a>, options: &RequestOptions<'a>) -> Result<Self, Failure> {
        let Some(messages) = fields.raw("messages") else {
            return Err(missing("messages"));
        };
        let Sorted { top, options: sampling } = Sorted::of(fields, options)?;
        let hint = options.model.unwrap_or(options.model_hint);
        Ok(Self {
            model: options.model,
            messages: translate(messages)?,
            tools: tools(fields, options.drop_params)?,
            format: format(fields)?,
            think: Think::of(fields, [hint, options.model_hint])?,
            options: sampling,
            stream: options.stream,
            top,
        })
    }
}

/// Parameters that need no translation, by their place.
struct Sorted<'a> {
    top: Vec<(&'a str, Cow<'a, RawValue>)>,
    options: Vec<(&'a str, Cow<'a, RawValue>)>,
}

impl<'a> Sorted<'a> {
    /// # Errors
    /// A parameter asks for what Ollama cannot do, unless it may be dropped.
    fn of(fields: &Fields<'a>, request: &RequestOptions<'_>) -> Result<Self, Failure> {
        let (mut top, mut options) = (Vec::new(), Vec::new());
        if let Some(limit) = limit(fields)? {
            options.push(("num_predict", made(&limit)));
        }
        let stop = stop(fields)?;
        if !stop.is_empty() {
            options.push(("stop", made(&stop)));
        }
        for (name, raw) in fields.iter() {
            match fate(name) {
                Fate::Translated | Fate::Ignored => {}
                Fate::Unsupported if asks_nothing(name, raw) => {}
                Fate::Unsupported if name == "n" => {
                    return Err(impossible(name, "`n`: Ollama gives one answer per request"));
                }
                Fate::Unsupported if request.leaves_out(name) => {}
                Fate::Unsupported => return Err(unsupported(PROVIDER, name)),
                Fate::Top => top.push((name, Cow::Borrowed(read(name, raw)?))),
                Fate::Option => options.push((name, Cow::Borrowed(read(name, raw)?))),
            }
        }
        // The client's own `options` win: they are Ollama's words.
        if let Some(Own(own)) = fields.read::<Own<'a>>("options")? {
            for (name, value) in own {
                options.retain(|(known, _)| *known != name);
                options.push((name, Cow::Borrowed(value)));
            }
        }
        Ok(Self { top, options })
    }
}

/// The fields of an object, in their order.
struct Own<'a>(Vec<(&'a str, Raw<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Own<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> serde::de::Visitor<'de> for Visitor<'a> {
            type Value = Own<'a>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a map")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Own(pairs))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

fn made(value: &impl Serialize) -> Cow<'static, RawValue> {
    Cow::Owned(
        serde_json::value::to_raw_value(value).expect("numbers and texts can be written as JSON"),
    )
}

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Read by name elsewhere in this module.
    Translated,
    /// Left out: the answer is the same without it, or it is meant for the gateway.
    Ignored,
    /// Ollama has nothing like it.
    Unsupported,
    /// Passed on as it is.
    Top,
    /// Passed on in `options`.
    Option,
}

fn fate(name: &str) -> Fate {
    match name {
        "model"
        | "messages"
        | "tools"
        | "tool_choice"
        | "functions"
        | "function_call"
        | "response_format"
        | "format"
        | "max_tokens"
        | "max_completion_tokens"
        | "stop"
        | "stop_sequences"
        | "reasoning_effort"
        | "thinking"
        | "think"
        | "options"
        | "stream" => Fate::Translated,
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
        | "modalities"
        | "audio"
        | "verbosity"
        | "parallel_tool_calls"
        | "web_search_options" => Fate::Unsupported,
        "keep_alive" | "logprobs" | "top_logprobs" | "truncate" | "shift" => Fate::Top,
        name if is_own(name) => Fate::Ignored,
        _ => Fate::Option,
    }
}

#[derive(Debug, Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Text<'a>>,
    parameters: Cow<'a, RawValue>,
}

/// The tools that the model is shown. Ollama has no `tool_choice`: it can be kept from calling tools,
/// and shown fewer of them, but not made to call one.
fn tools<'a>(fields: &Fields<'a>, drop_params: bool) -> Result<Vec<Tool<'a>>, Failure> {
    let Tools { mut functions, others } = Tools::of(fields)?;
    if let (Some((kind, _)), false) = (others.first(), drop_params) {
        let message = format!("`tools`: {PROVIDER} has no tools of type `{kind}`, only functions");
        return Err(impossible("tools", message));
    }
    let must = match Choice::of(fields)? {
        None | Some(Choice::Auto) => false,
        Some(Choice::None) => {
            functions.clear();
            false
        }
        Some(Choice::Required) => true,
        Some(Choice::Function(name)) => {
            functions.retain(|function| *name == *function.name);
            true
        }
        Some(Choice::Allowed { names, required }) => {
            functions.retain(|function| names.iter().any(|name| **name == *function.name));
            required
        }
    };
    if must && !drop_params {
        return Err(unsupported(PROVIDER, "tool_choice"));
    }
    let tools = functions.into_iter().map(|function| Tool {
        kind: "function",
        function: Function {
            name: function.name,
            description: function.description,
            parameters: function.parameters.map_or_else(any_object, Cow::Borrowed),
        },
    });
    Ok(tools.collect())
}

/// `json`, or the schema itself.
fn format<'a>(fields: &Fields<'a>) -> Result<Option<Cow<'a, RawValue>>, Failure> {
    if let Some(own) = fields.pass("format")? {
        return Ok(Some(Cow::Borrowed(own)));
    }
    Ok(match Format::of(fields)? {
        Format::Text => None,
        Format::JsonObject => Some(made(&"json")),
        Format::JsonSchema(schema) => {
            Some(schema.schema.map_or_else(|| made(&"json"), Cow::Borrowed))
        }
    })
}

/// Whether and how much the model thinks.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Think<'a> {
    Whether(bool),
    Level(&'static str),
    Own(Raw<'a>),
}

/// Models of Ollama's own library whose `/api/show` does not list the capability `thinking`: a wish for
/// it is answered with a 400. Of one that is not here, somebody's own or newer, the server may judge.
const UNTHINKING: [&str; 44] = [
    "codegemma",
    "codellama",
    "codestral",
    "command-a",
    "command-r",
    "command-r-plus",
    "command-r7b",
    "devstral",
    "dolphin3",
    "falcon3",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3n",
    "granite3-dense",
    "granite3-moe",
    "granite3.1-dense",
    "granite3.1-moe",
    "hermes3",
    "llama2",
    "llama3",
    "llama3.1",
    "llama3.2",
    "llama3.2-vision",
    "llama3.3",
    "llama4",
    "llava",
    "mistral",
    "mistral-large",
    "mistral-nemo",
    "mistral-small",
    "mistral-small3.1",
    "mistral-small3.2",
    "mixtral",
    "phi3",
    "phi3.5",
    "phi4",
    "phi4-mini",
    "qwen",
    "qwen2",
    "qwen2.5",
    "qwen2.5-coder",
    "qwen3-coder",
    "tinyllama",
];

/// Whether a model is known not to think, whatever its size (`llama3.2:1b`).
fn cannot_think(model: &str) -> bool {
    let name = model.split(':').next().unwrap_or(model);
    UNTHINKING.contains(&name.strip_prefix("library/").unwrap_or(name))
}

/// Models that think by level and cannot be kept from it; others think or do not.
fn takes_levels(model: &str) -> bool {
    model.rsplit('/').next().unwrap_or(model).starts_with("gpt-oss")
}

impl<'a> Think<'a> {
    /// Of a model that cannot think, only Ollama's own `think` is sent. `names`: what it is called.
    fn of(fields: &Fields<'a>, names: [&str; 2]) -> Result<Option<Self>, Failure> {
        #[derive(Deserialize)]
        struct Written<'a> {
            #[serde(borrow, rename = "type")]
            kind: Text<'a>,
        }
        if let Some(own) = fields.pass("think")? {
            return Ok(Some(Self::Own(own)));
        }
        let by_level = names.into_iter().any(takes_levels);
        // Said twice, where the effort tells more: by clients of other APIs.
        let says_less = by_level && fields.raw("reasoning_effort").is_some();
        let written = fields.read::<Written<'_>>("thinking")?;
        let effort = effort(fields)?;
        if names.into_iter().any(cannot_think) {
            return Ok(None);
        }
        if let Some(written) = written
            && !(says_less && *written.kind != *"disabled")
        {
            return Ok(Some(Self::Whether(*written.kind != *"disabled")));
        }
        let Some(effort) = effort else { return Ok(None) };
        Ok(Some(match (&*effort, by_level) {
            ("minimal" | "low", true) => Self::Level("low"),
            ("medium", true) => Self::Level("medium"),
            ("high" | "xhigh" | "max", true) => Self::Level("high"),
            ("none" | "minimal", _) => Self::Whether(false),
            _ => Self::Whether(true),
        }))
    }
}
