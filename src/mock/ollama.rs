//! Answers in Ollama's own API: one body, or a line of JSON for each piece.

use bytes::Bytes;
use serde_json::{Value, json};

use super::asked::{Asked, rough_tokens};
use super::openai::vectors;
use super::speech::{Finish, Frame, Place, Speech};

/// What streams are sent as.
pub(super) const LINES: &str = "application/x-ndjson";
/// The time every reply claims to be made at: the same request gives the same bytes.
const CREATED: &str = "2026-01-01T00:00:00.000000001Z";

/// A whole reply of `/api/chat`.
pub(super) fn whole(asked: &Asked, speech: &Speech) -> Bytes {
    let mut message = json!({"role": "assistant", "content": speech.text()});
    if let Some(thought) = speech.reasoning_text() {
        message["thinking"] = json!(thought);
    }
    if !speech.calls.is_empty() {
        message["tool_calls"] = calls(speech).collect();
    }
    Bytes::from(last(asked, speech, message).to_string())
}

/// The lines of a stream. Calls come whole.
pub(super) fn frames(asked: &Asked, speech: &Speech) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(speech.chunks.len() + 2);
    let mut push = |fields: Value, place: Place, tokens: u64| {
        frames.push(Frame { bytes: format!("{fields}\n").into(), place, tokens });
    };
    for chunk in &speech.reasoning {
        let message = json!({"role": "assistant", "content": "", "thinking": **chunk});
        push(line(asked, message), Place::Content, rough_tokens(chunk));
    }
    for chunk in &speech.chunks {
        let message = json!({"role": "assistant", "content": **chunk});
        push(line(asked, message), Place::Content, rough_tokens(chunk));
    }
    for call in calls(speech) {
        let message = json!({"role": "assistant", "content": "", "tool_calls": [call]});
        push(line(asked, message), Place::Content, 1);
    }
    let end = last(asked, speech, json!({"role": "assistant", "content": ""}));
    push(end, Place::Closing, 0);
    frames
}

/// The answer of `/api/embed`.
pub(super) fn embeddings(asked: &Asked) -> Bytes {
    let body = json!({
        "model": asked.model,
        "embeddings": vectors(asked),
        "total_duration": 1,
        "load_duration": 1,
        "prompt_eval_count": asked.prompt_tokens,
    });
    Bytes::from(body.to_string())
}

/// Calls have no ids in most builds, and arguments are objects.
fn calls(speech: &Speech) -> impl Iterator<Item = Value> {
    speech.calls.iter().map(|call| {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        json!({"function": {"name": call.name, "arguments": arguments}})
    })
}

fn line(asked: &Asked, message: Value) -> Value {
    json!({"model": asked.model, "created_at": CREATED, "message": message, "done": false})
}

/// The line that ends an answer; a whole answer is nothing else.
fn last(asked: &Asked, speech: &Speech, message: Value) -> Value {
    let mut last = line(asked, message);
    last["done"] = json!(true);
    last["done_reason"] = json!(match (&speech.finish_word, speech.finish) {
        (Some(word), _) => word.as_str(),
        (None, Finish::Length) => "length",
        (None, _) => "stop",
    });
    last["total_duration"] = json!(1);
    if !speech.hide_usage {
        last["prompt_eval_count"] = json!(speech.usage.input);
        last["eval_count"] = json!(speech.usage.output);
    }
    last
}
