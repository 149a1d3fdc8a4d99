//! Answers in Bedrock's Converse: one body, or the frames of AWS's binary event stream.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::asked::{Asked, Forced, Tool, rough_tokens, shortened};
use super::problem::Problem;
use super::speech::{Finish, Frame, Place, Speech, fragments};

/// What streams are sent as.
pub(super) const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
/// Stands where the model would sign its thinking.
const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";
/// Bytes of a frame before its headers: two lengths and their checksum.
const PRELUDE: usize = 12;
const CRC: usize = 4;
/// A header's value is text.
const TEXT: u8 = 7;

/// Reads a request of Converse or ConverseStream; which of them, the path has told.
pub(super) fn read(asked: &mut Asked, body: &[u8]) {
    let Some(body) = asked.object(body) else { return };
    let Some(last) = body["messages"].as_array().and_then(|list| list.last()) else {
        asked.refused = Some(Problem::saying(
            400,
            "A conversation must start with a user message. Try again with a conversation that \
             starts with a user message.",
        ));
        return;
    };
    asked.prompt_tokens = rough_tokens(&body["messages"].to_string());
    let blocks = last["content"].as_array().map_or(&[][..], Vec::as_slice);
    let said = blocks.iter().find_map(|block| block["text"].as_str()).unwrap_or_default();
    asked.said = shortened(said.into());
    asked.tool_answered = blocks.iter().any(|block| block.get("toolResult").is_some());
    asked.images = blocks.iter().filter(|block| block.get("image").is_some()).count();
    asked.max_tokens = body.pointer("/inferenceConfig/maxTokens").and_then(Value::as_u64);
    let tools = body.pointer("/toolConfig/tools").and_then(Value::as_array).into_iter().flatten();
    let tool = |tool: &Value| {
        let spec = tool.get("toolSpec")?;
        let schema = spec.pointer("/inputSchema/json").cloned().unwrap_or_default();
        Some(Tool { name: spec["name"].as_str()?.to_owned(), schema })
    };
    asked.tools = tools.filter_map(tool).collect();
    let choice = &body["toolConfig"]["toolChoice"];
    asked.forced = match choice.pointer("/tool/name").and_then(Value::as_str) {
        Some(name) => Forced::Named(name.to_owned()),
        None if choice.get("any").is_some() => Forced::Any,
        None => Forced::No,
    };
    // The schema itself is JSON in a text.
    let schema = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema");
    asked.schema = schema.and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
}

/// A whole reply.
pub(super) fn whole(speech: &Speech) -> Bytes {
    let mut content = Vec::new();
    if let Some(text) = speech.reasoning_text() {
        let text = json!({"text": text, "signature": SIGNATURE});
        content.push(json!({"reasoningContent": {"reasoningText": text}}));
    }
    if !speech.chunks.is_empty() {
        content.push(json!({"text": speech.text()}));
    }
    for call in &speech.calls {
        let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        let call = json!({"toolUseId": call.id, "name": call.name, "input": input});
        content.push(json!({"toolUse": call}));
    }
    let mut reply = metadata(speech);
    reply["output"] = json!({"message": {"role": "assistant", "content": content}});
    reply["stopReason"] = json!(stop_reason(speech));
    Bytes::from(reply.to_string())
}

/// The frames of a stream. A block of text or thoughts begins with its first delta.
pub(super) fn frames(speech: &Speech) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(speech.chunks.len() + 8);
    let mut push = |kind: &str, place: Place, tokens: u64, fields: Value| {
        let head = [(":event-type", kind), (":message-type", "event")];
        frames.push(Frame { bytes: frame(&head, &fields), place, tokens });
    };
    let delta = |index: usize, said: Value| json!({"contentBlockIndex": index, "delta": said});
    push("messageStart", Place::Preamble, 0, json!({"role": "assistant"}));
    let mut index = 0;
    if !speech.reasoning.is_empty() {
        for chunk in &speech.reasoning {
            let said = delta(index, json!({"reasoningContent": {"text": **chunk}}));
            push("contentBlockDelta", Place::Content, rough_tokens(chunk), said);
        }
        let seal = delta(index, json!({"reasoningContent": {"signature": SIGNATURE}}));
        push("contentBlockDelta", Place::Content, 0, seal);
        push("contentBlockStop", Place::Closing, 0, json!({"contentBlockIndex": index}));
        index += 1;
    }
    if !speech.chunks.is_empty() {
        for chunk in &speech.chunks {
            let said = delta(index, json!({"text": **chunk}));
            push("contentBlockDelta", Place::Content, rough_tokens(chunk), said);
        }
        push("contentBlockStop", Place::Closing, 0, json!({"contentBlockIndex": index}));
        index += 1;
    }
    for call in &speech.calls {
        let start = json!({"toolUse": {"toolUseId": call.id, "name": call.name}});
        let start = json!({"contentBlockIndex": index, "start": start});
        push("contentBlockStart", Place::Content, 1, start);
        for piece in fragments(&call.arguments) {
            let said = delta(index, json!({"toolUse": {"input": piece}}));
            push("contentBlockDelta", Place::Content, rough_tokens(piece), said);
        }
        push("contentBlockStop", Place::Closing, 0, json!({"contentBlockIndex": index}));
        index += 1;
    }
    push("messageStop", Place::Closing, 0, json!({"stopReason": stop_reason(speech)}));
    push("metadata", Place::Closing, 0, metadata(speech));
    frames
}

/// The frame of an exception, which ends a stream.
pub(super) fn exception(kind: &str, message: &str) -> Bytes {
    // In frames the names begin small.
    let name = kind.get(..1).unwrap_or_default().to_lowercase() + kind.get(1..).unwrap_or_default();
    let head = [(":exception-type", name.as_str()), (":message-type", "exception")];
    frame(&head, &json!({ "message": message }))
}

/// Lengths, their checksum, headers, payload, checksum of all. Numbers are big endian.
fn frame(head: &[(&str, &str)], payload: &Value) -> Bytes {
    let mut headers = BytesMut::new();
    for (name, value) in head.iter().chain(&[(":content-type", "application/json")]) {
        headers.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        headers.put_slice(name.as_bytes());
        headers.put_u8(TEXT);
        headers.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        headers.put_slice(value.as_bytes());
    }
    let payload = payload.to_string();
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let total = PRELUDE + headers.len() + payload.len() + CRC;
    let mut frame = BytesMut::with_capacity(total);
    frame.put_u32(length(total));
    frame.put_u32(length(headers.len()));
    frame.put_u32(crc32fast::hash(&frame));
    frame.put_slice(&headers);
    frame.put_slice(payload.as_bytes());
    frame.put_u32(crc32fast::hash(&frame));
    frame.freeze()
}

/// Input tokens exclude what the cache answered or took; the total is of everything.
fn metadata(speech: &Speech) -> Value {
    let mut metadata = json!({"metrics": {"latencyMs": 1}});
    if !speech.hide_usage {
        let usage = speech.usage;
        metadata["usage"] = json!({
            "inputTokens": usage.input.saturating_sub(usage.cache_read + usage.cache_write),
            "outputTokens": usage.output,
            "totalTokens": usage.input + usage.output,
            "cacheReadInputTokens": usage.cache_read,
            "cacheWriteInputTokens": usage.cache_write,
        });
    }
    metadata
}

fn stop_reason(speech: &Speech) -> &str {
    match (&speech.finish_word, speech.finish) {
        (Some(word), _) => word,
        (None, Finish::Stop) => "end_turn",
        (None, Finish::Length) => "max_tokens",
        (None, Finish::Tools) => "tool_use",
        (None, Finish::Filtered | Finish::Refused) => "content_filtered",
    }
}
