//! Answers in OpenAI's Responses: one response, or the events in which it grows.

use bytes::Bytes;
use serde_json::{Value, json};

use super::asked::{Asked, Forced, Tool, rough_tokens, shortened};
use super::openai::CREATED;
use super::problem::Problem;
use super::speech::{Finish, Frame, Place, Speech, fragments};

/// Stands where OpenAI would seal what the model thought.
const SEAL: &str = "bW9jay1zaWduYXR1cmU=";

/// Reads a request.
pub(super) fn read(asked: &mut Asked, body: &[u8]) {
    let Some(body) = asked.object(body) else { return };
    asked.model = body["model"].as_str().unwrap_or_default().to_owned();
    asked.stream = body["stream"] == true;
    let input = &body["input"];
    if asked.model.is_empty() || input.is_null() {
        let field = if input.is_null() { "input" } else { "model" };
        let message = format!("Missing required parameter: '{field}'.");
        let param = Some(field.to_owned());
        asked.refused = Some(Problem { param, ..Problem::saying(400, message) });
        return;
    }
    asked.prompt_tokens = rough_tokens(&input.to_string());
    asked.max_tokens = body["max_output_tokens"].as_u64();
    let last = input.as_array().and_then(|items| items.last()).unwrap_or(input);
    let parts = last["content"].as_array().map_or(&[][..], Vec::as_slice);
    let said = last.as_str().or_else(|| last["content"].as_str());
    let said = said.or_else(|| parts.iter().find_map(|part| part["text"].as_str()));
    asked.said = shortened(said.unwrap_or_default().into());
    asked.images = parts.iter().filter(|part| part["type"] == "input_image").count();
    asked.tool_answered = last["type"] == "function_call_output";
    let tools = body["tools"].as_array().into_iter().flatten();
    let tool = |tool: &Value| {
        Some(Tool { name: tool["name"].as_str()?.to_owned(), schema: tool["parameters"].clone() })
    };
    asked.tools = tools.filter_map(tool).collect();
    let choice = &body["tool_choice"];
    asked.forced = match choice["name"].as_str() {
        Some(name) => Forced::Named(name.to_owned()),
        None if choice == "required" => Forced::Any,
        None => Forced::No,
    };
    let format = &body["text"]["format"];
    asked.schema = match format["type"].as_str() {
        Some("json_schema") => Some(format["schema"].clone()),
        Some("json_object") => Some(Value::Null),
        _ => None,
    };
}

/// A whole response.
pub(super) fn whole(asked: &Asked, speech: &Speech) -> Bytes {
    Bytes::from(response(asked, speech, Stage::Over).to_string())
}

/// The events of a stream.
pub(super) fn frames(asked: &Asked, speech: &Speech) -> Vec<Frame> {
    let mut events = Events { frames: Vec::with_capacity(speech.chunks.len() + 10), number: 0 };
    for kind in ["response.created", "response.in_progress"] {
        let begun = response(asked, speech, Stage::Begun);
        events.push(kind, Place::Preamble, 0, json!({ "response": begun }));
    }
    for (at, item) in items(asked, speech).into_iter().enumerate() {
        let id = item["id"].clone();
        let field =
            |name: &str, value: Value| json!({"item_id": id, "output_index": at, name: value});
        let mut started = item.clone();
        started["status"] = json!("in_progress");
        match item["type"].as_str() {
            Some("reasoning") => {
                (started["summary"], started["encrypted_content"]) = (json!([]), Value::Null);
                events.item(at, &started, Place::Preamble);
                let at_part = |name: &str, value: Value| {
                    let mut fields = field(name, value);
                    fields["summary_index"] = json!(0);
                    fields
                };
                let part =
                    |text: &str| at_part("part", json!({"type": "summary_text", "text": text}));
                let kind = "response.reasoning_summary_part.added";
                events.push(kind, Place::Preamble, 0, part(""));
                for chunk in &speech.reasoning {
                    let kind = "response.reasoning_summary_text.delta";
                    let said = at_part("delta", json!(**chunk));
                    events.push(kind, Place::Content, rough_tokens(chunk), said);
                }
                let whole = speech.reasoning.concat();
                let kind = "response.reasoning_summary_text.done";
                events.push(kind, Place::Closing, 0, at_part("text", json!(whole)));
                let kind = "response.reasoning_summary_part.done";
                events.push(kind, Place::Closing, 0, part(&whole));
            }
            Some("function_call") => {
                started["arguments"] = json!("");
                events.item(at, &started, Place::Content);
                let arguments = item["arguments"].as_str().unwrap_or_default();
                for piece in fragments(arguments) {
                    let kind = "response.function_call_arguments.delta";
                    let said = field("delta", json!(piece));
                    events.push(kind, Place::Content, rough_tokens(piece), said);
                }
                let kind = "response.function_call_arguments.done";
                events.push(kind, Place::Closing, 0, field("arguments", json!(arguments)));
            }
            _ => {
                started["content"] = json!([]);
                events.item(at, &started, Place::Preamble);
                let at_part = |name: &str, value: Value| {
                    let mut fields = field(name, value);
                    fields["content_index"] = json!(0);
                    fields
                };
                let refusal = speech.refusal.as_deref();
                let kind = if refusal.is_some() { "refusal" } else { "output_text" };
                let first = match refusal {
                    Some(_) => json!({"type": "refusal", "refusal": ""}),
                    None => part(""),
                };
                let name = "response.content_part.added";
                events.push(name, Place::Preamble, 0, at_part("part", first));
                let name = format!("response.{kind}.delta");
                for chunk in speech.chunks.iter().map(|it| &**it).chain(refusal) {
                    let said = at_part("delta", json!(chunk));
                    events.push(&name, Place::Content, rough_tokens(chunk), said);
                }
                let done = if refusal.is_some() { "refusal" } else { "text" };
                let whole = refusal.map_or_else(|| speech.text(), str::to_owned);
                let name = format!("response.{kind}.done");
                events.push(&name, Place::Closing, 0, at_part(done, json!(whole)));
                let last = at_part("part", item["content"][0].clone());
                events.push("response.content_part.done", Place::Closing, 0, last);
            }
        }
        let done = json!({"output_index": at, "item": item});
        events.push("response.output_item.done", Place::Closing, 0, done);
    }
    let kind = match speech.finish {
        Finish::Length | Finish::Filtered => "response.incomplete",
        Finish::Stop | Finish::Tools | Finish::Refused => "response.completed",
    };
    let whole = response(asked, speech, Stage::Over);
    events.push(kind, Place::Closing, 0, json!({ "response": whole }));
    events.frames
}

/// The event that ends a stream which failed.
pub(super) fn failed(asked: &Asked, code: &str, message: &str) -> Bytes {
    let mut response = envelope(asked);
    response["status"] = json!("failed");
    response["error"] = json!({"code": code, "message": message});
    let event = json!({"type": "response.failed", "sequence_number": 99, "response": response});
    Bytes::from(format!("event: response.failed\ndata: {event}\n\n"))
}

struct Events {
    frames: Vec<Frame>,
    number: u64,
}

impl Events {
    fn push(&mut self, kind: &str, place: Place, tokens: u64, mut fields: Value) {
        fields["type"] = json!(kind);
        fields["sequence_number"] = json!(self.number);
        self.number += 1;
        let bytes = format!("event: {kind}\ndata: {fields}\n\n").into();
        self.frames.push(Frame { bytes, place, tokens });
    }

    fn item(&mut self, at: usize, item: &Value, place: Place) {
        let fields = json!({"output_index": at, "item": item});
        self.push("response.output_item.added", place, 0, fields);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begun,
    Over,
}

fn envelope(asked: &Asked) -> Value {
    json!({
        "id": format!("resp_mock{:016x}", asked.id),
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": asked.max_tokens,
        "metadata": {},
        "model": asked.model,
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "store": true,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": null,
        "user": null,
    })
}

fn response(asked: &Asked, speech: &Speech, stage: Stage) -> Value {
    let mut response = envelope(asked);
    if stage == Stage::Begun {
        return response;
    }
    response["output"] = json!(items(asked, speech));
    let reason = match speech.finish {
        Finish::Length => Some("max_output_tokens"),
        Finish::Filtered => Some("content_filter"),
        Finish::Stop | Finish::Tools | Finish::Refused => None,
    };
    response["status"] = json!(if reason.is_some() { "incomplete" } else { "completed" });
    response["incomplete_details"] = reason.map_or(Value::Null, |it| json!({ "reason": it }));
    if !speech.hide_usage {
        let usage = speech.usage;
        response["usage"] = json!({
            "input_tokens": usage.input,
            "input_tokens_details": {
                "cached_tokens": usage.cache_read,
                "cache_write_tokens": usage.cache_write,
            },
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        });
    }
    response
}

/// Thoughts, then what is said, then the calls.
fn items(asked: &Asked, speech: &Speech) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some(text) = speech.reasoning_text() {
        items.push(json!({
            "id": format!("rs_mock{:016x}", asked.id),
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text}],
            "encrypted_content": SEAL,
        }));
    }
    let content = match &speech.refusal {
        Some(refusal) => Some(json!({"type": "refusal", "refusal": refusal})),
        None => (!speech.chunks.is_empty() || items.is_empty() && speech.calls.is_empty())
            .then(|| part(&speech.text())),
    };
    if let Some(content) = content {
        items.push(json!({
            "id": format!("msg_mock{:016x}", asked.id),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [content],
        }));
    }
    for (number, call) in speech.calls.iter().enumerate() {
        items.push(json!({
            "id": format!("fc_mock{:016x}{number}", asked.id),
            "type": "function_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }));
    }
    items
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}
