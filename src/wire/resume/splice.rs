//! Makes the events of a continuation fit to those that the client has.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::overlap::Overlap;
use super::request::Style;
use super::told::Told;
use crate::usage::Usage;
use crate::wire::json::{Edits, Object};
use crate::wire::sse::{Splitter, event};

/// Fields of a delta in which a model thinks aloud. The answer has begun, so what a continuation
/// thinks before it goes on has no place in it.
const REASONING: [&str; 4] =
    ["reasoning_content", "reasoning", "thinking_blocks", "reasoning_details"];

/// The state of a continuation.
#[derive(Debug)]
pub(super) struct Splice {
    overlap: Overlap,
    /// What the attempts before this one used.
    spent: Usage,
}

impl Splice {
    pub(super) fn new(style: Style, told: &Told, spent: Usage) -> Self {
        Self { overlap: Overlap::new(&told.text, style == Style::Instruction), spent }
    }

    /// Rewrites whole events in place; those that say nothing new are left out.
    pub(super) fn rewrite(&mut self, told: &Told, events: &mut Vec<Bytes>) {
        let mut splitter = Splitter::new();
        for bytes in std::mem::take(events) {
            splitter.push(bytes);
            while let Ok(Some(event)) = splitter.next_event() {
                let fields = splitter.fields(&event);
                let data = fields.data.as_deref().map(<[u8]>::trim_ascii).unwrap_or_default();
                if data.is_empty() {
                    events.push(splitter.take(&event));
                } else if data == b"[DONE]" {
                    self.release(told, events);
                    events.push(splitter.take(&event));
                } else if let Ok(chunk) = Object::parse(Bytes::copy_from_slice(data)) {
                    self.chunk(told, &chunk, events);
                }
            }
        }
    }

    /// Says what was held back, before the end mark.
    fn release(&mut self, told: &Told, events: &mut Vec<Bytes>) {
        let text = self.overlap.release(&told.text);
        if !text.is_empty() {
            events.push(text_event(told, &text));
        }
    }

    fn chunk(&mut self, told: &Told, chunk: &Object, events: &mut Vec<Bytes>) {
        let mut edits = Edits::new();
        for (name, raw) in &told.identity {
            edits.set_raw(*name, raw.get().as_bytes());
        }
        let usage = chunk.value("usage").filter(Value::is_object);
        if let Some(usage) = &usage {
            edits.set("usage", &self.added(usage));
        }
        let Some(Value::Array(mut choices)) = chunk.value("choices") else {
            events.push(event(&chunk.edit(&edits)));
            return;
        };
        let counts_only = choices.is_empty();
        choices.retain_mut(|choice| self.choice(told, choice, events));
        if choices.is_empty() && !counts_only && usage.is_none() {
            return;
        }
        edits.set("choices", &choices);
        events.push(event(&chunk.edit(&edits)));
    }

    /// Takes out of a choice what the client has already; false if nothing is left of it.
    fn choice(&mut self, told: &Told, choice: &mut Value, events: &mut Vec<Bytes>) -> bool {
        let ends = choice.get("finish_reason").is_some_and(|reason| !reason.is_null());
        let mut left = ends;
        let mut said = String::new();
        if let Some(Value::Object(delta)) = choice.get_mut("delta") {
            if told.role {
                delta.remove("role");
            }
            for name in REASONING {
                delta.remove(name);
            }
            if let Some(Value::String(text)) = delta.get("content") {
                said = self.overlap.take(&told.text, text);
                delta.remove("content");
            }
            let is_text = delta.values().all(is_nothing);
            if ends || !is_text {
                // The end and a tool call come after all text, also after what was held back.
                said += &self.overlap.release(&told.text);
            }
            if is_text && !said.is_empty() {
                delta.insert("content".to_owned(), std::mem::take(&mut said).into());
            }
            left |= delta.values().any(|value| !is_nothing(value));
        }
        if !said.is_empty() {
            events.push(text_event(told, &said));
        }
        left
    }

    /// A usage object with what was spent before.
    fn added(&self, usage: &Value) -> Value {
        let mut usage = usage.clone();
        let Usage { input_tokens, output_tokens, .. } = self.spent;
        let sums = [
            ("prompt_tokens", input_tokens),
            ("completion_tokens", output_tokens),
            ("total_tokens", input_tokens + output_tokens),
        ];
        for (name, more) in sums {
            if let Some(count) = usage.get(name).and_then(Value::as_u64) {
                usage[name] = count.saturating_add(more).into();
            }
        }
        usage
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// A chunk of the client's reply that says only this.
fn text_event(told: &Told, text: &str) -> Bytes {
    let mut chunk = Map::new();
    for (name, raw) in &told.identity {
        if let Ok(value) = serde_json::from_str(raw.get()) {
            chunk.insert((*name).to_owned(), value);
        }
    }
    chunk.insert("object".to_owned(), "chat.completion.chunk".into());
    let choice = serde_json::json!(
        {"index": 0, "delta": {"content": text}, "finish_reason": null}
    );
    chunk.insert("choices".to_owned(), Value::Array(vec![choice]));
    event(Value::Object(chunk).to_string().as_bytes())
}
