//! The end of a stream that is cut because of what it was about to say, in its client's dialect.
//!
//! It follows what went out, because an end closes what was opened: blocks, choices, the response.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::ClientDialect;
use crate::wire::sse::event;

/// A stream that may have to be cut.
#[derive(Debug)]
pub struct Cut {
    dialect: ClientDialect,
    /// Google's array, in place of events.
    is_array: bool,
    /// The last event that says whose stream it is.
    last: Value,
    /// Choices or blocks that were begun and are not ended.
    open: Vec<u64>,
    has_begun: bool,
    sequence: u64,
}

impl Cut {
    #[must_use]
    pub const fn new(dialect: ClientDialect, is_array: bool) -> Self {
        Self {
            dialect,
            is_array,
            last: Value::Null,
            open: Vec::new(),
            has_begun: false,
            sequence: 0,
        }
    }

    /// Takes down the data of an event that goes out.
    pub fn passes(&mut self, data: &[u8]) {
        let Ok(data) = serde_json::from_slice::<Value>(data) else { return };
        self.has_begun = true;
        match self.dialect {
            ClientDialect::OpenAi => {
                let choices = data.get("choices").and_then(Value::as_array);
                for choice in choices.into_iter().flatten() {
                    let is_over = choice.get("finish_reason").is_some_and(Value::is_string);
                    self.at(number(choice, "index"), is_over);
                }
                self.last = data;
            }
            ClientDialect::Anthropic => {
                let index = number(&data, "index");
                match data.get("type").and_then(Value::as_str) {
                    Some("content_block_start") => self.at(index, false),
                    Some("content_block_stop") => self.at(index, true),
                    _ => {}
                }
            }
            ClientDialect::Responses => {
                self.sequence = number(&data, "sequence_number").max(self.sequence);
                if data.get("response").is_some_and(Value::is_object) {
                    self.last = data;
                }
            }
            ClientDialect::Gemini => self.last = data,
        }
    }

    fn at(&mut self, index: u64, is_over: bool) {
        if is_over {
            self.open.retain(|open| *open != index);
        } else if !self.open.contains(&index) {
            self.open.push(index);
        }
    }

    /// Whether the client has something that has to be ended.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The events that end the stream: what follows was kept back.
    #[must_use]
    pub fn end(&mut self) -> Bytes {
        match self.dialect {
            ClientDialect::OpenAi => self.chat(),
            ClientDialect::Anthropic => self.messages(),
            ClientDialect::Responses => self.responses(),
            ClientDialect::Gemini => self.generate(),
        }
    }

    fn chat(&mut self) -> Bytes {
        let is_text = self.last.get("object").is_some_and(|object| object == "text_completion");
        if self.open.is_empty() {
            self.open.push(0);
        }
        let choices = self.open.iter().map(|index| match is_text {
            true => json!({"index": index, "text": "", "logprobs": null,
                "finish_reason": "content_filter"}),
            false => json!({"index": index, "delta": {}, "logprobs": null,
                "finish_reason": "content_filter"}),
        });
        let mut chunk = json!({"choices": choices.collect::<Vec<_>>()});
        for name in ["id", "object", "created", "model"] {
            if let Some(value) = self.last.get(name) {
                chunk[name] = value.clone();
            }
        }
        [line(&chunk), Bytes::from_static(b"data: [DONE]\n\n")].concat().into()
    }

    fn messages(&self) -> Bytes {
        let mut out = Vec::new();
        for index in &self.open {
            named(&json!({"type": "content_block_stop", "index": index}), &mut out);
        }
        let delta = json!({"stop_reason": "refusal", "stop_sequence": null});
        let usage = json!({"output_tokens": 0});
        named(&json!({"type": "message_delta", "delta": delta, "usage": usage}), &mut out);
        named(&json!({"type": "message_stop"}), &mut out);
        out.into()
    }

    fn responses(&mut self) -> Bytes {
        let mut response = self.last.get_mut("response").map(Value::take).unwrap_or_default();
        if !response.is_object() {
            response = json!({"object": "response"});
        }
        response["status"] = "incomplete".into();
        response["incomplete_details"] = json!({"reason": "content_filter"});
        let mut out = Vec::new();
        let sequence = self.sequence + 1;
        let end = json!({"type": "response.incomplete", "sequence_number": sequence,
            "response": response});
        named(&end, &mut out);
        out.into()
    }

    fn generate(&self) -> Bytes {
        let mut frame = json!({"candidates": [{"index": 0, "finishReason": "SAFETY",
            "content": {"role": "model", "parts": [{"text": ""}]}}]});
        for name in ["modelVersion", "responseId", "usageMetadata"] {
            if let Some(value) = self.last.get(name) {
                frame[name] = value.clone();
            }
        }
        if !self.is_array {
            return line(&frame);
        }
        let before = if self.has_begun { ",\n" } else { "[" };
        format!("{before}{frame}]\n").into()
    }
}

fn number(object: &Value, name: &str) -> u64 {
    object.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn line(data: &Value) -> Bytes {
    event(data.to_string().as_bytes())
}

fn named(data: &Value, out: &mut Vec<u8>) {
    let name = data.get("type").and_then(Value::as_str).unwrap_or_default();
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&line(data));
}
