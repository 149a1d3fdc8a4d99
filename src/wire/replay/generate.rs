//! Google's `generateContent`. A whole reply is an event of its stream as it is.

use serde_json::{Map, Value, json};

use super::{append, extend, has, list, text};

/// Ends of an answer that is all there.
const COMPLETE: [&str; 2] = ["STOP", "MAX_TOKENS"];

pub(super) fn is_complete(body: &Value) -> bool {
    let candidates = list(body, "candidates");
    let is_whole = |candidate: &Value| {
        text(candidate, "finishReason").is_some_and(|reason| COMPLETE.contains(&reason))
            && candidate.get("content").is_some_and(|content| has(content, "parts"))
    };
    body.pointer("/promptFeedback/blockReason").is_none()
        && !candidates.is_empty()
        && candidates.iter().all(is_whole)
}

/// The reply that events tell.
pub(super) fn gathered(events: &[Value]) -> Option<Value> {
    let mut whole = Map::new();
    let mut candidates: Vec<Map<String, Value>> = Vec::new();
    for event in events {
        for (name, value) in event.as_object()? {
            if name != "candidates" {
                whole.insert(name.clone(), value.clone());
            }
        }
        for piece in list(event, "candidates") {
            let index = |of: Option<&Value>| of.and_then(Value::as_u64).unwrap_or(0);
            let wanted = index(piece.get("index"));
            let known = candidates.iter().position(|one| index(one.get("index")) == wanted);
            let at = known.unwrap_or_else(|| {
                candidates.push(Map::new());
                candidates.len() - 1
            });
            add(candidates.get_mut(at)?, piece.as_object()?);
        }
    }
    whole.insert("candidates".to_owned(), candidates.into_iter().map(Value::from).collect());
    Some(whole.into())
}

fn add(candidate: &mut Map<String, Value>, piece: &Map<String, Value>) {
    for (name, value) in piece {
        if name != "content" {
            candidate.insert(name.clone(), value.clone());
            continue;
        }
        let content = candidate.entry("content").or_insert_with(|| json!({"parts": []}));
        let Some(content) = content.as_object_mut() else { continue };
        if let Some(role) = value.get("role") {
            content.insert("role".to_owned(), role.clone());
        }
        for part in list(value, "parts") {
            add_part(content, part);
        }
    }
}

/// Text goes on where the last part is text of the same kind; a signature ends its part.
fn add_part(content: &mut Map<String, Value>, part: &Value) {
    let is_text = |part: &Value| {
        let mut names = part.as_object().into_iter().flatten().map(|(name, _)| &**name);
        part.get("text").is_some() && names.all(|name| matches!(name, "text" | "thought"))
    };
    let last = content.get_mut("parts").and_then(Value::as_array_mut).and_then(|it| it.last_mut());
    if let Some(last) = last
        && is_text(last)
        && is_text(part)
        && last.get("thought") == part.get("thought")
        && let (Some(last), Some(more)) = (last.as_object_mut(), text(part, "text"))
    {
        return append(last, "text", more);
    }
    extend(content, "parts", std::slice::from_ref(part));
}
