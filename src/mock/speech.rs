//! A reply's content, settled: what the script leaves open is filled in from the request.
//!
//! Still dialect-neutral; the dialects only write it down.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::asked::{Asked, Forced, first_bytes, rough_tokens};
use super::reply::{Answer, Calls, ToolCall};
use crate::dialect::Dialect;

/// How deep a schema is followed; deeper parts become `null`.
const SCHEMA_DEPTH_MAX: usize = 16;
/// The size in which the arguments of a tool call are streamed.
const FRAGMENT_BYTES: usize = 8;

/// Everything a dialect needs to write an answer.
#[derive(Debug)]
pub(super) struct Speech {
    pub(super) reasoning: Vec<Arc<str>>,
    pub(super) chunks: Vec<Arc<str>>,
    pub(super) calls: Vec<Call>,
    pub(super) refusal: Option<String>,
    pub(super) finish: Finish,
    /// The script's own word for the finish reason.
    pub(super) finish_word: Option<String>,
    pub(super) usage: Counted,
    pub(super) hide_usage: bool,
}

/// A tool call with everything decided.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    Tools,
    Filtered,
    Refused,
}

/// Tokens, in OpenAI's convention: the input includes the cached part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
    pub(super) reasoning: u64,
}

/// One frame of a stream, with what the pacing needs to know.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    pub(super) place: Place,
    /// Tokens that this frame carries, for the pace.
    pub(super) tokens: u64,
}

/// Where a frame stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Preamble,
    Content,
    /// Finish, usage, `[DONE]`, the stop of a block.
    Closing,
}

impl Speech {
    pub(super) fn compose(asked: &Asked, answer: &Answer) -> Self {
        let calls = calls(asked, &answer.tool_calls);
        let mut finish = match calls.is_empty() {
            true => Finish::Stop,
            false => Finish::Tools,
        };
        let mut chunks = match &answer.chunks {
            Some(chunks) => chunks.clone(),
            None if calls.is_empty() => words(&default_text(asked)),
            None => Vec::new(),
        };
        if let (true, Some(begun)) = (answer.continues, &asked.begun) {
            chunks = rest(&chunks, begun);
        }
        // Only an echo obeys the limit: a scripted text is what the script's author wants to see.
        if let (None, Some(limit)) = (&answer.chunks, asked.max_tokens) {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
            if chunks.len() > limit {
                chunks.truncate(limit);
                finish = Finish::Length;
            }
        }
        let mut reasoning = answer.reasoning.clone();
        if reasoning.is_empty() && asked.thinking && asked.dialect == Dialect::Anthropic {
            reasoning = words("The question is simple.");
        }
        if answer.refusal.is_some() {
            finish = Finish::Refused;
        }
        if answer.filtered {
            finish = Finish::Filtered;
        }
        let reasoned = reasoning.iter().map(|it| rough_tokens(it)).sum();
        let spoken: u64 = chunks.iter().map(|it| rough_tokens(it)).sum();
        let called: u64 = calls.iter().map(|it| rough_tokens(&it.arguments) + 4).sum();
        let wanted = answer.usage;
        let usage = Counted {
            input: wanted.input.unwrap_or(asked.prompt_tokens),
            output: wanted.output.unwrap_or(spoken + called + reasoned).max(1),
            cache_read: wanted.cache_read,
            cache_write: wanted.cache_write,
            reasoning: if wanted.reasoning > 0 { wanted.reasoning } else { reasoned },
        };
        Self {
            reasoning,
            chunks,
            calls,
            refusal: answer.refusal.clone(),
            finish,
            finish_word: answer.finish.clone(),
            usage,
            hide_usage: answer.hide_usage,
        }
    }

    pub(super) fn text(&self) -> String {
        self.chunks.concat()
    }

    pub(super) fn reasoning_text(&self) -> Option<String> {
        (!self.reasoning.is_empty()).then(|| self.reasoning.concat())
    }
}

/// A text in the pieces in which a model would stream it.
pub(super) fn words(text: &str) -> Vec<Arc<str>> {
    text.split_inclusive(' ').map(Arc::from).collect()
}

/// What follows a beginning, in the same pieces; all of it if it begins otherwise.
fn rest(chunks: &[Arc<str>], begun: &str) -> Vec<Arc<str>> {
    if !chunks.concat().starts_with(begun) {
        return chunks.to_vec();
    }
    let mut said = begun.len();
    let left = chunks.iter().filter_map(|chunk| {
        let here = said.min(chunk.len());
        said -= here;
        let (_, left) = chunk.split_at(here);
        (!left.is_empty()).then(|| Arc::from(left))
    });
    left.collect()
}

/// A text cut into small fragments, never inside a letter.
pub(super) fn fragments(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        // A letter has at most four bytes, so there is always a piece.
        let piece = first_bytes(rest, FRAGMENT_BYTES);
        rest = rest.strip_prefix(piece).unwrap_or_default();
        pieces.push(piece);
    }
    pieces
}

fn default_text(asked: &Asked) -> String {
    if let Some(schema) = &asked.schema {
        return match schema {
            Value::Null => json!({ "said": asked.said }).to_string(),
            schema => fitting(schema, schema, 0).to_string(),
        };
    }
    let verb = if asked.tool_answered { "The tool said" } else { "You said" };
    let pictures = match asked.images {
        0 => String::new(),
        1 => " I see 1 image.".to_owned(),
        many => format!(" I see {many} images."),
    };
    format!("Hello from the scripted provider. {verb}: {}{pictures}", asked.said)
}

fn calls(asked: &Asked, wanted: &Calls) -> Vec<Call> {
    let id = |number: usize| match asked.dialect {
        Dialect::Anthropic => format!("toolu_mock{:016x}{number}", asked.id),
        Dialect::Bedrock => format!("tooluse_mock{:016x}{number}", asked.id),
        Dialect::OpenAi
        | Dialect::Azure
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Custom
        | Dialect::Gemini => {
            format!("call_mock{:016x}{number}", asked.id)
        }
    };
    if let Calls::Named(calls) = wanted {
        let settle = |(number, call): (usize, &ToolCall)| Call {
            id: call.id.clone().unwrap_or_else(|| id(number)),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        };
        return calls.iter().enumerate().map(settle).collect();
    }
    let count = match (wanted, &asked.forced) {
        (Calls::OfRequest(count), _) => *count,
        (_, Forced::Any) => 1,
        (_, Forced::Named(_)) => 1,
        (_, Forced::No) => 0,
    };
    let eligible = asked.tools.iter().filter(|tool| match &asked.forced {
        Forced::Named(name) => tool.name == *name,
        Forced::Any | Forced::No => true,
    });
    let settle = |(number, tool): (usize, &super::asked::Tool)| {
        let arguments = match &tool.schema {
            Value::Object(_) => fitting(&tool.schema, &tool.schema, 0),
            _ => json!({}),
        };
        Call { id: id(number), name: tool.name.clone(), arguments: arguments.to_string() }
    };
    eligible.take(count).enumerate().map(settle).collect()
}

/// A value that fits a JSON schema, as far as types, enums and nesting go.
fn fitting(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > SCHEMA_DEPTH_MAX {
        return Value::Null;
    }
    if let Some(target) = schema["$ref"].as_str() {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, |schema| fitting(schema, root, depth + 1));
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    let choices = ["anyOf", "oneOf", "allOf"].into_iter().find_map(|it| schema[it].as_array());
    if let Some(first) = choices.and_then(|choices| choices.first()) {
        return fitting(first, root, depth + 1);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    // Google's own schemas write types in capitals.
    let kind = kind.map(str::to_ascii_lowercase);
    match kind.as_deref() {
        Some("string") => json!("text"),
        Some("integer") => json!(1),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        Some("array") => json!([fitting(&schema["items"], root, depth + 1)]),
        Some("null") => Value::Null,
        _ => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let fields: Map<String, Value> = properties
                .map(|(name, schema)| (name.clone(), fitting(schema, root, depth + 1)))
                .collect();
            Value::Object(fields)
        }
    }
}
