//! What a mapping finds in a reply, or in one event of a stream.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::to_raw_value;

use super::garbage;
use crate::failure::{Failure, FailureClass};
use crate::mapping::{Expression, Response, Scope};
use crate::usage::Usage;
use crate::wire::chat::{Call, CallFunction, Shown};
use crate::wire::fields::Text;

/// The parts of an answer.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) text: Option<String>,
    pub(super) reasoning: Option<String>,
    pub(super) calls: Vec<ToolCall>,
    pub(super) finish: Option<String>,
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
    /// The provider says that it failed.
    pub(super) failure: Option<Failure>,
}

/// A tool call, or a piece of one.
#[derive(Debug)]
pub(super) struct ToolCall {
    pub(super) index: Option<u32>,
    /// Empty if the provider gave none.
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text.
    pub(super) arguments: String,
}

impl ToolCall {
    fn of(value: &Value) -> Self {
        let function = value.get("function").unwrap_or(value);
        let text = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        Self {
            index: value.get("index").and_then(Value::as_u64).and_then(|at| at.try_into().ok()),
            id: text(value.get("id")),
            name: text(function.get("name")),
            arguments: text(function.get("arguments")),
        }
    }

    /// Gives the call an id if the provider gave it none: one that no other reply has, because
    /// clients pair calls and results of a whole conversation by it.
    pub(super) fn identify(&mut self, reply: &str, place: usize) {
        if self.id.is_empty() {
            self.id = format!("call_{}_{place}", reply.trim_start_matches("chatcmpl-"));
        }
    }

    pub(super) fn call(&self) -> Call<'_> {
        Call {
            id: Some(Text(Cow::Borrowed(&self.id))),
            kind: Some("function".into()),
            function: Some(CallFunction {
                name: Text(Cow::Borrowed(&self.name)),
                arguments: to_raw_value(&self.arguments).ok().map(Cow::Owned),
            }),
            custom: None,
            cache_control: None,
            extra_content: None,
        }
    }
}

/// Evaluates a mapping.
///
/// # Errors
/// An expression does not work on what the provider sent.
pub(super) fn mapped(map: &Response, scope: &Scope) -> Result<Said, Failure> {
    let value = |expression: &Option<Expression>| match expression {
        None => Ok(Value::Null),
        Some(expression) => expression.evaluate(scope).map_err(|wrong| {
            garbage(&format!(
                "the mapping of this provider cannot be applied to its answer: {wrong}"
            ))
        }),
    };
    let text = |expression| Ok::<_, Failure>(text(value(expression)?));
    let count = |expression| Ok::<_, Failure>(count(&value(expression)?));
    let failure = match value(&map.error)? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(Failure::new(FailureClass::Server, text)),
        Value::Bool(true) => Some(garbage("the provider says that it failed")),
        other => Some(Failure::new(FailureClass::Server, other.to_string())),
    };
    let calls = match value(&map.tool_calls)? {
        Value::Array(calls) => calls.iter().map(ToolCall::of).collect(),
        _ => Vec::new(),
    };
    let (input, output) = (count(&map.input_tokens)?, count(&map.output_tokens)?);
    let usage = (input.is_some() || output.is_some()).then_some(Usage {
        input_tokens: input.unwrap_or_default(),
        output_tokens: output.unwrap_or_default(),
        cache_read_tokens: count(&map.cached_tokens)?.unwrap_or_default(),
        reasoning_tokens: count(&map.reasoning_tokens)?.unwrap_or_default(),
        ..Usage::default()
    });
    Ok(Said {
        text: text(&map.text)?,
        reasoning: text(&map.reasoning)?,
        calls,
        finish: text(&map.finish_reason)?,
        id: text(&map.id)?,
        model: text(&map.model)?,
        usage,
        failure,
    })
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A whole number, which some providers write with a fraction of zero.
fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0)?;
        Some(number as u64)
    })
}

/// OpenAI's word for why an answer ended; the mapping may give it, or the provider's own.
pub(super) fn finish_reason(word: Option<&str>, has_calls: bool) -> &'static str {
    let word = word.map(str::to_ascii_lowercase);
    match word.as_deref() {
        Some("length" | "max_tokens" | "model_length" | "max_length") => "length",
        Some("content_filter" | "safety" | "refusal") => "content_filter",
        Some("tool_calls" | "tool_use" | "tool_call" | "function_call") => "tool_calls",
        _ if has_calls => "tool_calls",
        _ => "stop",
    }
}

pub(super) fn shown(usage: &Usage) -> Shown {
    Shown::of(usage, usage.reasoning_tokens > 0)
}
