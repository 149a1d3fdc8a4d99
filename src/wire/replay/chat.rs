//! Chat completions and text completions of OpenAI's.

use serde_json::{Map, Value, json};

use super::{append, extend, has, list, text};

/// Ends of an answer that is all there. Whatever else an end may be called, it is not kept.
const COMPLETE: [&str; 8] = [
    "stop",
    "length",
    "tool_calls",
    "function_call",
    "eos",
    "end_turn",
    "stop_sequence",
    "model_length",
];

/// Fields of a message in the order in which a stream tells them; further ones follow.
const ORDER: [&str; 5] =
    ["reasoning_content", "reasoning", "thinking_blocks", "reasoning_items", "content"];

fn ends_well(choice: &Value) -> bool {
    text(choice, "finish_reason").is_some_and(|reason| COMPLETE.contains(&reason))
}

pub(super) fn is_complete(body: &Value) -> bool {
    let choices = list(body, "choices");
    let says = |choice: &Value| {
        let fields = choice.get("message").and_then(Value::as_object);
        let message = choice.get("message").unwrap_or(&Value::Null);
        fields.into_iter().flatten().any(|(name, _)| name != "role" && has(message, name))
    };
    !choices.is_empty() && choices.iter().all(|choice| ends_well(choice) && says(choice))
}

pub(super) fn is_complete_text(body: &Value) -> bool {
    let choices = list(body, "choices");
    !choices.is_empty() && choices.iter().all(|choice| ends_well(choice) && has(choice, "text"))
}

/// Whether a chunk tells nothing but the usage.
pub(super) fn is_usage(chunk: &Value) -> bool {
    list(chunk, "choices").is_empty() && chunk.get("usage").is_some_and(Value::is_object)
}

/// The chunk that tells the usage of a reply.
pub(super) fn usage_chunk(whole: &Value, usage: &Value) -> Value {
    let mut chunk = shell(whole);
    chunk.insert("choices".to_owned(), json!([]));
    chunk.insert("usage".to_owned(), usage.clone());
    chunk.into()
}

/// What all chunks of a reply have in common.
fn shell(whole: &Value) -> Map<String, Value> {
    let fields = whole.as_object().into_iter().flatten();
    let common = fields.filter(|(name, _)| !matches!(&***name, "choices" | "usage" | "object"));
    let mut shell: Map<String, Value> =
        common.map(|(name, value)| (name.clone(), value.clone())).collect();
    let object = match text(whole, "object") {
        Some("text_completion") => "text_completion",
        _ => "chat.completion.chunk",
    };
    shell.insert("object".to_owned(), object.into());
    shell
}

/// A whole reply of what its chunks say. `is_text`: of a text completion.
pub(super) fn gathered(chunks: &[Value], is_text: bool) -> Option<Value> {
    let mut whole = Map::new();
    let mut choices: Vec<Map<String, Value>> = Vec::new();
    for chunk in chunks {
        for (name, value) in chunk.as_object()? {
            let is_known = whole.get(name).is_some_and(|known| !known.is_null() && *known != "");
            if name != "choices" && (!is_known || name == "usage" && !value.is_null()) {
                whole.insert(name.clone(), value.clone());
            }
        }
        for piece in list(chunk, "choices") {
            let index = piece.get("index").and_then(Value::as_u64).unwrap_or(0);
            let known = choices
                .iter()
                .position(|choice| choice.get("index").and_then(Value::as_u64) == Some(index));
            let at = known.unwrap_or_else(|| {
                let mut choice = Map::new();
                choice.insert("index".to_owned(), index.into());
                choices.push(choice);
                choices.len() - 1
            });
            if let Some(choice) = choices.get_mut(at) {
                add(choice, piece, is_text);
            }
        }
    }
    choices.sort_by_key(|choice| choice.get("index").and_then(Value::as_u64));
    let object = if is_text { "text_completion" } else { "chat.completion" };
    whole.insert("object".to_owned(), object.into());
    whole.insert("choices".to_owned(), choices.into_iter().map(Value::from).collect());
    Some(whole.into())
}

/// Adds a piece of one choice.
fn add(choice: &mut Map<String, Value>, piece: &Value, is_text: bool) {
    if is_text {
        append(choice, "text", text(piece, "text").unwrap_or_default());
    } else {
        let message = choice
            .entry("message")
            .or_insert_with(|| json!({"role": "assistant", "content": null}));
        if let (Some(message), Some(delta)) =
            (message.as_object_mut(), piece.get("delta").and_then(Value::as_object))
        {
            add_delta(message, delta);
        }
    }
    for (name, value) in piece.as_object().into_iter().flatten() {
        match &**name {
            "index" | "delta" | "text" => {}
            "logprobs" => match (choice.get_mut("logprobs"), value) {
                (Some(Value::Object(known)), Value::Object(more)) => {
                    for (name, value) in more {
                        extend(known, name, value.as_array().map_or(&[], Vec::as_slice));
                    }
                }
                (Some(Value::Object(_)), _) => {}
                _ => {
                    choice.insert(name.clone(), value.clone());
                }
            },
            _ if value.is_null() && choice.contains_key(name) => {}
            _ => {
                choice.insert(name.clone(), value.clone());
            }
        }
    }
}

fn add_delta(message: &mut Map<String, Value>, delta: &Map<String, Value>) {
    for (name, value) in delta {
        match (&**name, value) {
            (_, Value::Null) | ("role", _) => {}
            ("tool_calls", Value::Array(calls)) => {
                for call in calls {
                    add_call(message, call);
                }
            }
            ("audio" | "function_call", Value::Object(more)) => {
                let known = message.entry(name.clone()).or_insert_with(|| json!({}));
                if let Some(known) = known.as_object_mut() {
                    add_fields(known, more);
                }
            }
            (_, Value::String(more)) => append(message, name, more),
            (_, Value::Array(more)) => extend(message, name, more),
            (_, value) => {
                message.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Adds a piece of a tool call to the call of its number.
fn add_call(message: &mut Map<String, Value>, piece: &Value) {
    let Some(piece) = piece.as_object() else { return };
    let calls = message.entry("tool_calls").or_insert_with(|| json!([]));
    let Some(calls) = calls.as_array_mut() else { return };
    let index = piece.get("index").and_then(Value::as_u64).unwrap_or(0);
    // Numbers begin at zero and have no gaps; a provider that leaves one out means the next call.
    let at = usize::try_from(index).unwrap_or(usize::MAX).min(calls.len());
    if at == calls.len() {
        calls.push(json!({}));
    }
    let Some(call) = calls.get_mut(at).and_then(Value::as_object_mut) else { return };
    for (name, value) in piece {
        match (&**name, value) {
            ("index", _) | (_, Value::Null) => {}
            ("function" | "custom", Value::Object(more)) => {
                let known = call.entry(name.clone()).or_insert_with(|| json!({}));
                if let Some(known) = known.as_object_mut() {
                    add_fields(known, more);
                }
            }
            _ => {
                call.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Texts that come in pieces are joined, everything else is as it was told last.
fn add_fields(known: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, value) in more {
        match (&**name, value) {
            (_, Value::Null) => {}
            ("arguments" | "input" | "data" | "transcript", Value::String(more)) => {
                append(known, name, more);
            }
            ("name" | "id", Value::String(text)) if text.is_empty() => {}
            _ => {
                known.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The chunks of a whole reply, but for the one with its usage.
pub(super) fn chunks(whole: &Value, put: &mut dyn FnMut(Value)) -> Option<()> {
    let shell = shell(whole);
    let mut chunk = |index: &Value, delta: Value, rest: Map<String, Value>| {
        let mut choice = rest;
        choice.insert("index".to_owned(), index.clone());
        choice.insert("delta".to_owned(), delta);
        choice.entry("finish_reason").or_insert(Value::Null);
        let mut chunk = shell.clone();
        chunk.insert("choices".to_owned(), json!([choice]));
        put(chunk.into());
    };
    for choice in whole.get("choices")?.as_array()? {
        let index = choice.get("index").unwrap_or(&Value::Null);
        let message = choice.get("message")?.as_object()?;
        chunk(index, json!({"role": "assistant", "content": ""}), Map::new());
        let mut logprobs = choice.get("logprobs").filter(|it| !it.is_null());
        let others = message.keys().map(|name| &**name).filter(|name| !ORDER.contains(name));
        for name in ORDER.into_iter().chain(others) {
            let Some(value) = message.get(name).filter(|value| !value.is_null()) else { continue };
            let value = match (name, value) {
                ("role", _) => continue,
                (_, Value::String(text)) if text.is_empty() => continue,
                ("tool_calls", Value::Array(calls)) => numbered(calls),
                _ => value.clone(),
            };
            let mut rest = Map::new();
            if name == "content"
                && let Some(logprobs) = logprobs.take()
            {
                rest.insert("logprobs".to_owned(), logprobs.clone());
            }
            chunk(index, json!({ name: value }), rest);
        }
        let told = choice.as_object()?.iter();
        let told = told.filter(|(name, _)| !matches!(&***name, "message" | "index" | "logprobs"));
        let mut rest: Map<String, Value> =
            told.map(|(name, value)| (name.clone(), value.clone())).collect();
        if let Some(logprobs) = logprobs {
            rest.insert("logprobs".to_owned(), logprobs.clone());
        }
        chunk(index, json!({}), rest);
    }
    Some(())
}

/// The calls of a message with their numbers.
fn numbered(calls: &[Value]) -> Value {
    let numbered = calls.iter().enumerate().map(|(number, call)| {
        let mut call = call.as_object().cloned().unwrap_or_default();
        call.insert("index".to_owned(), number.into());
        Value::from(call)
    });
    numbered.collect()
}

/// The chunks of a whole text completion.
pub(super) fn texts(whole: &Value, put: &mut dyn FnMut(Value)) -> Option<()> {
    for choice in whole.get("choices")?.as_array()? {
        let mut chunk = shell(whole);
        chunk.insert("object".to_owned(), "text_completion".into());
        chunk.insert("choices".to_owned(), json!([choice]));
        put(chunk.into());
    }
    Some(())
}
