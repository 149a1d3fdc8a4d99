//! How much text a reply has: for an estimate of its tokens where the provider counts none.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::{Chunk, Piece, Shown};
use crate::usage::Usage;
use crate::wire::json::{Object, elements, text};
use crate::wire::sse::Fields;

/// The event that ends a canonical stream.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// How text is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Its bytes as they stand in the JSON text, as the scan of a stream counts them.
    Written,
    /// Its bytes, as [`super::Writer`] counts them.
    Text,
    /// Of a reply in another dialect, whichever it is.
    Foreign,
}

impl Length {
    fn of(self, raw: Option<&[u8]>) -> u64 {
        let Some(raw) = raw else { return 0 };
        let length = match (raw.first(), self) {
            (Some(b'"'), Self::Written) => raw.len() - 2,
            (Some(b'"'), _) => text(raw).map_or(raw.len() - 2, |text| text.len()),
            (Some(b'[' | b'{'), _) => raw.len(),
            _ => 0,
        };
        length as u64
    }
}

/// Bytes of what was generated in a whole reply: text, reasoning, and the arguments of tools.
#[must_use]
pub fn text_bytes(body: &Bytes, length: Length) -> u64 {
    if length == Length::Foreign {
        let reply: Value = serde_json::from_slice(body).unwrap_or_default();
        let parts = ["content", "candidates", "output"].into_iter();
        return parts.filter_map(|name| reply.get(name)).map(foreign).sum();
    }
    let Ok(reply) = Object::parse(body.clone()) else { return 0 };
    let choices = reply.slice("choices").map(|all| elements(&all)).unwrap_or_default();
    choices.iter().map(|choice| of_choice(choice, length)).sum()
}

fn of_choice(choice: &Object, length: Length) -> u64 {
    let mut sum = length.of(choice.raw_bytes("text"));
    let Some(message) = choice.object("message") else { return sum };
    let of = |name: &str| length.of(message.raw_bytes(name));
    sum += of("content") + of("refusal") + of("reasoning_content").max(of("reasoning"));
    let calls = message.slice("tool_calls").map(|all| elements(&all)).unwrap_or_default();
    let calls = calls.iter().filter_map(|call| call.object("function"));
    for function in calls.chain(message.object("function_call")) {
        sum += length.of(function.raw_bytes("arguments"));
        if length == Length::Written {
            sum += length.of(function.raw_bytes("name"));
        }
    }
    sum
}

fn foreign(value: &Value) -> u64 {
    match value {
        Value::Array(values) => values.iter().map(foreign).sum(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| match (name.as_str(), value) {
                ("text" | "thinking" | "arguments", Value::String(text)) => text.len() as u64,
                ("input" | "args", Value::Object(_)) => value.to_string().len() as u64,
                ("input", Value::String(text)) => text.len() as u64,
                _ => foreign(value),
            };
            fields.iter().map(field).sum()
        }
        _ => 0,
    }
}

/// When a chunk was made. Not every server writes a whole number there.
#[derive(Debug, Default, Deserialize)]
struct Made {
    created: Option<u64>,
}

/// Puts what a reply used before the end mark of its canonical stream, if `events` end with it.
/// `otherwise`: id, model and time for a chunk that has none before it in `events`.
pub fn add_usage(events: &mut Vec<Bytes>, usage: &Usage, otherwise: (&str, &str, u64)) {
    let Some(last) = events.last_mut().filter(|last| last.ends_with(DONE)) else { return };
    last.truncate(last.len() - DONE.len());
    let text = events.iter().rev().find(|events| !events.is_empty()).cloned().unwrap_or_default();
    let before = text.trim_ascii();
    let line = memchr::memrchr(b'\n', before).map_or(before, |end| &before[end + 1..]);
    let data = Fields::read(line).data.unwrap_or_default();
    let chunk: Piece<'_> = serde_json::from_slice(&data).unwrap_or_default();
    let made: Made = serde_json::from_slice(&data).unwrap_or_default();
    let (id, model, created) = otherwise;
    let id = chunk.id.as_deref().unwrap_or(id);
    let model = chunk.model.as_deref().unwrap_or(model);
    let created = made.created.unwrap_or(created);
    let mut out = Vec::new();
    let told = Shown::of(usage, false).without_details();
    Chunk::new(id, model, created, true).with_usage(told).write(&mut out);
    out.extend_from_slice(DONE);
    events.push(out.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_generated_is_measured() {
        for (body, written, said) in [
            (
                r#"{"id":"a long name","choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}"#,
                2,
                2,
            ),
            (
                r#"{"choices":[{"message":{"content":"a\nb","reasoning":"hm","reasoning_content":"hm"}}]}"#,
                6,
                5,
            ),
            (
                r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}"#,
                3,
                2,
            ),
            (r#"{"choices":[{"text":"hi"},{"text":"ho"}]}"#, 4, 4),
            (r#"{"data":[{"embedding":[0.1]}]}"#, 0, 0),
        ] {
            let body = Bytes::from_static(body.as_bytes());
            assert_eq!(text_bytes(&body, Length::Written), written, "{body:?}");
            assert_eq!(text_bytes(&body, Length::Text), said, "{body:?}");
        }
        for (body, said) in [
            (
                r#"{"id":"msg_1","content":[{"type":"text","text":"hi"},{"type":"tool_use","name":"f","input":{}}]}"#,
                4,
            ),
            (
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]}}],"modelVersion":"m"}"#,
                2,
            ),
            (
                r#"{"id":"resp_1","output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]},{"type":"function_call","arguments":"{}"}]}"#,
                4,
            ),
        ] {
            assert_eq!(text_bytes(&Bytes::from_static(body.as_bytes()), Length::Foreign), said);
        }
    }

    #[test]
    fn usage_is_added_before_the_end() {
        let usage = Usage { input_tokens: 3, output_tokens: 1, ..Usage::default() };
        let added = |events: &'static str| {
            let mut events = vec![Bytes::from_static(events.as_bytes())];
            add_usage(&mut events, &usage, ("own", "m", 7));
            String::from_utf8(events.concat()).unwrap()
        };
        let events =
            "data: {\"id\":\"c\",\"created\":1,\"model\":\"n\",\"choices\":[]}\n\ndata: [DONE]\n\n";
        let all = added(events);
        let told: Value = serde_json::from_str(all.split("data: ").nth(2).unwrap()).unwrap();
        assert_eq!(
            (&told["id"], &told["model"], &told["created"]),
            (&"c".into(), &"n".into(), &1.into())
        );
        assert_eq!(told["usage"]["total_tokens"], 4);
        assert!(all.ends_with("}\n\ndata: [DONE]\n\n"), "{all}");
        assert!(added("data: [DONE]\n\n").contains(r#""id":"own""#));
        assert_eq!(added("data: {}\n\n"), "data: {}\n\n");
    }
}
