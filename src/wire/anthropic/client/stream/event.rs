//! The events of a Messages stream, as they are written.

use serde::Serialize;

use super::super::reply::Stop;
use super::super::usage::Counts;
use super::block::{Block, Kind};

pub(super) fn begin(index: u64, block: &Block, out: &mut Vec<u8>) {
    let content_block = match &block.kind {
        Kind::Text => Start::Text { text: "" },
        Kind::Thinking => Start::Thinking { thinking: "", signature: "" },
        Kind::Redacted(data) => Start::RedactedThinking { data },
        Kind::Tool { id, name, .. } => Start::ToolUse { id, name, input: Nothing {} },
    };
    write("content_block_start", &Event::ContentBlockStart { index, content_block }, out);
    if matches!(block.kind, Kind::Tool { .. }) {
        delta(index, &block.kind, "", out);
    }
}

pub(super) fn delta(index: u64, kind: &Kind, text: &str, out: &mut Vec<u8>) {
    let delta = match kind {
        Kind::Text => Delta::Text { text },
        Kind::Thinking => Delta::Thinking { thinking: text },
        Kind::Tool { .. } => Delta::InputJson { partial_json: text },
        Kind::Redacted(_) => return,
    };
    write("content_block_delta", &Event::ContentBlockDelta { index, delta }, out);
}

pub(super) fn write(name: &str, event: &Event<'_>, out: &mut Vec<u8>) {
    for piece in ["event: ", name, "\ndata: "] {
        out.extend_from_slice(piece.as_bytes());
    }
    serde_json::to_writer(&mut *out, event)
        .expect("a Vec takes every byte, and the event has string keys only");
    out.extend_from_slice(b"\n\n");
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    MessageStart { message: Started<'a> },
    ContentBlockStart { index: u64, content_block: Start<'a> },
    ContentBlockDelta { index: u64, delta: Delta<'a> },
    ContentBlockStop { index: u64 },
    MessageDelta { delta: Stop<'a>, usage: Counts },
    MessageStop {},
}

#[derive(Serialize)]
pub(super) struct Started<'a> {
    pub(super) id: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) role: &'static str,
    pub(super) model: &'a str,
    pub(super) content: [(); 0],
    pub(super) stop_reason: Option<()>,
    pub(super) stop_sequence: Option<()>,
    pub(super) usage: StartUsage,
}

#[derive(Serialize)]
pub(super) struct StartUsage {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Start<'a> {
    Text { text: &'static str },
    Thinking { thinking: &'static str, signature: &'static str },
    RedactedThinking { data: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Nothing },
}

#[derive(Serialize)]
pub(super) struct Nothing {}

#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
}
