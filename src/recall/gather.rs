//! Takes from a reply, or from the chunks of a stream, what is to be kept of it.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Fields, Kept};
use crate::wire::fields::Text;

/// What is kept of one message at most; of a longer one, nothing.
const MAX_BYTES: usize = 1024 * 1024;

/// Gathers from one reply.
#[derive(Debug)]
pub struct Gatherer {
    fields: Fields,
    extra_content: Option<Box<str>>,
    thinking_blocks: Vec<Box<str>>,
    reasoning_items: Vec<Box<str>>,
    reasoning: String,
    calls: Vec<(Box<str>, Option<Box<str>>)>,
    bytes: usize,
}

/// A canonical reply or chunk, as far as it is read.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default, alias = "delta")]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking_blocks: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    reasoning_items: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
}

impl Gatherer {
    /// Gathers these fields.
    #[must_use]
    pub const fn new(fields: Fields) -> Self {
        Self {
            fields,
            extra_content: None,
            thinking_blocks: Vec::new(),
            reasoning_items: Vec::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a whole reply.
    pub fn reply(&mut self, body: &[u8]) {
        if memmem::find(body, b"\"tool_calls\"").is_some() {
            self.take(body);
        }
    }

    /// Takes whole events of a stream.
    pub fn events(&mut self, events: &[u8]) {
        const MARKS: [&[u8]; 4] =
            [b"\"tool_calls\"", b"\"extra_content\"", b"\"thinking_blocks\"", b"\"reasoning_"];
        for line in events.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            if MARKS.iter().any(|mark| memmem::find(data, mark).is_some()) {
                self.take(data);
            }
        }
    }

    fn take(&mut self, json: &[u8]) {
        let Ok(told) = serde_json::from_slice::<Told<'_>>(json) else { return };
        let first = told.choices.into_iter().find(|choice| choice.index == 0);
        let Some(message) = first.and_then(|choice| choice.message) else { return };
        let kept = |raw: &RawValue| Box::<str>::from(raw.get());
        let Fields { extra_content, thinking_blocks, reasoning_items, reasoning_content } =
            self.fields;
        let before = self.bytes;
        if let Some(extra) = message.extra_content.filter(|_| extra_content) {
            self.bytes += extra.get().len();
            self.extra_content = Some(kept(extra));
        }
        for block in message.thinking_blocks.into_iter().flatten().filter(|_| thinking_blocks) {
            self.bytes += block.get().len();
            self.thinking_blocks.push(kept(block));
        }
        for item in message.reasoning_items.into_iter().flatten().filter(|_| reasoning_items) {
            self.bytes += item.get().len();
            self.reasoning_items.push(kept(item));
        }
        if let Some(text) = message.reasoning_content.filter(|_| reasoning_content) {
            self.bytes += text.len();
            self.reasoning.push_str(&text);
        }
        for call in message.tool_calls.into_iter().flatten() {
            // Further pieces of a call have no id.
            let Some(id) = call.id.filter(|id| !id.is_empty()) else { continue };
            let extra = call.extra_content.filter(|_| extra_content).map(kept);
            self.bytes += id.len() + extra.as_ref().map_or(0, |extra| extra.len());
            if !self.calls.iter().any(|(known, _)| **known == *id) {
                self.calls.push((Box::from(&*id), extra));
            }
        }
        if before <= MAX_BYTES && self.bytes > MAX_BYTES {
            // A part of it would be refused; the memory is given back at once.
            *self = Self { bytes: self.bytes, ..Self::new(Fields::default()) };
        }
    }

    /// What came; `None` if there is nothing that a later request could need.
    #[must_use]
    pub fn kept(self) -> Option<Kept> {
        let listed = |list: &[Box<str>]| Box::<str>::from(format!("[{}]", list.join(",")));
        let mut message = Vec::new();
        message.extend(self.extra_content.map(|extra| ("extra_content", extra)));
        if !self.reasoning.is_empty() {
            let text = serde_json::to_string(&self.reasoning).ok()?;
            message.push(("reasoning_content", text.into()));
        }
        if !self.thinking_blocks.is_empty() {
            message.push(("thinking_blocks", listed(&self.thinking_blocks)));
        }
        if !self.reasoning_items.is_empty() {
            message.push(("reasoning_items", listed(&self.reasoning_items)));
        }
        let has_extra = self.calls.iter().any(|(_, extra)| extra.is_some());
        let is_worth_it =
            self.bytes <= MAX_BYTES && !self.calls.is_empty() && (has_extra || !message.is_empty());
        is_worth_it.then_some(Kept { message, calls: self.calls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Fields = Fields {
        extra_content: true,
        thinking_blocks: true,
        reasoning_items: true,
        reasoning_content: true,
    };

    #[test]
    fn a_stream_is_gathered_as_the_reply_that_it_is() {
        let mut streamed = Gatherer::new(ALL);
        for delta in [
            r#"{"role":"assistant","content":""}"#,
            r#"{"reasoning_content":"h"}"#,
            r#"{"reasoning_content":"m"}"#,
            r#"{"thinking_blocks":[{"a":1}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"x","extra_content":{"google":{}},"function":{"name":"f"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"y"}]}"#,
        ] {
            let chunk = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
            streamed.events(chunk.as_bytes());
        }
        streamed.events(b": ping\n\ndata: [DONE]\n\n");
        let mut whole = Gatherer::new(ALL);
        whole.reply(
            br#"{"choices":[{"message":{"reasoning_content":"hm","thinking_blocks":[{"a":1}],
                "tool_calls":[{"id":"x","extra_content":{"google":{}}},{"id":"y"}]}}]}"#,
        );
        let kept = whole.kept();
        assert!(kept.is_some());
        assert_eq!(streamed.kept(), kept);
    }

    #[test]
    fn without_calls_or_without_fields_nothing_is_kept() {
        for (fields, reply) in [
            (ALL, r#"{"choices":[{"message":{"reasoning_content":"hm"}}]}"#),
            (ALL, r#"{"choices":[{"message":{"tool_calls":[{"id":"x"}]}}]}"#),
            (ALL, "not json, but \"tool_calls\""),
            (
                Fields::default(),
                r#"{"choices":[{"message":{"reasoning_content":"hm","tool_calls":[{"id":"x"}]}}]}"#,
            ),
        ] {
            let mut gatherer = Gatherer::new(fields);
            gatherer.reply(reply.as_bytes());
            assert_eq!(gatherer.kept(), None, "{reply}");
        }
    }

    #[test]
    fn of_a_message_that_is_too_long_nothing_is_kept() {
        let mut gatherer = Gatherer::new(ALL);
        let long = "x".repeat(MAX_BYTES / 2);
        for _ in 0..4 {
            let chunk = format!(
                "data: {{\"choices\":[{{\"delta\":{{\"reasoning_content\":\"{long}\"}}}}]}}\n\n"
            );
            gatherer.events(chunk.as_bytes());
        }
        assert!(gatherer.reasoning.is_empty(), "its memory is given back");
        gatherer.events(b"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"x\"}]}}]}\n\n");
        assert_eq!(gatherer.kept(), None);
    }
}
