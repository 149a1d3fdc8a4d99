//! Events of a ConverseStream, as they are read.

use serde::Deserialize;

use super::error::garbage;
use super::reply::{Additional, Citation, ToolUse};
use super::usage::Written;
use crate::failure::Failure;
use crate::wire::fields::Text;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockStart<'a> {
    pub(super) content_block_index: u64,
    #[serde(borrow)]
    pub(super) start: Start<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start<'a> {
    #[serde(borrow, default)]
    pub(super) tool_use: Option<ToolUse<'a>>,
    #[serde(borrow, default)]
    pub(super) image: Option<ImageStart<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ImageStart<'a> {
    #[serde(borrow, default)]
    pub(super) format: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockDelta<'a> {
    pub(super) content_block_index: u64,
    #[serde(borrow)]
    pub(super) delta: Deltas<'a>,
}

/// One of these is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deltas<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_use: Option<Fragment<'a>>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<ReasoningDelta<'a>>,
    #[serde(borrow, default)]
    pub(super) citation: Option<Citation<'a>>,
    #[serde(borrow, default)]
    pub(super) image: Option<ImageDelta<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ImageDelta<'a> {
    #[serde(borrow, default)]
    pub(super) source: Option<ImageBytes<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ImageBytes<'a> {
    #[serde(borrow, default)]
    pub(super) bytes: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Fragment<'a> {
    #[serde(borrow, default)]
    pub(super) input: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasoningDelta<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) signature: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) redacted_content: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockStop {
    pub(super) content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageStop<'a> {
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) additional_model_response_fields: Option<Additional<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) usage: Option<Written<'a>>,
}

pub(super) fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(payload)
        .map_err(|_| garbage("an event of the provider's stream cannot be read"))
}
