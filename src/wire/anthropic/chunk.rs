//! Chat completion chunks, as they are written to a client.

use serde::Serialize;

use super::usage::Shown;

/// One chunk.
#[derive(Debug, Serialize)]
pub(super) struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Choices<'a>,
    /// A client that asked for usage reads `null` until the last chunk; others see no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Shown>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Choices<'a> {
    None([(); 0]),
    One([Choice<'a>; 1]),
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: u32,
    delta: &'a Delta<'a>,
    finish_reason: Option<&'static str>,
}

/// What a chunk adds to the message.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Delta<'a> {
    Role { role: &'static str, content: &'static str },
    Content { content: &'a str },
    Reasoning { reasoning_content: &'a str },
    ThinkingBlocks { thinking_blocks: [ThinkingBlock<'a>; 1] },
    ToolCalls { tool_calls: [ToolCall<'a>; 1] },
    Refusal { refusal: &'a str },
    Nothing {},
}

/// A whole block of reasoning, to be sent back unchanged.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ThinkingBlock<'a> {
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
}

#[derive(Debug, Serialize)]
pub(super) struct ToolCall<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

impl<'a> ToolCall<'a> {
    pub(super) const fn begin(index: u32, id: Option<&'a str>, function: Function<'a>) -> Self {
        Self { index, id, kind: Some("function"), function }
    }

    pub(super) const fn go_on(index: u32, function: Function<'a>) -> Self {
        Self { index, id: None, kind: None, function }
    }
}

impl<'a> Chunk<'a> {
    pub(super) fn new(id: &'a str, model: &'a str, created: u64, shows_usage: bool) -> Self {
        let usage = shows_usage.then_some(None);
        let (object, choices) = ("chat.completion.chunk", Choices::None([]));
        Self { id, object, created, model, choices, usage }
    }

    pub(super) fn with_delta(
        self,
        delta: &'a Delta<'a>,
        finish_reason: Option<&'static str>,
    ) -> Self {
        Self { choices: Choices::One([Choice { index: 0, delta, finish_reason }]), ..self }
    }

    pub(super) fn with_usage(self, usage: Shown) -> Self {
        Self { usage: Some(Some(usage)), ..self }
    }

    /// Appends the chunk as a whole event.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        serde_json::to_writer(&mut *out, self)
            .expect("a Vec takes every byte, and the chunk has string keys only");
        out.extend_from_slice(b"\n\n");
    }
}

/// Appends the event that ends every stream.
pub(super) fn write_done(out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: [DONE]\n\n");
}
