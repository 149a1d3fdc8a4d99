//! Anthropic's messages.

use serde_json::{Map, Value, json};

use super::{append, extend, has, text};

/// Ends of an answer that is all there.
const COMPLETE: [&str; 4] = ["end_turn", "max_tokens", "stop_sequence", "tool_use"];

/// What of a block comes in pieces: its field, the type of the pieces, their field.
const PIECES: [(&str, &str, &str); 3] = [
    ("text", "text_delta", "text"),
    ("thinking", "thinking_delta", "thinking"),
    ("signature", "signature_delta", "signature"),
];

pub(super) fn is_complete(body: &Value) -> bool {
    has(body, "content")
        && text(body, "stop_reason").is_some_and(|reason| COMPLETE.contains(&reason))
}

/// The message that events tell.
pub(super) fn gathered(events: &[Value]) -> Option<Value> {
    let mut message: Option<Map<String, Value>> = None;
    let mut blocks: Vec<Map<String, Value>> = Vec::new();
    let mut input = String::new();
    for event in events {
        match text(event, "type")? {
            "message_start" => message = event.get("message")?.as_object().cloned(),
            "content_block_start" => {
                blocks.push(event.get("content_block")?.as_object()?.clone());
                input.clear();
            }
            "content_block_delta" => add(blocks.last_mut()?, event.get("delta")?, &mut input)?,
            "content_block_stop" if !input.is_empty() => {
                let input = serde_json::from_str(&std::mem::take(&mut input)).ok()?;
                blocks.last_mut()?.insert("input".to_owned(), input);
            }
            "message_delta" => {
                let message = message.as_mut()?;
                for (name, value) in event.get("delta")?.as_object()? {
                    message.insert(name.clone(), value.clone());
                }
                let counted = event.get("usage").and_then(Value::as_object);
                if let Some(usage) = message.entry("usage").or_insert(json!({})).as_object_mut() {
                    for (name, value) in counted.into_iter().flatten() {
                        if !value.is_null() {
                            usage.insert(name.clone(), value.clone());
                        }
                    }
                }
            }
            "error" => return None,
            _ => {}
        }
    }
    let mut message = message?;
    message.insert("content".to_owned(), blocks.into_iter().map(Value::from).collect());
    Some(message.into())
}

fn add(block: &mut Map<String, Value>, delta: &Value, input: &mut String) -> Option<()> {
    match text(delta, "type")? {
        "input_json_delta" => input.push_str(text(delta, "partial_json")?),
        "citations_delta" => extend(block, "citations", &[delta.get("citation")?.clone()]),
        kind => {
            let (field, _, name) = PIECES.iter().find(|(_, piece, _)| *piece == kind)?;
            append(block, field, text(delta, name)?);
        }
    }
    Some(())
}

/// The events that tell a message.
pub(super) fn events(message: &Value, put: &mut dyn FnMut(Value)) -> Option<()> {
    let blocks = message.get("content")?.as_array()?;
    let mut start = message.as_object()?.clone();
    let ends = ["stop_reason", "stop_sequence"]
        .map(|name| (name, start.insert(name.to_owned(), Value::Null).unwrap_or_default()));
    start.insert("content".to_owned(), json!([]));
    let usage = start.get("usage").cloned().unwrap_or_else(|| json!({}));
    if let Some(usage) = start.get_mut("usage").and_then(Value::as_object_mut) {
        usage.insert("output_tokens".to_owned(), 1.into());
    }
    put(json!({"type": "message_start", "message": start}));
    for (index, block) in blocks.iter().enumerate() {
        let mut open = block.as_object()?.clone();
        let mut deltas = Vec::new();
        for (field, kind, name) in PIECES {
            if let Some(Value::String(text)) = open.get_mut(field) {
                let text = std::mem::take(text);
                if !text.is_empty() {
                    deltas.push(json!({"type": kind, name: text}));
                }
            }
        }
        if let Some(Value::Array(citations)) = open.get_mut("citations") {
            let cited = std::mem::take(citations).into_iter();
            deltas.extend(cited.map(|it| json!({"type": "citations_delta", "citation": it})));
        }
        if text(block, "type").is_some_and(|kind| kind.ends_with("tool_use"))
            && let Some(input) = open.insert("input".to_owned(), json!({}))
        {
            let written = input.to_string();
            deltas.push(json!({"type": "input_json_delta", "partial_json": written}));
        }
        put(json!({"type": "content_block_start", "index": index, "content_block": open}));
        for delta in deltas {
            put(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        put(json!({"type": "content_block_stop", "index": index}));
    }
    let delta: Map<String, Value> =
        ends.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    put(json!({"type": "message_delta", "delta": delta, "usage": usage}));
    put(json!({"type": "message_stop"}));
    Some(())
}
