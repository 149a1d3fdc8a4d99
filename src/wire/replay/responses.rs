//! OpenAI's Responses. The last event of a stream has the whole of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{append, has, list, text};

pub(super) fn is_complete(body: &Value) -> bool {
    let why = body.pointer("/incomplete_details/reason").and_then(Value::as_str);
    let ends_well = match text(body, "status") {
        Some("completed") => true,
        Some("incomplete") => why == Some("max_output_tokens"),
        _ => false,
    };
    ends_well && has(body, "output")
}

/// The response that events tell.
pub(super) fn gathered(events: &[Value]) -> Option<Value> {
    let last = events.last()?;
    let is_end = matches!(text(last, "type"), Some("response.completed" | "response.incomplete"));
    last.get("response").filter(|_| is_end).cloned()
}

/// As far as events tell it that have no end.
pub(super) fn begun(events: &[Value]) -> Option<Value> {
    let mut response = events.iter().find_map(|event| event.get("response"))?.as_object()?.clone();
    let mut items: BTreeMap<u64, Value> = BTreeMap::new();
    for event in events {
        let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or(0);
        let index = number("output_index");
        let delta = text(event, "delta").unwrap_or_default();
        match text(event, "type").unwrap_or_default() {
            "response.output_item.added" | "response.output_item.done" => {
                items.insert(index, event.get("item")?.clone());
            }
            "response.output_text.delta" => {
                let part = part(&mut items, index, "content", number("content_index"))?;
                add(part, ("output_text", "text"), delta);
            }
            "response.refusal.delta" => {
                let part = part(&mut items, index, "content", number("content_index"))?;
                add(part, ("refusal", "refusal"), delta);
            }
            "response.reasoning_summary_text.delta" => {
                let part = part(&mut items, index, "summary", number("summary_index"))?;
                add(part, ("summary_text", "text"), delta);
            }
            "response.function_call_arguments.delta" => {
                append(items.get_mut(&index)?.as_object_mut()?, "arguments", delta);
            }
            "response.custom_tool_call_input.delta" => {
                append(items.get_mut(&index)?.as_object_mut()?, "input", delta);
            }
            _ => {}
        }
    }
    response.insert("status".to_owned(), "incomplete".into());
    response.insert("output".to_owned(), items.into_values().collect());
    Some(response.into())
}

/// A part of an item that has begun, which may be the first to be told of. The parts before it are there.
fn part<'a>(
    items: &'a mut BTreeMap<u64, Value>,
    index: u64,
    list: &str,
    number: u64,
) -> Option<&'a mut Map<String, Value>> {
    let item = items.get_mut(&index)?.as_object_mut()?;
    let parts = item.entry(list).or_insert_with(|| json!([])).as_array_mut()?;
    let at = usize::try_from(number).ok()?.min(parts.len());
    if at == parts.len() {
        parts.push(json!({}));
    }
    parts.get_mut(at)?.as_object_mut()
}

fn add(part: &mut Map<String, Value>, (kind, field): (&str, &str), more: &str) {
    part.entry("type").or_insert_with(|| kind.into());
    append(part, field, more);
}

/// The events that tell a response.
pub(super) fn events(response: &Value, put: &mut dyn FnMut(Value)) -> Option<()> {
    let mut number = 0_u64;
    let mut tell = |kind: &str, fields: Value| {
        let mut event = Map::new();
        event.insert("type".to_owned(), kind.into());
        event.insert("sequence_number".to_owned(), number.into());
        event.extend(fields.as_object().cloned().unwrap_or_default());
        number += 1;
        put(event.into());
    };
    let mut begun = response.as_object()?.clone();
    begun.insert("status".to_owned(), "in_progress".into());
    begun.insert("output".to_owned(), json!([]));
    begun.insert("usage".to_owned(), Value::Null);
    begun.insert("incomplete_details".to_owned(), Value::Null);
    tell("response.created", json!({"response": begun}));
    tell("response.in_progress", json!({"response": begun}));
    for (index, item) in list(response, "output").iter().enumerate() {
        let id = item.get("id").cloned().unwrap_or_default();
        let at = json!({"output_index": index, "item_id": id});
        let mut open = item.as_object()?.clone();
        if open.contains_key("status") {
            open.insert("status".to_owned(), "in_progress".into());
        }
        let kind = text(item, "type").unwrap_or_default();
        for name in emptied(kind) {
            if let Some(value) = open.get_mut(*name) {
                *value = if value.is_string() { json!("") } else { json!([]) };
            }
        }
        tell("response.output_item.added", json!({"output_index": index, "item": open}));
        match kind {
            "message" => {
                for (number, part) in list(item, "content").iter().enumerate() {
                    message_part(&with(&at, "content_index", number), part, &mut tell);
                }
            }
            "function_call" => {
                let name = "response.function_call_arguments";
                piece(&at, name, "arguments", item, &mut tell);
            }
            "custom_tool_call" => {
                let name = "response.custom_tool_call_input";
                piece(&at, name, "input", item, &mut tell);
            }
            "reasoning" => {
                for (number, part) in list(item, "summary").iter().enumerate() {
                    let at = with(&at, "summary_index", number);
                    let empty = json!({"type": "summary_text", "text": ""});
                    let name = "response.reasoning_summary_part";
                    tell(&format!("{name}.added"), joined(&at, &json!({"part": empty})));
                    piece(&at, "response.reasoning_summary_text", "text", part, &mut tell);
                    tell(&format!("{name}.done"), joined(&at, &json!({"part": part})));
                }
            }
            _ => {}
        }
        tell("response.output_item.done", json!({"output_index": index, "item": item}));
    }
    let end = match text(response, "status") {
        Some("incomplete") => "response.incomplete",
        _ => "response.completed",
    };
    tell(end, json!({"response": response}));
    Some(())
}

/// What of an item is told after its beginning.
const fn emptied(kind: &str) -> &'static [&'static str] {
    match kind.as_bytes() {
        b"message" => &["content"],
        b"function_call" => &["arguments"],
        b"custom_tool_call" => &["input"],
        b"reasoning" => &["summary"],
        _ => &[],
    }
}

fn message_part(at: &Value, part: &Value, tell: &mut dyn FnMut(&str, Value)) {
    let (name, field) = match text(part, "type") {
        Some("refusal") => ("response.refusal", "refusal"),
        _ => ("response.output_text", "text"),
    };
    let mut open = part.as_object().cloned().unwrap_or_default();
    for name in [field, "annotations", "logprobs"] {
        if let Some(value) = open.get_mut(name) {
            *value = if value.is_string() { json!("") } else { json!([]) };
        }
    }
    tell("response.content_part.added", joined(at, &json!({"part": open})));
    piece(at, name, field, part, tell);
    for (number, annotation) in list(part, "annotations").iter().enumerate() {
        let at = with(at, "annotation_index", number);
        let told = joined(&at, &json!({"annotation": annotation}));
        tell("response.output_text.annotation.added", told);
    }
    tell("response.content_part.done", joined(at, &json!({"part": part})));
}

/// A text that comes in one piece: `name.delta` and `name.done`.
fn piece(at: &Value, name: &str, field: &str, of: &Value, tell: &mut dyn FnMut(&str, Value)) {
    let said = text(of, field).unwrap_or_default();
    let mut delta = json!({"delta": said});
    let mut done = json!({ field: said });
    if name == "response.output_text" {
        for event in [&mut delta, &mut done] {
            event["logprobs"] = of.get("logprobs").cloned().unwrap_or_else(|| json!([]));
        }
    }
    if !said.is_empty() {
        tell(&format!("{name}.delta"), joined(at, &delta));
    }
    tell(&format!("{name}.done"), joined(at, &done));
}

fn with(at: &Value, name: &str, number: usize) -> Value {
    joined(at, &json!({ name: number }))
}

/// The fields of both.
fn joined(one: &Value, other: &Value) -> Value {
    let both = [one, other].into_iter().filter_map(Value::as_object).flatten();
    both.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
}
