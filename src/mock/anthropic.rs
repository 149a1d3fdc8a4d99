//! Answers in Anthropic's Messages: one body, or named events in the order the API sends them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::asked::{Asked, rough_tokens};
use super::speech::{Finish, Frame, Place, Speech, fragments};

/// Stands where the provider would sign its thinking.
const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";

/// A whole message.
pub(super) fn whole(asked: &Asked, speech: &Speech) -> Bytes {
    let mut content = Vec::new();
    if let Some(thinking) = speech.reasoning_text() {
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": SIGNATURE}));
    }
    if !speech.chunks.is_empty() {
        content.push(json!({"type": "text", "text": speech.text()}));
    }
    for call in &speech.calls {
        let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        let (id, name) = (&call.id, &call.name);
        content.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
    }
    let mut message = message(asked, &content, usage(speech, speech.usage.output));
    message["stop_reason"] = json!(stop_reason(speech));
    message["stop_details"] = stop_details(speech);
    Bytes::from(message.to_string())
}

/// The events of a streamed message.
pub(super) fn frames(asked: &Asked, speech: &Speech) -> Vec<Frame> {
    let mut events = Events { frames: Vec::with_capacity(speech.chunks.len() + 8), index: 0 };
    let start = message(asked, &[], usage(speech, 1));
    events.push("message_start", Place::Preamble, 0, json!({ "message": start }));
    if !speech.reasoning.is_empty() {
        events.start(json!({"type": "thinking", "thinking": "", "signature": ""}), true);
        events.ping();
        for chunk in &speech.reasoning {
            events
                .delta(rough_tokens(chunk), json!({"type": "thinking_delta", "thinking": **chunk}));
        }
        events.delta(0, json!({"type": "signature_delta", "signature": SIGNATURE}));
        events.stop();
    }
    // A refusal is often an empty text block; a reply of nothing else has one too.
    let empty = speech.calls.is_empty() && speech.reasoning.is_empty();
    if !speech.chunks.is_empty() || empty {
        events.start(json!({"type": "text", "text": ""}), true);
        if speech.reasoning.is_empty() {
            events.ping();
        }
        events.texts(speech);
        events.stop();
    }
    for call in &speech.calls {
        let (id, name) = (&call.id, &call.name);
        events.start(json!({"type": "tool_use", "id": id, "name": name, "input": {}}), false);
        events.delta(0, json!({"type": "input_json_delta", "partial_json": ""}));
        for piece in fragments(&call.arguments) {
            let delta = json!({"type": "input_json_delta", "partial_json": piece});
            events.delta(rough_tokens(piece), delta);
        }
        events.stop();
    }
    let delta = json!({
        "stop_reason": stop_reason(speech),
        "stop_sequence": null,
        "stop_details": stop_details(speech),
    });
    let mut end = json!({ "delta": delta });
    if !speech.hide_usage {
        end["usage"] = usage(speech, speech.usage.output);
    }
    events.push("message_delta", Place::Closing, 0, end);
    events.push("message_stop", Place::Closing, 0, json!({}));
    events.frames
}

/// The answer of `count_tokens`.
pub(super) fn count(asked: &Asked) -> Bytes {
    Bytes::from(json!({ "input_tokens": asked.prompt_tokens }).to_string())
}

struct Events {
    frames: Vec<Frame>,
    index: usize,
}

impl Events {
    fn push(&mut self, event: &str, place: Place, tokens: u64, fields: Value) {
        self.frames.push(Frame { bytes: event_bytes(event, fields), place, tokens });
    }

    /// Opens a block. Only a block of text or thinking may be opened without saying anything.
    fn start(&mut self, block: Value, silent: bool) {
        let place = if silent { Place::Preamble } else { Place::Content };
        let fields = json!({"index": self.index, "content_block": block});
        self.push("content_block_start", place, 0, fields);
    }

    fn ping(&mut self) {
        self.push("ping", Place::Preamble, 0, json!({}));
    }

    fn delta(&mut self, tokens: u64, delta: Value) {
        let fields = json!({"index": self.index, "delta": delta});
        self.push("content_block_delta", Place::Content, tokens, fields);
    }

    fn texts(&mut self, speech: &Speech) {
        let mut previous: Option<&str> = None;
        for chunk in &speech.chunks {
            // A repeated chunk shares the bytes of the frame before it.
            match self.frames.last().cloned().filter(|_| previous == Some(chunk)) {
                Some(frame) => self.frames.push(frame),
                None => {
                    self.delta(rough_tokens(chunk), json!({"type": "text_delta", "text": **chunk}));
                }
            }
            previous = Some(chunk);
        }
    }

    fn stop(&mut self) {
        let fields = json!({ "index": self.index });
        self.push("content_block_stop", Place::Closing, 0, fields);
        self.index += 1;
    }
}

/// `type` goes first, as the API writes it; serde_json sorts the rest.
fn event_bytes(event: &str, fields: Value) -> Bytes {
    let fields = fields.to_string();
    let rest = fields.strip_prefix('{').unwrap_or_default();
    let comma = if rest == "}" { "" } else { "," };
    Bytes::from(format!("event: {event}\ndata: {{\"type\":\"{event}\"{comma}{rest}\n\n"))
}

fn message(asked: &Asked, content: &[Value], usage: Value) -> Value {
    json!({
        "id": format!("msg_mock{:016x}", asked.id),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
        "stop_details": null,
        "usage": usage,
    })
}

/// Anthropic's input tokens exclude what the cache answered or took.
fn usage(speech: &Speech, output: u64) -> Value {
    let usage = speech.usage;
    let cached = usage.cache_read + usage.cache_write;
    let mut value = json!({
        "input_tokens": usage.input.saturating_sub(cached),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output,
        "service_tier": "standard",
    });
    if usage.reasoning > 0 {
        value["output_tokens_details"] = json!({ "thinking_tokens": usage.reasoning });
    }
    value
}

fn stop_reason(speech: &Speech) -> &str {
    if let Some(word) = &speech.finish_word {
        return word;
    }
    match speech.finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Tools => "tool_use",
        Finish::Filtered | Finish::Refused => "refusal",
    }
}

fn stop_details(speech: &Speech) -> Value {
    match speech.finish {
        Finish::Filtered | Finish::Refused => json!({
            "type": "refusal",
            "category": "general_harms",
            "explanation": speech.refusal,
        }),
        Finish::Stop | Finish::Length | Finish::Tools => Value::Null,
    }
}
