//! A chat request, as a request for a response.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::ids::Owner;
use super::models::{reasons, will_reason};
use super::{items, tools};
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::chat::Message;
use crate::wire::fields::{Fields, missing, unsupported};
use crate::wire::json::{Edits, Object, quoted};
use crate::wire::openai;
use crate::wire::request::is_own;

/// The API takes no smaller limit.
const MIN_OUTPUT_TOKENS: u64 = 16;

/// Parameters that both APIs have, or that the chat API does not know: passed as they are.
const PASSED: [&str; 19] = [
    "background",
    "context_management",
    "conversation",
    "max_tool_calls",
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "temperature",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Parameters of the chat API that the Responses API lacks, with the values that ask for nothing.
const LACKING: [(&str, &[&str]); 9] = [
    ("audio", &[]),
    ("frequency_penalty", &["0", "0.0"]),
    ("logit_bias", &["{}"]),
    ("modalities", &[r#"["text"]"#]),
    ("n", &["1"]),
    ("prediction", &[]),
    ("presence_penalty", &["0", "0.0"]),
    ("seed", &[]),
    ("stop", &["[]", "\"\""]),
];

/// Parameters that are read under other names below.
const READ: [&str; 20] = [
    "cache_control",
    "extra_body",
    "function_call",
    "functions",
    "include",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "store",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
    "verbosity",
    tools::SEARCH_OPTIONS,
];

/// Sampling parameters that a reasoning model refuses.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_logprobs"];

/// Writes the body for `owner`, who gets back the reasoning that it sealed, and no other.
///
/// # Errors
/// The request asks for something that the Responses API cannot do, or is wrong. Such a parameter
/// is left out where `drop_params` says so.
pub fn request(
    body: &Object,
    options: &RequestOptions<'_>,
    owner: Option<Owner>,
) -> Result<Bytes, Failure> {
    let given = Fields::gather(body, options);
    let changed = Changed::of(&given, options)?;
    let fitted = RequestOptions { drop: &changed.drop, overrides: &changed.overrides, ..*options };
    let fields = if changed.any { Fields::gather(body, &fitted) } else { given };
    let mut out = Out::new();
    if let Some(model) = options.model {
        out.set("model", model);
    }
    let messages: Vec<Message<'_>> = fields.read("messages")?.ok_or_else(|| missing("messages"))?;
    out.set("input", &items::input(&messages, owner)?);
    let (tools, custom) = tools::tools(&fields)?;
    if !tools.is_empty() {
        out.set("tools", &tools);
    }
    if let Some(choice) = tools::choice(&fields, &tools, &custom)? {
        out.set("tool_choice", &choice);
    }
    if let Some(text) = tools::text(&fields)? {
        out.set("text", &text);
    }
    let limit = ["max_completion_tokens", "max_tokens"];
    let limit = limit.into_iter().find_map(|name| fields.read::<u64>(name).transpose());
    if let Some(limit) = limit.transpose()? {
        out.set("max_output_tokens", &limit.max(MIN_OUTPUT_TOKENS));
    }
    let effort = reasoning(&fields)?;
    let thinks = match &effort {
        Some(effort) => effort.get("effort").and_then(Value::as_str) != Some("none"),
        None => false,
    };
    if let Some(effort) = &effort {
        out.set("reasoning", effort);
    }
    let is_reasoning = thinks || (effort.is_none() && reasons(options.model_hint));
    include(&fields, is_reasoning, &mut out)?;
    // The chat API keeps nothing unless it is told to, this one everything unless told not to.
    out.raw("store", fields.raw("store").unwrap_or("false"));
    if options.stream {
        out.set("stream", &true);
        let wanted = fields.raw("stream_options").and_then(|raw| {
            let options: Value = serde_json::from_str(raw).ok()?;
            options.get("include_obfuscation").cloned()
        });
        if let Some(wanted) = wanted {
            out.set("stream_options", &serde_json::json!({"include_obfuscation": wanted}));
        }
    }
    for (name, raw) in fields.iter() {
        if let Some((name, harmless)) = LACKING.iter().find(|(known, _)| *known == name) {
            if !options.leaves_out(name) && !harmless.contains(&raw) {
                return Err(unsupported("OpenAI's Responses API and its", name));
            }
        } else if name == "metadata" && !is_pairs(raw)
            || is_reasoning && SAMPLING.contains(&name) && options.leaves_out(name)
            || READ.contains(&name)
            || is_own(name)
        {
            // Said above, for the gateway, or refused by the model.
        } else if PASSED.contains(&name) || !out.has(name) {
            out.raw(name, raw);
        }
    }
    for (name, raw) in extra(&fields) {
        out.raw(&name, &raw);
    }
    finish(out, options)
}

/// The settings of a request, and what its model makes of them: what it refuses is dropped like
/// what the deployment drops, and what it takes instead overrides what was asked.
struct Changed {
    any: bool,
    drop: Vec<Box<str>>,
    overrides: Vec<(Box<str>, Box<RawValue>)>,
}

impl Changed {
    fn of(fields: &Fields<'_>, options: &RequestOptions<'_>) -> Result<Self, Failure> {
        let changes = openai::param_changes(fields, options, &[tools::SEARCH_OPTIONS], |effort| {
            // What a client wrote for this API counts first, as below.
            let written = fields.read::<Value>("reasoning").ok().flatten();
            let written = written.as_ref().and_then(|it| it.get("effort")).map(Value::to_string);
            will_reason(options.model_hint, written.as_deref().map(str::as_bytes).or(effort))
        })?;
        let mut all = Self { any: !changes.is_empty(), drop: Vec::new(), overrides: Vec::new() };
        if !all.any {
            return Ok(all);
        }
        all.drop.extend_from_slice(options.drop);
        let is_kept = |name: &str| !changes.iter().any(|(changed, _)| *changed == name);
        let kept = options.overrides.iter().filter(|(name, _)| is_kept(name));
        all.overrides.extend(kept.cloned());
        for (name, value) in changes {
            let value = value.and_then(|json| RawValue::from_string(json.to_owned()).ok());
            match value {
                Some(value) => all.overrides.push((name.into(), value)),
                None => all.drop.push(name.into()),
            }
        }
        Ok(all)
    }
}

/// `reasoning`: the effort, and a summary, without which nothing of it can be read. An object that
/// the client wrote is taken as it is.
fn reasoning(fields: &Fields<'_>) -> Result<Option<Value>, Failure> {
    if let Some(written) = fields.read::<Value>("reasoning")?.filter(Value::is_object) {
        return Ok(Some(written));
    }
    Ok(match fields.read::<Value>("reasoning_effort")? {
        // LiteLLM's clients write the object here.
        Some(written @ Value::Object(_)) => Some(written),
        Some(Value::String(effort)) if effort == "none" => {
            Some(serde_json::json!({"effort": effort}))
        }
        Some(effort) => Some(serde_json::json!({"effort": effort, "summary": "auto"})),
        None => None,
    })
}

/// What the reply shall hold besides the usual: sealed reasoning, because nothing is kept, and the
/// probabilities that were asked for.
fn include(fields: &Fields<'_>, is_reasoning: bool, out: &mut Out) -> Result<(), Failure> {
    let mut include: Vec<String> = fields.read("include")?.unwrap_or_default();
    let mut add = |name: &str| {
        if !include.iter().any(|known| known == name) {
            include.push(name.to_owned());
        }
    };
    if is_reasoning {
        add("reasoning.encrypted_content");
    }
    if fields.raw("logprobs") == Some("true") {
        add("message.output_text.logprobs");
    }
    if !include.is_empty() {
        out.set("include", &include);
    }
    Ok(())
}

/// Parameters that were written for the provider apart from all others.
fn extra(fields: &Fields<'_>) -> Vec<(String, String)> {
    let raw = fields.raw("extra_body").unwrap_or_default();
    let object = Object::parse(Bytes::copy_from_slice(raw.as_bytes())).ok();
    let object = object.iter().flat_map(Object::iter).filter(|(name, _)| !is_own(name));
    object.map(|(name, raw)| (name.to_owned(), raw.to_owned())).collect()
}

/// OpenAI's metadata are pairs of strings; others are for the gateway.
fn is_pairs(raw: &str) -> bool {
    serde_json::from_str::<std::collections::HashMap<String, String>>(raw)
        .is_ok_and(|pairs| !pairs.is_empty())
}

fn finish(out: Out, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let body = out.close();
    if options.drop.is_empty() {
        return Ok(body);
    }
    dropped(body, options)
}

/// Without what the deployment is never to be sent.
pub(super) fn dropped(body: Bytes, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let object = Object::parse(body).map_err(|broken| {
        super::failure::garbage(format!("the request that was written is not JSON: {broken}"))
    })?;
    let mut edits = Edits::new();
    for path in options.drop {
        openai::drop_path(&object, &mut edits, path)?;
    }
    Ok(object.edit(&edits))
}

/// An object that is being written. The last value of a name counts.
struct Out(Vec<(String, Box<RawValue>)>);

impl Out {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.put(name, raw);
        }
    }

    fn raw(&mut self, name: &str, json: &str) {
        if let Ok(raw) = RawValue::from_string(json.to_owned()) {
            self.put(name, raw);
        }
    }

    fn put(&mut self, name: &str, raw: Box<RawValue>) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), raw));
    }

    fn close(self) -> Bytes {
        let room: usize = self.0.iter().map(|(name, raw)| name.len() + raw.get().len() + 4).sum();
        let mut text = String::with_capacity(room + 2);
        for (name, raw) in &self.0 {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(&quoted(name));
            text.push(':');
            text.push_str(raw.get());
        }
        text.push('}');
        text.into()
    }
}
