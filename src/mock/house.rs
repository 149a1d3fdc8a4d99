//! Answers in an API that nobody else has, as `custom_providers` describe one: `/house/say`.
//!
//! ```text
//! request  {"engine", "turns": OpenAI's messages, "tools", "choice", "format", "effort", "limit", "live"}
//! reply    {"out": {"text", "thoughts", "calls"}, "why", "cost": {"read", "cached", "written"}}
//! stream   SSE of {"piece"}, {"thought"}, {"calls"}; the last has "why", "cost" and "over"
//! error    {"problem": {"code", "text"}}
//! ```

use bytes::Bytes;
use serde_json::{Value, json};

use super::asked::{Asked, Tool, rough_tokens, shortened};
use super::speech::{Finish, Frame, Place, Speech};

/// Reads a request.
pub(super) fn read(asked: &mut Asked, body: &[u8]) {
    let Some(body) = asked.object(body) else { return };
    asked.model = body["engine"].as_str().unwrap_or_default().to_owned();
    asked.stream = body["live"] == true;
    asked.prompt_tokens = rough_tokens(&body["turns"].to_string());
    asked.max_tokens = body["limit"].as_u64();
    let last = body["turns"].as_array().and_then(|turns| turns.last());
    let content = last.map(|turn| &turn["content"]).unwrap_or(&Value::Null);
    let parts = content.as_array().map_or(&[][..], Vec::as_slice);
    let said = content.as_str().or_else(|| parts.iter().find_map(|part| part["text"].as_str()));
    asked.said = shortened(said.unwrap_or_default().into());
    asked.images = parts.iter().filter(|part| part["type"] == "image_url").count();
    asked.schema = body.pointer("/format/json_schema/schema").cloned();
    let tools = body["tools"].as_array().into_iter().flatten();
    let tool = |tool: &Value| {
        let function = &tool["function"];
        let schema = function["parameters"].clone();
        Some(Tool { name: function["name"].as_str()?.to_owned(), schema })
    };
    asked.tools = tools.filter_map(tool).collect();
    asked.tool_answered = last.is_some_and(|turn| turn["role"] == "tool");
}

/// A whole reply.
pub(super) fn whole(speech: &Speech) -> Bytes {
    let mut out = json!({"text": speech.text()});
    if let Some(thoughts) = speech.reasoning_text() {
        out["thoughts"] = json!(thoughts);
    }
    if !speech.calls.is_empty() {
        out["calls"] = json!(calls(speech));
    }
    let mut reply = end(speech);
    reply["out"] = out;
    Bytes::from(reply.to_string())
}

/// The frames of a stream.
pub(super) fn frames(speech: &Speech) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(speech.chunks.len() + 2);
    let mut push = |event: Value, place: Place, tokens: u64| {
        frames.push(Frame { bytes: format!("data: {event}\n\n").into(), place, tokens });
    };
    for chunk in &speech.reasoning {
        push(json!({"thought": **chunk}), Place::Content, rough_tokens(chunk));
    }
    for chunk in &speech.chunks {
        push(json!({"piece": **chunk}), Place::Content, rough_tokens(chunk));
    }
    for call in calls(speech) {
        push(json!({ "calls": [call] }), Place::Content, 1);
    }
    let mut last = end(speech);
    last["over"] = json!(true);
    push(last, Place::Closing, 0);
    frames
}

fn calls(speech: &Speech) -> Vec<Value> {
    let calls = speech.calls.iter().enumerate();
    let call = calls.map(|(index, call)| {
        json!({"index": index, "id": call.id, "name": call.name, "arguments": call.arguments})
    });
    call.collect()
}

fn end(speech: &Speech) -> Value {
    let why = match (&speech.finish_word, speech.finish) {
        (Some(word), _) => word.as_str(),
        (None, Finish::Stop) => "stop",
        (None, Finish::Length) => "length",
        (None, Finish::Tools) => "tool_calls",
        (None, Finish::Filtered | Finish::Refused) => "content_filter",
    };
    let mut end = json!({ "why": why });
    if !speech.hide_usage {
        let usage = speech.usage;
        end["cost"] =
            json!({"read": usage.input, "cached": usage.cache_read, "written": usage.output});
    }
    end
}
