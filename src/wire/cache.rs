//! Marks of what a provider is to cache, put where the configuration wants them
//! (`cache_control_injection_points`).
//!
//! Works on the canonical form and on Anthropic's own. Only for providers that take markers; who
//! those are, `provider` knows.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::json::{Edits, Object, elements, quoted};
use crate::dialect::{CachePoint, CacheSpot};

/// The request with the marks; `None`: it has all of them, or nothing to mark. What the client marked
/// stays as it is.
#[must_use]
pub fn inject(body: &Object, points: &[CachePoint]) -> Option<Object> {
    let mut edits = Edits::new();
    let messages = body.slice("messages").map(|all| elements(&all)).unwrap_or_default();
    // Anthropic's own form: the system prompt stands before all messages, as elsewhere the first.
    let system = body.slice("system");
    let ahead = usize::from(system.is_some());
    let count = messages.len() + ahead;
    let mut marks: Vec<Option<&RawValue>> = vec![None; count];
    let mut tools_mark: Option<&RawValue> = None;
    for point in points {
        match &point.spot {
            CacheSpot::Tools => tools_mark = Some(&point.control),
            CacheSpot::Message { index: Some(index), .. } => {
                let at = usize::try_from(*index).ok().or_else(|| {
                    let back = usize::try_from(index.unsigned_abs()).ok()?;
                    count.checked_sub(back)
                });
                if let Some(mark) = at.and_then(|at| marks.get_mut(at)) {
                    *mark = Some(&point.control);
                }
            }
            CacheSpot::Message { role, index: None } => {
                let is_role = |found: &str| role.as_deref().is_none_or(|role| role == found);
                if ahead == 1 && is_role("system") {
                    marks[0] = Some(&point.control);
                }
                for (mark, message) in marks.iter_mut().skip(ahead).zip(&messages) {
                    if message.str("role").is_some_and(|found| is_role(&found)) {
                        *mark = Some(&point.control);
                    }
                }
            }
        }
    }
    if let (Some(system), Some(Some(control))) = (system, marks.first().filter(|_| ahead == 1))
        && let Some(marked) = marked_content(&system, control)
    {
        edits.set_raw("system", marked);
    }
    let mut changed = false;
    let written: Vec<Bytes> = messages
        .iter()
        .zip(marks.iter().skip(ahead))
        .map(|(message, mark)| {
            let marked = mark.and_then(|control| marked_message(message, control));
            changed |= marked.is_some();
            marked.unwrap_or_else(|| message.bytes().clone())
        })
        .collect();
    if changed {
        edits.set_raw("messages", list(&written));
    }
    if let Some(control) = tools_mark {
        let mut tools = body.slice("tools").map(|all| elements(&all)).unwrap_or_default();
        if let Some(last) = tools.pop().filter(|last| !last.is_set("cache_control")) {
            let mut all: Vec<Bytes> = tools.iter().map(|tool| tool.bytes().clone()).collect();
            all.push(with_marker(&last, control));
            edits.set_raw("tools", list(&all));
        }
    }
    body.changed(&edits).and_then(|body| Object::parse(body).ok())
}

fn list(items: &[Bytes]) -> Vec<u8> {
    let mut out = vec![b'['];
    out.extend_from_slice(&items.join(&b','));
    out.push(b']');
    out
}

fn with_marker(object: &Object, control: &RawValue) -> Bytes {
    let mut edits = Edits::new();
    edits.set_raw("cache_control", control.get().as_bytes());
    object.edit(&edits)
}

/// The message with a mark on the last part of its content; on a tool's result the mark stands on
/// the message.
fn marked_message(message: &Object, control: &RawValue) -> Option<Bytes> {
    if message.is_set("cache_control") {
        return None;
    }
    if message.str("role").as_deref() == Some("tool") {
        return Some(with_marker(message, control));
    }
    let content = marked_content(&message.slice("content")?, control)?;
    let mut edits = Edits::new();
    edits.set_raw("content", content);
    message.changed(&edits)
}

fn marked_content(content: &Bytes, control: &RawValue) -> Option<Vec<u8>> {
    if content.starts_with(b"\"") {
        // Blank text cannot be cached.
        let text = super::json::text(content).filter(|text| !text.trim().is_empty())?;
        let part = format!(
            "[{{\"type\":\"text\",\"text\":{},\"cache_control\":{}}}]",
            quoted(&text),
            control.get()
        );
        return Some(part.into_bytes());
    }
    let mut parts = elements(content);
    let last = parts.pop().filter(|last| !last.is_set("cache_control"))?;
    let mut all: Vec<Bytes> = parts.iter().map(|part| part.bytes().clone()).collect();
    all.push(with_marker(&last, control));
    Some(list(&all))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(role: Option<&str>, index: Option<i64>) -> CachePoint {
        let spot = CacheSpot::Message { role: role.map(Into::into), index };
        CachePoint { spot, control: raw(r#"{"type":"ephemeral"}"#) }
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn injected(body: &Value, points: &[CachePoint]) -> Option<Value> {
        let body = Object::parse(body.to_string().into()).unwrap();
        inject(&body, points).map(|body| serde_json::from_slice(body.bytes()).unwrap())
    }

    /// Where marks stand: positions of messages, with `-1` for the system prompt beside them.
    fn marked(body: &Value) -> Vec<i64> {
        let mut places = Vec::new();
        if body["system"].to_string().contains("cache_control") {
            places.push(-1);
        }
        for (at, message) in body["messages"].as_array().unwrap().iter().enumerate() {
            if message.to_string().contains("cache_control") {
                places.push(at as i64);
            }
        }
        places
    }

    #[test]
    fn marks_stand_by_role_and_by_index_from_either_end() {
        let canonical = json!({"messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
            {"role": "tool", "tool_call_id": "t", "content": "c"},
        ]});
        for (point, places) in [
            (message(Some("system"), None), Some(vec![0])),
            (message(None, Some(-1)), Some(vec![3])),
            (message(None, Some(-3)), Some(vec![1])),
            (message(Some("user"), Some(2)), Some(vec![2])),
            (message(None, Some(9)), None),
            (message(None, Some(-9)), None),
            (message(Some("developer"), None), None),
        ] {
            let found = injected(&canonical, &[point]);
            assert_eq!(found.as_ref().map(marked), places);
        }
        let native = json!({"system": "s", "messages": [
            {"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]}]});
        for (point, places) in [
            (message(Some("system"), None), vec![-1]),
            (message(None, Some(0)), vec![-1]),
            (message(None, Some(-1)), vec![1]),
            (message(Some("user"), None), vec![0, 1]),
        ] {
            assert_eq!(marked(&injected(&native, &[point]).unwrap()), places);
        }
    }

    #[test]
    fn tools_are_marked_at_their_end_and_what_is_marked_stays() {
        let point = CachePoint {
            spot: CacheSpot::Tools,
            control: raw(r#"{"type":"ephemeral","ttl":"1h"}"#),
        };
        let body = json!({"messages": [], "tools": [{"name": "a"}, {"name": "b"}]});
        let found = injected(&body, &[point]).unwrap();
        assert_eq!(found["tools"][0], json!({"name": "a"}));
        assert_eq!(found["tools"][1]["cache_control"]["ttl"], "1h");
        let marked = json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}]});
        assert_eq!(injected(&marked, &[message(Some("user"), None)]), None);
    }
}
