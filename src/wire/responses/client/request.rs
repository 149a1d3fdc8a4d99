//! A request for a response, in the canonical form.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::items::{Message, Turns};
use super::names::Names;
use super::tools;
use crate::failure::Failure;
use crate::wire::chat::{Raw, Schema};
use crate::wire::client::Canonical;
use crate::wire::fields::{Text, invalid, missing, mistyped, read};
use crate::wire::json::{Object, quoted};

/// Parameters that say the same in both.
const PASSED: [&str; 15] = [
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "stream",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
    "cache_control",
];

/// Parameters that are read under other names, or that say how a provider's own Responses API is
/// to work. Without one, all of these are as their defaults are; what cannot be so is refused by
/// [`super::obstacle`].
const READ: [&str; 21] = [
    "background",
    "client_metadata",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "previous_response_id",
    "prompt",
    "reasoning",
    "store",
    "stream_options",
    "text",
    "tool_choice",
    "tools",
    "truncation",
    "messages",
];

#[derive(Default, Deserialize)]
struct TextSettings<'a> {
    #[serde(borrow, default)]
    format: Option<Format<'a>>,
    #[serde(borrow, default)]
    verbosity: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
    #[serde(borrow, default)]
    schema: Option<Raw<'a>>,
    #[serde(default)]
    strict: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow, default)]
    effort: Option<Raw<'a>>,
}

/// Puts the request into the canonical form.
///
/// # Errors
/// It is wrong; `param` names what the client wrote.
pub fn request(body: &Object) -> Result<Canonical, Failure> {
    let mut out = Out(String::with_capacity(body.bytes().len() + 64));
    let names = Names::of(Some(body));
    out.set("messages", &messages(body, &names)?);
    let tools = set(body, "tools").map(|raw| tools::tools(raw, &names)).transpose()?;
    let tools = tools.unwrap_or_default();
    if !tools.is_empty() {
        out.set("tools", &tools);
    }
    // Clients send `auto` with every request; the chat API takes no choice where there are no tools.
    // Of those that run at the provider none is left.
    let hosted = tools.is_empty() && set(body, "tools").is_some_and(|raw| raw.contains('{'));
    let is_idle = |raw: &str| matches!(raw, "\"auto\"" | "\"none\"");
    let chooses = |raw: &&str| !tools.is_empty() || !(hosted || is_idle(raw));
    if let Some(raw) = set(body, "tool_choice").filter(chooses)
        && let Some(choice) = tools::choice(raw, &names)?
    {
        out.set("tool_choice", &choice);
    }
    if let Some(raw) = set(body, "text") {
        text(raw, &mut out)?;
    }
    if let Some(raw) = set(body, "reasoning") {
        let reasoning: Reasoning<'_> = read("reasoning", raw)?;
        if let Some(effort) = reasoning.effort.filter(|raw| raw.get() != "null") {
            out.raw("reasoning_effort", effort.get());
        }
    }
    if let Some(raw) = set(body, "max_output_tokens") {
        read::<u64>("max_output_tokens", raw)?;
        out.raw("max_completion_tokens", raw);
    }
    let include = set(body, "include").map(|raw| read::<Vec<Text<'_>>>("include", raw));
    let include = include.transpose()?.unwrap_or_default();
    let shows_logprobs = include.iter().any(|name| &**name == "message.output_text.logprobs");
    if shows_logprobs {
        out.raw("logprobs", "true");
    }
    if body.bool("stream") == Some(true) {
        // The last event tells it, whoever asks.
        out.raw("stream_options", r#"{"include_usage":true}"#);
    }
    for (name, raw) in body.iter() {
        // Each is refused by the chat API without the other parameter, and says nothing then.
        let is_idle = match name {
            "top_logprobs" => raw == "0" || !shows_logprobs,
            "parallel_tool_calls" => tools.is_empty(),
            _ => false,
        };
        if raw != "null" && !is_idle && (PASSED.contains(&name) || !READ.contains(&name)) {
            out.raw(name, raw);
        }
    }
    let canonical = Object::parse(out.close())
        .map_err(|broken| invalid("input", format!("The request cannot be read: {broken}")))?;
    let mut canonical = Canonical::from(canonical);
    if let Some(search) = tools::search(body) {
        canonical.obstacle.search(search);
    }
    Ok(canonical)
}

fn set<'a>(body: &'a Object, name: &str) -> Option<&'a str> {
    body.raw(name).filter(|raw| *raw != "null")
}

fn messages<'a>(body: &'a Object, names: &'a Names) -> Result<Vec<Message<'a>>, Failure> {
    let mut turns = Turns::new(names);
    if let Some(raw) = set(body, "instructions") {
        let text: Text<'_> = read("instructions", raw)?;
        if !text.is_empty() {
            turns.push(Message::text("system", text.0));
        }
    }
    let Some(raw) = set(body, "input") else {
        // Only what the provider keeps can stand in for it.
        let kept = ["previous_response_id", "conversation", "prompt"];
        return match kept.into_iter().any(|name| body.is_set(name)) {
            true => Ok(turns.finish()),
            false => Err(missing("input")),
        };
    };
    match raw.as_bytes().first() {
        Some(b'"') => {
            let text: Text<'_> = read("input", raw)?;
            turns.push(Message::text("user", text.0));
        }
        Some(b'[') => {
            let items: Vec<Raw<'_>> = read("input", raw)?;
            for (at, item) in items.into_iter().enumerate() {
                turns.add(&format!("input[{at}]"), item)?;
            }
        }
        _ => return Err(mistyped("input", "a string or an array", raw)),
    }
    Ok(turns.finish())
}

fn text(raw: &str, out: &mut Out) -> Result<(), Failure> {
    let settings: TextSettings<'_> = read("text", raw)?;
    if let Some(verbosity) = settings.verbosity.filter(|raw| raw.get() != "null") {
        out.raw("verbosity", verbosity.get());
    }
    let Some(format) = settings.format else { return Ok(()) };
    match &*format.kind {
        "text" => {}
        "json_object" => out.raw("response_format", r#"{"type":"json_object"}"#),
        "json_schema" => {
            let schema = Schema {
                name: format.name,
                description: format.description,
                schema: Some(format.schema.ok_or_else(|| missing("text.format.schema"))?),
                strict: format.strict,
            };
            out.set("response_format", &JsonSchema { kind: "json_schema", json_schema: schema });
        }
        kind => {
            let message = format!("Invalid value: '{kind}' is not a format.");
            return Err(invalid("text.format.type", message));
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    json_schema: Schema<'a>,
}

/// An object that is being written; no name is written twice.
struct Out(String);

impl Out {
    fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.raw(name, RawValue::get(&raw));
        }
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(json);
    }

    fn close(mut self) -> Bytes {
        self.0.push('}');
        self.0.into()
    }
}
