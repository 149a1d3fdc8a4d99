//! A chat completion request, turned into a Messages request.
//!
//! Every parameter that OpenAI or this gateway knows has one place here: translated, left out
//! because leaving it out changes nothing that the client can see, or refused. What nobody knows is
//! passed on, so that Anthropic's own parameters can be used from an OpenAI client.

use std::borrow::Cow;

use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::PROVIDER;
use super::betas;
use super::content::{self, Block, Raw, Speaker};
use super::messages::{Turn, translate};
use super::models::Capabilities;
use super::thinking::{Around, Config, Thinking, is_one, number, resumes};
use super::tools::{Choice, Format, Tool, Tooling};
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::asked::{self, asks_nothing, fitting_limit};
use crate::wire::fields::{
    Fields, Text, as_map, impossible, invalid, missing, read, unsupported, written,
};
use crate::wire::json::Object;
use crate::wire::request::is_own;

/// The version of the API that an OpenAI client is served by. The later one, 2026-10-21, refuses
/// `temperature` and `top_p`, which OpenAI's clients send and many models still honour.
pub const VERSION: &str = "2023-06-01";

/// Room for the answer beside a thinking budget that is larger than the default of `max_tokens`.
const ANSWER_TOKENS: u64 = 4_096;

/// Told to the model where the client asked for JSON without a schema.
pub(in crate::wire) const JSON_ONLY: &str = "Answer with a single valid JSON object and nothing else: no explanation \
                         and no code fence.";

/// A request for the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub body: Bytes,
    /// For the header `anthropic-beta`: named by the client in `betas`, or needed by a field.
    pub betas: Vec<String>,
}

/// Turns a chat completion request into a Messages request. `version` is that of the API, as the
/// provider will be told.
///
/// # Errors
/// [`BadRequest`](crate::failure::FailureClass::BadRequest): the request is wrong, or cannot be said to this model. The
/// parameter is named.
pub fn request(
    request: &Object,
    options: &RequestOptions<'_>,
    version: &str,
) -> Result<Outgoing, Failure> {
    let fields = Fields::gather(request, options);
    let hint = if options.model_hint.is_empty() { options.model } else { Some(options.model_hint) };
    let mut model = Capabilities::of(hint.unwrap_or_default());
    model.sampling &= version == VERSION;
    let body = Body::translate(&fields, options, &model)?;
    let body = written(&body, request.bytes().len())?;
    Ok(Outgoing { body, betas: betas::needed(&fields) })
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Config<'a>>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    output_config: OutputConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(flatten)]
    passed: Passed<'a>,
}

impl<'a> Body<'a> {
    fn translate(
        fields: &Fields<'a>,
        options: &RequestOptions<'a>,
        model: &Capabilities,
    ) -> Result<Self, Failure> {
        let passed = Passed::of(fields, options)?;
        let Some(messages) = fields.raw("messages") else {
            return Err(missing("messages"));
        };
        let mut conversation = translate(messages, model, options.modify_params)?;
        let tooling = Tooling::of(fields, model, options.drop_params)?;
        let written_limit = fitting_limit(fields, options)?;
        let around = Around {
            model,
            max_tokens: written_limit,
            forced: tooling.choice.as_ref().is_some_and(Choice::is_forced),
            resumes: resumes(&conversation.turns),
            provider: PROVIDER,
            drop_params: options.drop_params,
            hints: options.hints,
        };
        let thinking = Thinking::of(fields, around)?;
        let default_limit = options.max_output_tokens.unwrap_or(model.max_output_tokens);
        let max_tokens = written_limit.unwrap_or_else(|| {
            let least = thinking.budget.map_or(0, |budget| budget + 1);
            if default_limit < least { least + ANSWER_TOKENS } else { default_limit }
        });
        let sampling = {
            let pair = Pair::of(options.leaves_out("top_p"), Pair::Refused);
            Sampling::of(fields, model, thinking.is_on(), pair)?
        };

        let mut system = Vec::new();
        content::blocks(Speaker::System, "system", fields.pass("system")?, &mut system)?;
        system.append(&mut conversation.system);
        if tooling.json_object {
            system.extend(Block::text(Cow::Borrowed(JSON_ONLY), None));
        }
        let mut output_config: Map<String, Value> =
            fields.read("output_config")?.unwrap_or_default();
        if let Some(effort) = thinking.effort {
            output_config.entry("effort").or_insert_with(|| effort.into());
        }
        Ok(Self {
            model: options.model,
            max_tokens,
            system,
            messages: conversation.turns,
            tools: tooling.tools,
            tool_choice: tooling.choice,
            stop_sequences: stop(fields)?,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            thinking: thinking.config,
            output_config: OutputConfig { format: tooling.format, rest: output_config },
            metadata: Metadata::of(fields),
            service_tier: service_tier(fields),
            stream: options.stream,
            passed,
        })
    }
}

/// `output_config`: what the client wrote itself wins over what we translate.
#[derive(Debug)]
struct OutputConfig {
    format: Option<Format>,
    rest: Map<String, Value>,
}

impl OutputConfig {
    fn is_empty(&self) -> bool {
        self.format.is_none() && self.rest.is_empty()
    }
}

impl Serialize for OutputConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let (Some(format), false) = (&self.format, self.rest.contains_key("format")) {
            map.serialize_entry("format", format)?;
        }
        for (name, value) in &self.rest {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Parameters of which nothing is known here: Anthropic's own, or newer than this program.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Passed<'a>(#[serde(serialize_with = "as_map")] Vec<(&'a str, Raw<'a>)>);

impl<'a> Passed<'a> {
    /// Sorts out everything that is not passed on.
    ///
    /// # Errors
    /// A parameter that asks for what Anthropic cannot do, unless it may be dropped.
    fn of(fields: &Fields<'a>, options: &RequestOptions<'_>) -> Result<Self, Failure> {
        let mut passed = Vec::new();
        for (name, raw) in fields.iter() {
            match fate(name) {
                Fate::Translated | Fate::Ignored => {}
                Fate::Unsupported => {
                    if !options.leaves_out(name) && !asks_nothing(name, raw) {
                        return Err(unsupported(PROVIDER, name));
                    }
                }
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
    /// Anthropic has nothing like it.
    Unsupported,
    Passed,
}

fn fate(name: &str) -> Fate {
    match name {
        "model"
        | "messages"
        | "system"
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
        | "stop_sequences"
        | "temperature"
        | "top_p"
        | "top_k"
        | "reasoning_effort"
        | "thinking"
        | "output_config"
        | "user"
        | "safety_identifier"
        | "metadata"
        | "service_tier"
        | "stream"
        | "betas"
        | "anthropic_beta"
        | "extra_headers" => Fate::Translated,
        // Hints to OpenAI's own storage, caches and speed.
        "store"
        | "stream_options"
        | "prompt_cache_key"
        | "prompt_cache_retention"
        | "prompt_cache_options"
        | "prediction" => Fate::Ignored,
        "n" | "seed" | "logprobs" | "top_logprobs" | "logit_bias" | "presence_penalty"
        | "frequency_penalty" | "modalities" | "audio" | "verbosity" | "moderation" => {
            Fate::Unsupported
        }
        name if is_own(name) => Fate::Ignored,
        _ => Fate::Passed,
    }
}

/// `stop` and `stop_sequences`. The API refuses strings of white space alone.
pub(in crate::wire) fn stop<'a>(fields: &Fields<'a>) -> Result<Vec<Text<'a>>, Failure> {
    let mut sequences = asked::stop(fields)?;
    sequences.retain(|sequence| !sequence.0.trim().is_empty());
    Ok(sequences)
}

/// The sampling parameters that are sent. Models that no longer have them refuse any value, so they
/// are left out there, `drop_params` or not: OpenAI's clients set them as a matter of course.
#[derive(Debug, Default)]
pub(in crate::wire) struct Sampling<'a> {
    pub(in crate::wire) temperature: Option<Cow<'a, RawValue>>,
    pub(in crate::wire) top_p: Option<Cow<'a, RawValue>>,
    pub(in crate::wire) top_k: Option<Raw<'a>>,
}

impl<'a> Sampling<'a> {
    pub(in crate::wire) fn of(
        fields: &Fields<'a>,
        model: &Capabilities,
        thinks: bool,
        pair: Pair,
    ) -> Result<Self, Failure> {
        if !model.sampling {
            return Ok(Self::default());
        }
        let mut sampling = Self {
            temperature: share(fields, "temperature")?,
            top_p: share(fields, "top_p")?,
            top_k: fields.pass("top_k")?,
        };
        if thinks {
            // With thinking on the API takes only these.
            sampling.temperature = sampling.temperature.filter(|value| is_one(value));
            sampling.top_p = sampling.top_p.filter(|value| number(value.get()) >= Some(0.95));
            sampling.top_k = None;
        }
        if sampling.temperature.is_some() && sampling.top_p.is_some() && !model.both_samplings {
            sampling.choose(fields, pair)?;
        }
        Ok(sampling)
    }

    /// Leaves one of `temperature` and `top_p`, of which the model takes one at a time. What says
    /// nothing gives way, and what only the deployment says.
    fn choose(&mut self, fields: &Fields<'_>, pair: Pair) -> Result<(), Failure> {
        if self.top_p.as_deref().is_some_and(is_one) || fields.is_default("top_p") {
            self.top_p = None;
        } else if fields.is_default("temperature") {
            self.temperature = None;
        } else if pair == Pair::Dropped {
            self.top_p = None;
        } else if pair == Pair::Refused {
            // OpenAI's own default, which clients send of themselves.
            if !self.temperature.as_deref().is_some_and(is_one) {
                let message = "`top_p`: this model takes `temperature` or `top_p`, not both; leave \
                               one out, or set `drop_params` to have `top_p` dropped";
                return Err(impossible("top_p", message));
            }
            self.temperature = None;
        }
        Ok(())
    }
}

/// What becomes of `temperature` and `top_p` together, where the model takes one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Pair {
    /// The client is told.
    Refused,
    /// `top_p` is left out.
    Dropped,
    /// The provider may judge.
    Sent,
}

impl Pair {
    pub(in crate::wire) const fn of(drop_params: bool, otherwise: Self) -> Self {
        if drop_params { Self::Dropped } else { otherwise }
    }
}

/// A number that Anthropic wants between 0 and 1; OpenAI's temperature goes up to 2.
fn share<'a>(fields: &Fields<'a>, name: &str) -> Result<Option<Cow<'a, RawValue>>, Failure> {
    let Some(raw) = fields.pass(name)? else {
        return Ok(None);
    };
    let Some(value) = number(raw.get()) else {
        return Err(invalid(name, format!("`{name}`: {raw} is not a number")));
    };
    let bound = |text: &str| {
        Cow::Owned(RawValue::from_string(text.to_owned()).expect("a digit is a JSON number"))
    };
    Ok(Some(match value {
        value if value > 1.0 => bound("1"),
        value if value < 0.0 => bound("0"),
        _ => Cow::Borrowed(raw),
    }))
}

#[derive(Debug, Serialize)]
struct Metadata<'a> {
    user_id: Cow<'a, str>,
}

impl<'a> Metadata<'a> {
    /// Who asks, unless the name is one that Anthropic refuses because it identifies a person.
    /// OpenAI's other metadata has no place in the request.
    fn of(fields: &Fields<'a>) -> Option<Self> {
        let text = |raw: &'a str| serde_json::from_str::<Text<'a>>(raw).ok();
        let named = |name| fields.raw(name).and_then(text);
        let within = || {
            let metadata: std::collections::HashMap<&str, Raw<'a>> =
                serde_json::from_str(fields.raw("metadata")?).ok()?;
            text(metadata.get("user_id")?.get())
        };
        let user = named("user").or_else(|| named("safety_identifier")).or_else(within)?.0;
        (!user.is_empty() && !is_email(&user) && !is_phone(&user)).then_some(Self { user_id: user })
    }
}

fn is_email(user: &str) -> bool {
    user.split_once('@').is_some_and(|(name, host)| {
        let ending = host.rsplit_once('.').map_or("", |(_, ending)| ending);
        !name.is_empty() && !ending.is_empty() && ending.bytes().all(|b| b.is_ascii_alphabetic())
    })
}

fn is_phone(user: &str) -> bool {
    let digits = user.strip_prefix('+').unwrap_or(user);
    let of_phones =
        |c: char| c.is_ascii_digit() || c.is_whitespace() || matches!(c, '(' | ')' | '-');
    digits.len() >= 7 && digits.chars().all(of_phones)
}

/// OpenAI's tiers in Anthropic's words; a tier that Anthropic does not have is not asked for.
fn service_tier(fields: &Fields<'_>) -> Option<&'static str> {
    match fields.raw("service_tier")?.trim_matches('"') {
        "auto" | "priority" => Some("auto"),
        "default" | "standard_only" => Some("standard_only"),
        _ => None,
    }
}
