//! A chat completion request, turned into a `generateContent` request.
//!
//! Every parameter that OpenAI or this gateway knows has one place here: translated, left out
//! because leaving it out changes nothing that the client can see, or refused. What nobody knows is
//! passed on, so that Google's own parameters can be used from an OpenAI client.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::config::{GenerationConfig, camel, compat, is_own as is_config};
use super::contents::{Content, Part, translate};
use super::media::{self, Place};
use super::models::Capabilities;
use super::tools::{Config, Tool, Tooling};
use super::{PROVIDER, embed};
use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::chat::Raw;
use crate::wire::fields::{Fields, Text, as_map, impossible, missing, read, unsupported, written};
use crate::wire::json::{Object, quoted};
use crate::wire::remote::Remote;
use crate::wire::request::is_own;

/// Turns a request for one of the APIs that Gemini has: a chat, a count of its tokens, embeddings.
///
/// # Errors
/// [`BadRequest`](crate::failure::FailureClass::BadRequest): the request is wrong, or cannot be said to this model. The
/// parameter is named.
pub fn request(request: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let fields = Fields::gather(request, options);
    let named = options.model.unwrap_or_default();
    let named = named.strip_prefix("models/").unwrap_or(named);
    if options.endpoint == Endpoint::Embeddings {
        return written(&embed::request(&fields, named)?, request.bytes().len());
    }
    let hint = if options.model_hint.is_empty() { named } else { options.model_hint };
    let model = Capabilities::of(hint);
    let body = Body::translate(&fields, options, &model)?;
    match options.endpoint {
        // Vertex AI counts the parts themselves, AI Studio a whole request.
        Endpoint::CountTokens if !options.quirks.vertex => {
            let model = format!("models/{named}");
            written(
                &Counted { generate_content_request: Whole { model, body } },
                request.bytes().len(),
            )
        }
        _ => written(&body, request.bytes().len()),
    }
}

/// Whether what a request names by a web address has to be sent to this model as data. `hint` is its
/// name, as in [`RequestOptions::model_hint`].
#[must_use]
pub fn needs_data(remote: &Remote, hint: &str, vertex: bool) -> bool {
    let hint = hint.strip_prefix("models/").unwrap_or(hint);
    let place = Place { model: &Capabilities::of(hint), vertex };
    let name = remote.filename.as_deref();
    media::is_needed_as_data(&remote.url, remote.format.as_deref(), name, place)
}

/// Parameters on their own, without a request: what of them stands beside `generationConfig`, by
/// Google's names, as JSON text.
///
/// # Errors
/// One of them asks for what Gemini cannot do, unless it may be dropped.
pub(super) fn alone(
    parameters: &[(Box<str>, Box<RawValue>)],
    options: &RequestOptions<'_>,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let nothing = Object::empty();
    let options = RequestOptions { defaults: parameters, overrides: &[], drop: &[], ..*options };
    let fields = Fields::gather(&nothing, &options);
    let passed = Passed::of(&fields, options.quirks.vertex, options.drop_params)?;
    let mut own: Vec<(String, Vec<u8>)> = Vec::with_capacity(passed.0.len() + 1);
    for (name, value) in passed.0 {
        own.push((name.into_owned(), value.get().as_bytes().to_vec()));
    }
    if let Some(tier) = service_tier(&fields)? {
        own.push(("serviceTier".to_owned(), quoted(&tier).into_bytes()));
    }
    Ok(own)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counted<'a> {
    generate_content_request: Whole<'a>,
}

#[derive(Debug, Serialize)]
struct Whole<'a> {
    model: String,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<Config<'a>>,
    #[serde(skip_serializing_if = "GenerationConfig::is_empty")]
    generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<Cow<'a, str>>,
    #[serde(flatten)]
    passed: Passed<'a>,
}

#[derive(Debug, Serialize)]
struct Instruction<'a> {
    parts: Vec<Part<'a>>,
}

impl<'a> Body<'a> {
    fn translate(
        fields: &Fields<'a>,
        options: &RequestOptions<'a>,
        model: &Capabilities,
    ) -> Result<Self, Failure> {
        let vertex = options.quirks.vertex;
        let passed = Passed::of(fields, vertex, options.drop_params)?;
        let Some(messages) = fields.raw("messages") else {
            return Err(missing("messages"));
        };
        let conversation = translate(messages, Place { model, vertex }, options.modify_params)?;
        let tooling = Tooling::of(fields, model, vertex, options.drop_params)?;
        let generation_config = GenerationConfig::of(fields, options, model, tooling.functions)?;
        let system = Some(conversation.system).filter(|parts| !parts.is_empty());
        let mut body = Self {
            system_instruction: system.map(|parts| Instruction { parts }),
            contents: conversation.contents,
            tools: tooling.tools,
            tool_config: tooling.config,
            generation_config,
            service_tier: service_tier(fields)?,
            passed,
        };
        if body.passed.contains("cachedContent") {
            // They are in the cache, and are refused beside it.
            (body.system_instruction, body.tools, body.tool_config) = (None, Vec::new(), None);
        }
        body.make_way();
        Ok(body)
    }

    /// What the client wrote in Google's own words wins over what is translated.
    fn make_way(&mut self) {
        if self.passed.contains("systemInstruction") {
            self.system_instruction = None;
        }
        if self.passed.contains("toolConfig") {
            self.tool_config = None;
        }
    }
}

/// Parameters of which nothing is known here: Google's own, or newer than this program.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Passed<'a>(#[serde(serialize_with = "as_map")] Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'a> Passed<'a> {
    /// Sorts out everything that is not passed on.
    ///
    /// # Errors
    /// A parameter that asks for what Gemini cannot do, unless it may be dropped.
    fn of(fields: &Fields<'a>, vertex: bool, drop_params: bool) -> Result<Self, Failure> {
        let mut passed = Self(Vec::new());
        for (name, raw) in fields.iter() {
            match fate(name, vertex) {
                Fate::Translated | Fate::Ignored => {}
                Fate::Unsupported => {
                    if !drop_params && !asks_nothing(name, raw) {
                        return Err(unsupported(PROVIDER, name));
                    }
                }
                Fate::Passed => {
                    let value: Raw<'a> = read(name, raw)?;
                    let own = own_name(name);
                    if own == "toolConfig" && streams_arguments(raw) {
                        return Err(in_pieces(name));
                    }
                    passed.put(own, Cow::Borrowed(value));
                }
            }
        }
        if let Some(google) = compat(fields) {
            for name in ["cached_content", "safety_settings"] {
                let value = google.raw(name).map(str::to_owned);
                let value = value.and_then(|value| RawValue::from_string(value).ok());
                if let Some(value) = value.filter(|value| value.get() != "null") {
                    passed.put(own_name(name), Cow::Owned(value));
                }
            }
        }
        Ok(passed)
    }

    fn put(&mut self, name: Cow<'a, str>, value: Cow<'a, RawValue>) {
        if !self.contains(&name) {
            self.0.push((name, value));
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

/// Whether a `toolConfig` asks for the arguments of calls in pieces.
fn streams_arguments(raw: &str) -> bool {
    let Ok(config) = serde_json::from_str::<Value>(raw) else { return false };
    let either = |value: &Value, names: [&str; 2]| {
        names.into_iter().find_map(|name| value.get(name)).cloned().unwrap_or_default()
    };
    let calling = either(&config, ["functionCallingConfig", "function_calling_config"]);
    either(&calling, ["streamFunctionCallArguments", "stream_function_call_arguments"]) == true
}

/// Pieces of arguments that say by a path where each belongs have no form in chat completions.
fn in_pieces(name: &str) -> Failure {
    let param = format!("{name}.function_calling_config.stream_function_call_arguments");
    let message = format!(
        "`{param}`: chat completions have no form for arguments in pieces with their paths; leave \
         it out, and each call comes whole"
    );
    impossible(&param, message)
}

/// Google's name of a field of its own. Others stay as they are.
fn own_name(name: &str) -> Cow<'_, str> {
    const OWN: [&str; 5] = [
        "safety_settings",
        "cached_content",
        "tool_config",
        "system_instruction",
        "model_armor_config",
    ];
    if OWN.contains(&name) { camel(name) } else { Cow::Borrowed(name) }
}

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Read by name elsewhere in this module.
    Translated,
    /// Left out: the answer is the same without it, or it is meant for the gateway.
    Ignored,
    /// Gemini has nothing like it.
    Unsupported,
    Passed,
}

fn fate(name: &str, vertex: bool) -> Fate {
    match name {
        "model"
        | "messages"
        | "tools"
        | "tool_choice"
        | "functions"
        | "function_call"
        | "parallel_tool_calls"
        | "web_search_options"
        | "response_format"
        | "max_tokens"
        | "max_completion_tokens"
        | "stop"
        | "temperature"
        | "top_p"
        | "top_k"
        | "n"
        | "seed"
        | "presence_penalty"
        | "frequency_penalty"
        | "logprobs"
        | "top_logprobs"
        | "reasoning_effort"
        | "thinking"
        | "modalities"
        | "audio"
        | "service_tier"
        | "stream"
        | "generationConfig"
        | "generation_config"
        | "extra_body" => Fate::Translated,
        // Hints to OpenAI's own storage, caches and speed, and words for other providers.
        "store"
        | "stream_options"
        | "prompt_cache_key"
        | "prompt_cache_retention"
        | "prompt_cache_options"
        | "cache_control"
        | "prediction"
        | "user"
        | "safety_identifier"
        | "metadata"
        | "betas"
        | "anthropic_beta"
        | "extra_headers" => Fate::Ignored,
        // They are for the bill of a cloud project.
        "labels" if !vertex => Fate::Ignored,
        "logit_bias" | "verbosity" | "moderation" => Fate::Unsupported,
        name if is_own(name) => Fate::Ignored,
        name if is_config(name) => Fate::Translated,
        _ => Fate::Passed,
    }
}

/// Whether an unsupported parameter has the value that it has when it is not sent.
fn asks_nothing(name: &str, raw: &str) -> bool {
    match name {
        "logit_bias" => serde_json::from_str::<Map<String, Value>>(raw).is_ok_and(|m| m.is_empty()),
        "verbosity" => raw == "\"medium\"",
        _ => false,
    }
}

/// Google's word for a tier; `auto` is what it does by itself.
fn service_tier<'a>(fields: &Fields<'a>) -> Result<Option<Cow<'a, str>>, Failure> {
    let Some(Text(tier)) = fields.read::<Text<'a>>("service_tier")? else { return Ok(None) };
    Ok(match &*tier {
        "auto" => None,
        "default" => Some(Cow::Borrowed("standard")),
        _ => Some(tier),
    })
}
