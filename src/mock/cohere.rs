//! Answers in Cohere's API, version 2: one body, or named events; embeddings and orders of documents.

use bytes::Bytes;
use serde_json::{Value, json};

use super::asked::{Asked, rough_tokens};
use super::openai::vectors;
use super::speech::{Call, Finish, Frame, Place, Speech, fragments};

/// A whole reply of `/v2/chat`.
pub(super) fn whole(asked: &Asked, speech: &Speech) -> Bytes {
    let mut message = json!({"role": "assistant"});
    let mut content = Vec::new();
    // Before calls, what the model thought is its plan.
    match speech.reasoning_text() {
        Some(thought) if speech.calls.is_empty() => {
            content.push(json!({"type": "thinking", "thinking": thought}));
        }
        Some(plan) => message["tool_plan"] = json!(plan),
        None => {}
    }
    if !speech.chunks.is_empty() {
        content.push(json!({"type": "text", "text": speech.text()}));
    }
    if !content.is_empty() {
        message["content"] = json!(content);
    }
    if !speech.calls.is_empty() {
        let call = |call: &Call| called(call, &call.arguments);
        message["tool_calls"] = speech.calls.iter().map(call).collect();
    }
    let mut reply = json!({"id": id(asked), "finish_reason": finish(speech), "message": message});
    if !speech.hide_usage {
        reply["usage"] = usage(speech);
    }
    Bytes::from(reply.to_string())
}

/// The events of a stream.
pub(super) fn frames(asked: &Asked, speech: &Speech) -> Vec<Frame> {
    let mut events = Events(Vec::with_capacity(speech.chunks.len() + 6));
    let role = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []});
    let start = json!({"id": id(asked), "delta": {"message": role}});
    events.push("message-start", Place::Preamble, 0, start);
    let mut index = 0;
    if speech.calls.is_empty() {
        let pieces: Vec<&str> = speech.reasoning.iter().map(|it| &**it).collect();
        index = events.block(index, "thinking", &pieces);
    } else {
        for plan in &speech.reasoning {
            let said = json!({"delta": {"message": {"tool_plan": **plan}}});
            events.push("tool-plan-delta", Place::Content, rough_tokens(plan), said);
        }
    }
    let pieces: Vec<&str> = speech.chunks.iter().map(|it| &**it).collect();
    events.block(index, "text", &pieces);
    for (index, call) in speech.calls.iter().enumerate() {
        let at = |message: Value| json!({"index": index, "delta": {"message": message}});
        let start = at(json!({"tool_calls": called(call, "")}));
        events.push("tool-call-start", Place::Content, 1, start);
        for piece in fragments(&call.arguments) {
            let said = at(json!({"tool_calls": {"function": {"arguments": piece}}}));
            events.push("tool-call-delta", Place::Content, rough_tokens(piece), said);
        }
        events.push("tool-call-end", Place::Closing, 0, json!({ "index": index }));
    }
    let mut end = json!({"finish_reason": finish(speech)});
    if !speech.hide_usage {
        end["usage"] = usage(speech);
    }
    events.push("message-end", Place::Closing, 0, json!({ "delta": end }));
    events.0
}

/// The event that ends a stream which failed.
pub(super) fn failed(message: &str) -> Bytes {
    let delta = json!({"finish_reason": "ERROR", "error": message});
    event("message-end", json!({ "delta": delta }))
}

/// The answer of `/v2/embed`.
pub(super) fn embeddings(asked: &Asked) -> Bytes {
    let body = json!({
        "id": id(asked),
        "embeddings": {"float": vectors(asked)},
        "texts": [],
        "response_type": "embeddings_by_type",
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"input_tokens": asked.prompt_tokens},
        },
    });
    Bytes::from(body.to_string())
}

/// The answer of `/v2/rerank`: the documents from the last to the first.
pub(super) fn order(asked: &Asked) -> Bytes {
    let results = (0..asked.inputs).rev().enumerate().map(|(place, index)| {
        let score = 1.0 / (place + 1) as f64;
        json!({"index": index, "relevance_score": score})
    });
    let body = json!({
        "id": id(asked),
        "results": results.collect::<Vec<_>>(),
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    });
    Bytes::from(body.to_string())
}

struct Events(Vec<Frame>);

impl Events {
    fn push(&mut self, kind: &str, place: Place, tokens: u64, fields: Value) {
        self.0.push(Frame { bytes: event(kind, fields), place, tokens });
    }

    /// One block of content in pieces, if there are any; returns the next one's index.
    fn block(&mut self, index: usize, kind: &str, pieces: &[&str]) -> usize {
        if pieces.is_empty() {
            return index;
        }
        let at =
            |content: Value| json!({"index": index, "delta": {"message": {"content": content}}});
        let start = at(json!({"type": kind, kind: ""}));
        self.push("content-start", Place::Preamble, 0, start);
        for piece in pieces {
            let said = at(json!({ kind: piece }));
            self.push("content-delta", Place::Content, rough_tokens(piece), said);
        }
        self.push("content-end", Place::Closing, 0, json!({ "index": index }));
        index + 1
    }
}

fn event(kind: &str, mut fields: Value) -> Bytes {
    fields["type"] = json!(kind);
    Bytes::from(format!("event: {kind}\ndata: {fields}\n\n"))
}

fn called(call: &Call, arguments: &str) -> Value {
    let function = json!({"name": call.name, "arguments": arguments});
    json!({"id": call.id, "type": "function", "function": function})
}

fn id(asked: &Asked) -> String {
    format!("00000000-0000-4000-8000-{:012x}", asked.id & 0xffff_ffff_ffff)
}

/// Counts are floats. What is billed leaves out what Cohere adds to a prompt.
fn usage(speech: &Speech) -> Value {
    let usage = speech.usage;
    let (input, output) = (usage.input as f64, usage.output as f64);
    json!({
        "billed_units": {"input_tokens": (input - 1.0).max(0.0), "output_tokens": output},
        "tokens": {"input_tokens": input, "output_tokens": output},
        "cached_tokens": usage.cache_read as f64,
    })
}

fn finish(speech: &Speech) -> &str {
    match (&speech.finish_word, speech.finish) {
        (Some(word), _) => word,
        (None, Finish::Stop) => "COMPLETE",
        (None, Finish::Length) => "MAX_TOKENS",
        (None, Finish::Tools) => "TOOL_CALL",
        (None, Finish::Filtered | Finish::Refused) => "ERROR_TOXIC",
    }
}
