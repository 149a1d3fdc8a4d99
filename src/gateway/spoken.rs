//! What was said, in OpenTelemetry's form: the messages of a request and of its reply, whatever their dialect.
//!
//! Pictures and sound are named and left out; texts are cut, and so is what lies far back.

use bytes::Bytes;
use serde_json::{Value, json};

use super::ctx::Call;
use crate::dialect::{ClientDialect, Endpoint};
use crate::telemetry::Transcript;
use crate::wire;
use crate::wire::json::Object;

/// The longest text of one message that is told, in bytes, and of all of them.
const TEXT_MAX: usize = 8 * 1024;
const MESSAGES_MAX: usize = 64 * 1024;

/// The messages of the request; `None`: it has none.
pub(super) fn asked(call: &Call, transcript: &Transcript) -> Option<Box<str>> {
    let is_own = |body: &Object| body.bytes().as_ptr() == transcript.request.as_ptr();
    // What nobody has masked since is canonical already.
    if is_own(call.native.as_ref().unwrap_or(&call.body)) {
        return messages_of(&call.body);
    }
    let words = Object::parse(transcript.request.clone()).ok()?;
    if call.native.is_none() {
        return messages_of(&words);
    }
    let asked = wire::client::Asked {
        model: Some(&call.model),
        stream: Some(call.stream),
        embeds: call.endpoint == Endpoint::Embeddings,
    };
    messages_of(&wire::client::request(call.dialect, &words, asked).ok()?.body)
}

fn messages_of(canonical: &Object) -> Option<Box<str>> {
    let written = match canonical.value("messages") {
        Some(messages) => messages,
        None => json!([{"role": "user", "content": canonical.str("prompt")?}]),
    };
    let all = written.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut told = Vec::new();
    let mut room = MESSAGES_MAX;
    // What was said last is what the reply is about.
    for message in all.iter().rev() {
        let message = json!({"role": message["role"], "parts": parts(message)});
        let Some(left) = room.checked_sub(message.to_string().len()) else { break };
        room = left;
        told.push(message);
    }
    told.reverse();
    Some(Value::Array(told).to_string().into())
}

/// The messages of the reply; `None`: there is none, or it is no message.
pub(super) fn answered(call: &Call, reply: &Bytes) -> Option<Box<str>> {
    let reply: Value = serde_json::from_slice(reply).ok()?;
    let told = match (call.dialect, call.endpoint) {
        (ClientDialect::OpenAi, Endpoint::Chat | Endpoint::Completions) => of_chat(&reply),
        (ClientDialect::Anthropic, Endpoint::Chat) => of_messages(&reply),
        (ClientDialect::Gemini, Endpoint::Chat) => of_candidates(&reply),
        (ClientDialect::Responses, Endpoint::Chat | Endpoint::Responses) => of_response(&reply),
        _ => Vec::new(),
    };
    let mut room = MESSAGES_MAX;
    let fits = |message: &Value| match room.checked_sub(message.to_string().len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let told: Vec<_> = told.into_iter().take_while(fits).collect();
    (!told.is_empty()).then(|| Value::Array(told).to_string().into())
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn message(parts: Vec<Value>, end: &Value) -> Value {
    let end = end.as_str().map(str::to_ascii_lowercase);
    json!({"role": "assistant", "parts": parts, "finish_reason": end.unwrap_or_default()})
}

fn of_chat(reply: &Value) -> Vec<Value> {
    let choices = list(reply, "choices").iter().map(|choice| {
        let said = match choice.get("message") {
            Some(message) => parts(message),
            None => choice["text"].as_str().map(text).into_iter().collect(),
        };
        message(said, &choice["finish_reason"])
    });
    choices.collect()
}

/// Anthropic's.
fn of_messages(reply: &Value) -> Vec<Value> {
    let said = list(reply, "content").iter().map(|block| match block["type"].as_str() {
        Some("text") => text(block["text"].as_str().unwrap_or_default()),
        Some("thinking") => reasoning(block["thinking"].as_str().unwrap_or_default()),
        Some("tool_use") => tool_call(&block["id"], &block["name"], &block["input"].to_string()),
        _ => json!({"type": block["type"]}),
    });
    vec![message(said.collect(), &reply["stop_reason"])]
}

/// Gemini's.
fn of_candidates(reply: &Value) -> Vec<Value> {
    let candidates = list(reply, "candidates").iter().map(|candidate| {
        let said = list(&candidate["content"], "parts").iter().map(|part| {
            match (part["text"].as_str(), &part["functionCall"]) {
                (Some(thought), _) if part["thought"] == true => reasoning(thought),
                (Some(said), _) => text(said),
                (None, Value::Object(call)) => {
                    let part = |name: &str| call.get(name).cloned().unwrap_or_default();
                    tool_call(&part("id"), &part("name"), &part("args").to_string())
                }
                (None, _) => {
                    let kind = part.as_object().and_then(|fields| fields.keys().next());
                    json!({"type": kind})
                }
            }
        });
        message(said.collect(), &candidate["finishReason"])
    });
    candidates.collect()
}

/// The Responses API's.
fn of_response(reply: &Value) -> Vec<Value> {
    let mut said = Vec::new();
    for item in list(reply, "output") {
        let texts = |name: &'static str| {
            list(item, name)
                .iter()
                .filter_map(|part| part["text"].as_str().or_else(|| part["refusal"].as_str()))
        };
        match item["type"].as_str() {
            Some("message") => said.extend(texts("content").map(text)),
            Some("reasoning") => said.extend(texts("summary").map(reasoning)),
            Some("function_call") => {
                let arguments = item["arguments"].as_str().unwrap_or_default();
                said.push(tool_call(&item["call_id"], &item["name"], arguments));
            }
            _ => said.push(json!({"type": item["type"]})),
        }
    }
    let end = &reply["incomplete_details"]["reason"];
    let end = if end.is_null() { &reply["status"] } else { end };
    vec![message(said, end)]
}

/// The parts of a canonical message.
fn parts(message: &Value) -> Vec<Value> {
    let mut parts = Vec::new();
    parts.extend(message["reasoning_content"].as_str().map(reasoning));
    match &message["content"] {
        Value::String(content) if message["role"] == "tool" => parts.push(json!({
            "type": "tool_call_response", "id": message["tool_call_id"], "response": cut(content),
        })),
        Value::String(content) => parts.push(text(content)),
        Value::Array(content) => {
            parts.extend(content.iter().map(|part| match part["text"].as_str() {
                Some(content) => text(content),
                None => json!({"type": part["type"]}),
            }))
        }
        _ => {}
    }
    parts.extend(message["refusal"].as_str().map(text));
    let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.extend(calls.iter().map(|call| {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        tool_call(&call["id"], &call["function"]["name"], arguments)
    }));
    parts
}

fn text(text: &str) -> Value {
    json!({"type": "text", "content": cut(text)})
}

fn reasoning(text: &str) -> Value {
    json!({"type": "reasoning", "content": cut(text)})
}

fn tool_call(id: &Value, name: &Value, arguments: &str) -> Value {
    json!({"type": "tool_call", "id": id, "name": name, "arguments": cut(arguments)})
}

fn cut(text: &str) -> &str {
    beginning(text, TEXT_MAX)
}

/// So many bytes of a text, or a few less.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at(end).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(written: Value) -> Value {
        let canonical = Object::parse(json!({"messages": written}).to_string().into()).unwrap();
        serde_json::from_str(&messages_of(&canonical).unwrap()).unwrap()
    }

    #[test]
    fn messages_are_told_in_opentelemetrys_form() {
        let written = json!([
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ]);
        assert_eq!(
            told(written),
            json!([
                {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
                {"role": "user", "parts": [
                    {"type": "text", "content": "what is this?"}, {"type": "image_url"},
                ]},
                {"role": "assistant", "parts": [
                    {"type": "tool_call", "id": "c1", "name": "look", "arguments": "{}"},
                ]},
                {"role": "tool", "parts": [
                    {"type": "tool_call_response", "id": "c1", "response": "a cat"},
                ]},
            ])
        );
    }

    #[test]
    fn a_long_conversation_is_cut_at_its_beginning() {
        let message = |number: usize| json!({"role": "user", "content": format!("{number} {}", "ä".repeat(20_000))});
        let told = told((0..20).map(message).collect());
        assert!(told.to_string().len() <= MESSAGES_MAX + 100, "{}", told.to_string().len());
        let last = told.as_array().unwrap().last().unwrap();
        let text = last["parts"][0]["content"].as_str().unwrap();
        assert!(text.starts_with("19 ") && text.len() <= TEXT_MAX, "{}", text.len());
    }

    #[test]
    fn replies_of_all_dialects_are_told_alike() {
        let call =
            json!({"type": "tool_call", "id": "c1", "name": "look", "arguments": "{\"at\":1}"});
        let said = |end: &str| {
            let parts = json!([
                {"type": "reasoning", "content": "hm"}, {"type": "text", "content": "a cat"}, call,
            ]);
            vec![json!({"role": "assistant", "parts": parts, "finish_reason": end})]
        };
        let chat = json!({"choices": [{"finish_reason": "tool_calls", "message": {
            "role": "assistant", "reasoning_content": "hm", "content": "a cat",
            "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": "{\"at\":1}"}}],
        }}]});
        assert_eq!(of_chat(&chat), said("tool_calls"));
        let messages = json!({"stop_reason": "tool_use", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a cat"},
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
        ]});
        assert_eq!(of_messages(&messages), said("tool_use"));
        let candidates = json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [
            {"text": "hm", "thought": true}, {"text": "a cat"},
            {"functionCall": {"id": "c1", "name": "look", "args": {"at": 1}}},
        ]}}]});
        assert_eq!(of_candidates(&candidates), said("stop"));
        let response = json!({"status": "completed", "incomplete_details": null, "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "a cat"}]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"at\":1}"},
        ]});
        assert_eq!(of_response(&response), said("completed"));
        let text = json!({"choices": [{"text": "a cat", "finish_reason": "stop"}]});
        assert_eq!(of_chat(&text)[0]["parts"], json!([{"type": "text", "content": "a cat"}]));
    }
}
