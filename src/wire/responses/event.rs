//! Responses and their events, as they are read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Problem;
use crate::wire::chat::Raw;
use crate::wire::fields::Text;

/// A response, as far as anybody here looks at it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    /// Unix seconds; some servers write a fraction.
    #[serde(default)]
    pub(super) created_at: Option<f64>,
    #[serde(borrow, default)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Option<Problem<'a>>,
    #[serde(borrow, default)]
    pub(super) incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow, default)]
    pub(super) output: Vec<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) service_tier: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Incomplete<'a> {
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
}

impl Response<'_> {
    pub(super) fn created(&self) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        self.created_at.filter(|at| (0.0..1e15).contains(at)).map(|at| at as u64)
    }

    /// How a response that ended would end as a chat.
    pub(super) fn finish_reason(&self, calls_tools: bool) -> &'static str {
        let reason = self.incomplete_details.as_ref().and_then(|why| why.reason.as_deref());
        match (self.status.as_deref(), reason) {
            (Some("incomplete"), Some("content_filter")) => "content_filter",
            (Some("incomplete"), Some("steered")) => "stop",
            (Some("incomplete"), _) => "length",
            _ if calls_tools => "tool_calls",
            _ => "stop",
        }
    }

    pub(super) fn is_unfinished(&self) -> bool {
        matches!(self.status.as_deref(), Some("queued" | "in_progress"))
    }
}

/// One item of the output.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OutputItem<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) input: Option<Text<'a>>,
    /// Of a message: its parts. Of reasoning: its raw text.
    #[serde(borrow, default)]
    pub(super) content: Option<Vec<OutputPart<'a>>>,
    #[serde(borrow, default)]
    pub(super) summary: Option<Vec<OutputPart<'a>>>,
    #[serde(borrow, default)]
    pub(super) encrypted_content: Option<Text<'a>>,
    /// An image that was generated: base64.
    #[serde(borrow, default)]
    result: Option<Text<'a>>,
    #[serde(borrow, default)]
    output_format: Option<Text<'a>>,
}

impl OutputItem<'_> {
    /// The address of an image that was generated.
    pub(super) fn image(&self) -> Option<String> {
        let is_image = self.kind.as_deref() == Some("image_generation_call");
        let data = self.result.as_deref().filter(|data| is_image && !data.is_empty())?;
        let format = self.output_format.as_deref().unwrap_or("png");
        Some(format!("data:image/{format};base64,{data}"))
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct OutputPart<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default)]
    pub(super) logprobs: Option<Vec<Raw<'a>>>,
}

/// One event. Which fields it has, its type says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(default)]
    pub(super) output_index: u64,
    #[serde(default)]
    pub(super) summary_index: u64,
    #[serde(borrow, default)]
    pub(super) delta: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) input: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) item: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) annotation: Option<Raw<'a>>,
    /// How likely the tokens of a text were: a list.
    #[serde(borrow, default)]
    pub(super) logprobs: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default)]
    pub(super) response: Option<Raw<'a>>,
}

impl<'a> Event<'a> {
    /// The fragment, if it is a text.
    pub(super) fn fragment(&self) -> Text<'a> {
        self.delta.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// The type of an event: its name, or what stands in it where it has none.
pub(super) fn kind<'a>(name: Option<&'a [u8]>, data: &'a [u8]) -> Option<Cow<'a, str>> {
    let named = name.and_then(|name| std::str::from_utf8(name.trim_ascii()).ok());
    if let Some(name) = named.filter(|name| !name.is_empty() && *name != "message") {
        return Some(Cow::Borrowed(name));
    }
    serde_json::from_slice::<Kind<'a>>(data).ok()?.kind
}

/// Probabilities as the chat API wraps them; `None` if there are none.
pub(super) fn nested_logprobs(list: &[Raw<'_>]) -> Option<Box<RawValue>> {
    let wrapped = serde_json::json!({"content": list, "refusal": null});
    (!list.is_empty()).then(|| serde_json::value::to_raw_value(&wrapped).ok()).flatten()
}

/// A citation as the chat API writes it: nested under its type.
pub(super) fn nested_annotation(raw: &RawValue) -> Option<Box<RawValue>> {
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(raw.get()).ok()?;
    let kind = fields.remove("type")?;
    // The chat API knows no other.
    let name = kind.as_str().filter(|kind| *kind == "url_citation")?;
    serde_json::value::to_raw_value(&serde_json::json!({"type": name, name: fields})).ok()
}
